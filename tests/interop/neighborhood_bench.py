#!/usr/bin/env python3
"""Neighborhood attention: heed's fused kernels and the forms that store weights (`heed bench attention neighborhood
--form ...`) beside what PyTorch offers on the CPU, same shapes, same machine, one after the other in rounds.

    python3 tests/interop/neighborhood_bench.py build/heed [--rounds 2] [--seconds 0.2] [--heads 2] [--head-dim 32]

  gathered  keys and values gathered for every query, weights stored: how NA is written without kernels of its own
  masked    scaled_dot_product_attention with a boolean mask
  flex      flex_attention, compiled, with the neighborhood as its mask (where this PyTorch can)

Milliseconds forward and backward (the least), one thread of each; the ratio is the best of PyTorch over heed's fused.
"""
import argparse
import json
import os
import subprocess
import sys
import time

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    print("skipped: torch is not importable")
    sys.exit(0)

PROBLEMS = [
    {"tokens": 1024, "window": 127},
    {"tokens": 8192, "window": 127},
    {"grid": [64, 64], "window": 7},
    {"grid": [64, 64], "window": 13},
    {"grid": [64, 64], "window": 13, "dilation": 2},
    {"grid": [64, 64], "window": 31},
    {"grid": [56, 56], "window": 7, "dilation": 8},
    {"grid": [16, 16, 16], "window": 5},
]
FORMS = ["fused", "product", "naive", "masked"]


def axis_keys(length, window, dilation):
    """[length, window]: the coordinates that each coordinate sees along an axis."""
    i = torch.arange(length)
    residue, place = i % dilation, i // dilation
    group = length // dilation + (residue < length % dilation).long()
    start = (place - window // 2).clamp(min=0).minimum(group - window)
    return residue[:, None] + dilation * (start[:, None] + torch.arange(window))


def neighbours(problem):
    """[N, prod k]: the tokens that each token sees."""
    found = torch.zeros(1, 1, dtype=torch.long)
    for length in problem.get("grid", [problem.get("tokens")]):
        keys = axis_keys(length, problem["window"], problem.get("dilation", 1))
        found = (found[:, None, :, None] * length + keys[None, :, None, :]).flatten(0, 1).flatten(1)
    return found


def gathered(index):
    def attend(q, k, v):
        scores = torch.einsum("bhnd,bhnmd->bhnm", q * q.shape[-1] ** -0.5, k[:, :, index])
        return torch.einsum("bhnm,bhnmd->bhnd", scores.softmax(-1), v[:, :, index])

    return attend


def masked(index):
    n = index.shape[0]
    mask = torch.zeros(n, n, dtype=torch.bool).scatter_(1, index, True)
    return lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def flex(index):
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    n = index.shape[0]
    table = torch.zeros(n, n, dtype=torch.bool).scatter_(1, index, True)
    block = create_block_mask(lambda b, h, i, j: table[i, j], None, None, n, n, device="cpu")
    compiled = torch.compile(flex_attention)
    return lambda q, k, v: compiled(q, k, v, block_mask=block)


def torch_ms(attend, n, heads, width, seconds):
    q, k, v, dout = (torch.randn(1, heads, n, width) for _ in range(4))
    inputs = [t.requires_grad_() for t in (q, k, v)]

    def step():
        torch.autograd.grad(attend(*inputs), inputs, dout)

    step()
    least, runs, start = float("inf"), 0, time.process_time()
    while runs < 2 or time.process_time() - start < seconds:
        begin = time.process_time()
        step()
        least = min(least, time.process_time() - begin)
        runs += 1
    return 1e3 * least


def heed_ms(args, problem, form):
    command = [args.heed, "bench", "attention", "neighborhood", "--json", "--form", form, "--heads", str(args.heads),
               "--head-dim", str(args.head_dim), "--window", str(problem["window"]), "--seconds", str(args.seconds),
               "--dilation", str(problem.get("dilation", 1))]
    command += ["--grid", "x".join(map(str, problem["grid"]))] if "grid" in problem else ["--tokens", str(problem["tokens"])]
    run = subprocess.run(command, env=dict(os.environ, OMP_NUM_THREADS="1"), capture_output=True, text=True, check=True)
    result = json.loads(run.stdout)
    return result["forward_backward_ms"], result["peak_bytes"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("heed")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=0.2)
    parser.add_argument("--heads", type=int, default=2)
    parser.add_argument("--head-dim", type=int, default=32)
    parser.add_argument("--ways", default="gathered,masked,flex")
    parser.add_argument("--forms", default=",".join(FORMS))
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    makers = {"gathered": gathered, "masked": masked, "flex": flex}
    print(f"PyTorch {torch.__version__}; ms forward and backward, {args.heads} heads of {args.head_dim}, f32, one thread")
    for problem in PROBLEMS:
        index = neighbours(problem)
        best, refused = {}, {}
        ways = {}
        for way in args.ways.split(","):
            try:
                ways[way] = makers[way](index)
            except Exception as error:  # a PyTorch without it
                refused[way] = str(error).splitlines()[0]
        for _ in range(args.rounds):
            for form in args.forms.split(","):
                ms, size = heed_ms(args, problem, form)
                best[form] = min(best.get(form, float("inf")), ms)
            for way, attend in list(ways.items()):
                try:
                    ms = torch_ms(attend, index.shape[0], args.heads, args.head_dim, args.seconds)
                    best["torch " + way] = min(best.get("torch " + way, float("inf")), ms)
                except Exception as error:
                    refused[way] = (str(error).splitlines() or [type(error).__name__])[0]
                    del ways[way]
        theirs = [ms for name, ms in best.items() if name.startswith("torch")]
        ratio = min(theirs) / best["fused"] if theirs and "fused" in best else float("nan")
        print(json.dumps(problem), "  ".join(f"{name} {ms:.2f}" for name, ms in best.items()), f"ratio {ratio:.2f}",
              *(f"({way}: {why})" for way, why in refused.items()), flush=True)


if __name__ == "__main__":
    main()
