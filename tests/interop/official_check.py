#!/usr/bin/env python3
"""Imports checkpoints as the papers' own code names and lays them out (NAT, DiNAT, DiNAT_s and their isotropic forms; VAN;
ViT-Lite, CVT and CCT), with random weights, and compares heed's outputs with references in PyTorch that read the same
state_dict. The files are those of torch.save, in the forms that its users write.

  python3 tests/interop/official_check.py [build/heed] [--only NAME] [--keep FOLDER]

Exits with 77 where a package is missing.
"""
import argparse
import json
import math
import os
import pathlib
import pickle
import shutil
import sys
import tempfile

import hf_check as base_check  # which skips where what it needs is missing
from hf_check import heed, probe, report

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
CLASSES = 11


class Weights(dict):
    """A state_dict in the making: random tensors of a size that makes every part matter."""

    def __init__(self, seed=0):
        super().__init__()
        self.generator = torch.Generator().manual_seed(seed)

    def random(self, *shape):
        return torch.randn(*shape, generator=self.generator)

    def matrix(self, name, out, *inputs):
        self[name] = self.random(out, *inputs) / math.sqrt(math.prod(inputs))

    def linear(self, name, out, *inputs, bias=True):
        self.matrix(name + ".weight", out, *inputs)
        if bias:
            self[name + ".bias"] = 0.1 * self.random(out)

    def norm(self, name, dim, batch=False):
        self[name + ".weight"] = 1 + 0.1 * self.random(dim)
        self[name + ".bias"] = 0.1 * self.random(dim)
        if batch:
            self[name + ".running_mean"] = 0.1 * self.random(dim)
            self[name + ".running_var"] = 1 + 0.1 * self.random(dim).abs()
            self[name + ".num_batches_tracked"] = torch.tensor(7)


# --- references: of a state_dict w and images x [B, C, H, W] ---------------------------------------------------------


def linear(w, name, x):
    return F.linear(x, w[name + ".weight"], w.get(name + ".bias"))


def layer_norm(w, name, x, eps=1e-5):
    return F.layer_norm(x, x.shape[-1:], w[name + ".weight"], w[name + ".bias"], eps)


def batch_norm(w, name, x):
    return F.batch_norm(x, w[name + ".running_mean"], w[name + ".running_var"], w[name + ".weight"], w[name + ".bias"])


def conv(w, name, x, **options):
    return F.conv2d(x, w[name + ".weight"], w.get(name + ".bias"), **options)


def last(x):
    return x.permute(0, 2, 3, 1)


def first(x):
    return x.permute(0, 3, 1, 2)


