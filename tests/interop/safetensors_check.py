#!/usr/bin/env python3
"""Checks heed's safetensors files against the safetensors package, both ways.

  safetensors_check.py make FILE      writes a file with the package, for heed to read
  safetensors_check.py verify FILE    opens a file with the package, demands what `make` writes

A round trip is therefore: make a.safetensors; let heed read it and write it as b.safetensors; verify
b.safetensors. Needs numpy, torch and safetensors; without them it says so and exits with 77, which
test drivers take for "skipped".
"""

import argparse
import sys

from interop_common import needed

with needed():
    import torch
    from safetensors import safe_open
    from safetensors.torch import save_file

METADATA = {"format": "pt", "note": "two\nlines, \"quoted\", ü"}
SHAPES = {"scalar": (), "one": (1,), "odd": (3, 5, 7), "empty": (2, 0, 3),
          "rank8": (1, 2, 1, 2, 1, 1, 1, 3)}
DTYPES = {"f64": torch.float64, "f32": torch.float32, "f16": torch.float16,
          "bf16": torch.bfloat16, "i64": torch.int64, "i32": torch.int32, "u8": torch.uint8,
          "bool": torch.bool}


def expected():
    """Name -> tensor: every element type in every shape, with values that the type can hold."""
    tensors = {}
    for dtype_name, dtype in DTYPES.items():
        for shape_name, shape in SHAPES.items():
            values = torch.arange(torch.Size(shape).numel()) * 37 % 101
            if dtype is torch.bool:
                values = values % 2
            elif dtype.is_floating_point:
                values = (values.double() - 50) / 8  # exact in 8 bits of mantissa
            elif dtype is not torch.uint8:
                values = values - 50
            tensors[f"{dtype_name}.{shape_name}"] = values.to(dtype).reshape(shape)
    special = torch.tensor([float("inf"), float("-inf"), float("nan"), -0.0, 1e-45])
    tensors["ünïcode \"name\""] = special
    return tensors


def bits(tensor):
    """The bytes of a tensor, so that NaN and -0 compare too."""
    return tensor.contiguous().flatten().view(torch.uint8).tolist() if tensor.numel() else []


def verify(path):
    faults = []
    with safe_open(path, framework="pt") as file:
        if (file.metadata() or {}) != METADATA:
            faults.append(f"metadata: {file.metadata()!r}")
        wanted = expected()
        names = set(file.keys())
        faults += [f"{name}: missing" for name in wanted.keys() - names]
        faults += [f"{name}: unexpected" for name in names - wanted.keys()]
        for name in names & wanted.keys():
            got, want = file.get_tensor(name), wanted[name]
            if got.dtype != want.dtype or got.shape != want.shape or bits(got) != bits(want):
                faults.append(f"{name}: {got.dtype} {tuple(got.shape)} differs")
    for fault in faults:
        print(fault, file=sys.stderr)
    print(f"{path}: {'differs' if faults else 'equal'}")
    return 1 if faults else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["make", "verify"])
    parser.add_argument("file")
    arguments = parser.parse_args()
    if arguments.action == "make":
        save_file(expected(), arguments.file, metadata=METADATA)
        return 0
    return verify(arguments.file)


if __name__ == "__main__":
    sys.exit(main())
