"""Continues a text with a trained model, by ctypes alone.

    python3 examples/c/generate.py ~/heed/lib/libheed_c.so RUN PROMPT
"""

import ctypes
import json
import sys


class Options(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("max_tokens", ctypes.c_int64),
                ("temperature", ctypes.c_double), ("top_k", ctypes.c_int64),
                ("top_p", ctypes.c_double), ("seed", ctypes.c_int64)]


ON_TEXT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)


def open_library(path):
    heed = ctypes.CDLL(path)
    heed.heed_load.restype = ctypes.c_void_p
    heed.heed_load.argtypes = [ctypes.c_char_p]
    heed.heed_free.argtypes = [ctypes.c_void_p]
    heed.heed_last_error.restype = ctypes.c_char_p
    heed.heed_config.restype = ctypes.c_char_p
    heed.heed_config.argtypes = [ctypes.c_void_p]
    heed.heed_generate_defaults.restype = Options
    heed.heed_generate_defaults.argtypes = [ctypes.c_void_p]
    heed.heed_generate.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(Options), ON_TEXT,
                                   ctypes.c_void_p, ctypes.c_void_p]
    return heed


def main():
    if len(sys.argv) != 4:
        sys.exit("usage: generate.py LIBRARY RUN PROMPT")
    library, run, prompt = sys.argv[1:]
    heed = open_library(library)
    model = heed.heed_load(run.encode())
    if not model:
        sys.exit(heed.heed_last_error().decode())
    print("model:", json.loads(heed.heed_config(model))["type"], file=sys.stderr)
    options = heed.heed_generate_defaults(model)
    options.max_tokens, options.temperature = 100, 0.0

    def show(piece, _):
        print(piece.decode(), end="", flush=True)
        return 0

    print(prompt, end="")
    status = heed.heed_generate(model, prompt.encode(), ctypes.byref(options), ON_TEXT(show), None, None)
    print()
    message = heed.heed_last_error().decode()
    heed.heed_free(model)
    if status != 0:
        sys.exit(message)


if __name__ == "__main__":
    main()