def axis_window(length, kernel, dilation):
    """Of each query on an axis: the keys of its window, and their rows in the table of biases."""
    keys, rows = [], []
    for i in range(length):
        group, place = i % dilation, i // dilation
        there = (length - group + dilation - 1) // dilation
        start = min(max(place - kernel // 2, 0), there - kernel)
        keys.append([(start + t) * dilation + group for t in range(kernel)])
        rows.append([start + t - place + kernel - 1 for t in range(kernel)])
    return torch.tensor(keys), torch.tensor(rows)


def neighborhood_attention(w, name, x, heads, kernel, dilation):
    """NATTEN's module: maps smaller than the window are padded with zeros before the projection. [B, H, W, C]"""
    batch, height, width, dim = x.shape
    span = kernel * dilation
    x = F.pad(x, (0, 0, 0, max(0, span - width), 0, max(0, span - height)))
    rows, columns = x.shape[1:3]
    qkv = linear(w, name + ".qkv", x).reshape(batch, rows, columns, 3, heads, dim // heads)
    q, k, v = qkv.unbind(3)
    keys_y, bias_y = axis_window(rows, kernel, dilation)
    keys_x, bias_x = axis_window(columns, kernel, dilation)
    # [B, H, W, kernel, kernel, heads, D]
    gather = lambda t: t[:, keys_y][:, :, :, keys_x].permute(0, 1, 3, 2, 4, 5, 6)
    scores = torch.einsum("bhwnd,bhwyxnd->bhwnyx", q / math.sqrt(dim // heads), gather(k))
    table = w[name + ".rpb"]  # [heads, 2 kernel - 1, 2 kernel - 1]
    bias = table[:, bias_y[:, None, :, None], bias_x[None, :, None, :]]  # [heads, H, W, kernel, kernel]
    weights = (scores + bias.permute(1, 2, 0, 3, 4)).flatten(-2).softmax(-1).unflatten(-1, (kernel, kernel))
    out = torch.einsum("bhwnyx,bhwyxnd->bhwnd", weights, gather(v)).reshape(batch, rows, columns, dim)
    return linear(w, name + ".proj", out[:, :height, :width])


def nat_block(w, name, x, heads, kernel, dilation):
    scale = lambda key, y: y * w[f"{name}.{key}"] if f"{name}.{key}" in w else y
    x = x + scale("gamma1", neighborhood_attention(w, name + ".attn", layer_norm(w, name + ".norm1", x), heads, kernel, dilation))
    y = linear(w, name + ".mlp.fc2", F.gelu(linear(w, name + ".mlp.fc1", layer_norm(w, name + ".norm2", x))))
    return x + scale("gamma2", y)


def pooled_head(w, x):
    return linear(w, "head", layer_norm(w, "norm", x).mean((1, 2)))


def merge(w, name, x):
    """The four of a square, its column the slower index; zeros complete odd sizes."""
    x = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
    x = torch.cat([x[:, a::2, b::2] for b in (0, 1) for a in (0, 1)], -1)
    return linear(w, name + ".reduction", layer_norm(w, name + ".norm", x))


def nat(w, x, depths, heads, kernel, dilations, merging=False):
    levels = "layers" if merging else "levels"
    if merging:
        x = last(conv(w, "patch_embed.proj", x, stride=4))
    else:
        x = last(conv(w, "patch_embed.proj.1", conv(w, "patch_embed.proj.0", x, stride=2, padding=1), stride=2, padding=1))
    x = layer_norm(w, "patch_embed.norm", x)
    for s, depth in enumerate(depths):
        for b in range(depth):
            x = nat_block(w, f"{levels}.{s}.blocks.{b}", x, heads[s], kernel, dilations[s] if b % 2 else 1)
        down = f"{levels}.{s}.downsample"
        if s + 1 < len(depths) and merging:
            x = merge(w, down, x)
        elif s + 1 < len(depths):
            x = layer_norm(w, down + ".norm", last(conv(w, down + ".reduction", first(x), stride=2, padding=1)))
    return pooled_head(w, x)


def isotropic(w, x, depth, heads, kernel, dilation, dense=False):
    x = layer_norm(w, "patch_embed.norm", last(conv(w, "patch_embed.proj", x, stride=16)))
    for b in range(depth):
        # (A window as large as the map: dense attention with a bias by offset.)
        x = nat_block(w, f"layers.{b}", x, heads, x.shape[1] if dense else kernel, dilation if b % 2 else 1)
    return pooled_head(w, x)


def van(w, x, depths):
    for s, depth in enumerate(depths, 1):
        size, stride = (7, 4) if s == 1 else (3, 2)
        x = batch_norm(w, f"patch_embed{s}.norm", conv(w, f"patch_embed{s}.proj", x, stride=stride, padding=size // 2))
        for b in range(depth):
            name = f"block{s}.{b}"
            dim = x.shape[1]
            y = batch_norm(w, name + ".norm1", x)
            u = F.gelu(conv(w, name + ".attn.proj_1", y))
            gate = name + ".attn.spatial_gating_unit"
            a = conv(w, gate + ".conv_spatial", conv(w, gate + ".conv0", u, padding=2, groups=dim), padding=9, dilation=3, groups=dim)
            y = y + conv(w, name + ".attn.proj_2", u * conv(w, gate + ".conv1", a))
            x = x + w[name + ".layer_scale_1"][:, None, None] * y
            y = conv(w, name + ".mlp.fc1", batch_norm(w, name + ".norm2", x))
            y = F.gelu(conv(w, name + ".mlp.dwconv.dwconv", y, padding=1, groups=y.shape[1]))
            x = x + w[name + ".layer_scale_2"][:, None, None] * conv(w, name + ".mlp.fc2", y)
        x = first(layer_norm(w, f"norm{s}", last(x), 1e-6))
    return linear(w, "head", x.mean((2, 3)))


def compact(w, x, depth, heads, stem):
    convs, kernel = stem
    if convs:
        for i in range(convs):
            x = conv(w, f"tokenizer.conv_layers.{i}.0", x, stride=max(1, kernel // 2 - 1), padding=max(1, kernel // 2))
            x = F.max_pool2d(F.relu(x), 3, 2, 1)
    else:
        x = conv(w, "tokenizer.conv_layers.0.0", x, stride=kernel)
    x = x.flatten(2).transpose(1, 2)
    if "classifier.class_emb" in w:
        x = torch.cat([w["classifier.class_emb"].expand(len(x), -1, -1), x], 1)
    x = x + w["classifier.positional_emb"]
    for b in range(depth):
        name = f"classifier.blocks.{b}"
        batch, tokens, dim = x.shape
        qkv = linear(w, name + ".self_attn.qkv", layer_norm(w, name + ".pre_norm", x))
        q, k, v = qkv.reshape(batch, tokens, 3, heads, dim // heads).permute(2, 0, 3, 1, 4)
        y = (q @ k.transpose(-1, -2) / math.sqrt(dim // heads)).softmax(-1) @ v
        x = x + linear(w, name + ".self_attn.proj", y.transpose(1, 2).reshape(batch, tokens, dim))
        x = layer_norm(w, name + ".norm1", x)
        x = x + linear(w, name + ".linear2", F.gelu(linear(w, name + ".linear1", x)))
    x = layer_norm(w, "classifier.norm", x)
    if "classifier.attention_pool.weight" in w:
        x = (linear(w, "classifier.attention_pool", x).softmax(1).transpose(1, 2) @ x)[:, 0]
    else:
        x = x[:, 0]
    return linear(w, "classifier.fc", x)


# --- state_dicts ------------------------------------------------------------------------------------------------------


def nat_block_weights(w, name, dim, heads, ratio, table, scaled=False, index=None):
    w.norm(name + ".norm1", dim)
    w.linear(name + ".attn.qkv", 3 * dim, dim)
    w[name + ".attn.rpb"] = w.random(heads, table, table)
    w.linear(name + ".attn.proj", dim, dim)
    w.norm(name + ".norm2", dim)
    w.linear(name + ".mlp.fc1", int(dim * ratio), dim)
    w.linear(name + ".mlp.fc2", dim, int(dim * ratio))
    if scaled:
        w[name + ".gamma1"], w[name + ".gamma2"] = w.random(dim), w.random(dim)
    if index:
        w[name + ".attn.relative_position_index"] = torch.zeros(index, index, dtype=torch.long)


def nat_weights(depths, dim, heads, ratio, kernel, merging=False, scaled=False, classes=CLASSES):
    w = Weights(1)
    levels = "layers" if merging else "levels"
    if merging:
        w.linear("patch_embed.proj", dim, 3, 4, 4)
    else:
        w.linear("patch_embed.proj.0", dim // 2, 3, 3, 3)
        w.linear("patch_embed.proj.1", dim, dim // 2, 3, 3)
    w.norm("patch_embed.norm", dim)
    for s, depth in enumerate(depths):
        own = dim << s
        for b in range(depth):
            nat_block_weights(w, f"{levels}.{s}.blocks.{b}", own, heads[s], ratio, 2 * kernel - 1, scaled)
        down = f"{levels}.{s}.downsample"
        if s + 1 < len(depths) and merging:
            w.norm(down + ".norm", 4 * own)
            w.linear(down + ".reduction", 2 * own, 4 * own, bias=False)
        elif s + 1 < len(depths):
            w.linear(down + ".reduction", 2 * own, own, 3, 3, bias=False)
            w.norm(down + ".norm", 2 * own)
    w.norm("norm", dim << (len(depths) - 1))
    w.linear("head", classes, dim << (len(depths) - 1))
    return w


def isotropic_weights(depth, dim, heads, table, index=None):
    w = Weights(2)
    w.linear("patch_embed.proj", dim, 3, 16, 16)
    w.norm("patch_embed.norm", dim)
    for b in range(depth):
        nat_block_weights(w, f"layers.{b}", dim, heads, 4, table, index=index)
    w.norm("norm", dim)
    w.linear("head", CLASSES, dim)
    return w


def van_weights(dims, depths, ratios=(8, 8, 4, 4), classes=CLASSES):
    w = Weights(3)
    before = 3
    for s, (dim, depth, ratio) in enumerate(zip(dims, depths, ratios), 1):
        size = 7 if s == 1 else 3
        w.linear(f"patch_embed{s}.proj", dim, before, size, size)
        w.norm(f"patch_embed{s}.norm", dim, batch=True)
        for b in range(depth):
            name = f"block{s}.{b}"
            gate = name + ".attn.spatial_gating_unit"
            w.norm(name + ".norm1", dim, batch=True)
            w.linear(name + ".attn.proj_1", dim, dim, 1, 1)
            w.linear(gate + ".conv0", dim, 1, 5, 5)
            w.linear(gate + ".conv_spatial", dim, 1, 7, 7)
            w.linear(gate + ".conv1", dim, dim, 1, 1)
            w.linear(name + ".attn.proj_2", dim, dim, 1, 1)
            w.norm(name + ".norm2", dim, batch=True)
            w.linear(name + ".mlp.fc1", dim * ratio, dim, 1, 1)
            w.linear(name + ".mlp.dwconv.dwconv", dim * ratio, 1, 3, 3)
            w.linear(name + ".mlp.fc2", dim, dim * ratio, 1, 1)
            w[name + ".layer_scale_1"], w[name + ".layer_scale_2"] = w.random(dim), w.random(dim)
        w.norm(f"norm{s}", dim)
        before = dim
    w.linear("head", classes, dims[-1])
    return w


def sine_table(tokens, dim):
    table = torch.zeros(tokens, dim, dtype=torch.float64)
    for i in range(dim):
        angle = torch.arange(tokens, dtype=torch.float64) / 10000 ** (2 * (i // 2) / dim)
        table[:, i] = angle.cos() if i % 2 else angle.sin()
    return table[None].float()


def compact_weights(depth, dim, hidden, stem, tokens, pooled, sine=False, classes=CLASSES):
    w = Weights(4)
    convs, kernel = stem
    if convs:
        before = 3
        for i in range(convs):
            out = dim if i + 1 == convs else 64
            w.linear(f"tokenizer.conv_layers.{i}.0", out, before, kernel, kernel, bias=False)
            before = out
    else:
        w.linear("tokenizer.conv_layers.0.0", dim, 3, kernel, kernel)
    if pooled:
        w.linear("classifier.attention_pool", 1, dim)
    else:
        w["classifier.class_emb"] = w.random(1, 1, dim)
        tokens += 1
    w["classifier.positional_emb"] = sine_table(tokens, dim) if sine else w.random(1, tokens, dim)
    for b in range(depth):
        name = f"classifier.blocks.{b}"
        w.norm(name + ".pre_norm", dim)
        w.linear(name + ".self_attn.qkv", 3 * dim, dim, bias=False)
        w.linear(name + ".self_attn.proj", dim, dim)
        w.linear(name + ".linear1", hidden, dim)
        w.norm(name + ".norm1", dim)
        w.linear(name + ".linear2", dim, hidden)
    w.norm("classifier.norm", dim)
    w.linear("classifier.fc", classes, dim)
    return w


# --- cases ------------------------------------------------------------------------------------------------------------


class Case:
    """A family's size, made small by `options`; what its state_dict is and what it computes."""

    def __init__(self, family, size, weights, reference, image, options=None, blocks=8, save="pth", name=None):
        self.family, self.size, self.weights, self.reference = family, size, weights, reference
        self.image, self.options, self.blocks, self.save = image, options or {}, blocks, save
        self.name = name or f"{family}-{size}"


def cases():
    depths, heads = [2, 2, 3, 2], [1, 2, 4, 8]
    small = {"depths": depths, "dims": [16, 32, 64, 128], "heads": heads}
    pyramid = lambda dilations, merging=False: lambda w, x: nat(w, x, depths, heads, 7, dilations, merging)
    ones = [1, 1, 1, 1]
    yield Case("nat", "mini", nat_weights(depths, 16, heads, 3, 7), pyramid(ones), 64, small)
    yield Case("nat", "base", nat_weights(depths, 16, heads, 2, 7, scaled=True), pyramid(ones), 68, small, save="ddp")
    yield Case("dinat", "tiny", nat_weights(depths, 16, heads, 3, 7), pyramid([8, 4, 2, 1]), 120, small, save="dict")
    yield Case("dinat_s", "tiny", nat_weights(depths, 16, heads, 4, 7, merging=True), pyramid([8, 4, 2, 1], True), 116,
               small, save="safetensors")
    one = {"depths": [2], "dims": [32], "heads": [2]}
    yield Case("nat-iso", "small", isotropic_weights(2, 32, 2, 13), lambda w, x: isotropic(w, x, 2, 2, 7, 1), 160, one)
    yield Case("dinat-iso", "small", isotropic_weights(2, 32, 2, 13), lambda w, x: isotropic(w, x, 2, 2, 7, 2), 240, one)
    yield Case("vit-rpb", "small", isotropic_weights(2, 32, 2, 27, 196), lambda w, x: isotropic(w, x, 2, 2, 0, 1, True), 224, one)
    yield Case("van", "b0", van_weights([16, 24, 32, 40], [1, 2, 1, 1]), lambda w, x: van(w, x, [1, 2, 1, 1]), 64,
               {"depths": [1, 2, 1, 1], "dims": [16, 24, 32, 40]}, save="dict")
    yield Case("van", "b0", van_weights([32, 64, 160, 256], [3, 3, 5, 2], classes=1000), lambda w, x: van(w, x, [3, 3, 5, 2]), 64,
               name="van-b0, whole", blocks=13)
    yield Case("nat", "mini", nat_weights([3, 4, 6, 5], 64, [2, 4, 8, 16], 3, 7, classes=1000),
               lambda w, x: nat(w, x, [3, 4, 6, 5], [2, 4, 8, 16], 7, ones), 64, name="nat-mini, whole", blocks=18)
    yield Case("cct", "7-3x1", compact_weights(7, 256, 512, (1, 3), 256, True, classes=10),
               lambda w, x: compact(w, x, 7, 4, (1, 3)), 32)
    yield Case("cct", "7-3x1-sine", compact_weights(7, 256, 512, (1, 3), 256, True, sine=True, classes=10),
               lambda w, x: compact(w, x, 7, 4, (1, 3)), 32)
    yield Case("cct", "2-3x2", compact_weights(2, 128, 128, (2, 3), 64, True), lambda w, x: compact(w, x, 2, 2, (2, 3)), 32,
               save="parameters")
    yield Case("cct", "7-7x2", compact_weights(7, 256, 512, (2, 7), 196, True, classes=102),
               lambda w, x: compact(w, x, 7, 4, (2, 7)), 224)
    yield Case("cvt", "4-4", compact_weights(4, 128, 128, (0, 4), 64, True), lambda w, x: compact(w, x, 4, 2, (0, 4)), 32)
    yield Case("vit-lite", "6-4", compact_weights(6, 256, 512, (0, 4), 64, False), lambda w, x: compact(w, x, 6, 4, (0, 4)), 32,
               save="strided")


def save_as(how, w, folder):
    """The file, in one of the forms that are about."""
    w = dict(w)
    path = folder / ("weights.safetensors" if how == "safetensors" else "weights.pth")
    if how == "safetensors":
        save_file({k: v for k, v in w.items()}, path)
        return path
    if how == "ddp":  # of DistributedDataParallel, beside an optimizer and arguments
        w = {"model": {"module." + k: v for k, v in w.items()}, "epoch": 3, "args": argparse.Namespace(lr=0.1),
             "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}}}
    elif how == "dict":
        w = {"state_dict": w, "arch": "any", "metric": 0.5}
    elif how == "parameters":
        w = {k: torch.nn.Parameter(v) for k, v in w.items()}
    elif how == "strided":  # views of one storage, some of them transposed
        storage = torch.cat([(v.t() if v.dim() == 2 else v).flatten() for v in w.values()])
        views, at = {}, 0
        for k, v in w.items():
            piece = storage[at:at + v.numel()]
            views[k] = piece.view(v.t().shape).t() if v.dim() == 2 else piece.view(v.shape)
            at += v.numel()
        w = views
    torch.save(w, path)
    return path


def compare_case(case, base):
    folder = base / case.name.replace(", ", "-")
    folder.mkdir()
    source, run = save_as(case.save, case.weights, folder), folder / "run"
    options = {**case.options, "height": case.image, "width": case.image}
    settings = [a for k, v in options.items() for a in ("--set", f"{k}={json.dumps(v)}")]
    answer = json.loads(heed("import", source, run, "--family", case.family, "--size", case.size, *settings, "--json"))
    counted = sum(v.numel() for k, v in case.weights.items() if v.is_floating_point() and not any(
        k.endswith(e) for e in ("running_mean", "running_var")) and not (k.endswith("positional_emb") and "sine" in case.size))
    report.check(f"{case.name}: {answer['parameters']:,} parameters", answer["parameters"] == counted, f"{counted:,}")
    generator = torch.Generator().manual_seed(9)
    x = torch.randn(2, 3, case.image, case.image, generator=generator)
    for dtype, torch_dtype, unit in (("f32", torch.float32, 2.0**-24), ("f64", torch.float64, 2.0**-53)):
        w = {k: v.to(torch_dtype) if v.is_floating_point() else v for k, v in case.weights.items()}
        with torch.no_grad():
            theirs = case.reference(w, x.to(torch_dtype))
        [ours] = probe(run, {"x": x.permute(0, 2, 3, 1).contiguous()}, dtype, folder)
        largest = max(1.0, theirs.abs().max().item())
        error = (ours.double() - theirs.double()).abs().max().item() if ours.shape == theirs.shape else math.inf
        # Roundings of every block's six sums, of 64 terms on average; positions by sine are of f32 in the file.
        sums = 6 * case.blocks * 64 * unit + (2.0**-22 if "sine" in case.size else 0)
        report.check(f"{case.name}: outputs, {dtype}", error <= largest * sums,
                     f"{error:.1e} of {largest:.1f}, bound {largest * sums:.1e}")


# --- files that must be refused ---------------------------------------------------------------------------------------


class Command:
    """What unpickling would run."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def compare_refusals(base):
    w = dict(van_weights([8, 8, 8, 8], [1, 1, 1, 1]))
    small = ["--set", "depths=[1,1,1,1]", "--set", "dims=[8,8,8,8]", "--set", "height=32", "--set", "width=32"]
    source = base / "file.pth"

    def refused(name, wanted, value=None, family="van", size="b0", more=small, path=source, **how):
        if value is not None:
            torch.save(value, source, **how)
        run = heed("import", path, base / "refused", "--family", family, "--size", size, *more, fails=True)
        left = list(base.glob("*refused*")) + list(base.glob(".writing-*"))
        report.check(f"refused: {name}", run.returncode == 2 and wanted in run.stderr and not left,
                     run.stderr.strip().splitlines()[-1][:150] if run.stderr else "")
        for each in left:
            shutil.rmtree(each)

    refused("a family that is none", "known: nat", w, family="wan")
    refused("a size that is none", "did you mean 'b0'", w, size="b9")
    refused("a tensor that is missing", "'norm4.bias' is missing", {k: v for k, v in w.items() if k != "norm4.bias"})
    refused("a tensor of another shape", "expected", {**w, "norm4.bias": torch.zeros(9)})
    refused("a tensor too many", "'neck.weight' is no part", {**w, "neck.weight": torch.zeros(2)})
    refused("another size's weights", "expected", w, size="b1", more=small[:2])
    refused("integers", "no weights", {**w, "norm4.bias": torch.zeros(8, dtype=torch.int64)})
    refused("a file of before 1.6", "torch.save", w, _use_new_zipfile_serialization=False)
    refused("no state_dict", "it has: epoch", {"epoch": 3})
    refused("a sparse tensor", "'norm4.bias' is missing", {**w, "norm4.bias": torch.zeros(8).to_sparse()})
    refused("complex numbers", "ComplexFloatStorage", {**w, "norm4.bias": torch.zeros(8, dtype=torch.complex64)})
    refused("an option that is none", "'depth'", w, more=[*small, "--set", "depth=3"])
    refused("a missing file", "no such file", path=base / "nothing.pth")
    torch.save(w, source)
    whole = source.read_bytes()
    source.write_bytes(whole[:len(whole) // 2])
    refused("a file cut short", "error:")
    source.write_bytes(whole.replace(w["head.weight"].numpy().tobytes(), w["head.weight"].neg().numpy().tobytes()))
    refused("a storage that was changed", "checksum")
    # A pickle that would run a command: what it names is no tensor, and nothing runs.
    mark = base / "mark"
    torch.save({**w, "extra": Command(mark)}, source, pickle_module=pickle)
    run = heed("import", source, base / "harmless", "--family", "van", "--size", "b0", *small, fails=True)
    report.check("a pickle with a command: nothing of it runs", run.returncode == 0 and not mark.exists(), run.stderr[:150])
    run = heed("import", source, base / "other", fails=True)
    report.check("refused: a file without a family", run.returncode == 2 and "--family" in run.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("heed", nargs="?", default=str(ROOT / "build" / "heed"), help="the command")
    parser.add_argument("--only", help="cases whose name contains this")
    parser.add_argument("--keep", help="work in this folder and leave it")
    args = parser.parse_args()
    base_check.HEED = args.heed
    if not pathlib.Path(args.heed).exists():
        sys.exit(f"error: {args.heed} is not built")
    base = pathlib.Path(args.keep or tempfile.mkdtemp())
    base.mkdir(exist_ok=True)
    runs = [(case.name, lambda b, c=case: compare_case(c, b)) for case in cases()] + [("refused", compare_refusals)]
    try:
        for name, compare in runs:
            if args.only and args.only not in name:
                continue
            try:
                compare(base)
            except Exception as error:  # the other cases are worth their run
                report.check(f"{name}: ran", False, f"{type(error).__name__}: {error}")
    finally:
        if not args.keep:
            shutil.rmtree(base)
    if report.failed:
        print(f"{len(report.failed)} of {report.count} comparisons with official state_dicts failed: " + "; ".join(report.failed))
        sys.exit(1)
    print(f"all {report.count} comparisons with official state_dicts agree")


if __name__ == "__main__":
    main()
