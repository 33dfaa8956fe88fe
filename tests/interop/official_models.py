"""The models of papers' own code in PyTorch, as functions of a state_dict with its names, and such state_dicts of random
weights: NAT, DiNAT, DiNAT_s and their isotropic forms; VAN; ViT-Lite, CVT and CCT.
"""
import math

import torch
import torch.nn.functional as F

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
