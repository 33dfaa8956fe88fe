"""The cases of tools/benchmarks/linear_attention.cpp in PyTorch: a straightforward chunked form, and
scaled_dot_product_attention; CPU milliseconds a call and tokens a second, one thread.

    OMP_NUM_THREADS=1 python tests/interop/linear_attention_bench.py
"""
import time

import torch
import torch.nn.functional as F

HEADS, DIM, CHUNK = 4, 64, 64


def chunked(q, k, v, log_decay=None):
    """out_t = sum over j <= t of exp(g_(j+1) + ... + g_t) (q_t.k_j) v_j, chunk by chunk."""
    batch, heads, count, dim = q.shape
    state = q.new_zeros(batch, heads, dim, v.shape[-1], dtype=torch.float32)
    ahead = torch.ones(CHUNK, CHUNK, dtype=torch.bool).tril()
    parts = []
    gates = [None] * (count // CHUNK) if log_decay is None else log_decay.split(CHUNK, 2)
    for qc, kc, vc, gate in zip(q.split(CHUNK, 2), k.split(CHUNK, 2), v.split(CHUNK, 2), gates):
        pairs = qc @ kc.transpose(-1, -2)
        before, behind = qc, kc
        if gate is not None:
            total = gate.cumsum(-1)
            between = (total[..., :, None] - total[..., None, :]).masked_fill(~ahead, float("-inf"))
            pairs = pairs * between.exp()
            before = qc * total.exp()[..., None]
            behind = kc * (total[..., -1:] - total).exp()[..., None]
        else:
            pairs = pairs.masked_fill(~ahead, 0)
        parts.append(pairs @ vc + before @ state.to(q.dtype))
        if gate is not None:
            state = state * total[..., -1].exp()[..., None, None]
        state = state + (behind.transpose(-1, -2) @ vc)
    return torch.cat(parts, 2)


def milliseconds(fn):
    fn()
    best, spent = float("inf"), 0.0
    while spent < 0.6:
        start = time.thread_time()
        fn()
        took = time.thread_time() - start
        best, spent = min(best, took), spent + took
    return best * 1e3


def main():
    for count in (1024, 4096, 16384):
        def leaf(dtype, *shape):
            return (torch.randn(*shape) * 0.3).to(dtype).requires_grad_()

        def case(name, fn, inputs):
            dout = torch.randn_like(inputs[2])

            def both():
                torch.autograd.grad(fn(*inputs), inputs, dout)

            def forward():
                with torch.no_grad():
                    fn(*inputs)

            for kind, run in (("forward_only", forward), ("both_ways", both)):
                took = milliseconds(run)
                print(f"{kind}/{name}/N:{count} {took:.2f} ms {count / took:.0f} tokens/ms", flush=True)

        qkv = [leaf(torch.float32, 1, HEADS, count, DIM) for _ in range(3)]
        narrow = [leaf(torch.bfloat16, 1, HEADS, count, DIM) for _ in range(3)]
        gate = (torch.rand(1, HEADS, count) * -0.1).requires_grad_()
        case("softmax_f32", lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), qkv)
        case("linear_f32", chunked, qkv)
        case("token_f32", chunked, qkv + [gate])
        case("linear_bf16", chunked, narrow)


if __name__ == "__main__":
    main()
