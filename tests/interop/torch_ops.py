#!/usr/bin/env python3
"""The ops of `heed bench ops` in PyTorch, on the same sizes: milliseconds of each, the better of eager and
torch.compile. Prints one JSON document.

  python3 tests/interop/torch_ops.py --device cuda --rows 65536 --width 1024

On a GPU calls go out in rounds of at least 5 ms, each waited for once; the best round counts. Backward passes are
given what their forward passes have saved, as heed's are.
"""
import argparse
import json
import sys
import time

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    print("skipped: torch is not importable", file=sys.stderr)
    sys.exit(77)

aten = torch.ops.aten


def best_of(fn, args):
    """Milliseconds of a call."""
    on_gpu = args.device != "cpu"

    def round_of(calls):
        start = time.perf_counter()
        for _ in range(calls):
            fn()
        if on_gpu:
            torch.cuda.synchronize()
        return (time.perf_counter() - start) / calls

    round_of(1)
    calls = min(1000, int(5e-3 / min(round_of(1), round_of(1))) + 1) if on_gpu else 1
    best, runs, start = float("inf"), 0, time.perf_counter()
    while runs < 2 or time.perf_counter() - start < args.seconds:
        best, runs = min(best, round_of(calls)), runs + 1
    return 1e3 * best


def rms_norm_backward(dy, x, w, rstd):
    g, hat = dy.float() * w, x.float() * rstd
    dx = rstd * (g - hat * (g * hat).mean(-1, keepdim=True))
    return dx.to(x.dtype), (dy.float() * hat).sum(0)


def rotated(x, cos, sin):
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1).to(x.dtype)


def cases(args, dtype):
    """name, function, its inputs."""
    rows, width, device = args.rows, args.width, args.device

    def made():
        return torch.randn(rows, width, device=device).to(dtype)

    x, y, dy = made(), made(), made()
    w, b = (torch.randn(width, device=device, dtype=dtype) for _ in range(2))
    _, mean, rstd = aten.native_layer_norm(x, [width], w, b, 1e-5)
    rms = torch.rsqrt(x.float().square().mean(-1, keepdim=True) + 1e-5)
    wf = w.float()
    yield "layer_norm", lambda x: F.layer_norm(x, (width,), w, b), (x,)

    def add_layer_norm(r, x):
        s = r + x
        return s, F.layer_norm(s, (width,), w, b)

    def layer_norm_backward(dy, x):
        return aten.native_layer_norm_backward(dy, x, [width], mean, rstd, w, b, [True, True, True])

    def add_layer_norm_backward(dy, ds, x):
        dx, dw, db = layer_norm_backward(dy, x)
        return dx + ds, dw, db

    yield "add_layer_norm", add_layer_norm, (dy, x)
    yield "rms_norm", lambda x: F.rms_norm(x, (width,), w, 1e-5), (x,)
    yield "layer_norm backward", layer_norm_backward, (dy, x)
    yield "add_layer_norm backward", add_layer_norm_backward, (dy, y, x)
    yield "rms_norm backward", lambda dy, x: rms_norm_backward(dy, x, wf, rms), (dy, x)
    yield "add", lambda x, y: x + y, (x, y)
    yield "gelu_tanh", lambda x: F.gelu(x, approximate="tanh"), (x,)
    yield "gelu_tanh backward", lambda dy, x: aten.gelu_backward(dy, x, approximate="tanh"), (dy, x)
    yield "swiglu", lambda x, y: F.silu(x) * y, (x, y)

    def swiglu_backward(dy, x, y):
        return aten.silu_backward(dy * y, x), dy * F.silu(x)

    yield "swiglu backward", swiglu_backward, (dy, x, y)
    yield "dropout", lambda x: F.dropout(x, 0.1), (x,)
    if width % 64 == 0:
        heads = torch.randn(1, width // 64, rows, 64, device=device).to(dtype)
        angle = torch.arange(rows, device=device)[:, None] * 1e4 ** -(torch.arange(0, 64, 2, device=device) / 64)
        cos, sin = angle.cos(), angle.sin()
        yield "rotary", lambda x: rotated(x, cos, sin), (heads,)
    yield "softmax", lambda x: x.softmax(-1), (x,)
    p = x.softmax(-1)
    yield "softmax backward", lambda dy, p: aten._softmax_backward_data(dy, p, -1, dtype), (dy, p)
    targets = torch.randint(width, (rows,), device=device)
    leaf = x.detach().requires_grad_()

    def cross_entropy(leaf):
        return torch.autograd.grad(F.cross_entropy(leaf, targets, reduction="sum"), leaf)

    yield "cross_entropy with backward", cross_entropy, (leaf,)


def optimizer_cases(args):
    p = torch.nn.Parameter(torch.randn(args.rows, args.width, device=args.device))
    p.grad = torch.randn_like(p)
    adamw = torch.optim.AdamW([p], lr=1e-6, fused=True)
    yield "adamw", adamw.step
    yield "gradient norm", lambda: torch.nn.utils.get_total_norm([p.grad]).item()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--rows", type=int, default=16384)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--seconds", type=float, default=0.3, help="to measure each for")
    parser.add_argument("--only", nargs="+", help="names of ops")
    parser.add_argument("--eager", action="store_true", help="without torch.compile")
    args = parser.parse_args()
    wanted = lambda name: not args.only or name in args.only
    found = []
    for dtype, name_of in ((torch.bfloat16, "bf16"), (torch.float32, "f32")):
        for name, fn, inputs in cases(args, dtype):
            if not wanted(name):
                continue
            times = {"eager": best_of(lambda: fn(*inputs), args)}
            if not args.eager:
                torch._dynamo.reset()
                try:
                    compiled = torch.compile(fn)
                    times["compile"] = best_of(lambda: compiled(*inputs), args)
                except Exception as error:  # what cannot be compiled has its eager time
                    print(f"{name}: not compiled: {error}", file=sys.stderr)
            mode = min(times, key=times.get)
            found.append({"op": name, "dtype": name_of, "ms": times[mode], "mode": mode})
    for name, fn in optimizer_cases(args):
        if wanted(name):
            found.append({"op": name, "dtype": "f32", "ms": best_of(fn, args), "mode": "eager"})
    print(json.dumps({"version": torch.__version__, "device": args.device, "rows": args.rows, "width": args.width,
                      "ops": found}))


if __name__ == "__main__":
    main()
