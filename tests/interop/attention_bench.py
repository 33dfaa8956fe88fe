"""heed's fused attention beside PyTorch's scaled_dot_product_attention, same shapes, same run.

    python tests/interop/attention_bench.py build/bench_attention [--threads 2]

Prints, for each shape, the time of both (forward; forward + backward) and how many times faster
heed is. Each time is the best of several interleaved rounds, so that a disturbance of the machine
meets both alike.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import time

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    print("attention_bench: skipped, PyTorch is not importable here")
    sys.exit(0)

FIELDS = re.compile(r"/(\w+):(\d+)")


def heed_times(binary, threads, which):
    """{(direction, B, H, N, D, causal, bf16): milliseconds} of one run of the benchmark."""
    env = dict(os.environ, OMP_NUM_THREADS=str(threads))
    out = subprocess.run(
        [binary, f"--benchmark_filter={which}", "--benchmark_format=json",
         "--benchmark_min_time=0.2"],
        env=env, capture_output=True, text=True, check=True).stdout
    times = {}
    for row in json.loads(out)["benchmarks"]:
        field = {name: int(value) for name, value in FIELDS.findall(row["name"])}
        if field.get("dropout", 0) == 0:
            key = (row["name"].split("/")[1],
                   *(field[n] for n in ("B", "H", "N", "D", "causal", "bf16")))
            times[key] = row["real_time"]
    return times


def torch_time(key, budget):
    """Best time in milliseconds of PyTorch for the same problem."""
    direction, batch, heads, tokens, dim, causal, bf16 = key
    dtype = torch.bfloat16 if bf16 else torch.float32
    q, k, v, dout = (torch.randn(batch, tokens, heads, dim, dtype=dtype).transpose(1, 2)
                     for _ in range(4))
    if direction == "forward":
        def step():
            with torch.no_grad():
                F.scaled_dot_product_attention(q, k, v, is_causal=bool(causal))
    else:
        inputs = [t.requires_grad_() for t in (q, k, v)]

        def step():
            out = F.scaled_dot_product_attention(*inputs, is_causal=bool(causal))
            torch.autograd.grad(out, inputs, dout)
    step()
    best, start = float("inf"), time.perf_counter()
    while time.perf_counter() - start < budget:
        begin = time.perf_counter()
        step()
        best = min(best, time.perf_counter() - begin)
    return 1e3 * best


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benchmark", help="path of bench_attention")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--filter", default="^attention/", help="as for --benchmark_filter")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    ours, theirs = {}, {}
    for _ in range(args.rounds):
        for key, value in heed_times(args.benchmark, args.threads, args.filter).items():
            ours[key] = min(value, ours.get(key, float("inf")))
        for key in ours:
            theirs[key] = min(torch_time(key, 0.2), theirs.get(key, float("inf")))
    print(f"PyTorch {torch.__version__}, {args.threads} threads; milliseconds, best of rounds")
    print(f"{'':17} {'(B, H, N, D)':>19} {'':6} {'':4} {'heed':>9} {'PyTorch':>9}  ratio")
    for key, value in ours.items():
        direction, *shape, causal, bf16 = key
        print(f"{direction:17} {str(tuple(shape)):>19} {'causal' if causal else 'dense':6} "
              f"{'bf16' if bf16 else 'f32':4} {value:9.3f} {theirs[key]:9.3f} "
              f"{theirs[key] / value:5.2f}x")


if __name__ == "__main__":
    main()
