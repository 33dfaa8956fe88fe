#!/usr/bin/env python3
"""One training step of the CIFAR-10 recipes' networks in PyTorch on the CPU: the yardstick of
`heed bench step recipes/base/cifar10-{resnet,vit}.yaml`, and of the networks of recipes/dinat/mini.yaml,
recipes/van/cifar10.yaml and CCT-2/3x2 (recipes/cct/paper.yaml model.preset=cct-2-3x2).

The networks are written the way a PyTorch user would: channels-last convolutions, fused attention, fused optimisers.
Images are made once and stay in memory, so that PyTorch decodes and augments nothing; heed's step does both in the
background. Prints one JSON object a variant: median milliseconds of a step, images per second, peak resident memory.

  python3 tests/interop/torch_image_step.py --model resnet
  python3 tests/interop/torch_image_step.py --model vit --precisions f32
  python3 tests/interop/torch_image_step.py --model dinat --batch 16
  python3 tests/interop/torch_image_step.py --model van
  python3 tests/interop/torch_image_step.py --model cct --batch 64
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


class Residual(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x))


class ResNet(nn.Module):
    def __init__(self, widths=(16, 32, 64), blocks=(1, 1, 1), classes=10):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, widths[0], 3, 1, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU())
        layers, inputs = [], widths[0]
        for stage, (width, count) in enumerate(zip(widths, blocks)):
            for i in range(count):
                layers.append(Residual(inputs, width, 2 if stage and not i else 1))
                inputs = width
        self.blocks = nn.Sequential(*layers)
        self.head = nn.Linear(inputs, classes)

    def forward(self, x):
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


class Block(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.up, self.down = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, x):
        b, n, c = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        x = x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, c))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class ViT(nn.Module):
    def __init__(self, size=32, patch=4, dim=96, heads=3, layers=6, classes=10):
        super().__init__()
        self.patches = nn.Conv2d(3, dim, patch, patch)
        self.position = nn.Parameter(torch.zeros(1, (size // patch) ** 2, dim))
        self.blocks = nn.Sequential(*(Block(dim, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, classes)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2) + self.position
        return self.head(self.norm(self.blocks(x)).mean(1))


class NeighborhoodAttention(nn.Module):
    """Windows gathered, weights stored: NAT's attention where there are no kernels for it."""

    def __init__(self, dim, heads, size, window, dilation):
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.table = nn.Parameter(torch.zeros(heads, 2 * window - 1, 2 * window - 1))
        i = torch.arange(size)
        residue, place = i % dilation, i // dilation
        group = size // dilation + (residue < size % dilation).long()
        start = (place - window // 2).clamp(min=0).minimum(group - window)
        m = start[:, None] + torch.arange(window)
        keys, entries = residue[:, None] + dilation * m, m - place[:, None] + window - 1
        tokens = (keys[:, None, :, None] * size + keys[None, :, None, :]).reshape(size * size, -1)
        places = (entries[:, None, :, None] * (2 * window - 1) + entries[None, :, None, :]).reshape(size * size, -1)
        self.register_buffer("tokens", tokens)
        self.register_buffer("places", places)

    def forward(self, x):
        b, h, w, c = x.shape
        q, k, v = self.qkv(x).view(b, h * w, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        scores = torch.einsum("bhnd,bhnmd->bhnm", q * (c // self.heads) ** -0.5, k[:, :, self.tokens])
        weights = (scores + self.table.flatten(1)[:, self.places]).softmax(-1)
        y = torch.einsum("bhnm,bhnmd->bhnd", weights, v[:, :, self.tokens])
        return self.out(y.transpose(1, 2).reshape(b, h, w, c))


class DinatBlock(nn.Module):
    def __init__(self, dim, heads, size, window, dilation):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attn = NeighborhoodAttention(dim, heads, size, window, dilation)
        self.up, self.down = nn.Linear(dim, 3 * dim), nn.Linear(3 * dim, dim)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Dinat(nn.Module):
    """The segmentation model of recipes/dinat/mini.yaml."""

    def __init__(self, dims=(32, 64, 128), heads=(1, 2, 4), dilations=(5, 2, 1), classes=7, head_dim=64):
        super().__init__()
        ins = (3, *dims[:-1])
        self.embeds = nn.ModuleList(nn.Conv2d(i, o, 3, 2, 1, bias=n == 0) for n, (i, o) in enumerate(zip(ins, dims)))
        self.norms = nn.ModuleList(nn.LayerNorm(d) for d in dims)
        self.stages = nn.ModuleList(
            nn.Sequential(*(DinatBlock(d, h, 16 >> n, 3, r) for r in (1, dilations[n])))
            for n, (d, h) in enumerate(zip(dims, heads)))
        self.ends = nn.ModuleList(nn.LayerNorm(d) for d in dims)
        self.projections = nn.ModuleList(nn.Linear(d, head_dim) for d in dims)
        self.fuse, self.head = nn.Linear(head_dim * len(dims), head_dim), nn.Linear(head_dim, classes)

    def forward(self, x):
        size, maps = x.shape[-2:], []
        for embed, norm, stage, end, project in zip(self.embeds, self.norms, self.stages, self.ends, self.projections):
            y = stage(norm(embed(x).permute(0, 2, 3, 1)))
            x = y.permute(0, 3, 1, 2)
            maps.append(project(end(y)).permute(0, 3, 1, 2))
        maps = [m if m.shape == maps[0].shape else F.interpolate(m, size=maps[0].shape[-2:], mode="bilinear")
                for m in maps]
        y = self.head(F.gelu(self.fuse(torch.cat(maps, 1).permute(0, 2, 3, 1)))).permute(0, 3, 1, 2)
        return F.interpolate(y, size=size, mode="bilinear")


class LargeKernel(nn.Module):
    """VAN's attention (arXiv 2202.09741), channels-last convolutions."""

    def __init__(self, dim, kernel=21, dilation=3):
        super().__init__()
        taps = -(-kernel // dilation)
        self.proj_in, self.mix, self.proj_out = (nn.Conv2d(dim, dim, 1) for _ in range(3))
        self.near = nn.Conv2d(dim, dim, 2 * dilation - 1, padding=dilation - 1, groups=dim)
        self.far = nn.Conv2d(dim, dim, taps, padding=dilation * (taps // 2), dilation=dilation, groups=dim)

    def forward(self, x):
        u = F.gelu(self.proj_in(x))
        return self.proj_out(u * self.mix(self.far(self.near(u)))) + x


class VanBlock(nn.Module):
    def __init__(self, dim, kernel, ratio=4):
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(dim), nn.BatchNorm2d(dim)
        self.attn = LargeKernel(dim, kernel)
        self.up, self.down = nn.Conv2d(dim, ratio * dim, 1), nn.Conv2d(ratio * dim, dim, 1)
        self.depthwise = nn.Conv2d(ratio * dim, ratio * dim, 3, padding=1, groups=ratio * dim)
        self.scale1, self.scale2 = (nn.Parameter(torch.full((dim, 1, 1), 0.01)) for _ in range(2))

    def forward(self, x):
        x = x + self.scale1 * self.attn(self.norm1(x))
        return x + self.scale2 * self.down(F.gelu(self.depthwise(self.up(self.norm2(x)))))


class Van(nn.Module):
    """The network of recipes/van/cifar10.yaml."""

    def __init__(self, dims=(24, 48, 96), depths=(1, 2, 1), kernels=(21, 21, 9), classes=10):
        super().__init__()
        self.embeds = nn.ModuleList(nn.Sequential(nn.Conv2d(i, o, 3, 2, 1), nn.BatchNorm2d(o))
                                    for i, o in zip((3, *dims[:-1]), dims))
        self.stages = nn.ModuleList(nn.Sequential(*(VanBlock(d, k) for _ in range(n)))
                                    for d, n, k in zip(dims, depths, kernels))
        self.norms = nn.ModuleList(nn.LayerNorm(d, eps=1e-6) for d in dims)
        self.head = nn.Linear(dims[-1], classes)

    def forward(self, x):
        for embed, stage, norm in zip(self.embeds, self.stages, self.norms):
            x = norm(stage(embed(x)).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.head(x.mean((2, 3)))


class CompactBlock(nn.Module):
    def __init__(self, dim, heads, hidden, dropout, drop_path):
        super().__init__()
        self.heads, self.dropout, self.drop_path = heads, dropout, drop_path
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim, bias=False), nn.Linear(dim, dim)
        self.up, self.down = nn.Linear(dim, hidden), nn.Linear(hidden, dim)

    def drop(self, x):
        if self.drop_path == 0:
            return x
        keep = 1 - self.drop_path
        return x * (torch.rand(len(x), 1, 1) < keep) / keep

    def forward(self, x):
        b, n, c = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout).transpose(1, 2).reshape(b, n, c)
        x = self.norm2(x + self.drop(self.out(y)))
        return x + self.drop(self.down(F.gelu(self.up(x))))


class Cct(nn.Module):
    """CCT-2/3x2 (arXiv 2104.05704)."""

    def __init__(self, dim=128, heads=2, layers=2, hidden=128, classes=10):
        super().__init__()
        convs = zip((3, 64), (64, dim))
        self.tokenizer = nn.Sequential(*(nn.Sequential(nn.Conv2d(i, o, 3, 1, 1, bias=False), nn.ReLU(),
                                                       nn.MaxPool2d(3, 2, 1)) for i, o in convs))
        self.position = nn.Parameter(0.2 * torch.randn(1, 64, dim))
        self.blocks = nn.Sequential(*(CompactBlock(dim, heads, hidden, 0.1, 0.1 * n / (layers - 1))
                                      for n in range(layers)))
        self.norm, self.pool, self.head = nn.LayerNorm(dim), nn.Linear(dim, 1), nn.Linear(dim, classes)

    def forward(self, x):
        x = self.tokenizer(x).flatten(2).transpose(1, 2) + self.position
        x = self.norm(self.blocks(x))
        return self.head((self.pool(x).softmax(1).transpose(1, 2) @ x).squeeze(1))


def measure(args, mode, precision):
    torch.manual_seed(1)
    torch.set_num_threads(args.threads)
    resnet = args.model == "resnet"
    model = {"resnet": ResNet, "vit": ViT, "dinat": Dinat, "van": Van, "cct": Cct}[args.model]()
    model = model.to(memory_format=torch.channels_last)
    if resnet:
        optimizer = torch.optim.SGD(model.parameters(), 0.2, 0.9, nesterov=True, weight_decay=5e-4, fused=True)
    else:
        optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.05, fused=True)
    images = torch.randn(args.batch, 3, 32, 32).to(memory_format=torch.channels_last)
    labels = torch.randint(7, (args.batch, 32, 32)) if args.model == "dinat" else torch.randint(10, (args.batch,))
    call = torch.compile(model) if mode == "compile" else model

    def step():
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            loss = F.cross_entropy(call(images), labels, label_smoothing=0.0 if args.model == "dinat" else 0.1)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if not resnet:
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    for _ in range(args.warmup):
        step()
    times = []
    for _ in range(args.steps):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    ms = statistics.median(times) * 1e3
    return {
        "model": args.model,
        "parameters": sum(p.numel() for p in model.parameters()),
        "mode": mode,
        "precision": precision,
        "ms": round(ms, 3),
        "images_per_second": round(args.batch / ms * 1e3),
        "peak_rss_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=["resnet", "vit", "dinat", "van", "cct"], required=True)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--warmup", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--modes", default="eager,compile")
    parser.add_argument("--precisions", default="f32,bf16")
    args = parser.parse_args()
    variants = [(p, m) for p in args.precisions.split(",") for m in args.modes.split(",")]
    if len(variants) == 1:
        print(json.dumps(measure(args, variants[0][1], variants[0][0])), flush=True)
        return
    for precision, mode in variants:  # a process each, so that the peaks of memory are each one's own
        command = [sys.executable, __file__, *sys.argv[1:], "--precisions", precision, "--modes", mode]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
