"""The cases of tools/benchmarks/elementwise.cpp in PyTorch: CPU microseconds a call, one thread.

    OMP_NUM_THREADS=1 python tests/interop/elementwise_bench.py
"""
import time

import torch
import torch.nn.functional as F


def microseconds(fn):
    fn()
    best = float("inf")
    for _ in range(5):
        start, count = time.thread_time(), 0
        while time.thread_time() - start < 0.05:
            fn()
            count += 1
        best = min(best, (time.thread_time() - start) / count)
    return best * 1e6


@torch.no_grad()
def main():
    for dtype in (torch.float32, torch.bfloat16):
        for shape in ((768, 512), (4096, 1536)):
            x, y = torch.randn(shape, dtype=dtype), torch.randn(shape, dtype=dtype)
            row, out = torch.randn(shape[1], dtype=dtype), torch.zeros(shape, dtype=dtype)
            aten = torch.ops.aten
            cases = {
                "copy": lambda: out.copy_(x),
                "transpose": lambda: x.t().contiguous(),
                "to f32": lambda: x.float(),
                "to bf16": lambda: x.bfloat16(),
                "add": lambda: x + y,
                "add row": lambda: x + row,
                "mul number": lambda: x * 1.5,
                "add in place": lambda: out.add_(x),
                "exp": lambda: x.exp(),
                "tanh": lambda: x.tanh(),
                "silu": lambda: F.silu(x),
                "gelu": lambda: F.gelu(x),
                "gelu backward": lambda: aten.gelu_backward(y, x),
                "gelu_tanh": lambda: F.gelu(x, approximate="tanh"),
                "gelu_tanh backward": lambda: aten.gelu_backward(y, x, approximate="tanh"),
                "swiglu": lambda: F.silu(x) * y,
                "sum rows": lambda: x.sum(1),
                "sum columns": lambda: x.sum(0),
                "dropout": lambda: F.dropout(x, 0.1),
                "fill uniform": lambda: out.uniform_(),
                "fill normal": lambda: out.normal_(),
                "fill truncated normal": lambda: torch.nn.init.trunc_normal_(out),
            }
            for name, fn in cases.items():
                if out.isinf().any():
                    out.zero_()
                print(f"{name}/{str(dtype)[6:]}{list(shape)}: {microseconds(fn):.1f} us", flush=True)


if __name__ == "__main__":
    main()
