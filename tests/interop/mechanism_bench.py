"""Attention mechanisms as a model holds them (projections included) beside PyTorch modules that do the same, as a
PyTorch user writes them: nn.Linear, scaled_dot_product_attention with its mask, eager.

    OMP_NUM_THREADS=1 python tests/interop/mechanism_bench.py build/heed [--only NAME] [--seconds 1] [--rounds 2]

Prints, for each case, milliseconds forward and with the backward pass of heed's mechanism, of heed's softmax
attention in the same place and of PyTorch's module, and how many times faster heed is. Best of interleaved rounds;
with one thread the times are processor times.
"""
import argparse
import json
import os
import subprocess
import sys
import time

try:
    import torch
    import torch.nn as nn
    import torch.nn.functional as F
except ImportError:
    print("mechanism_bench: skipped, PyTorch is not importable here")
    sys.exit(0)


class Attention(nn.Module):
    """Multi-head attention with an optional boolean mask [N, N]."""

    def __init__(self, dim, heads, mask=None):
        super().__init__()
        self.heads, self.mask = heads, mask
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def split(self, x):
        return (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.qkv(x).chunk(3, -1))

    def forward(self, x):
        q, k, v = self.split(x)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=self.mask, is_causal=self.mask is None)
        return self.out(y.transpose(1, 2).flatten(2))


class Selective(Attention):
    """arXiv 2411.12892, temperatures of queries and values that share the projections."""

    def __init__(self, dim, heads):
        super().__init__(dim, heads)
        self.query, self.value, self.alpha = nn.Linear(dim, 1), nn.Linear(dim, 1), nn.Parameter(torch.zeros(1))

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, -1)
        log_n = torch.arange(1, x.shape[1] + 1).log()[:, None]
        tau_q = 1 + torch.tanh(self.query(F.gelu(q))) + torch.sigmoid(self.alpha) * log_n
        tau_v = 1 + torch.tanh(self.value(F.gelu(v)))
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (q * tau_q, k, v * tau_v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).flatten(2))


class AveragedQuery(Attention):
    """arXiv 2311.01056: queries averaged over the last `window` tokens, of those that there are."""

    def __init__(self, dim, heads, window=3):
        super().__init__(dim, heads)
        self.window = window

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, -1)
        some = torch.arange(1, x.shape[1] + 1).clamp(max=self.window)[:, None]
        sums = self.window * F.avg_pool1d(F.pad(q.transpose(1, 2), (self.window - 1, 0)), self.window, 1)
        q = sums.transpose(1, 2) / some
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).flatten(2))


