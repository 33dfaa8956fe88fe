"""heed's fused attention beside PyTorch's scaled_dot_product_attention, same shapes, same run.

    python tests/interop/attention_bench.py build/bench_attention [--threads 2] [--filter REGEX]

Prints, for each shape, the time of both (forward; forward + backward), how many times faster heed
is, and heed's arithmetic rate as a share of a square matrix product's in the same run; then the
geometric mean and the least of the ratios for each direction and dtype. Each time is the best of
several interleaved rounds, so that a disturbance of the machine meets both alike. With one thread
the times are processor times.
"""
import argparse
import json
import math
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
SHAPE = ("B", "H", "N", "D", "causal", "bf16")


def heed_run(binary, threads, which):
    """{name of the benchmark: (milliseconds, flop/s)}, the best of repetitions."""
    env = dict(os.environ, OMP_NUM_THREADS=str(threads))
    out = subprocess.run(
        [binary, f"--benchmark_filter={which}", "--benchmark_format=json",
         "--benchmark_min_time=0.02", "--benchmark_repetitions=3"],
        env=env, capture_output=True, text=True, check=True).stdout
    best = {}
    for row in json.loads(out)["benchmarks"]:
        if row["run_type"] != "iteration":
            continue
        ms = row["cpu_time" if threads == 1 else "real_time"]
        flop = row["flop/s"] * row["real_time"]
        name = row["run_name"]
        if name not in best or ms < best[name][0]:
            best[name] = (ms, flop / ms)
    return best


def problem(name):
    """(direction, B, H, N, D, causal, bf16) of a benchmark's name; None for others."""
    field = {key: int(value) for key, value in FIELDS.findall(name)}
    if not name.startswith("attention/") or field.get("dropout", 0) != 0:
        return None
    return (name.split("/")[1], *(field[n] for n in SHAPE))


def names_of(binary, which):
    out = subprocess.run([binary, f"--benchmark_filter={which}", "--benchmark_list_tests"],
                         capture_output=True, text=True, check=True).stdout
    return [name for name in out.split() if problem(name)]


def torch_time(key, threads, budget):
    """Best time in milliseconds of PyTorch for the same problem."""
    direction, batch, heads, tokens, dim, causal, bf16 = key
    clock = time.process_time if threads == 1 else time.perf_counter
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
    best, runs, start = float("inf"), 0, time.perf_counter()
    while runs < 3 or time.perf_counter() - start < budget:
        begin = clock()
        step()
        best = min(best, clock() - begin)
        runs += 1
    return 1e3 * best


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benchmark", help="path of bench_attention")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--filter", default="^attention/", help="as for --benchmark_filter")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"PyTorch {torch.__version__}, {args.threads} threads; milliseconds, best of rounds; "
          "share of a square product's rate")
    print(f"{'':16} {'(B, H, N, D)':>17} {'':6} {'':4} {'heed':>9} {'PyTorch':>9}  ratio  share")
    rates = {}
    for name, (_, rate) in heed_run(args.benchmark, args.threads, "^product/").items():
        bf16 = int("bf16:1" in name)
        rates[bf16] = max(rates.get(bf16, 0.0), rate)
    ratios = {}
    for name in names_of(args.benchmark, args.filter):
        key = problem(name)
        direction, *shape, causal, bf16 = key
        ours, theirs, rate = float("inf"), float("inf"), 0.0
        for _ in range(args.rounds):
            ms, flops = heed_run(args.benchmark, args.threads, f"^{name}$")[name]
            if ms < ours:
                ours, rate = ms, flops
            theirs = min(theirs, torch_time(key, args.threads, 0.06))
        ratios.setdefault((direction, bf16), []).append((theirs / ours, name))
        print(f"{direction:16} {str(tuple(shape)):>17} {'causal' if causal else 'dense':6} "
              f"{'bf16' if bf16 else 'f32':4} {ours:9.3f} {theirs:9.3f} {theirs / ours:5.2f}x "
              f"{rate / rates[bf16]:5.0%}", flush=True)
    for bf16, rate in sorted(rates.items()):
        print(f"square product, {'bf16' if bf16 else 'f32'}: {rate * 1e-9:.0f} GFLOP/s")
    for (direction, bf16), all_of in ratios.items():
        mean = math.exp(sum(math.log(ratio) for ratio, _ in all_of) / len(all_of))
        least, name = min(all_of)
        print(f"{direction:16} {'bf16' if bf16 else 'f32':4} geometric mean {mean:.2f}x, least "
              f"{least:.2f}x ({name})")


if __name__ == "__main__":
    main()
