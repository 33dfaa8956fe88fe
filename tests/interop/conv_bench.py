"""The cases of tools/benchmarks/conv.cpp in PyTorch, channels last: milliseconds a call.

    OMP_NUM_THREADS=1 python tests/interop/conv_bench.py [part of a name]
"""
import os
import sys
import time

import torch
import torch.nn.functional as F

BATCH = 16
# name, size, channels in and out, kernel, stride, dilation, groups
CONVOLUTIONS = [
    ("conv 3x3", 32, 64, 64, 3, 1, 1, 1),
    ("conv 3x3 wide", 14, 256, 256, 3, 1, 1, 1),
    ("conv 3x3 stride 2", 32, 64, 128, 3, 2, 1, 1),
    ("conv 1x1", 28, 128, 256, 1, 1, 1, 1),
    ("conv 7x7 stride 2", 112, 3, 64, 7, 2, 1, 1),
    ("depthwise 3x3", 28, 256, 256, 3, 1, 1, 256),
    ("depthwise 3x3 stride 2", 28, 256, 256, 3, 2, 1, 256),
    ("depthwise 5x5", 28, 128, 128, 5, 1, 1, 128),
    ("depthwise 7x7", 28, 96, 96, 7, 1, 1, 96),
    ("depthwise 3x3 dilation 2", 28, 128, 128, 3, 1, 2, 128),
    ("depthwise 7x7 dilation 3", 28, 160, 160, 7, 1, 3, 160),
]


def milliseconds(fn):
    """The least of several runs."""
    fn()
    best, start = float("inf"), time.perf_counter()
    for run in range(50):
        begin = time.perf_counter()
        fn()
        end = time.perf_counter()
        best = min(best, end - begin)
        if run >= 4 and end - start > 0.4:
            break
    return best * 1e3


def images(channels, size):
    return torch.rand(BATCH, channels, size, size).to(memory_format=torch.channels_last)


def convolutions(name, size, cin, cout, kernel, stride, dilation, groups):
    padding = dilation * (kernel - 1) // 2
    x = images(cin, size)
    w = torch.rand(cout, cin // groups, kernel, kernel).to(memory_format=torch.channels_last)
    forward = lambda: F.conv2d(x, w, None, stride, padding, dilation, groups)
    dy = torch.rand_like(forward())

    def gradient(input_too, weight_too):
        return torch.ops.aten.convolution_backward(
            dy, x, w, None, [stride] * 2, [padding] * 2, [dilation] * 2, False, [0, 0], groups,
            [input_too, weight_too, False])

    yield f"{name}, forward", forward
    yield f"{name}, input gradient", lambda: gradient(True, False)
    yield f"{name}, weight gradient", lambda: gradient(False, True)


# Large kernel attention of VAN-B0 on its first and third maps: size, channels.
ATTENTIONS = [(56, 32), (14, 160)]


def large_kernel(size, dim):
    """The five convolutions and the product, forward and with the backward pass."""
    layer = lambda taps, dilation=1, groups=1: torch.nn.Conv2d(
        dim, dim, taps, padding=dilation * (taps // 2), dilation=dilation, groups=groups)
    proj_in, mix, proj_out = layer(1), layer(1), layer(1)
    near, far = layer(5, groups=dim), layer(7, 3, dim)
    model = torch.nn.ModuleList([proj_in, near, far, mix, proj_out]).to(memory_format=torch.channels_last)
    x = images(dim, size).requires_grad_()

    def attend():
        u = F.gelu(proj_in(x))
        return proj_out(u * mix(far(near(u)))) + x

    def forward():
        with torch.no_grad():
            attend()

    def both():
        for p in [x, *model.parameters()]:
            p.grad = None
        attend().sum().backward()

    name = f"large kernel attention {size} x {size} x {dim}"
    yield f"{name}, forward", forward
    yield f"{name}, forward and backward", both


def others():
    x = images(64, 56)
    mean, var, one, zero = torch.zeros(64), torch.ones(64), torch.ones(64), torch.zeros(64)
    rows, wide = torch.rand(4096, 1024), torch.ones(1024)
    p = torch.rand(4 << 20, requires_grad=True)
    p.grad = torch.rand(4 << 20)
    adamw = torch.optim.AdamW([p], lr=1e-6, fused=True)
    sgd = torch.optim.SGD([p], lr=1e-6, momentum=0.9, fused=True)
    yield ("batch norm, forward in training",
           lambda: F.batch_norm(x, mean, var, one, zero, training=True))
    yield "layer norm, forward", lambda: F.layer_norm(rows, (1024,), wide, wide)
    yield "softmax, forward", lambda: rows.softmax(-1)
    yield "max pool 3x3 stride 2, forward", lambda: F.max_pool2d(x, 3, 2, 1, return_indices=True)
    yield "average pool 2x2, forward", lambda: F.avg_pool2d(x, 2)
    yield ("bilinear, twice as large",
           lambda: F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False))
    yield "AdamW", adamw.step
    yield "SGD with momentum", sgd.step


def main():
    part = sys.argv[1] if len(sys.argv) > 1 else ""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count())))
    for case in CONVOLUTIONS:
        if part in case[0]:
            with torch.no_grad():
                for name, fn in convolutions(*case):
                    print(f"{name:<44} {milliseconds(fn):9.3f} ms", flush=True)
    for size, dim in ATTENTIONS:
        for name, fn in large_kernel(size, dim):
            if part in name:
                print(f"{name:<52} {milliseconds(fn):9.3f} ms", flush=True)
    with torch.no_grad():
        for name, fn in others():
            if part in name:
                print(f"{name:<44} {milliseconds(fn):9.3f} ms", flush=True)


if __name__ == "__main__":
    main()