class Routing(Attention):
    """arXiv 2003.05997 as its own code has it: cluster lists and blocks gathered, relative vectors expanded to every
    pair, results scattered and averaged, one matrix behind all heads; the centroids move in training only."""

    def __init__(self, dim, heads, clusters, width, local, block, reach):
        super().__init__(dim, heads)
        d = dim // heads
        self.width, self.local, self.block, self.reach = width, local, block, reach
        self.register_buffer("means", F.layer_norm(torch.randn(heads - local, clusters, d), (d,)))
        self.matrix = nn.Linear(d, d, bias=False)
        self.tables = nn.ParameterList(nn.Parameter(0.02 * torch.randn(2 * reach + 1, d)) for _ in range(4))

    def relative(self, q, k, v, allowed, keys, values):
        """q [..., n, d] over k, v [..., m, d], queries being the last of the keys."""
        n, m = q.shape[-2], k.shape[-2]
        rows = (torch.arange(m) - torch.arange(m - n, m)[:, None]).clamp(-self.reach, self.reach) + self.reach
        logits = q @ k.transpose(-1, -2) + torch.einsum("...xd,xyd->...xy", q, keys[rows])
        p = logits.masked_fill(~allowed, -1e9).softmax(-1)
        return p @ v + torch.einsum("...xy,xyd->...xd", p, values[rows])

    def near(self, q, k, v):
        blocks = lambda x: x.unflatten(2, (-1, self.block))
        before = lambda x: torch.cat([F.pad(x, (0, 0, 0, 0, 1, 0))[:, :, :-1], x], 3)  # with the block before
        allowed = torch.ones(self.block, 2 * self.block, dtype=torch.bool).tril(self.block)
        allowed = allowed.repeat(q.shape[2] // self.block, 1, 1)
        allowed[0, :, : self.block] = False
        q = q * q.shape[-1] ** -0.5
        return self.relative(blocks(q), before(blocks(k)), before(blocks(v)), allowed, *self.tables[:2]).flatten(2, 3)

    def lists(self, q, v):
        q = F.layer_norm(q, q.shape[-1:], eps=1e-6)
        scores = self.means @ q.transpose(-1, -2)  # [B, R, K, N]
        at = scores.topk(self.width).indices.sort().values.flatten(2)[..., None].expand(-1, -1, -1, q.shape[-1])
        take = lambda x: x.gather(2, at).unflatten(2, (-1, self.width))
        causal = torch.ones(self.width, self.width, dtype=torch.bool).tril()
        y = self.relative(take(q), take(q), take(v), causal, *self.tables[2:]).flatten(2, 3)
        times = torch.zeros_like(v).scatter_add(2, at, torch.ones_like(y))
        return torch.zeros_like(v).scatter_add(2, at, y) / (times + 0.01)

    def forward(self, x):
        q, k, v = self.split(x)
        r = self.heads - self.local
        y = torch.cat([self.lists(q[:, :r], v[:, :r]), self.near(q[:, r:], k[:, r:], v[:, r:])], 1)
        return self.out(self.matrix(y).transpose(1, 2).flatten(2))


class RoutingByMask(Attention):
    """The obvious form of routing without a look ahead: all scores, masked to the last `width` of a query's cluster."""

    def __init__(self, dim, heads, clusters, width):
        super().__init__(dim, heads)
        self.width = width
        self.register_buffer("means", F.layer_norm(torch.randn(heads, clusters, dim // heads), (dim // heads,)))

    def forward(self, x):
        q, _, v = self.split(x)
        q = F.layer_norm(q, q.shape[-1:], eps=1e-6)
        of = (q @ self.means.transpose(-1, -2)).argmax(-1)
        same = (of[..., :, None] == of[..., None, :]).tril()
        same &= same.flip(-1).cumsum(-1).flip(-1) <= self.width
        y = F.scaled_dot_product_attention(q, q, v, attn_mask=same, scale=1.0)
        return self.out(y.transpose(1, 2).flatten(2))


def power_mask(tokens, block, window=5, sinks=1):
    blocks = torch.arange(tokens) // block
    far = blocks[:, None] - blocks
    seen = (far < window) | (blocks < sinks) | ((far & (far - 1)) == 0)
    return seen & torch.ones(tokens, tokens, dtype=torch.bool).tril()


def cases():
    """Name, the slot, its shape, the module."""
    for tokens in (1024, 4096):
        shape = {"batch": 1, "tokens": tokens, "dim": 256, "heads": 4}
        yield "power", "{type: power, block: 32}", shape, Attention(256, 4, power_mask(tokens, 32))
    for batch, tokens in ((4, 512), (1, 2048)):
        shape = {"batch": batch, "tokens": tokens, "dim": 256, "heads": 4}
        yield "selective", "{type: selective}", shape, Selective(256, 4)
        yield "averaged_query", "{type: averaged_query}", shape, AveragedQuery(256, 4)
    # A quarter of the published widths; as many tokens in clusters as there are.
    for tokens in (1024, 4096):
        shape = {"batch": 1, "tokens": tokens, "dim": 256, "heads": 4}
        slot = (f"{{type: routing, clusters: 16, window: {tokens // 16}, local_heads: 2, local_block: 128, "
                "relative: 257, head_matrix: true}")
        yield "routing", slot, shape, Routing(256, 4, 16, tokens // 16, 2, 128, 257)
        slot = f"{{type: routing, clusters: 16, window: {tokens // 16}, select: own}}"
        yield "routing-own", slot, shape, RoutingByMask(256, 4, 16, tokens // 16)


def heed_times(command, slot, shape, seconds):
    call = [command, "bench", "mechanism", slot, "--json", "--seconds", str(seconds)]
    for name, value in shape.items():
        call += [f"--{name}", str(value)]
    document = json.loads(subprocess.run(call, capture_output=True, text=True, check=True).stdout)
    return {(who, way): document[who][f"{way}_ms"] for who in ("mechanism", "softmax")
            for way in ("forward", "forward_backward")}


def torch_times(module, shape, seconds, clock):
    x = torch.randn(shape["batch"], shape["tokens"], shape["dim"], requires_grad=True)
    dy = torch.randn_like(x)
    inputs = [x, *module.parameters()]

    def forward():
        with torch.no_grad():
            module(x)

    def both():
        torch.autograd.grad(module(x), inputs, dy)

    times = {}
    for way, run in (("forward", forward), ("forward_backward", both)):
        run()
        best, start = float("inf"), clock()
        while clock() - start < seconds:
            begin = clock()
            run()
            best = min(best, clock() - begin)
        times["PyTorch", way] = 1e3 * best
    return times


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("command")
    parser.add_argument("--only")
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    threads = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count()))
    torch.set_num_threads(threads)
    clock = time.process_time if threads == 1 else time.perf_counter
    print(f"{threads} thread(s), PyTorch {torch.__version__}; milliseconds forward / with backward")
    for name, slot, shape, module in cases():
        if args.only not in (None, name):
            continue
        best = {}
        for _ in range(args.rounds):
            for key, ms in (*heed_times(args.command, slot, shape, args.seconds).items(),
                            *torch_times(module, shape, args.seconds, clock).items()):
                best[key] = min(ms, best.get(key, ms))
        row = "  ".join(f"{who} {best[who, 'forward']:.2f} / {best[who, 'forward_backward']:.2f}"
                        for who in ("mechanism", "softmax", "PyTorch"))
        ratio = [best["PyTorch", way] / best["mechanism", way] for way in ("forward", "forward_backward")]
        size = "x".join(str(value) for value in shape.values())
        print(f"{name} {size}:  {row}  PyTorch's time over heed's {ratio[0]:.2f} / {ratio[1]:.2f}", flush=True)


if __name__ == "__main__":
    main()
