#!/usr/bin/env python3
"""One training step of the same decoder in PyTorch: the yardstick of `heed bench step`.

The model is the GPT-2 style decoder of recipes/base/shakespeare-*.yaml, written the way a PyTorch user would:
fused scaled_dot_product_attention, fused AdamW, gradient clipping; eager and torch.compile, f32 and bf16 (autocast
over f32 weights). Prints one JSON object a variant: median milliseconds of a step, tokens per second, peak
resident memory (on a GPU the peak of tensors instead, and steps in rounds that are waited for once).

  python3 tests/interop/torch_step.py --layers 4 --heads 4 --dim 128 --context 64 --batch 12 --vocab 65
"""
import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

try:
    import torch
    import torch.nn as nn
    import torch.nn.functional as F
except ImportError:
    print("skipped: torch is not importable")
    sys.exit(0)


class Block(nn.Module):
    def __init__(self, dim, heads, bias, gelu):
        super().__init__()
        self.heads, self.gelu = heads, gelu
        self.norm1 = nn.LayerNorm(dim, bias=bias)
        self.qkv = nn.Linear(dim, 3 * dim, bias=bias)
        self.out = nn.Linear(dim, dim, bias=bias)
        self.norm2 = nn.LayerNorm(dim, bias=bias)
        self.up = nn.Linear(dim, 4 * dim, bias=bias)
        self.down = nn.Linear(4 * dim, dim, bias=bias)

    def forward(self, x):
        b, n, c = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(b, n, c))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate=self.gelu))


class Decoder(nn.Module):
    def __init__(self, vocab, context, dim, heads, layers, bias, gelu):
        super().__init__()
        self.embed = nn.Embedding(vocab, dim)
        self.position = nn.Embedding(context, dim)
        self.blocks = nn.ModuleList(Block(dim, heads, bias, gelu) for _ in range(layers))
        self.norm = nn.LayerNorm(dim, bias=bias)
        self.head = nn.Linear(dim, vocab, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, ids, targets):
        x = self.embed(ids) + self.position(torch.arange(ids.shape[1], device=ids.device))
        for block in self.blocks:
            x = block(x)
        logits = self.head(self.norm(x))
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.view(-1))


def measure(args, mode, precision):
    torch.manual_seed(1)
    on_gpu = args.device != "cpu"
    torch.set_float32_matmul_precision("highest")  # no TF32: heed has it only where a recipe says so
    model = Decoder(args.vocab, args.context, args.dim, args.heads, args.layers, args.bias, args.gelu).to(args.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0.1, fused=True)
    ids = torch.randint(args.vocab, (args.batch, args.context + 1), device=args.device)
    call = torch.compile(model) if mode == "compile" else model

    def step():
        with torch.autocast(args.device.split(":")[0], dtype=torch.bfloat16, enabled=precision == "bf16"):
            loss = call(ids[:, :-1].contiguous(), ids[:, 1:].contiguous())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss

    for _ in range(args.warmup):
        step()
    each = 5 if on_gpu else 1  # steps of a round: launches run ahead of the device
    if on_gpu:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    times = []
    for _ in range(max(1, args.steps // each)):
        start = time.perf_counter()
        for _ in range(each):
            step()
        if on_gpu:
            torch.cuda.synchronize()
        times.append((time.perf_counter() - start) / each)
    ms = statistics.median(times) * 1e3
    gpu = {"peak_tensor_mib": round(torch.cuda.max_memory_allocated() / 2**20, 1)} if on_gpu else {}
    return {
        "version": torch.__version__,
        "device": args.device,
        "tokens_per_step": args.batch * args.context,
        "mode": mode,
        "precision": precision,
        "ms": round(ms, 3),
        "min_ms": round(min(times) * 1e3, 3),
        "tokens_per_second": round(args.batch * args.context / ms * 1e3),
        "peak_rss_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        **gpu,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in dict(layers=4, heads=4, dim=128, context=64, batch=12, vocab=65, warmup=5, steps=30,
                              threads=0).items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--bias", action="store_true", help="biases in linear layers and norms")
    parser.add_argument("--gelu", default="none", choices=["none", "tanh"], help="approximation of gelu")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--modes", default="eager,compile")
    parser.add_argument("--precisions", default="f32,bf16")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    variants = [(p, m) for p in args.precisions.split(",") for m in args.modes.split(",")]
    if len(variants) == 1:
        print(json.dumps(measure(args, variants[0][1], variants[0][0])), flush=True)
        return
    for precision, mode in variants:  # a process each, so that the peaks of memory are each one's own
        command = [sys.executable, __file__, *sys.argv[1:], "--precisions", precision, "--modes", mode]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
