"""tools/benchmarks/ops.cpp beside the same ops in PyTorch: microseconds of CPU time and PyTorch's over heed's,
forward and forward + backward, one thread. Image ops take the faster of PyTorch's two memory layouts.

    OMP_NUM_THREADS=1 python tests/interop/ops_bench.py [build/bench_ops] [--only NAME ...]
"""
import argparse
import json
import subprocess
import time
from pathlib import Path

import torch
import torch.nn.functional as F


def microseconds(fn, budget=0.1):
    fn()
    best, spent = float("inf"), 0.0
    while spent < budget:
        start = time.thread_time()
        fn()
        took = time.thread_time() - start
        best, spent = min(best, took), spent + took
    return best * 1e6


def leaf(*shape, scale=1.0):
    return (torch.randn(*shape) * scale).requires_grad_()


def cases():
    """name, and for each memory layout to try the leaves and the function of them."""
    x, y = leaf(4096, 1024), torch.randn(4096, 1024)
    p, q = (torch.rand(4096, 1024) * 0.9 + 0.05 for _ in range(2))
    q.requires_grad_()
    yield "softmax", [([x], lambda: x.softmax(-1))]
    yield "log_softmax", [([x], lambda: x.log_softmax(-1))]
    yield "mse", [([x], lambda: F.mse_loss(x, y))]
    yield "l1", [([x], lambda: F.l1_loss(x, y))]
    yield "huber", [([x], lambda: F.huber_loss(x, y))]
    yield "bce_with_logits", [([x], lambda: F.binary_cross_entropy_with_logits(x, p))]
    yield "bce", [([q], lambda: F.binary_cross_entropy(q, p))]
    yield "kl_div", [([x], lambda: F.kl_div(x, p))]
    yield "soft_cross_entropy", [([x], lambda: F.cross_entropy(x, p))]
    yield "cosine_similarity", [([x], lambda: F.cosine_similarity(x, y, dim=-1))]
    a, b = leaf(512, 256), torch.randn(512, 256)

    def info_nce():
        logits = F.normalize(a) @ F.normalize(b).T / 0.1
        return F.cross_entropy(logits, torch.arange(512))

    yield "info_nce", [([a], info_nce)]

    def images(shape, fn):
        layouts = []
        for layout in (torch.contiguous_format, torch.channels_last):
            maps = torch.randn(*shape).to(memory_format=layout).requires_grad_()
            w, b = leaf(shape[1]), leaf(shape[1])
            layouts.append(([maps, w, b], lambda maps=maps, w=w, b=b: fn(maps, w, b)))
        return layouts

    shape = (16, 64, 56, 56)
    yield "batch_norm", images(shape, lambda i, w, b: F.batch_norm(i, None, None, w, b, training=True))
    yield "group_norm", images(shape, lambda i, w, b: F.group_norm(i, 8, w, b))
    yield "instance_norm", images(shape, lambda i, w, b: F.instance_norm(i, weight=w, bias=b))
    yield "max_pool", images(shape, lambda i, w, b: F.max_pool2d(i, 3, 2, 1))
    yield "avg_pool", images(shape, lambda i, w, b: F.avg_pool2d(i, 2))
    yield "global_pool", images(shape, lambda i, w, b: F.adaptive_avg_pool2d(i, 1))
    for name, size in (("bilinear_up", 112), ("bilinear_down", 28)):
        yield name, images(shape, lambda i, w, b, s=size: F.interpolate(i, s, mode="bilinear"))
    yield "nearest_up", images(shape, lambda i, w, b: F.interpolate(i, 112))
    yield "bicubic_up", images((16, 32, 28, 28), lambda i, w, b: F.interpolate(i, 56, mode="bicubic"))
    steps = leaf(32, 64, 128)
    for name, kind in (("gru", torch.nn.GRU), ("lstm", torch.nn.LSTM)):
        net = kind(128, 256, batch_first=True)
        yield name, [([steps, *net.parameters()], lambda net=net: net(steps)[0])]
    line = torch.randn(1024, 256, dtype=torch.complex64).requires_grad_()
    real, maps = leaf(1024, 1024), leaf(16, 128, 128)
    yield "fft", [([line], lambda: torch.fft.fft(line))]
    yield "rfft", [([real], lambda: torch.fft.rfft(real))]
    yield "rfft2", [([maps], lambda: torch.fft.rfft2(maps))]
    half = torch.randn(16, 128, 65, dtype=torch.complex64).requires_grad_()
    yield "irfft2", [([half], lambda: torch.fft.irfft2(half))]
    prime = torch.randn(256, 1009, dtype=torch.complex64).requires_grad_()
    yield "fft_prime", [([prime], lambda: torch.fft.fft(prime))]


def time_torch(layouts):
    def forward(fn):
        with torch.no_grad():
            fn()

    def both(leaves, fn, seed):
        used = torch.autograd.grad(fn(), leaves, seed, allow_unused=True)
        del used

    seeds = [torch.ones_like(fn()) for _, fn in layouts]
    return (min(microseconds(lambda: forward(fn)) for _, fn in layouts),
            min(microseconds(lambda: both(leaves, fn, seed)) for (leaves, fn), seed in zip(layouts, seeds)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    built = Path(__file__).resolve().parents[2] / "build" / "bench_ops"
    parser.add_argument("bench", nargs="?", default=built, help=f"[{built}]")
    parser.add_argument("--only", nargs="+", help="names of ops")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'op':20}{'heed us':>10}{'PyTorch':>10}{'ratio':>7}   {'both':>10}{'PyTorch':>10}{'ratio':>7}")
    for name, layouts in cases():
        if options.only and name not in options.only:
            continue
        call = [options.bench, f"--benchmark_filter=^{name}/", "--benchmark_format=json", "--benchmark_min_time=0.1",
                "--benchmark_repetitions=3"]
        done = subprocess.run(call, capture_output=True, text=True, check=True)
        ours = {}
        for run in json.loads(done.stdout)["benchmarks"]:
            if run["run_type"] == "iteration":
                kind = run["name"].rsplit("/", 1)[1]
                ours[kind] = min(ours.get(kind, float("inf")), run["cpu_time"] / 1e3)
        forward, both = time_torch(layouts)
        print(f"{name:20}{ours['forward']:10.0f}{forward:10.0f}{forward / ours['forward']:7.2f}   "
              f"{ours['both']:10.0f}{both:10.0f}{both / ours['both']:7.2f}", flush=True)


if __name__ == "__main__":
    main()
