#!/usr/bin/env python3
"""Compares every registered module of heed, run by `heed probe`, with PyTorch.

    python3 tests/interop/torch_check.py [build/heed] [--dtype f32 f64] [--only MODULE]

For each case the weights and inputs are drawn here and written with the safetensors package; heed
reads them, writes outputs and gradients, and both are compared with a plain PyTorch formulation in
f64 of the very same numbers. A tensor agrees when

    max |heed - torch| <= 8 * depth * sqrt(terms) * u * max |torch|

u being the rounding unit of heed's dtype, `terms` the longest sum in the case and `depth` the
number of such sums in a chain, forward and backward: rounding errors of a sum grow as the square
root of its length, those of a chain add up, and 8 covers the largest of some thousand elements.
Prints a line for each comparison; exits with 1 when any disagrees.
"""

import itertools
import json
import math
import re
import sys
import warnings
from pathlib import Path

import interop_common
from interop_common import arguments, built, folder_of, needed, report

with needed():
    import torch
    import torch.nn.functional as F
    import numpy
    from safetensors.torch import load_file, save_file

warnings.filterwarnings("ignore", message="reduction: 'mean' divides")  # of kl_div, and meant

ROUNDING = {"f32": 2.0**-24, "f64": 2.0**-53}


class Heed(interop_common.Heed):
    """The command under test, with a folder for its files."""

    def __init__(self, command, folder):
        super().__init__()
        self.command = str(command)
        self.folder = Path(folder)
        self.calls = itertools.count()

    def probe(self, module, config, weights=None, inputs=None, **flags):
        name = self.folder / f"{next(self.calls)}"
        call = ["probe", module, "--config", f"{name}.yaml", "--out", f"{name}.out"]
        Path(f"{name}.yaml").write_text(json.dumps(config))  # JSON is YAML
        for flag, tensors in (("--weights", weights), ("--inputs", inputs)):
            if tensors:
                path = f"{name}{flag}.safetensors"
                save_file({key: t.contiguous() for key, t in tensors.items()}, path)
                call += [flag, path]
        for flag, value in flags.items():
            call += [f"--{flag}"] if value is True else [f"--{flag}", str(value)]
        self(*call)
        return load_file(f"{name}.out")


# --- PyTorch formulations: functions of (weights, inputs, config) giving a list of outputs ---


def linear(w, x, prefix=""):
    return F.linear(x, w[prefix + "weight"], w.get(prefix + "bias"))


def layer_norm(w, x, prefix="", eps=1e-5):
    return F.layer_norm(x, x.shape[-1:], w.get(prefix + "weight"), w.get(prefix + "bias"), eps)


def rms_norm(w, x, prefix="", eps=1e-5):
    y = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)
    return y * w[prefix + "weight"] if prefix + "weight" in w else y


ACTIVATIONS = {
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu,
    "silu": F.silu,
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
}


def feed_forward(w, x, kind, prefix="", gated=False):
    """`kind` is a gated layer's name or, with or without a gate, an activation."""
    gates = {"swiglu": "silu", "geglu": "gelu_tanh"}
    if gated or kind in gates:
        gate, up = linear(w, x, prefix + "gate_up.").chunk(2, dim=-1)
        return linear(w, ACTIVATIONS[gates.get(kind, kind)](gate) * up, prefix + "down.")
    return linear(w, ACTIVATIONS[kind](linear(w, x, prefix + "up.")), prefix + "down.")


def scaled(frequency, type="none", factor=1.0, low=1.0, high=4.0, context=8192):
    """Rotary frequencies for a longer context, as Llama 3.1's own code has them."""
    wavelength = 2 * math.pi / frequency
    if type == "none":
        return frequency
    smooth = (context / wavelength - low) / (high - low)
    between = (1 - smooth) * frequency / factor + smooth * frequency
    far = torch.where(wavelength > context / low, frequency / factor, between)
    return torch.where(wavelength < context / high, frequency, far) if type == "llama3" else frequency / factor


def rotate(x, base=10000.0, rotary_dim=0, interleaved=False, positions=None, scaling={}):
    """RoFormer's rotation of x [B, H, N, D], through complex numbers."""
    count = x.shape[-2]
    if positions is None:
        positions = torch.arange(count)
    d = rotary_dim or x.shape[-1]
    angles = positions[..., None].double() * scaled(base ** (-torch.arange(0, d, 2).double() / d), **scaling)
    turn = torch.polar(torch.ones_like(angles), angles).to(torch.complex128)
    if positions.dim() == 2:
        turn = turn[:, None]
    turned, rest = x[..., :d], x[..., d:]
    if interleaved:
        pairs = torch.view_as_complex(turned.double().reshape(*turned.shape[:-1], d // 2, 2))
        turned = torch.view_as_real(pairs * turn).flatten(-2)
    else:
        pairs = torch.complex(turned[..., : d // 2].double(), turned[..., d // 2 :].double()) * turn
        turned = torch.cat([pairs.real, pairs.imag], -1)
    return torch.cat([turned.to(x.dtype), rest], -1)


def alibi_slopes(heads):
    power = 2 ** int(math.log2(heads))
    slopes = [2 ** (-8 * (h + 1) / power) for h in range(power)]
    finer = [2 ** (-8 * (h + 1) / (2 * power)) for h in range(2 * power)]
    return torch.tensor(slopes + finer[::2][: heads - power], dtype=torch.float32).double()


def alibi_bias(heads, queries, keys):
    i = torch.arange(queries)[:, None] + keys - queries
    return -alibi_slopes(heads)[:, None, None] * (i - torch.arange(keys)).double()


def attention(w, x, c, prefix="", lengths=None, bias=None, sees=None, terms=None, project=None,
              ask=None):
    batch, count, _ = x.shape
    heads = c["heads"]
    kv_heads = c.get("kv_heads") or heads
    width = c.get("head_dim") or c["dim"] // heads
    packed = linear(w, x, prefix + "qkv.").reshape(batch, count, -1, width).transpose(1, 2)
    q, k, v = packed.split([heads, kv_heads, kv_heads], dim=1)
    if ask is not None:
        q = ask(q)
    if c.get("qk_norm"):
        q = rms_norm(w, q, prefix + "q_norm.", c.get("norm_eps", 1e-6))
        k = rms_norm(w, k, prefix + "k_norm.", c.get("norm_eps", 1e-6))
    if c.get("position") == "rotary":
        style = {"rotary_dim": c.get("rotary_dim", 0), "interleaved": c.get("rope_interleaved", False),
                 "scaling": c.get("rope_scaling", {})}
        q, k = (rotate(t, c.get("rope_base", 10000.0), **style) for t in (q, k))
    k, v = (t.repeat_interleave(heads // kv_heads, dim=1) for t in (k, v))
    if project is not None:
        k, v = project(k, v)
    scores = q @ k.transpose(-1, -2) * (c.get("scale") or width**-0.5)
    if c.get("position") == "alibi":
        scores = scores + alibi_bias(heads, count, count)
    if bias is not None:
        scores = scores + bias
    if terms is not None:
        scores = scores + terms(q)
    if c.get("causal", True):
        future = torch.ones(count, count, dtype=torch.bool).triu(1)
        scores = scores.masked_fill(future, -math.inf)
    if sees is not None:
        scores = scores.masked_fill(~torch.tensor([[sees(i, j) for j in range(count)] for i in range(count)]), -math.inf)
    if lengths is not None:
        padding = torch.arange(count) >= lengths[:, None]
        scores = scores.masked_fill(padding[:, None, None], -math.inf)
    mixed = (scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, count, -1)
    if lengths is not None:  # what padding attends to is no one's business
        mixed = mixed.masked_fill(padding[..., None], 0.0)
    return linear(w, mixed, prefix + "out.")


def sinusoids(count, dim, base=10000.0):
    exponents = 2 * (torch.arange(dim) // 2).double() / dim
    angles = torch.arange(count)[:, None].double() / base**exponents
    return torch.where(torch.arange(dim) % 2 == 0, angles.sin(), angles.cos())


def gpt(w, inputs, c):
    ids = inputs["ids"]
    eps = c.get("norm_eps", 1e-5)
    norms = {"layer_norm": layer_norm, "rms_norm": rms_norm}
    norm = lambda x, prefix: norms[c.get("norm", "layer_norm")](w, x, prefix, eps)
    position = c.get("position", "learned")
    x = w["embed.weight"][ids[..., 0] if ids.dim() == 3 else ids]
    if ids.dim() == 3:
        x = x + w["second.weight"][ids[..., 1]]
    if "states" in inputs:  # in the place of some tokens' embeddings
        x = x.masked_scatter((ids == inputs["image_token"])[..., None], inputs["states"])
    if position == "learned":
        x = x + w["position.weight"][: ids.shape[1]]
    if position == "sinusoidal":
        x = x * math.sqrt(c["dim"]) + sinusoids(ids.shape[1], c["dim"])
    inner = dict(c, norm_eps=eps)
    for layer in range(c["layers"]):
        p = f"blocks.{layer}."
        attended = attention(w, norm(x, p + "norm1."), inner, p + "attn.")
        feed = lambda x: feed_forward(w, norm(x, p + "norm2."), c.get("mlp", "gelu"), p + "mlp.")
        x = x + attended + feed(x if c.get("parallel_residual") else x + attended)
    head = w.get("head.weight", w["embed.weight"])
    logits = F.linear(norm(x, "norm."), head)
    if "targets" not in inputs:
        return [logits]
    return [logits, F.cross_entropy(logits.flatten(0, 1), inputs["targets"].flatten())]


def block(w, x, c, p, lengths=None):
    """A residual block, normalised before its branches or after their additions."""
    norms = {"layer_norm": layer_norm, "rms_norm": rms_norm}
    norm = lambda x, name: norms[c.get("norm", "layer_norm")](w, x, p + name, c["norm_eps"])
    scale = lambda x, name: x * w[p + name] if p + name in w else x
    attend = lambda x: scale(attention(w, x, dict(c, causal=False), p + "attn.", lengths),
                             "scale1.scale")
    feed = lambda x: scale(feed_forward(w, x, c.get("mlp", "gelu"), p + "mlp."), "scale2.scale")
    if c["norm_first"]:
        x = x + attend(norm(x, "norm1."))
        normed = norm(x, "norm2.")
        return (normed if c.get("normed_stream") else x) + feed(normed)
    x = norm(x + attend(x), "norm1.")
    return norm(x + feed(x), "norm2.")


def recommender(w, i, c):
    c = dict({"causal": True, "norm_eps": 1e-8, "layers": 2, "heads": 1, "mlp": "relu"}, **c)
    items = i["items"]
    lengths = (items > 0).sum(1)
    x = w["embed.weight"][(items - 1).clamp(min=0)]
    if c.get("scale_embedding", True):
        x = x * math.sqrt(c["dim"])
    if "position.weight" in w:
        slots = c["context"] - lengths[:, None] + torch.arange(items.shape[1])
        x = x + w["position.weight"][slots.clamp(max=c["context"] - 1)]
    norm = {"layer_norm": layer_norm, "rms_norm": rms_norm}[c.get("norm", "layer_norm")]
    for n in range(c["layers"]):
        p = f"blocks.{n}."
        x = x + attention(w, norm(w, x, p + "norm1.", c["norm_eps"]), c, p + "attn.")
        x = x + feed_forward(w, norm(w, x, p + "norm2.", c["norm_eps"]), c["mlp"], p + "mlp.")
    x = norm(w, x, "norm.", c["norm_eps"])
    return recommendations(w, i, x)


def mean_of_last(x, window):
    """Of places [.., N, C]: the mean of so many up to each one."""
    count = x.shape[-2]
    back = torch.arange(count)[:, None] - torch.arange(count)
    near = ((back >= 0) & (back < window)).to(x.dtype)
    return near / near.sum(1, keepdim=True) @ x


def window_query_branch(w, x, window, heads, layers, p):
    for n in range(layers):
        b = f"{p}blocks.{n}."
        asked = layer_norm(w, mean_of_last(x, window), b + "norm1.", 1e-8)
        q, k, v = (linear(w, t, b + name).unflatten(2, (heads, -1)).transpose(1, 2)
                   for t, name in ((asked, "q."), (x, "k."), (x, "v.")))
        found = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
        o = layer_norm(w, asked + found, b + "norm2.", 1e-8)
        x = o + linear(w, F.relu(linear(w, o, b + "up.")), b + "down.")
    return layer_norm(w, x, p + "norm.", 1e-8)


def multi_query_recommender(w, i, c):
    items = i["items"]
    slots = c["context"] - (items > 0).sum(1)[:, None] + torch.arange(items.shape[1])
    x = w["embed.weight"][(items - 1).clamp(min=0)] * math.sqrt(c["dim"])
    x = x + w["position.weight"][slots.clamp(max=c["context"] - 1)]
    branch = lambda window, p: window_query_branch(w, x, window, c.get("heads", 1),
                                                   c.get("layers", 1), p)
    alpha = c.get("alpha", 0.5)
    h = 0
    if alpha > 0:
        h = h + alpha * branch(1, "short_query.")
    if alpha < 1:
        h = h + (1 - alpha) * branch(c.get("window", 3), "long_query.")
    return recommendations(w, i, h)


def recurrent_recommender(w, i, c):
    x = w["embed.weight"][(i["items"] - 1).clamp(min=0)]
    return recommendations(w, i, linear(w, recurrent(w, x, None, "gru", "gru.")[0], "out."))


def recommendations(w, i, x):
    """Scores after each row's last item, then the losses that targets and negatives allow."""
    lengths = (i["items"] > 0).sum(1)
    out = [x[torch.arange(len(x)), lengths - 1] @ w["embed.weight"].T]
    if "targets" in i:
        wanted = i["targets"] > 0
        target, state = i["targets"][wanted] - 1, x[wanted]
        out.append(F.cross_entropy(state @ w["embed.weight"].T, target))
    if "negatives" in i:
        score = lambda ids: (state[:, None] * w["embed.weight"][ids]).sum(-1)
        out.append(F.softplus(-score(target[:, None])).mean()
                   + F.softplus(score(i["negatives"][wanted] - 1)).mean())
    return out


def encoder(w, i, c):
    ids, lengths = i["ids"], i.get("lengths")
    c = dict({"norm_eps": 1e-12, "norm_first": False, "pool": "cls", "position": "learned"}, **c)
    norms = {"layer_norm": layer_norm, "rms_norm": rms_norm}
    norm = lambda x, name: norms[c.get("norm", "layer_norm")](w, x, name, c["norm_eps"])
    x = w["embed.weight"][ids]
    if c["position"] == "learned":
        first = c.get("position_offset", 0)
        x = x + w["position.weight"][first : first + ids.shape[1]]
    if c["position"] == "sinusoidal":
        x = x * math.sqrt(c["dim"]) + sinusoids(ids.shape[1], c["dim"])
    if c.get("token_types"):
        x = x + w["token_types.weight"][i.get("token_types", torch.zeros_like(ids))]
    if not c["norm_first"]:
        x = norm(x, "norm.")
    for layer in range(c["layers"]):
        x = block(w, x, c, f"blocks.{layer}.", lengths)
    if c["norm_first"]:
        x = norm(x, "norm.")
    outputs = [x]
    if c["pool"] == "cls":
        pooled = x[:, 0]
    else:
        rows = [row[:n] for row, n in zip(x, lengths if lengths is not None else [len(x[0])] * len(x))]
        pooled = torch.stack([row.mean(0) for row in rows])
    if c.get("pooler", True):
        pooled = linear(w, pooled, "pooler.").tanh()
    outputs.append(pooled)
    if c.get("classes"):
        outputs.append(linear(w, pooled, "classifier."))
    if c.get("mlm"):
        hidden = norm(F.gelu(linear(w, x, "mlm_transform.")), "mlm_norm.")
        outputs.append(F.linear(hidden, w["embed.weight"], w["mlm_bias"]))
    return outputs


def batch_norm(w, x, prefix="", eps=1e-5):
    """In evaluation, with the running statistics."""
    y = (x - w[prefix + "running_mean"]) / (w[prefix + "running_var"] + eps).sqrt()
    return y * w[prefix + "weight"] + w[prefix + "bias"] if prefix + "weight" in w else y


def group_norm(w, x, groups, eps=1e-5):
    y = F.group_norm(x.movedim(-1, 1), groups, w.get("weight"), w.get("bias"), eps)
    return y.movedim(1, -1)


def instance_norm(w, x, eps=1e-5):
    y = F.instance_norm(x.movedim(-1, 1), weight=w.get("weight"), bias=w.get("bias"), eps=eps)
    return y.movedim(1, -1)


def recurrent(w, x, lengths, kind, prefix=""):
    """PyTorch's own layer, with heed's weights, run on each row's steps alone."""
    cells = 1 + max(int(name[len(prefix):].split(".")[1]) for name in w
                    if name.startswith(prefix + "cells."))
    widths = [w[f"{prefix}cells.{n}.weight_ih"].shape[1] for n in range(cells)]
    both = cells > 1 and widths[0] == widths[1]
    hidden = w[prefix + "cells.0.weight_hh"].shape[1]
    layers = cells // 2 if both else cells
    biased = prefix + "cells.0.bias_ih" in w
    module = getattr(torch.nn, kind.upper())(widths[0], hidden, layers, bias=biased,
                                             batch_first=True, bidirectional=both).double()
    own = {}
    for n in range(cells):
        end = f"_l{n // 2}{'_reverse' if n % 2 else ''}" if both else f"_l{n}"
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")[: 4 if biased else 2]:
            own[name + end] = w[f"{prefix}cells.{n}.{name}"]
    outs, states = [], []
    for b in range(len(x)):
        count = len(x[b]) if lengths is None else int(lengths[b])
        out, last = torch.func.functional_call(module, own, (x[b : b + 1, :count],))
        outs.append(F.pad(out[0], (0, 0, 0, x.shape[1] - count)))
        last = last[0] if kind == "lstm" else last
        states.append(last[-2 if both else -1 :].flatten())
    return torch.stack(outs), torch.stack(states)


def weighted_sums(scores, x, counts):
    """scores [B, N, heads] -> the heads' sums of x by their softmax over the tokens, flattened."""
    if counts is not None:
        padding = torch.arange(x.shape[1]) >= counts[:, None]
        scores = scores.masked_fill(padding[..., None], -math.inf)
    return torch.einsum("bnh,bnc->bhc", scores.softmax(1), x).flatten(1)


def mean_of_tokens(x, counts):
    if counts is None:
        return x.mean(1)
    kept = torch.arange(x.shape[1]) < counts[:, None]
    return (x * kept[..., None]).sum(1) / counts[:, None]


def lama(w, x, counts, c, p=""):
    """Heads whose bilinear forms have rank one (arXiv 1912.00835)."""
    u = torch.tanh(linear(w, x, p + "annotation.")) if c.get("annotation", True) else x
    mean = c.get("context", "learned") == "mean"
    context = mean_of_tokens(x, counts)[:, None] if mean else w[p + "context"]
    forms = torch.einsum("hi,hj->hij", w[p + "p.weight"], w[p + "q.weight"])
    f = torch.einsum("i,hij,bnj->bnh" if not mean else "bti,hij,bnj->bnh", context, forms, u)
    if c.get("activation", "tanh") == "tanh":
        f = torch.tanh(f)
    f = f / (f.square().sum(-1, keepdim=True) + 1e-8).sqrt()
    return weighted_sums(c.get("scale", 1.0) * f, x, counts)


def additive(w, x, counts, p=""):
    return weighted_sums(linear(w, torch.tanh(linear(w, x, p + "hidden.")), p + "score."), x, counts)


def last_states(x, counts, both):
    ends = x[:, -1] if counts is None else x[torch.arange(len(x)), counts - 1]
    half = x.shape[2] // 2
    return torch.cat([ends[:, :half], x[:, 0, half:]], 1) if both else ends


def gru_classifier(w, i, c):
    x, counts = w["embed.weight"][i["ids"]], i.get("lengths")
    out, state = recurrent(w, x, counts, c.get("cell", "gru"), "rnn.")
    pool = c.get("pool", "last")
    if pool == "mean":
        state = mean_of_tokens(out, counts)
    elif pool != "last":
        state = lama(w, out, counts, pool, "pool.")
    if c.get("head_hidden"):
        state = F.relu(linear(w, state, "hidden."))
    return [linear(w, state, "head.")]


def codebook(w, i, c):
    """The nearest code, with the gradient of what it stands for."""
    codes, x = w["kmeans.centroids"][0], i["x"]
    nearest = (x[..., None, :] - codes).square().sum(-1).argmin(-1)
    return [x + (codes[nearest] - x).detach()]


def linear_probe(w, i, c):
    x = i["features"]
    if c.get("tokens"):
        x = additive(w, x, None, "pool.") if c.get("pool") == "additive" else x.mean(1)
    if c.get("norm", "batch") == "batch":
        x = batch_norm(w, x, "norm.", 1e-6)
    return [linear(w, x, "head.")]


def resnet_block(w, x, c, p, stride):
    narrow = c.get("bottleneck", False)
    y = same_conv(w, x, p + "conv1.", 1 if narrow else stride)
    y = F.relu(batch_norm(w, y, p + "norm1."))
    y = batch_norm(w, same_conv(w, y, p + "conv2.", stride if narrow else 1), p + "norm2.")
    if narrow:
        y = batch_norm(w, same_conv(w, F.relu(y), p + "conv3."), p + "norm3.")
    if p + "shortcut.weight" in w:
        x = batch_norm(w, same_conv(w, x, p + "shortcut.", stride), p + "shortcut_norm.")
    else:
        x = F.pad(x[:, ::stride, ::stride], (0, y.shape[-1] - x.shape[-1]))
    return F.relu(x + y)


def resnet(w, i, c):
    large = c.get("stem") == "imagenet"
    x = same_conv(w, i["x"], "stem.", 2 if large else 1)
    x = F.relu(batch_norm(w, x, "stem_norm."))
    if large:
        x = F.max_pool2d(x.movedim(-1, 1), 3, 2, 1).movedim(1, -1)
    for stage, count in enumerate(c["blocks"]):
        for n in range(count):
            x = resnet_block(w, x, c, f"stages.{stage}.{n}.", 2 if stage > 0 and n == 0 else 1)
    return [linear(w, x.mean((1, 2)), "head.")]


def mobilenet(w, i, c):
    """Blocks as (channels, stride), with and without an expansion by the weights' shapes."""
    second = c["version"] == "v2"
    act = F.relu6 if second else F.relu

    def unit(x, p, stride=1, groups=1):
        return batch_norm(w, same_conv(w, x, p + "conv.", stride, groups), p + "norm.")

    x = act(unit(i["x"], "stem.", c["stem_stride"]))
    n = 0
    for count, first in zip(c["blocks"], c["strides"]):
        for stride in [first] + [1] * (count - 1):
            p = f"blocks.{n}."
            y = act(unit(x, p + "expand.")) if p + "expand.conv.weight" in w else x
            y = act(unit(y, p + "depthwise.", stride, y.shape[-1]))
            y = unit(y, p + "project.")
            x = act(y) if not second else x + y if stride == 1 and x.shape == y.shape else y
            n += 1
    if "last.conv.weight" in w:
        x = act(unit(x, "last."))
    return [linear(w, x.mean((1, 2)), "head.")]


def vit(w, i, c):
    c = dict({"norm_eps": 1e-6, "norm_first": True, "position": "learned", "patch": 4}, **c)
    if c.get("stem") == "convs":
        x = conv_tokenizer(w, i["x"], {"kernel": c.get("stem_kernel", 3)}, "tokenizer.")
    else:
        x = patch_embed(w, i["x"], c, "patch_embed.").flatten(1, 2)
    for tokens in "registers", "cls":
        if tokens in w:
            x = torch.cat([w[tokens].expand(len(x), -1, -1), x], 1)
    if c["position"] == "learned":
        x = x + w["position.weight"]
    if c["position"] == "sinusoidal":
        x = x + sinusoids(x.shape[1], c["dim"])
    for layer in range(c["layers"]):
        x = block(w, x, c, f"blocks.{layer}.")
    norms = {"layer_norm": layer_norm, "rms_norm": rms_norm}
    x = norms[c.get("norm", "layer_norm")](w, x, "norm.", c["norm_eps"])
    if c.get("pool") == "attention":
        return [linear(w, sequence_pool(w, x, None, "pool."), "head.")]
    return [linear(w, x[:, 0] if "cls" in w else x.mean(1), "head.")]


def clip_vision(w, x, c, prefix=""):
    w = {k[len(prefix):]: v for k, v in w.items() if k.startswith(prefix)}
    c = dict({"norm_eps": 1e-5, "norm_first": True, "mlp": "quick_gelu", "layer": -2}, **c)
    x = patch_embed(w, x, c, "patch_embed.").flatten(1, 2)
    x = torch.cat([w["cls"].expand(len(x), 1, -1), x], 1) + w["position.weight"]
    x = layer_norm(w, x, "norm_in.", c["norm_eps"])
    states = [x]
    for layer in range(c["layers"]):
        states.append(block(w, states[-1], c, f"blocks.{layer}."))
    return states[c["layer"]][:, 0 if c.get("cls") else 1:]


def llava(w, i, c):
    states = clip_vision(w, i["images"], c["vision"], "vision.")
    states = linear(w, ACTIVATIONS[c.get("projector", "gelu")](linear(w, states, "projector.up.")), "projector.down.")
    text = {k[len("text."):]: v for k, v in w.items() if k.startswith("text.")}
    return gpt(text, dict(i, states=states, image_token=c["image_token"]), c["text"])


def conv_tokenizer(w, x, c, prefix=""):
    """Convolution, ReLU, max-pool, again and again; then the pixels one by one."""
    kernel, pool = c.get("kernel", 3), c.get("pool", 3)
    stride = c.get("stride") or max(1, kernel // 2 - 1)
    padding = c["padding"] if c.get("padding", -1) >= 0 else max(1, kernel // 2)
    n = 0
    while f"{prefix}convs.{n}.weight" in w:
        x = conv(w, x, {"stride": [stride], "padding": [padding]}, f"{prefix}convs.{n}.")
        if pool:
            fn = {3: F.max_pool1d, 4: F.max_pool2d}[x.dim()]
            x = fn(F.relu(x).movedim(-1, 1), pool, 2, 1).movedim(1, -1)
        n += 1
    return x.flatten(1, -2)


def sequence_pool(w, x, lengths=None, prefix=""):
    scores = linear(w, x, prefix + "score.")
    if lengths is not None:
        padding = torch.arange(x.shape[1]) >= lengths[:, None]
        scores = scores.masked_fill(padding[..., None], -math.inf)
    return (scores.softmax(1) * x).sum(1)


def compact_text(w, i, c):
    """The masks go through the tokenizer's geometry as indicators, as the official code has it."""
    stem, kernel = c.get("stem", "convs"), c.get("stem_kernel", 4)
    words, counts = i["ids"], i.get("lengths")
    if stem == "patch":
        words = F.pad(words, (0, -words.shape[1] % kernel))
    mask = torch.ones_like(words) if counts is None else torch.arange(words.shape[1]) < counts[:, None]
    mask[:, i["ids"].shape[1]:] = 0
    x = w["embed.weight"][words] * mask[..., None]
    mask = mask.double()
    if stem != "words":
        own = {"kernel": kernel, "pool": 2} if stem == "convs" else {"kernel": kernel, "pool": 0,
                                                                     "stride": kernel, "padding": 0}
        x = conv_tokenizer(w, x, own, "tokenizer.")
        ones = {"convs.0.weight": torch.ones(1, kernel, 1).double()}
        mask = conv_tokenizer(ones, mask[..., None], own)[..., 0]
    if "cls" in w:
        x = torch.cat([w["cls"].expand(len(x), 1, -1), x], 1)
        mask = F.pad(mask, (1, 0), value=1.0)
    mask = mask > 0
    if c.get("position", "sinusoidal") == "sinusoidal":
        x = x + sinusoids(x.shape[1], c["dim"])
    heads = c["heads"]
    for layer in range(c["layers"]):
        p = f"blocks.{layer}."
        normed = layer_norm(w, x, p + "norm1.")
        q, k, v = linear(w, normed, p + "attn.qkv.").unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-1, -2) * (c["dim"] // heads) ** -0.5
        scores = scores.masked_fill(~mask[:, None, None], -math.inf)
        mixed = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2) * mask[..., None]
        y = layer_norm(w, x + linear(w, mixed, p + "attn.out."), p + "norm2.")
        x = y + feed_forward(w, y, "gelu", p + "mlp.")
    x = layer_norm(w, x, "norm.")
    if "cls" in w:
        return [linear(w, x[:, 0], "head.")]
    scores = linear(w, x, "pool.score.")
    if c.get("mask_pool"):
        scores = scores.masked_fill(~mask[..., None], -math.inf)
    return [linear(w, (scores.softmax(1) * x).sum(1), "head.")]


def time_embedding(w, times, prefix=""):
    half = w[prefix + "fc1.weight"].shape[1] // 2
    angles = times[:, None] * 10000.0 ** (-torch.arange(half).double() / half)
    waves = torch.cat([angles.cos(), angles.sin()], 1)
    return linear(w, F.silu(linear(w, waves, prefix + "fc1.")), prefix + "fc2.")


def condition(w, i, c):
    """Time and label as features; a label left out is the last row."""
    sum = time_embedding(w, i["times"], "time.") if "times" in i else 0
    if "labels.weight" not in w:
        return sum
    count = len(i["x"])
    return sum + w["labels.weight"][i.get("labels", torch.full((count,), c.get("classes", 0)))]


def grid_waves(count, dim):
    angles = torch.arange(count)[:, None].double() * 10000.0 ** (
        -torch.arange(dim // 2).double() / (dim // 2))
    return torch.cat([angles.sin(), angles.cos()], 1)


def dit(w, i, c):
    frames, depth, p, dim = c.get("frames", 1), c.get("patch_frames", 1), c.get("patch", 2), c["dim"]
    x = i["x"]
    batch, shape = len(x), x.shape
    kernel = w["patch_embed.weight"].reshape(dim, depth, p, p, -1)
    x = conv(dict(w, weight=kernel, bias=w["patch_embed.bias"]),
             x.reshape(batch, frames, *shape[-3:]), {"stride": [depth, p, p]})
    t, h, v = x.shape[1:4]
    x = x.flatten(1, 3)
    position = c.get("position", "sincos")
    if position == "sincos":
        table = torch.cat([grid_waves(v, dim // 2).expand(t, h, -1, -1),
                           grid_waves(h, dim // 2)[:, None].expand(t, -1, v, -1)], -1)
        if t > 1:
            table = table + grid_waves(t, dim)[:, None, None]
        x = x + table.flatten(0, 2)
    if position == "learned":
        x = x + w["position.weight"]
    z = F.silu(condition(w, i, c))
    norm = lambda x: F.layer_norm(x, (dim,), eps=1e-6)
    inner = dict(c, causal=False, position=position)
    for layer in range(c["layers"]):
        b = f"blocks.{layer}."
        m = linear(w, z, b + "modulation.")[:, None].chunk(6, -1)
        x = x + m[2] * attention(w, norm(x) * (1 + m[1]) + m[0], inner, b + "attn.")
        y = norm(x) * (1 + m[4]) + m[3]
        x = x + m[5] * feed_forward(w, y, c.get("mlp", "gelu_tanh"), b + "mlp.")
    shift, scale = linear(w, z, "modulation.")[:, None].chunk(2, -1)
    y = linear(w, norm(x) * (1 + scale) + shift, "head.")
    y = y.reshape(batch, t, h, v, depth, p, p, -1).permute(0, 1, 4, 2, 5, 3, 6, 7)
    return [y.reshape(*shape[:-1], -1)]


def upsampler(w, x, scale, p=""):
    for n in range(int(math.log2(scale)) if scale != 3 else 1):
        y = same_conv(w, x, f"{p}steps.{n}.").movedim(-1, 1)
        x = F.pixel_shuffle(y, 3 if scale == 3 else 2).movedim(1, -1)
    return x


def edsr(w, i, c):
    first = x = same_conv(w, i["x"], "stem.")
    for n in range(c["blocks"]):
        y = same_conv(w, F.relu(same_conv(w, x, f"blocks.{n}.conv1.")), f"blocks.{n}.conv2.")
        x = x + c.get("residual_scale", 1.0) * y
    x = upsampler(w, first + same_conv(w, x, "after."), c["scale"], "upsampler.")
    return [same_conv(w, x, "head.")]


def unet_block(w, x, z, groups, p):
    norm = lambda x, name: group_norm({k: w[p + name + k] for k in ("weight", "bias")}, x, groups)
    y = same_conv(w, F.silu(norm(x, "norm1.")), p + "conv1.")
    if p + "embed.weight" in w:
        y = y + linear(w, F.silu(z), p + "embed.")[:, None, None]
    y = same_conv(w, F.silu(norm(y, "norm2.")), p + "conv2.")
    return (same_conv(w, x, p + "shortcut.") if p + "shortcut.weight" in w else x) + y


def unet_attention(w, x, c, groups, p):
    y = group_norm({k: w[p + "norm." + k] for k in ("weight", "bias")}, x, groups)
    inner = {"heads": c["heads"], "dim": x.shape[-1], "causal": False}
    return x + attention(w, y.flatten(1, 2), inner, p + "attn.").reshape(x.shape)


def unet(w, i, c):
    groups, z = c.get("groups", 8), condition(w, i, c)
    levels = len(c["multipliers"])

    def level(x, p):
        for n in range(c.get("blocks", 1)):
            x = unet_block(w, x, z, groups, f"{p}blocks.{n}.")
            if f"{p}attentions.{n}.norm.weight" in w:
                x = unet_attention(w, x, c, groups, f"{p}attentions.{n}.")
        return x

    x, kept = same_conv(w, i["x"], "stem."), []
    for n in range(levels):
        x = level(x, f"down.{n}.")
        kept.append(x)
        if n + 1 < levels:
            x = same_conv(w, x, f"down.{n}.resize.", 2)
    x = unet_block(w, x, z, groups, "middle1.")
    if "middle_attention.norm.weight" in w:
        x = unet_attention(w, x, c, groups, "middle_attention.")
    x = unet_block(w, x, z, groups, "middle2.")
    for n in range(levels):
        x = level(torch.cat([x, kept.pop()], -1), f"up.{n}.")
        if kept:
            size = kept[-1].shape[1:3]
            x = F.interpolate(x.movedim(-1, 1), size=size, mode="nearest").movedim(1, -1)
            x = same_conv(w, x, f"up.{n}.resize.")
    x = F.silu(group_norm({k: w["norm." + k] for k in ("weight", "bias")}, x, groups))
    return [same_conv(w, x, "head.")]


def patch_merging(w, x, prefix="", eps=1e-5):
    x = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
    x = torch.cat([x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)], -1)
    return linear(w, layer_norm(w, x, prefix + "norm.", eps), prefix + "reduction.")


def conv_mlp(w, x, activation, residual, prefix=""):
    act = {"gelu": F.gelu, "relu": F.relu, "silu": F.silu}[activation]
    x = linear(w, x, prefix + "up.")
    mixed = same_conv(w, x, prefix + "depthwise.", 1, x.shape[-1])
    return linear(w, act(x + mixed if residual else mixed), prefix + "down.")


def neighborhood_attention(w, x, slot, heads, p=""):
    """NAT's and DiNAT's attention on maps [B, H, W, C]: windows gathered, weights stored."""
    k, d = slot["window"], slot.get("dilation", 1)
    batch, rows, columns, dim = x.shape
    if slot.get("fit") == "pad":
        x = F.pad(x, (0, 0, 0, max(0, k * d - columns), 0, max(0, k * d - rows)))

    def axis(length):
        i = torch.arange(length)
        residue, place = i % d, i // d
        group = length // d + (residue < length % d).long()
        start = (place - k // 2).clamp(min=0).minimum(group - k)
        m = start[:, None] + torch.arange(k)
        return residue[:, None] + d * m, m - place[:, None] + k - 1

    (near_rows, row_entries), (near_columns, column_entries) = axis(x.shape[1]), axis(x.shape[2])
    near = lambda t: t[:, :, near_rows][:, :, :, :, near_columns]  # [B, heads, H, k, W, k, D]
    packed = linear(w, x, p + "qkv.").unflatten(-1, (3, heads, -1)).permute(3, 0, 4, 1, 2, 5)
    q, keys, values = packed
    scores = torch.einsum("bhrcd,bhrmcnd->bhrcmn", q * (dim // heads) ** -0.5, near(keys))
    if p + "table" in w:
        table = w[p + "table"].reshape(heads, 2 * k - 1, 2 * k - 1)
        scores = scores + table[:, row_entries[:, None, :, None], column_entries[None, :, None, :]]
    weights = scores.flatten(-2).softmax(-1).unflatten(-1, (k, k))
    mixed = torch.einsum("bhrcmn,bhrmcnd->brchd", weights, near(values)).flatten(-2)
    return linear(w, mixed[:, :rows, :columns], p + "out.")


def large_kernel(w, x, slot, p=""):
    """VAN's attention on x [B, spatial..., C]."""
    d = slot.get("dilation", 3)

    def depthwise(x, name, dilation):
        if p + name + "weight" not in w:
            return x
        taps = w[p + name + "weight"].shape[1]
        return conv(w, x, {"padding": [dilation * (taps // 2)], "dilation": [dilation], "groups": x.shape[-1]},
                    p + name)

    u = F.gelu(linear(w, x, p + "proj_in."))
    a = depthwise(depthwise(u, "near.", 1), "far.", d)
    a = linear(w, a, p + "mix.") if p + "mix.weight" in w else a
    y = {"mul": lambda: u * a, "add": lambda: u + a, "none": lambda: a,
         "sigmoid_mul": lambda: u * a.sigmoid()}[slot.get("gate", "mul")]()
    return linear(w, y, p + "proj_out.") + x


def pyramid_block(w, x, c, p, heads, slot=None):
    norms = {"layer_norm": layer_norm, "rms_norm": rms_norm, "batch_norm": batch_norm}
    norm = lambda x, name: norms[c["norm"]](w, x, p + name, 1e-5)
    around = lambda x, name: x + same_conv(w, x, p + name, 1, x.shape[-1])
    scale = lambda x, name: x * w[p + name] if p + name in w else x
    if c["conv_position"] != "none":
        x = around(x, "position1.")
    own = {"heads": heads, "dim": x.shape[-1], "causal": False}
    normed = norm(x, "norm1.")
    if slot and slot["type"] == "neighborhood":
        attended = neighborhood_attention(w, normed, slot, heads, p + "attn.")
    elif slot and slot["type"] == "large_kernel":
        attended = large_kernel(w, normed, slot, p + "attn.")
    else:
        attended = attention(w, normed.flatten(1, 2), own, p + "attn.").reshape(x.shape)
    x = x + scale(attended, "scale1.scale")
    if c["conv_position"] == "both":
        x = around(x, "position2.")
    if c["mlp"] == "none":
        return x
    normed = norm(x, "norm2.")
    if c["mlp_conv"] == "none":
        fed = feed_forward(w, normed, c["mlp"], p + "mlp.")
    else:
        fed = conv_mlp(w, normed, c["mlp"], c["mlp_conv"] == "residual", p + "mlp.")
    return x + scale(fed, "scale2.scale")


def pyramid_maps(w, x, c):
    """The map of every stage, and the config with its defaults."""
    c = dict({"mlp": "gelu", "mlp_conv": "none", "norm": "layer_norm", "conv_position": "none",
              "embed_norm": "layer_norm", "stem": "patch", "downsample": "merge"}, **c)
    norms = {"layer_norm": layer_norm, "rms_norm": rms_norm, "batch_norm": batch_norm}
    embed_norm = lambda x, p: norms[c["embed_norm"]](w, x, p + "norm.", 1e-5)
    step = lambda x, name, stride, padding: conv(w, x, {"stride": [stride], "padding": [padding]}, name)
    maps = []
    for stage, depth in enumerate(c["depths"]):
        slots = [e["attention"] for e in c.get("attentions", [])
                 if not e.get("stages") or stage + 1 in e["stages"]]
        p = f"embeds.{stage}."
        if stage == 0:
            patch = c["patch"]
            if c["stem"] == "convs":
                for n in range(int(math.log2(patch))):
                    x = step(x, f"{p}convs.{n}.", 2, 1)
            else:
                x = step(x, p + "convs.0.", patch, patch - 1 if c["stem"] == "overlapping" else 0)
            x = embed_norm(x, p)
            x = x + w["position"] if "position" in w else x
        elif c["downsample"] == "merge":
            x = patch_merging(w, x, p + "merge.")
        elif c["downsample"] == "conv":
            x = embed_norm(step(x, p + "convs.0.", 2, 1), p)
        else:
            x = F.pad(embed_norm(x, p), (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
            x = step(x, p + "convs.0.", 2, 0)
        for n in range(depth):
            slot = slots[n % len(slots)] if slots else c.get("attention")
            x = pyramid_block(w, x, c, f"stages.{stage}.{n}.", c["heads"][stage], slot)
        if c.get("stage_norms"):
            x = layer_norm(w, x, f"norms.{stage}.", c.get("end_norm_eps", 1e-5))
        maps.append(x)
    return maps


def pyramid(w, i, c):
    x = pyramid_maps(w, i["x"], c)[-1]
    if c.get("pool_first"):
        x = layer_norm(w, x.mean((1, 2)), "norms.0.")
    else:
        x = (x if c.get("stage_norms") else layer_norm(w, x, "norms.0.")).mean((1, 2))
    return [linear(w, x, "head.")]


def dense_pyramid(w, i, c):
    maps = pyramid_maps(w, i["x"], c)
    enlarge = lambda x, size: F.interpolate(x.movedim(-1, 1), size=tuple(size), mode="bilinear").movedim(1, -1)
    if not c.get("stage_norms"):
        maps = [layer_norm(w, x, f"norms.{stage}.") for stage, x in enumerate(maps)]
    maps = [enlarge(linear(w, x, f"projections.{stage}."), maps[0].shape[1:3])
            for stage, x in enumerate(maps)]
    y = linear(w, F.gelu(linear(w, torch.cat(maps, -1), "fuse.")), "head.")
    return [enlarge(y, i["x"].shape[1:3])]


def cross_attention(w, x, memory, heads, lengths, prefix="", scale=0.0):
    by_head = lambda t: t.unflatten(-1, (heads, -1)).transpose(1, 2)
    k, v = linear(w, memory, prefix + "kv.").chunk(2, -1)
    q, k, v = by_head(linear(w, x, prefix + "q.")), by_head(k), by_head(v)
    scores = q @ k.transpose(-1, -2) * (scale or q.shape[-1] ** -0.5)
    if lengths is not None:
        padding = torch.arange(memory.shape[1]) >= lengths[:, None]
        scores = scores.masked_fill(padding[:, None, None], -math.inf)
    mixed = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
    return linear(w, mixed, prefix + "out.")


def encoder_decoder(w, i, c):
    c = dict({"norm": "rms_norm", "norm_eps": 1e-6, "norm_first": True, "mlp": "relu",
              "position": "t5", "scale": c.get("attention", {}).get("scale", 0)}, **c)
    norms = {"layer_norm": layer_norm, "rms_norm": rms_norm}
    norm = lambda x, name: norms[c["norm"]](w, x, name, c["norm_eps"])
    lengths, targets = i.get("lengths"), i["targets"]
    first = c["norm_first"]

    def embed(ids, table):
        x = w["embed.weight"][ids] * (c["dim"] ** 0.5 if c.get("scaled_embedding") else 1.0)
        if c["position"] == "learned":
            x = x + w[table][: ids.shape[1]]
        return x + sinusoids(ids.shape[1], c["dim"]) if c["position"] == "sinusoidal" else x

    def bias(name, count, both):
        if c["position"] != "t5":
            return None
        own = {"buckets": c["buckets"], "max_distance": c["max_distance"], "bidirectional": both}
        return t5_bias({"table": w[name]}, own, count, count)

    def branch(x, name, fn):
        return x + fn(norm(x, name)) if first else norm(x + fn(x), name)

    def blocks(x, side, causal, bias, lengths, memory=None):
        for n in range(c["layers"]):
            p = f"{side}.{n}."
            own = dict(c, causal=causal)
            x = branch(x, p + "norm1.",
                       lambda t: attention(w, t, own, p + "attn.", lengths, bias))
            if memory is not None:
                x = branch(x, p + "norm_cross.",
                           lambda t: cross_attention(w, t, memory, c["heads"], i.get("lengths"),
                                                     p + "cross.", c.get("cross_scale", 0)))
            x = branch(x, p + "norm2.", lambda t: feed_forward(w, t, c["mlp"], p + "mlp."))
        return x

    memory = blocks(embed(i["ids"], "position.weight"), "encoder", False,
                    bias("relative.table", i["ids"].shape[1], True), lengths)
    memory = norm(memory, "norm.") if first else memory
    before = F.pad(targets, (1, -1), value=c.get("start", 0))
    y = blocks(embed(before, "decoder_position.weight"), "decoder", True,
               bias("decoder_relative.table", targets.shape[1], False), None, memory)
    y = norm(y, "decoder_norm.") if first else y
    y = y * (c["dim"] ** -0.5 if c.get("scaled_logits") else 1.0)
    logits = F.linear(y, w.get("head.weight", w["embed.weight"]))
    return [logits, F.cross_entropy(logits.flatten(0, 1), targets.flatten())]


def cross_entropy(w, i, c, weight=None):
    targets = i["targets"]
    loss = F.cross_entropy(
        i["logits"].flatten(0, -2),
        targets.flatten(),
        weight=weight,
        ignore_index=c.get("ignore_index", -100),
        label_smoothing=c.get("smoothing", 0.0),
        reduction=c.get("reduction", "mean"),
    )
    return [loss.reshape(targets.shape) if c.get("reduction") == "none" else loss]


def of_rows(fn):
    """A loss of rows of logits, PyTorch's for one row at a time, reduced."""
    def loss(w, i, c):
        rows = fn(i, c)
        return [{"mean": rows.mean, "sum": rows.sum, "none": lambda: rows}[c.get("reduction", "mean")]()]
    return loss


def distillation(i, c):
    t = c.get("temperature", 1.0)
    divergence = F.kl_div((i["logits"] / t).log_softmax(-1), (i["teacher"].detach() / t).log_softmax(-1),
                          log_target=True, reduction="none")
    return t * t * divergence.sum(-1)


def bce(fn):
    """PyTorch's, whose weights take no gradient."""
    def loss(w, i, c):
        weights = {name: i[name].detach() for name in ("weight", "pos_weight") if name in i}
        return [fn(i["x"], i["target"], reduction=c.get("reduction", "mean"), **weights)]
    return loss


def triplet(w, i, c):
    reduction = c.get("reduction", "mean")
    if not c.get("soft"):
        return [F.triplet_margin_loss(i["anchor"], i["positive"], i["negative"], c.get("margin", 1.0),
                                      reduction=reduction)]
    near = F.pairwise_distance(i["anchor"], i["positive"])
    return of_rows(lambda i, c: F.softplus(near - F.pairwise_distance(i["anchor"], i["negative"])))(w, i, c)


def batch_hard_triplet(w, i, c):
    """The paper's equation 5: for each row the farthest of its label, the nearest of another."""
    x, labels = i["x"], i["labels"]
    distances = F.pairwise_distance(x[:, None], x[None])
    same = labels[:, None] == labels
    others = same & ~torch.eye(len(x), dtype=torch.bool)
    far = distances.masked_fill(~others, -math.inf).max(1).values
    near = distances.masked_fill(same, math.inf).min(1).values
    counted = others.any(1) & ~same.all(1)
    difference = (far - near)[counted]
    return [(F.softplus(difference) if c.get("soft") else F.relu(difference + c.get("margin", 1.0))).mean()]


def info_nce(w, i, c):
    logits = F.normalize(i["x"], dim=-1) @ F.normalize(i["y"], dim=-1).T / c.get("temperature", 0.07)
    own = torch.arange(len(logits))
    loss = F.cross_entropy(logits, own)
    return [(loss + F.cross_entropy(logits.T, own)) / 2 if c.get("symmetric", True) else loss]


def prototype(w, i, c):
    """Snell et al.'s equations 1 and 2, one episode after the other."""
    shots, losses = c.get("shots", 1), []
    for x in i["x"]:
        centres, queries = x[:, :shots].mean(1), x[:, shots:].flatten(0, 1)
        if c.get("distance") == "cosine":
            logits = F.cosine_similarity(queries[:, None], centres[None], dim=-1)
        else:
            logits = -torch.cdist(queries, centres, compute_mode="donot_use_mm_for_euclid_dist").square()
        own = torch.arange(len(x)).repeat_interleave(x.shape[1] - shots)
        losses.append(F.cross_entropy(c.get("scale", 1.0) * logits, own))
    return [torch.stack(losses).mean()]


def dice(i, c):
    p, t, smooth = i["p"].flatten(1), i["target"].flatten(1), c.get("smooth", 1.0)
    return 1 - (2 * (p * t).sum(1) + smooth) / (p.sum(1) + t.sum(1) + smooth)


# --- The cases ---


class Case:
    """`frozen` is a pattern of the names of weights and buffers that take no gradient."""

    def __init__(self, module, config, inputs, model, terms, depth, frozen="(?!)"):
        self.module, self.config, self.inputs, self.model = module, config, inputs, model
        self.terms, self.depth, self.frozen = terms, depth, frozen

    def label(self):
        return f"{self.module} {json.dumps(self.config)}"


def normal(*shape):
    return ("normal", shape)


def given(tensor):
    return ("given", tensor)


def ids(vocab, *shape):
    return ("ids", shape, vocab)


def probabilities(*shape):
    """In (0, 1), each by itself."""
    return ("probabilities", shape)


def distribution(*shape):
    """Positive, rows that add up to 1."""
    return ("distribution", shape)


def lengths(least, most, *shape):
    return ("lengths", shape, least, most)


def layer_cases():
    for config, shape in [
        ({"in": 5, "out": 3}, (2, 7, 5)),
        ({"in": 64, "out": 130}, (33, 64)),
        ({"in": 1, "out": 9, "bias": False}, (4, 1)),
    ]:
        yield Case("linear", config, {"x": normal(*shape)}, lambda w, i, c: [linear(w, i["x"])], 130, 1)
    yield Case("embedding", {"vocab": 11, "dim": 6}, {"ids": ids(11, 3, 8)},
               lambda w, i, c: [w["weight"][i["ids"]]], 24, 1)
    for config in [{"dim": 96}, {"dim": 7, "bias": False, "eps": 1e-3}, {"dim": 33, "affine": False}]:
        yield Case("layer_norm", config, {"x": normal(5, 4, config["dim"])},
                   lambda w, i, c: [layer_norm(w, i["x"], eps=c.get("eps", 1e-5))], 96, 4)
    for config in [{"dim": 96}, {"dim": 7, "eps": 1e-3}, {"dim": 33, "affine": False}]:
        yield Case("rms_norm", config, {"x": normal(5, 4, config["dim"])},
                   lambda w, i, c: [rms_norm(w, i["x"], eps=c.get("eps", 1e-5))], 96, 4)
    for name, shape in (("dropout", (9, 5)), ("channel_dropout", (3, 4, 5, 7))):
        yield Case(name, {"p": 0.3}, {"x": normal(*shape)}, lambda w, i, c: [i["x"] * 1.0], 1, 1)
    for config in [{"dim": 24}, {"dim": 24, "activation": "gelu_tanh"},
                   {"dim": 17, "hidden": 40, "activation": "relu"},
                   {"dim": 24, "activation": "silu", "bias": False}]:
        yield Case("mlp", config, {"x": normal(3, 6, config["dim"])},
                   lambda w, i, c: [feed_forward(w, i["x"], c.get("activation", "gelu"))], 96, 3)
    for config in [{"dim": 24}, {"dim": 17, "hidden": 40, "bias": True}, {"dim": 24, "activation": "gelu"},
                   {"dim": 24, "activation": "gelu_tanh"}, {"dim": 17, "activation": "relu"}]:
        yield Case("swiglu", config, {"x": normal(3, 6, config["dim"])},
                   lambda w, i, c: [feed_forward(w, i["x"], c.get("activation", "silu"), gated=True)], 64, 4)


def channels_first(fn, x, weight, bias, c, **more):
    """A convolution of PyTorch's on channels-last tensors."""
    kind = lambda name, default: tuple(c.get(name, [default])) * (
        x.dim() - 2 if len(c.get(name, [default])) == 1 else 1)
    y = fn(x.movedim(-1, 1), weight.movedim(-1, 1), bias, stride=kind("stride", 1),
           padding=kind("padding", 0), dilation=kind("dilation", 1), groups=c.get("groups", 1),
           **{name: kind(name, 0) for name in more})
    return y.movedim(1, -1)


def conv(w, x, c, prefix=""):
    fn = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}[x.dim()]
    return channels_first(fn, x, w[prefix + "weight"], w.get(prefix + "bias"), c)


def conv_transpose(w, x, c, prefix=""):
    fn = {3: F.conv_transpose1d, 4: F.conv_transpose2d, 5: F.conv_transpose3d}[x.dim()]
    return channels_first(fn, x, w[prefix + "weight"], w.get(prefix + "bias"), c,
                          output_padding=True)


def same_conv(w, x, prefix, stride=1, groups=1):
    """An odd kernel that keeps the size at stride 1."""
    padding = w[prefix + "weight"].shape[1] // 2
    return conv(w, x, {"stride": [stride], "padding": [padding], "groups": groups}, prefix)


def patch_embed(w, x, c, prefix=""):
    stride = c.get("stride") or c.get("patch", 16)
    return conv(w, x, {"stride": [stride], "padding": [c.get("padding", 0)]}, prefix + "conv.")


def squeeze_excite(w, x, prefix=""):
    squeezed = x.flatten(1, -2).mean(1)
    gate = linear(w, F.relu(linear(w, squeezed, prefix + "reduce.")), prefix + "expand.").sigmoid()
    return x * gate.reshape(x.shape[0], *[1] * (x.dim() - 2), -1)


def lora(w, x, c):
    update = linear(w, linear(w, x, "down."), "up.")
    return linear(w, x, "base.") + c.get("alpha", 16.0) / c.get("rank", 8) * update


def window_bias(w, c):
    """The table as a picture of offsets, read pair by pair."""
    height, width, heads = c["height"], c["width"], c["heads"]
    picture = w["table"].reshape(2 * height - 1, 2 * width - 1, heads)
    y, x = (t.flatten() for t in torch.meshgrid(torch.arange(height), torch.arange(width),
                                                indexing="ij"))
    rows = y[:, None] - y + height - 1
    columns = x[:, None] - x + width - 1
    return picture[rows, columns].permute(2, 0, 1)


def t5_bias(w, c, queries, keys):
    """The buckets as T5 writes them: logarithms of f32 tensors."""
    buckets, furthest = c.get("buckets", 32), c.get("max_distance", 128)
    offset = torch.arange(keys) - (torch.arange(queries)[:, None] + keys - queries)
    first = torch.zeros_like(offset)
    if c.get("bidirectional", True):
        buckets //= 2
        first = (offset > 0) * buckets
        offset = offset.abs()
    else:
        offset = (-offset).clamp(min=0)
    exact = buckets // 2
    logs = torch.log(offset.double().clamp(min=1) / exact) / math.log(furthest / exact)
    far = (exact + (logs * (buckets - exact)).long()).clamp(max=buckets - 1)
    return w["table"][first + torch.where(offset < exact, offset, far)].permute(2, 0, 1)


def vision_layer_cases():
    for config, shape in [
        ({"in": 8, "out": 12, "padding": [1]}, (2, 9, 7, 8)),
        ({"in": 8, "out": 8, "kernel": [5], "padding": [2], "groups": 8, "bias": False}, (2, 9, 7, 8)),
        ({"in": 6, "out": 9, "kernel": [3, 1], "stride": [2, 1], "dilation": [2], "groups": 3},
         (1, 9, 7, 6)),
        ({"in": 5, "out": 4, "spatial": 1, "kernel": [4], "stride": [3]}, (3, 17, 5)),
        ({"in": 3, "out": 4, "spatial": 3, "kernel": [2], "padding": [1]}, (1, 3, 4, 5, 3)),
    ]:
        yield Case("conv", config, {"x": normal(*shape)},
                   lambda w, i, c: [conv(w, i["x"], c)], 216, 1)
    for config, shape in [
        ({"in": 8, "out": 6, "kernel": [2], "stride": [2]}, (2, 5, 4, 8)),
        ({"in": 6, "out": 4, "stride": [2], "padding": [1], "output_padding": [1, 0], "groups": 2},
         (1, 5, 4, 6)),
        ({"in": 5, "out": 3, "spatial": 1, "bias": False}, (2, 9, 5)),
    ]:
        yield Case("conv_transpose", config, {"x": normal(*shape)},
                   lambda w, i, c: [conv_transpose(w, i["x"], c)], 216, 1)
    for config in [{"dim": 20, "patch": 4}, {"dim": 20, "patch": 7, "stride": 4, "padding": 3},
                   {"channels": 1, "dim": 9, "patch": 2, "bias": False}]:
        yield Case("patch_embed", config, {"x": normal(2, 12, 16, config.get("channels", 3))},
                   lambda w, i, c: [patch_embed(w, i["x"], c)], 147, 1)
    yield from pool_cases()
    yield Case("drop_path", {}, {"x": normal(9, 5)}, lambda w, i, c: [i["x"] * 1.0], 1, 1)
    yield Case("codebook", {"dim": 5, "codes": 11, "lloyd": 0}, {"x": normal(2, 7, 5)}, codebook, 1, 1,
               "kmeans.*")
    yield Case("layer_scale", {"dim": 33}, {"x": normal(7, 33)},
               lambda w, i, c: [i["x"] * w["scale"]], 7, 1)
    for config, shape in [({"dim": 20, "convs": 2, "width": 12}, (2, 12, 15, 3)),
                          ({"dim": 20, "kernel": 7, "channels": 2}, (2, 13, 16, 2)),
                          ({"dim": 9, "spatial": 1, "channels": 12, "kernel": 4, "pool": 2}, (3, 11, 12))]:
        # Two convolutions of up to 108 terms.
        yield Case("conv_tokenizer", config, {"x": normal(*shape)},
                   lambda w, i, c: [conv_tokenizer(w, i["x"], c)], 108, 4)
    for more in ({}, {"lengths": lengths(1, 13, 4)}):
        yield Case("sequence_pool", {"dim": 18}, {"x": normal(4, 13, 18), **more},
                   lambda w, i, c: [sequence_pool(w, i["x"], i.get("lengths"))], 18, 4)
    yield Case("patch_merging", {"dim": 5}, {"x": normal(2, 5, 4, 5)},
               lambda w, i, c: [patch_merging(w, i["x"])], 20, 8)
    for config in [{"dim": 6}, {"dim": 5, "hidden": 7, "residual": True, "activation": "silu"}]:
        yield Case("conv_mlp", config, {"x": normal(2, 4, 5, config["dim"])},
                   lambda w, i, c: [conv_mlp(w, i["x"], c.get("activation", "gelu"),
                                             c.get("residual", False))], 40, 6)
    for config, shape in [({"dim": 32}, (3, 5, 4, 32)), ({"dim": 9, "hidden": 4}, (2, 6, 9))]:
        yield Case("squeeze_excite", config, {"x": normal(*shape)},
                   lambda w, i, c: [squeeze_excite(w, i["x"])], 40, 6)
    for config in [{"in": 20, "out": 30}, {"in": 20, "out": 30, "rank": 3, "alpha": 1.5,
                                           "bias": False}]:
        yield Case("lora", config, {"x": normal(4, 20)}, lambda w, i, c: [lora(w, i["x"], c)], 30, 4,
                   frozen=r"^base\.")
    for config, shape in [({"dim": 6}, (3, 5, 4, 6)),
                          ({"dim": 5, "affine": False, "eps": 0.1}, (7, 5))]:
        yield Case("batch_norm", config, {"x": normal(*shape)},
                   lambda w, i, c: [batch_norm(w, i["x"], eps=c.get("eps", 1e-5))], 60, 4,
                   frozen="running_")
    for config, shape in [({"dim": 12, "groups": 4}, (3, 5, 4, 12)), ({"dim": 32}, (2, 9, 32)),
                          ({"dim": 6, "groups": 1, "affine": False}, (3, 2, 2, 3, 6))]:
        yield Case("group_norm", config, {"x": normal(*shape)},
                   lambda w, i, c: [group_norm(w, i["x"], c.get("groups", 32), c.get("eps", 1e-5))],
                   72, 6)
    for config, shape in [({"dim": 6}, (3, 5, 4, 6)), ({"dim": 5, "affine": True}, (2, 9, 5))]:
        yield Case("instance_norm", config, {"x": normal(*shape)},
                   lambda w, i, c: [instance_norm(w, i["x"])], 40, 6)
    yield Case("window_position", {"heads": 3, "height": 3, "width": 4},
               {"scores": normal(2, 3, 12, 12)},
               lambda w, i, c: [i["scores"] + window_bias(w, c)], 24, 1)
    for config in [{"heads": 2}, {"heads": 2, "buckets": 10, "max_distance": 20,
                                  "bidirectional": False}]:
        yield Case("t5_position", config, {"scores": normal(1, 2, 30, 61)},
                   lambda w, i, c: [i["scores"] + t5_bias(w, c, 30, 61)], 2000, 1)


def pool(name, x, c):
    """PyTorch's pooling on channels-last tensors."""
    one = lambda values: values[0] if len(values) == 1 else tuple(values)
    names = {"kernel": "kernel_size", "ceil": "ceil_mode", "out": "output_size"}
    arguments = {names.get(key, key): one(v) if isinstance(v, list) else v for key, v in c.items()}
    return getattr(F, f"{name}{x.dim() - 2}d")(x.movedim(-1, 1), **arguments).movedim(1, -1)


def pool_cases():
    picture, sound, clip = (2, 9, 7, 5), (3, 17, 1), (1, 5, 4, 7, 3)
    for name, configs in [
        ("max_pool", [({"kernel": [2]}, picture),
                      ({"kernel": [3, 2], "stride": [2, 1], "padding": [1, 0], "dilation": [1, 2]}, picture),
                      ({"kernel": [3], "stride": [2], "ceil": True}, sound),
                      ({"kernel": [2]}, clip)]),
        ("avg_pool", [({"kernel": [2]}, picture),
                      ({"kernel": [3, 2], "stride": [2, 1], "padding": [1, 0]}, picture),
                      ({"kernel": [3], "stride": [2], "padding": [1], "ceil": True,
                        "count_include_pad": False}, sound),
                      ({"kernel": [2]}, clip)]),
        ("adaptive_avg_pool", [({"out": [1]}, picture), ({"out": [4, 3]}, picture),
                               ({"out": [5]}, sound), ({"out": [2]}, clip)]),
    ]:
        for config, shape in configs:
            yield Case(name, config, {"x": normal(*shape)},
                       lambda w, i, c, name=name: [pool(name, i["x"], c)], 140, 2)


def recurrent_cases():
    for kind in ("gru", "lstm"):
        layer = lambda w, i, c, kind=kind: [recurrent(w, i["x"], i.get("lengths"), kind)[0]]
        for config, ragged in [({"in": 9, "hidden": 12}, False), ({"in": 9, "hidden": 5}, True),
                               ({"in": 7, "hidden": 6, "bidirectional": True, "layers": 3}, True),
                               ({"in": 9, "hidden": 12, "layers": 2, "bias": False}, True)]:
            inputs = {"x": normal(4, 13, config["in"])}
            if ragged:
                inputs["lengths"] = lengths(1, 13, 4)
            # A chain of 13 steps in each layer, there and back; weights take 4 x 13 terms.
            yield Case(kind, config, inputs, layer, 52, 26 * config.get("layers", 1))
    small = {"vocab": 31, "classes": 5, "dim": 9, "hidden": 8}
    texts = {"ids": ids(31, 4, 13), "lengths": lengths(1, 13, 4)}
    for config, inputs in [(small, texts), (dict(small, cell="lstm", pool="mean", layers=2), texts),
                           (dict(small, head_hidden=9, pool={"type": "lama", "heads": 3}), texts),
                           (dict(small, bidirectional=False, layers=2), {"ids": ids(31, 4, 13)})]:
        yield Case("gru_classifier", config, inputs, gru_classifier, 52, 26 * config.get("layers", 1))
    probe = {"features": 18, "classes": 5}
    for config, shape in [(probe, (4, 18)), (dict(probe, norm="none"), (4, 18)), (dict(probe, tokens=13), (4, 13, 18)),
                          (dict(probe, tokens=13, pool="additive", norm="none"), (4, 13, 18))]:
        yield Case("linear_probe", config, {"features": normal(*shape)}, linear_probe, 36, 6,
                   "running_")


def pooling_cases():
    for more in ({}, {"lengths": lengths(1, 13, 4)}):
        x = {"x": normal(4, 13, 18), **more}
        for config in [{}, {"heads": 3, "context": "mean"}, {"annotation": False, "scale": 4.0},
                       {"heads": 2, "activation": "identity"}]:
            yield Case("lama", dict(config, dim=18), x,
                       lambda w, i, c: [lama(w, i["x"], i.get("lengths"), c)], 18 * 18, 12)
        for config in [{}, {"heads": 4, "hidden": 7, "bias": False}]:
            yield Case("additive", dict(config, dim=18), x,
                       lambda w, i, c: [additive(w, i["x"], i.get("lengths"))], 36, 6)
        yield Case("mean", {"dim": 18}, x,
                   lambda w, i, c: [mean_of_tokens(i["x"], i.get("lengths"))], 13, 1)
        for both in (False, True):
            yield Case("last", {"dim": 18, "bidirectional": both}, x,
                       lambda w, i, c: [last_states(i["x"], i.get("lengths"), c["bidirectional"])],
                       1, 1)


def position_cases():
    table = lambda w, i, c: [i["x"] + w["weight"][i.get("positions", torch.arange(i["x"].shape[1]))]]
    yield Case("learned_position", {"context": 12, "dim": 5}, {"x": normal(2, 9, 5)}, table, 2, 1)
    yield Case("learned_position", {"context": 12, "dim": 5},
               {"x": normal(2, 9, 5), "positions": ids(12, 9)}, table, 18, 1)
    for config in [{"dim": 24}, {"dim": 7, "base": 100.0}]:
        yield Case("sinusoidal_position", config, {"x": normal(2, 40, config["dim"])},
                   lambda w, i, c: [i["x"] + sinusoids(40, c["dim"], c.get("base", 10000.0))], 1, 1)
    for config in [{}, {"base": 500.0, "rotary_dim": 8}, {"interleaved": True},
                   {"scaling": {"type": "linear", "factor": 3.0}},
                   {"scaling": {"type": "llama3", "factor": 8.0, "context": 700}}]:
        yield Case("rotary", config, {"x": normal(2, 3, 20, 16), "positions": ids(4000, 20)},
                   lambda w, i, c: [rotate(i["x"], positions=i["positions"], **c)], 4000**2, 1)
    for heads in (8, 12, 3):
        yield Case("alibi", {"heads": heads}, {"scores": normal(2, heads, 5, 9)},
                   lambda w, i, c: [i["scores"] + alibi_bias(c["heads"], 5, 9)], 1, 1)


def attention_cases():
    for config in [{"dim": 24, "heads": 3}, {"dim": 32, "heads": 4, "kv_heads": 2, "window": 5,
                                             "position": "rotary", "qk_norm": True}]:
        yield Case("averaged_query", config, {"x": normal(2, 37, config["dim"])},
                   lambda w, i, c: [attention(w, i["x"], c,
                                              ask=lambda q: mean_of_last(q, c.get("window", 3)))],
                   128, 8)
    for config in [
        {"dim": 24, "heads": 3},
        {"dim": 24, "heads": 3, "causal": False, "bias": False},
        {"dim": 32, "heads": 4, "kv_heads": 2, "position": "rotary"},
        {"dim": 32, "heads": 2, "position": "rotary", "rotary_dim": 8, "rope_interleaved": True},
        {"dim": 24, "heads": 3, "kv_heads": 1, "position": "alibi", "scale": 0.3},
        {"dim": 20, "heads": 2, "head_dim": 16, "qk_norm": True, "position": "rotary",
         "rope_base": 500.0, "bias": False, "qkv_bias": True},
        {"dim": 24, "heads": 3, "position": "rotary", "bias": False, "qkv_bias": True, "out_bias": True,
         "rope_scaling": {"type": "llama3", "factor": 4.0, "low": 0.5, "high": 2.0, "context": 64}},
    ]:
        yield Case("softmax", config, {"x": normal(2, 37, config["dim"])},
                   lambda w, i, c: [attention(w, i["x"], c)], 128, 8)


def pattern_cases():
    """Mechanisms that differ from softmax attention in which key j a query i sees, of 37 tokens in a row."""
    count = 37

    def window(c, i, j):
        far = c["window"] - 1 if c.get("causal", True) else c["window"] // 2
        return abs(i - j) <= far or j < c.get("sinks", 0)

    def power(c, i, j):
        i, j = i // c["block"], j // c["block"]
        near, rule = i - j < c.get("window", 5) or j < c.get("sinks", 1), c.get("rule", "power")
        if rule == "dilated":
            return i >= j and (i - j) % 2 == 0 and i - j < c["window"]
        if rule == "longnet":
            return i >= j and any(i ^ j < 8 << n and (i | j) % 2**n == 0 for n in range(5))
        far = {"power": (i - j).bit_count() == 1, "sliding": False, "stride": (i - j) % c.get("stride", 32) == 0}
        return i >= j and (near or far[rule])

    def neighborhood(c, i, j):
        first = min(max(i - c["window"] // 2, 0), count - c["window"])
        return first <= j < first + c["window"]

    def partition(c, i, j):
        return i // c["window"] == j // c["window"]

    def halo(c, i, j):
        first = i // c["block"] * c["block"]
        return first - c["halo"] <= j < first + c["block"] + c["halo"]

    small = {"dim": 24, "heads": 3}
    for module, sees, config in [
        ("window", window, dict(small, window=5)),
        ("window", window, dict(small, window=4, sinks=3, position="rotary")),
        ("window", window, dict(small, window=6, sinks=2, causal=False)),
        ("power", power, dict(small, block=3, window=2, sinks=1)),
        ("power", power, dict(small, kv_heads=1, block=1, window=1, sinks=0, position="rotary")),
        ("power", power, dict(small, rule="sliding", block=3, window=2, sinks=1)),
        ("power", power, dict(small, rule="stride", block=2, window=2, sinks=1, stride=5)),
        ("power", power, dict(small, rule="dilated", block=2, window=7)),
        ("power", power, dict(small, rule="longnet", block=1)),
        ("neighborhood", neighborhood, dict(small, window=7, causal=False)),
        ("window_partition", partition, dict(small, window=8, causal=False)),
        ("halo", halo, dict(small, block=5, halo=2, border="crop", causal=False)),
    ]:
        yield Case(module, config, {"x": normal(2, count, 24)},
                   lambda w, i, c, sees=sees: [attention(w, i["x"], c, sees=lambda a, b: sees(c, a, b))], 128, 8)

    def linformer(w, i, c):
        first = {"causal": False, **c}
        e, f = (w[name][:, :count] for name in ("key_projection", "key_projection" if c.get("shared") else
                                                "value_projection"))
        return [attention(w, i["x"], first, project=lambda k, v: (e @ k, f @ v))]

    for config in [{"kernel": 21}, {"kernel": 9, "gate": "add"}, {"kernel": 9, "gate": "none", "mix": False},
                   {"kernel": 6, "dilation": 2, "gate": "sigmoid_mul", "near": False}]:
        config = dict(config, dim=24, heads=1, causal=False, axes=1)
        yield Case("large_kernel", config, {"x": normal(2, count, 24)},
                   lambda w, i, c: [large_kernel(w, i["x"], c)], 128, 8)

    for config in [dict(small, tokens=40, projected=6, causal=False),
                   dict(small, kv_heads=1, tokens=count, projected=9, shared=True, causal=False)]:
        yield Case("linformer", config, {"x": normal(2, count, 24)}, linformer, 128, 8)

    def content(w, c):
        """q.r(offset), for every pair of tokens in a row."""
        reach = c["block"] + 2 * c["halo"] - 1
        offsets = torch.arange(count) - torch.arange(count)[:, None]
        return lambda q: torch.einsum("bhid,ijd->bhij", q, w["table0"][(offsets + reach).clamp(0, 2 * reach)])

    yield Case("halo", dict(small, block=5, halo=2, border="crop", causal=False, relative=True, axes=1),
               {"x": normal(2, count, 24)},
               lambda w, i, c: [attention(w, i["x"], c, sees=lambda a, b: halo(c, a, b), terms=content(w, c))],
               128, 8)


def selective(w, x, c):
    """Selective attention by its formulas: each query, key and value times its own inverse temperature."""
    batch, count, _ = x.shape
    heads, kv_heads = c["heads"], c.get("kv_heads") or c["heads"]
    width = c["dim"] // heads
    packed = linear(w, x, "qkv.")
    parts = packed.split([heads * width, kv_heads * width, kv_heads * width], dim=-1)
    causal = c.get("causal", True)
    n = torch.arange(1, count + 1) if causal else torch.full((count,), count)
    gates = {"sigmoid": torch.sigmoid, "expexp": lambda a: torch.exp(-torch.exp(a)), "linear": lambda a: a}

    def temperature(name, features):
        tau = torch.ones(batch, count, 1, dtype=x.dtype)
        if name + ".weight" in w:
            if name + ".up.weight" in w:
                features = linear(w, x, name + ".up.")
            tau = tau + torch.tanh(F.gelu(features) @ w[name + ".weight"].T + w[name + ".bias"])
        if name + ".alpha" in w:
            tau = tau + (n.to(x.dtype).log() * gates[c.get("gate", "sigmoid")](w[name + ".alpha"]))[:, None]
        return tau.transpose(1, 2)[..., None]  # [B, 1 or heads, N, 1]

    q, k, v = (part.reshape(batch, count, -1, width).transpose(1, 2) for part in parts)
    if c.get("position") == "rotary":
        q, k = rotate(q), rotate(k)
    if c.get("query", True):
        q = q * temperature("query_temperature", parts[0])
    if c.get("key", False):
        k = k * temperature("key_temperature", parts[1])
    if c.get("value", True):
        v = v * temperature("value_temperature", parts[2])
    k, v = (t.repeat_interleave(heads // kv_heads, dim=1) for t in (k, v))
    scores = q @ k.transpose(-1, -2) / width**0.5
    if causal:
        scores = scores.masked_fill(torch.ones(count, count, dtype=torch.bool).triu(1), -math.inf)
    return [linear(w, (scores.softmax(-1) @ v).transpose(1, 2).flatten(2), "out.")]


def selective_cases():
    small = {"dim": 24, "heads": 3}
    for config in [
        small,
        dict(small, kv_heads=1, position="rotary", key=True, value_position=True, per_head=True),
        dict(small, token="mlp", hidden=7, gate="linear", causal=False),
        dict(small, token="mlp", per_head=True, bias=False),
        dict(small, token="none", value=False, gate="expexp", position="rotary"),
    ]:
        yield Case("selective", config, {"x": normal(2, 37, 24)},
                   lambda w, i, c: selective(w, i["x"], c), 128, 16)


def state_attention(w, x, c, prefix=""):
    """`linear_attention` and `gated_linear` as sums over pairs: every weight q.k times the decays in between."""
    batch, count, _ = x.shape
    heads, kv_heads = c["heads"], c.get("kv_heads") or c["heads"]
    width = c["dim"] // heads
    packed = linear(w, x, prefix + "qkv.").reshape(batch, count, -1, width).transpose(1, 2)
    q, k, v = packed.split([heads, kv_heads, kv_heads], dim=1)
    if c.get("position") == "rotary":
        q, k = rotate(q), rotate(k)
    k, v = (t.repeat_interleave(heads // kv_heads, dim=1) for t in (k, v))
    ahead = torch.ones(count, count).tril() if c.get("causal", True) else torch.ones(count, count)
    if "gate" in c:
        if c["gate"] == "head":
            logs = torch.log1p(-(2.0 ** (-5.0 - torch.arange(heads).double())))
            logs = logs[None, :, None, None].expand(batch, heads, count, width)
        elif c["gate"] == "token":
            logs = F.logsigmoid(linear(w, x, prefix + "gate."))
            logs = logs.transpose(1, 2)[..., None].expand(-1, -1, -1, width) / 16
        else:
            logs = F.logsigmoid(linear(w, linear(w, x, prefix + "gate_down."), prefix + "gate."))
            logs = logs.reshape(batch, count, heads, width).transpose(1, 2) / 16
        total = logs.to(x.dtype).cumsum(2)
        between = (total[:, :, :, None] - total[:, :, None]).clamp(max=0).exp()
        y = (torch.einsum("bhid,bhjd,bhijd->bhij", q, k, between) * ahead.to(x.dtype) / width**0.5) @ v
        y = rms_norm(w, y, eps=1e-6).transpose(1, 2).flatten(2)
        if c.get("output_gate", True):
            y = y * F.silu(linear(w, x, prefix + "output_gate."))
        return linear(w, y, prefix + "out.")
    feature = c.get("feature", "elu")
    f = {"elu": lambda t: F.elu(t) + 1, "identity": lambda t: t}.get(feature, F.relu)
    weights = f(q) @ f(k).transpose(-1, -2) * ahead.to(x.dtype)
    if feature == "cosformer":
        i = torch.arange(count).double()
        span = c.get("span") or count
        weights = weights * torch.cos(math.pi * (i[:, None] - i) / (2 * span)).to(x.dtype)
    y = weights @ v
    normalise = c.get("normalise", "weights")
    if normalise == "weights":
        y = y / weights.sum(-1, keepdim=True).clamp(min=1e-6)
    if normalise == "rms":
        y = rms_norm(w, y, eps=1e-6)
    return linear(w, y.transpose(1, 2).flatten(2), prefix + "out.")


def local_linear(w, x, c):
    batch, count, _ = x.shape
    heads, width = c["heads"], c["dim"] // c["heads"]
    packed = linear(w, x, "qkv.").reshape(batch, count, -1, width).transpose(1, 2)
    q, k, v = packed.split([heads] * 3, dim=1)
    if c.get("qk_norm"):
        q, k = rms_norm(w, q, "q_norm.", 1e-6), rms_norm(w, k, "k_norm.", 1e-6)
    scores = q @ k.transpose(-1, -2) * (c.get("scale") or width**-0.5)
    if c.get("causal", True):
        scores = scores.masked_fill(torch.ones(count, count, dtype=torch.bool).triu(1), float("-inf"))
    p = scores.softmax(-1)
    mean_k, mean_v = p @ k, p @ v
    z = k[:, :, None] - mean_k[:, :, :, None]
    covariance = torch.einsum("bhij,bhijd,bhije->bhide", p, z, z)
    covariance = covariance + c["ridge"] * torch.eye(width, dtype=x.dtype)
    slope = torch.linalg.solve(covariance, (q - mean_k)[..., None])[..., 0]
    y = mean_v + (p * torch.einsum("bhijd,bhid->bhij", z, slope)) @ v
    return linear(w, y.transpose(1, 2).flatten(2), "out.")


def shaw(w, name, logits, q, gaps, scale=1.0):
    """Logits with those of the learned vectors by distance, where there are any, and what these add to the output:
    a function of the probabilities. gaps [..., N, M] are positions of keys less those of queries."""
    if name + "keys" not in w:
        return logits, lambda p: 0.0
    reach = w[name + "keys"].shape[0] // 2
    rows = gaps.clamp(-reach, reach) + reach
    by_row = scale * q @ w[name + "keys"].T  # of every distance
    rows = rows.expand(*logits.shape)
    to_values = lambda p: torch.zeros_like(by_row).scatter_add(-1, rows, p) @ w[name + "values"]
    return logits + by_row.gather(-1, rows), to_values


def clustered(w, q, k, v, c, causal):
    """Every cluster's best tokens attend to each other; a token's results are averaged."""
    places = torch.arange(q.shape[2])
    count, clusters = q.shape[2], c.get("clusters", 8)
    width = min(count, c.get("window") or -(-count // clusters))
    scores = q @ w["kmeans.centroids"].transpose(1, 2)
    if c.get("select") == "own":
        of_key = (k @ w["kmeans.centroids"].transpose(1, 2)).argmax(-1)
        of_query = scores.argmax(-1)
        same = of_query[..., :, None] == of_key[..., None, :]
        if causal:
            same = same & torch.ones(count, count, dtype=torch.bool).tril()
        newer = same.flip(-1).cumsum(-1).flip(-1)  # how many of them are not before this one
        # The place of a key in its cluster's list, less the query's: members between them, counted backwards.
        logits, to_values = shaw(w, "by_place.", q @ k.transpose(2, 3), q, 1 - newer)
        p = torch.nan_to_num(logits.masked_fill(~(same & (newer <= width)), -math.inf).softmax(-1))
        return p @ v + to_values(p)
    total, times = torch.zeros_like(v), torch.zeros(*v.shape[:3], 1, dtype=v.dtype) + 0.01
    pick = lambda s: s.topk(width, dim=2).indices.sort(2).values[..., None]
    for n in range(clusters):
        mine = pick(scores[..., n])
        keys = mine if causal else pick((k @ w["kmeans.centroids"].transpose(1, 2))[..., n])
        take = lambda x, at: x.gather(2, at.expand(-1, -1, -1, x.shape[3]))
        ranks = places[:width] - places[:width, None]
        logits, to_values = shaw(w, "by_place.", take(q, mine) @ take(k, keys).transpose(2, 3), take(q, mine), ranks)
        if causal:
            logits = logits.masked_fill(torch.ones(width, width, dtype=torch.bool).triu(1), -math.inf)
        p = logits.softmax(-1)
        out = p @ take(v, keys) + to_values(p)
        total = total.scatter_add(2, mine.expand(-1, -1, -1, v.shape[3]), out)
        times = times.scatter_add(2, mine, torch.ones_like(mine, dtype=v.dtype))
    return total / times


def routing(w, x, c):
    heads, causal, count = c["heads"], c.get("causal", True), x.shape[1]
    near = heads if c.get("skip_first", 0) > c.get("layer", 0) else c.get("local_heads", 0)
    q, k, v = linear(w, x, "qkv.").unflatten(2, (3 * heads, -1)).transpose(1, 2).split(heads, 1)
    unit = lambda t: F.layer_norm(t[:, : heads - near], t.shape[-1:], eps=1e-6)
    outputs = []
    if near < heads:
        asked = unit(q)
        outputs.append(clustered(w, asked, asked if causal else unit(k), v[:, : heads - near], c, causal))
    if near:
        if c.get("position") == "rotary":
            q, k = rotate(q), rotate(k)
        block = torch.arange(count) // c["local_block"]
        gap = block[:, None] - block
        sees = (gap >= 0) & (gap <= 1) if causal else gap.abs() <= 1
        if causal:
            sees = sees & torch.ones(count, count, dtype=torch.bool).tril()
        places = torch.arange(count)
        scale = q.shape[-1] ** -0.5
        logits, to_values = shaw(w, "local.", scale * q @ k.transpose(2, 3), q, places - places[:, None], scale)
        p = logits.masked_fill(~sees, -math.inf).softmax(-1)
        outputs.append((p @ v + to_values(p))[:, heads - near:])
    y = torch.cat(outputs, 1)
    if "head_matrix.weight" in w:
        y = linear(w, y, "head_matrix.")
    return [linear(w, y.transpose(1, 2).flatten(2), "out.")]


def routing_transformer(w, i, c):
    """arXiv 2003.05997: post-norm blocks whose heads route or see near blocks; words, or values of pixels."""
    ids = i["ids"]
    c = dict({"causal": True, "norm_eps": 1e-6, "select": "top", "mlp": "geglu", "commitment": 1e-4}, **c)
    channels = c.get("channels", 0)
    if channels:
        place = torch.arange(ids.shape[1])
        channel, pixel = place % channels, place // channels
        x = w["embed.weight"][ids + channel * c["vocab"]] * math.sqrt(c["dim"])
        x = x + w["rows.weight"][pixel // c["width"] * channels + channel]
        x = x + w["columns.weight"][pixel % c["width"] * channels + channel]
    else:
        x = linear(w, w["embed.weight"][ids], "input.")
    committed = 0.0
    for layer in range(c["layers"]):
        p = f"blocks.{layer}."
        own = {name.removeprefix(p + "attn."): t for name, t in w.items() if name.startswith(p + "attn.")}
        slot = dict(c, layer=layer, local_heads=c["heads"] - c["routing_heads"], local_block=c["block"])
        if "kmeans.centroids" in own:
            means = own["kmeans.centroids"]
            q = linear(own, x, "qkv.").unflatten(2, (3 * c["heads"], -1)).transpose(1, 2)[:, : means.shape[0]]
            q = F.layer_norm(q, q.shape[-1:], eps=1e-6)
            nearest = (q @ means.transpose(1, 2)).argmax(-1)
            chosen = means[torch.arange(means.shape[0])[:, None], nearest]
            committed = committed + 2 * c["commitment"] * (q - chosen).square().mean()
        x = layer_norm(w, x + routing(own, x, slot)[0], p + "norm1.", c["norm_eps"])
        x = layer_norm(w, x + feed_forward(w, x, c["mlp"], p + "mlp."), p + "norm2.", c["norm_eps"])
    if "output.weight" in w:
        x = linear(w, x, "output.")
    logits = linear(w, x, "head.")
    if "targets" not in i:
        return [logits]
    return [logits, F.cross_entropy(logits.flatten(0, 1), i["targets"].flatten()) + committed]


def state_cases():
    for config in [{"clusters": 3}, {"clusters": 4, "window": 15, "causal": False},
                   {"clusters": 4, "select": "own", "window": 6},
                   {"clusters": 4, "select": "own", "causal": False},
                   {"clusters": 3, "local_heads": 1, "local_block": 5, "position": "rotary"},
                   {"clusters": 3, "local_heads": 2, "local_block": 4, "causal": False},
                   {"clusters": 3, "window": 16, "local_heads": 1, "local_block": 5, "relative": 7, "head_matrix": True},
                   {"clusters": 3, "window": 9, "local_heads": 1, "local_block": 5, "relative": 40, "select": "own"},
                   {"clusters": 3, "window": 9, "local_heads": 1, "local_block": 5, "relative": 3, "causal": False},
                   {"local_block": 6, "relative": 11, "head_matrix": True, "skip_first": 1}]:
        yield Case("routing", dict(config, dim=24, heads=3), {"x": normal(2, 37, 24)},
                   lambda w, i, c: routing(w, i["x"], c), 128, 12, frozen="^kmeans")
    small = {"vocab": 61, "context": 29, "layers": 3, "dim": 36, "embedding_dim": 20, "heads": 3, "routing_heads": 2,
             "skip_first": 1, "clusters": 3, "window": 10, "block": 6, "relative": 7, "hidden": 50}
    rows = {"ids": ids(61, 2, 29), "targets": ids(61, 2, 29)}
    pixels = {"ids": ids(61, 2, 36), "targets": ids(61, 2, 36)}
    for config, inputs in [
        (small, rows),
        (dict(small, select="own", commitment=0.3, embedding_dim=36, checkpointing=True), rows),
        (dict(small, routing_heads=0, skip_first=3, mlp="swiglu", relative=0), rows),
        (dict(small, embedding_dim=36, channels=3, width=4, context=36, relative=0, mlp="relu"), pixels),
    ]:
        # Three blocks of two sub-blocks, each some eight sums deep, there and back.
        yield Case("routing_transformer", config, inputs, routing_transformer, 144, 96,
                   frozen="kmeans")
    small = {"dim": 24, "heads": 3}
    for module, config in [
        ("linear_attention", small),
        ("linear_attention", dict(small, causal=False)),
        ("linear_attention", dict(small, feature="relu", kv_heads=1, position="rotary")),
        ("linear_attention", dict(small, feature="cosformer", span=80)),
        ("linear_attention", dict(small, feature="cosformer", causal=False)),
        ("linear_attention", dict(small, feature="identity", normalise="rms")),
        ("linear_attention", dict(small, feature="identity", normalise="none", causal=False)),
        ("gated_linear", dict(small, gate="head")),
        ("gated_linear", dict(small, gate="token", output_gate=False)),
        ("gated_linear", dict(small, gate="channel", gate_rank=5, kv_heads=1)),
    ]:
        yield Case(module, config, {"x": normal(2, 71, 24)},
                   lambda w, i, c: [state_attention(w, i["x"], c)], 256, 8)
    # The solver runs to the dtype's precision; a ridge of 1 keeps the systems well conditioned.
    solver = dict(small, ridge=1.0, tolerance=1e-16, iterations=60)
    for config in solver, dict(solver, causal=False, qk_norm=True, scale=0.5):
        yield Case("local_linear", config, {"x": normal(2, 37, 24)},
                   lambda w, i, c: [local_linear(w, i["x"], c)], 512, 16)


def model_cases():
    gpt2 = {"vocab": 61, "context": 29, "layers": 2, "dim": 36, "heads": 3, "mlp": "gelu_tanh"}
    llama = {"vocab": 61, "context": 29, "layers": 2, "dim": 32, "heads": 4, "kv_heads": 2,
             "mlp": "swiglu", "hidden": 56, "norm": "rms_norm", "position": "rotary",
             "bias": False, "tied": False}
    for config in [
        gpt2,
        dict(gpt2, mlp="relu", position="sinusoidal", tied=False),
        dict(gpt2, position="alibi", bias=False),
        dict(gpt2, mlp="silu", position="none", checkpointing=True),
        llama,
        dict(llama, head_dim=16, qk_norm=True, rope_base=1e6, norm_eps=1e-6, tied=True),
        dict(llama, kv_heads=1, qkv_bias=True, mlp="geglu"),
        dict(llama, qkv_bias=True, out_bias=True, rope_scaling={"type": "llama3", "factor": 8.0, "context": 16}),
        dict(gpt2, position="rotary", rotary_dim=4, parallel_residual=True, tied=False),
    ]:
        inputs = {"ids": ids(61, 3, 29), "targets": ids(61, 3, 29)}
        # Two blocks of two sub-blocks, each some eight sums deep, there and back.
        yield Case("gpt", config, inputs, gpt, 144, 64)
    yield Case("gpt", gpt2, {"ids": ids(61, 1, 1)}, gpt, 144, 64)
    yield Case("gpt", dict(gpt2, channels=2), {"ids": ids(61, 3, 29, 2), "targets": ids(61, 3, 29)}, gpt,
               144, 64)


def image_reader_cases():
    tower = {"height": 12, "width": 18, "patch": 6, "layers": 3, "dim": 32, "heads": 4, "hidden": 48}
    for config, unused in [(tower, "[2]"), (dict(tower, layer=-1, cls=True, mlp="gelu"), "(?!)"), (dict(tower, layer=1), "[12]")]:
        yield Case("clip_vision", config, {"x": normal(2, 12, 18, 3)}, lambda w, i, c: [clip_vision(w, i["x"], c)], 144, 64,
                   frozen=rf"norm\.|blocks\.{unused}\.")
    text = {"vocab": 61, "context": 32, "layers": 2, "dim": 32, "heads": 4, "kv_heads": 2, "mlp": "swiglu", "hidden": 56,
            "norm": "rms_norm", "position": "rotary", "bias": False, "tied": False}
    rows = torch.randint(0, 60, (2, 29), generator=torch.Generator().manual_seed(4))
    rows[0, 3:9] = rows[0, 20:26] = rows[1, :6] = 60  # three images of six patches
    yield Case("llava", {"image_token": 60, "vision": tower, "text": text},
               {"ids": given(rows), "images": normal(3, 12, 18, 3), "targets": ids(61, 2, 29)}, llava, 144, 96,
               frozen=r"vision\.(norm|blocks\.2)\.")


def recommender_cases():
    # Rows of 1, 5 and 7 items and their padding.
    items = torch.tensor([[3, 0, 0, 0, 0, 0, 0], [5, 2, 9, 4, 1, 0, 0], [11, 7, 6, 6, 2, 8, 10]])
    targets = torch.roll(items, -1, 1) * (torch.roll(items, -1, 1) > 0)
    targets[:, -1] = 0
    targets[0, 0] = 5
    negatives = (torch.arange(3 * 7 * 2).reshape(3, 7, 2) % 11 + 1) * (items > 0)[..., None]
    inputs = {"items": given(items), "targets": given(targets), "negatives": given(negatives)}
    small = {"items": 11, "context": 9, "dim": 16, "dropout": 0.3, "init_std": 0.5}
    for config, names in (
        (small, inputs),
        (dict(small, heads=2, position="rotary", norm="rms_norm", norm_eps=1e-6, mlp="gelu"), inputs),
        (dict(small, layers=1, position="none", hidden=24, scale_embedding=False),
         ("items", "targets")),
        (dict(small, context=7, heads=4), ("items",)),
    ):
        yield Case("sequential_recommender", config, {name: inputs[name] for name in names}, recommender,
                   48, 24)
    small = {"items": 11, "context": 9, "dim": 16, "dropout": 0.3, "init_std": 0.5}
    for more in ({}, {"alpha": 1.0, "layers": 2}, {"alpha": 0.0, "window": 5, "heads": 4},
                 {"alpha": 0.3, "window": 2}):
        yield Case("multi_query_recommender", dict(small, **more), inputs, multi_query_recommender, 48, 24)
    for more in ({"hidden": 12}, {"hidden": 20, "layers": 2}):
        yield Case("recurrent_recommender", dict(small, **more), inputs, recurrent_recommender, 48, 40)


def encoder_cases():
    bert = {"vocab": 61, "context": 21, "layers": 2, "dim": 36, "heads": 3, "token_types": 2,
            "classes": 5, "mlm": True}
    sentences = {"ids": ids(61, 4, 19), "lengths": lengths(1, 19, 4), "token_types": ids(2, 4, 19)}
    for config, inputs in [
        (bert, sentences),
        (dict(bert, pool="mean", pooler=False, mlm=False), sentences),
        (dict(bert, position_offset=2), sentences),
        (dict(bert, norm_first=True, position="rotary", norm="rms_norm", norm_eps=1e-6,
              mlp="swiglu", checkpointing=True), {"ids": ids(61, 4, 19)}),
        (dict(bert, position="sinusoidal", token_types=0, classes=0, hidden=50, mlp="relu"),
         {"ids": ids(61, 4, 19), "lengths": lengths(1, 19, 4)}),
    ]:
        yield Case("encoder", config, inputs, encoder, 144, 64)


def sequence_to_sequence_cases():
    for config in [{"dim": 12, "heads": 3}, {"dim": 10, "memory_dim": 7, "heads": 2, "head_dim": 8,
                                             "bias": False, "scale": 0.2}]:
        inputs = {"x": normal(3, 6, config["dim"]),
                  "memory": normal(3, 9, config.get("memory_dim", config["dim"]))}
        for more in ({}, {"lengths": lengths(1, 9, 3)}):
            yield Case("cross_attention", config, {**inputs, **more},
                       lambda w, i, c: [cross_attention(w, i["x"], i["memory"], c["heads"],
                                                        i.get("lengths"), "", c.get("scale", 0))],
                       27, 8)
    small = {"vocab": 61, "layers": 2, "dim": 36, "heads": 3, "dropout": 0.0}
    texts = {"ids": ids(61, 4, 19), "targets": ids(61, 4, 11), "lengths": lengths(1, 19, 4)}
    for config in [
        dict(small, buckets=12, max_distance=20, head_dim=10, scaled_logits=True,
             attention={"type": "softmax", "scale": 0.5}, cross_scale=0.5, start=3),
        dict(small, position="sinusoidal", norm="layer_norm", norm_first=False, bias=True,
             scaled_embedding=True),
        dict(small, position="rotary", tied=False, mlp="swiglu"),
        dict(small, position="learned", context=19, mlp="gelu_tanh", hidden=50),
    ]:
        # Four blocks of two or three sub-blocks, each some eight sums deep, there and back.
        yield Case("encoder_decoder", config, texts, encoder_decoder, 144, 160)


def compact_text_cases():
    small = {"vocab": 61, "classes": 7, "word_dim": 24, "layers": 2, "dim": 36, "heads": 3, "hidden": 40,
             "attention_dropout": 0.0, "drop_path": 0.0}
    for config in [
        small,
        dict(small, stem_kernel=1, mask_pool=True),
        dict(small, stem_kernel=2, position="none"),
        dict(small, stem="patch", stem_kernel=3),
        dict(small, stem="words", word_dim=36, pool="cls"),
    ]:
        for more in ({}, {"lengths": lengths(1, 19, 4)}):
            # As for vit; sums of 96 words' features.
            yield Case("compact_text", config, {"ids": ids(61, 4, 19), **more}, compact_text, 144, 64)


def vision_model_cases():
    small = {"height": 12, "width": 16, "classes": 7, "layers": 2, "dim": 36, "heads": 3}
    for config in [
        small,
        dict(small, pool="mean", position="rotary", patch=2, layer_scale=0.1, drop_path=0.1),
        dict(small, position="sinusoidal", norm="rms_norm", mlp="swiglu", channels=1,
             checkpointing=True),
        dict(small, pool="mean", position="none", hidden=50, mlp="silu"),
        dict(small, registers=2),
        # Compact transformers: CVT and CCT.
        dict(small, pool="attention", normed_stream=True, qkv_bias=False, norm_eps=1e-5, hidden=36),
        dict(small, pool="attention", normed_stream=True, qkv_bias=False, norm_eps=1e-5, hidden=36,
             stem="convs", stem_convs=2, stem_width=10),
    ]:
        yield Case("vit", config, {"x": normal(3, 12, 16, config.get("channels", 3))}, vit, 144, 64)


    small = {"classes": 7, "blocks": [2, 1], "widths": [8, 12]}
    for config in [
        small,
        dict(small, shortcut="pad", channels=2, zero_init=True),
        dict(small, stem="imagenet", bottleneck=True, widths=[6, 8]),
    ]:
        # Three blocks of three convolutions at most, of 108 terms (294 in the stem), there and back.
        yield Case("resnet", config, {"x": normal(2, 13, 10, config.get("channels", 3))}, resnet,
                   294, 48, frozen="running_")

    small = {"classes": 7, "stem_width": 8, "widths": [12, 16], "blocks": [1, 2],
             "strides": [1, 2]}
    for config in [
        dict(small, version="v1", stem_stride=2, channels=1),
        dict(small, version="v2", stem_stride=1, expansions=[1, 4], head_width=24, dropout=0.2),
    ]:
        # Eleven convolutions at most, of 64 terms (144 in the sums over pixels), there and back.
        yield Case("mobilenet", config, {"x": normal(2, 13, 10, config.get("channels", 3))},
                   mobilenet, 144, 64, frozen="running_")

    small = {"height": 18, "width": 12, "classes": 7, "depths": [1, 2], "dims": [12, 18],
             "heads": [2, 3], "patch": 2}
    for config in [
        dict(small, position="learned", layer_scale=0.1, drop_path=0.1),
        dict(small, stem="convs", patch=4, downsample="conv", downsample_bias=False, channels=1,
             norm="batch_norm", embed_norm="batch_norm", stage_norms=True, mlp_conv="hidden"),
        dict(small, stem="overlapping", downsample="norm_conv", conv_position="both",
             pool_first=True, mlp_conv="residual", mlp="silu", checkpointing=True),
        dict(small, conv_position="attention", mlp="swiglu", mlp_ratios=[2, 3], norm="rms_norm"),
        # NAT, its second stage's map smaller than the window; DiNAT.
        dict(small, stem="convs", patch=4, downsample="conv", downsample_bias=False, layer_scale=0.1,
             attention={"type": "neighborhood", "window": 3, "relative": True, "fit": "pad"}),
        dict(small, stem="convs", downsample="conv", downsample_bias=False,
             attentions=[{"attention": {"type": "neighborhood", "window": 3, "relative": True}},
                         {"stages": [2], "attention": {"type": "neighborhood", "window": 3, "dilation": 2,
                                                       "relative": True, "fit": "pad"}}]),
        # VAN, and its gate by itself.
        dict(small, stem="overlapping", downsample="conv", norm="batch_norm", embed_norm="batch_norm",
             mlp_conv="hidden", stage_norms=True, end_norm_eps=1e-6, layer_scale=0.01, drop_path=0.1,
             init="fan_out", mlp_ratios=[3, 2], attention={"type": "large_kernel"}),
        dict(small, mlp="none", layer_scale=0.1,
             attentions=[{"attention": {"type": "large_kernel", "gate": "sigmoid_mul", "near": False}},
                         {"stages": [2], "attention": {"type": "large_kernel", "kernel": 9, "gate": "add",
                                                       "mix": False}}]),
    ]:
        # As for vit, three blocks of up to six sums; 108 pixels in the sums over a map.
        yield Case("pyramid", config, {"x": normal(2, 18, 12, config.get("channels", 3))},
                   pyramid, 144, 96, frozen="running_")

    small = {"channels": 3, "outputs": 5, "depths": [1, 2], "dims": [12, 18], "heads": [2, 3],
             "patch": 2, "stem": "convs", "downsample": "conv", "head_dim": 10}
    near = {"type": "neighborhood", "window": 3, "relative": True, "fit": "pad"}
    for config in [
        dict(small, attentions=[{"attention": near}, {"stages": [2], "attention": dict(near, dilation=2)}]),
        dict(small, stage_norms=True, attention=near),
    ]:
        yield Case("dense_pyramid", config, {"x": normal(2, 17, 12, 3)}, dense_pyramid, 144, 96)


def image_model_cases():
    yield Case("time_embedding", {"dim": 24, "frequencies": 18}, {"times": normal(5)},
               lambda w, i, c: [time_embedding(w, i["times"])], 24, 4)
    yield Case("label_embedding", {"classes": 5, "dim": 7}, {"labels": ids(6, 9)},
               lambda w, i, c: [w["weight"][i["labels"]]], 9, 1)
    small = {"height": 8, "width": 12, "channels": 3, "layers": 2, "dim": 36, "heads": 3}
    image = {"x": normal(3, 8, 12, 3), "times": normal(3)}
    for config, inputs in [
        (small, image),
        (dict(small, classes=5, outputs=6, patch=4), dict(image, labels=ids(6, 3))),
        (dict(small, classes=5, position="rotary", mlp="swiglu", checkpointing=True), image),
        (dict(small, frames=4, patch_frames=2),
         {"x": normal(2, 4, 8, 12, 3), "times": normal(2)}),
        (dict(small, frames=3, position="learned", qk_norm=True, hidden=50),
         {"x": normal(2, 3, 8, 12, 3), "times": normal(2)}),
    ]:
        yield Case("dit", config, inputs, dit, 256, 64)
    for scale in (1, 2, 3, 4):
        yield Case("upsampler", {"dim": 5, "scale": scale}, {"x": normal(2, 4, 3, 5)},
                   lambda w, i, c: [upsampler(w, i["x"], c["scale"])], 45 * 9, 4)
    for config in [
        {"channels": 3, "outputs": 3, "scale": 2, "blocks": 2, "dim": 8},
        {"channels": 1, "outputs": 2, "scale": 3, "blocks": 1, "dim": 6, "residual_scale": 0.1},
    ]:
        # Eight convolutions in a chain at most, there and back; sums over 12 x 14 pixels.
        yield Case("edsr", config, {"x": normal(2, 6, 7, config["channels"])}, edsr, 336, 32)
    small = {"channels": 2, "outputs": 3, "dim": 16, "multipliers": [1, 2, 3]}
    image = {"x": normal(2, 9, 11, 2)}
    for config, inputs in [
        (small, image),
        (dict(small, time=True, attention_levels=2, heads=4, blocks=2),
         dict(image, times=normal(2))),
        (dict(small, time=True, classes=4, groups=4), dict(image, times=normal(2), labels=ids(5, 2))),
        (dict(small, time=True, classes=4), dict(image, times=normal(2))),
    ]:
        # Twenty convolutions in a chain at most, of 864 terms, there and back.
        yield Case("unet", config, inputs, unet, 864, 80)


def reduced(*configs, names=("mean", "sum", "none")):
    """Each config by itself, and the first with each other reduction."""
    yield from configs
    for name in names[1:]:
        yield dict(configs[0], reduction=name)


def loss_cases():
    """`terms` counts the elements that a mean or sum runs over, besides the classes of a row."""
    yield from classification_loss_cases()
    yield from pointwise_loss_cases()
    yield from metric_loss_cases()
    for config in reduced({}, {"smooth": 0.1}):
        yield Case("dice", config, {"p": probabilities(3, 5, 7, 1), "target": probabilities(3, 5, 7, 1)},
                   of_rows(dice), 35, 6)


def classification_loss_cases():
    targets = ids(50, 4, 9)
    logits = normal(4, 9, 50)
    for config in reduced({}, {"smoothing": 0.1}, {"ignore_index": 3}):
        yield Case("cross_entropy", config, {"logits": logits, "targets": targets},
                   cross_entropy, 50, 4)
    for config in reduced({}, {"ignore_index": 3}):
        yield Case("weighted_cross_entropy", config,
                   {"logits": logits, "targets": targets, "class_weights": probabilities(50)},
                   lambda w, i, c: cross_entropy(w, i, c, i["class_weights"].detach()), 50, 6)
    soft = of_rows(lambda i, c: F.cross_entropy(
        i["logits"].flatten(0, 1), i["targets"].detach().flatten(0, 1), reduction="none",
        label_smoothing=c.get("smoothing", 0.0)).reshape(4, 9))
    for config in reduced({}, {"smoothing": 0.1}):
        yield Case("soft_cross_entropy", config, {"logits": logits, "targets": distribution(4, 9, 50)},
                   soft, 50, 6)
    for config in reduced({}, {"temperature": 2.5}):
        yield Case("distillation", config, {"logits": logits, "teacher": logits},
                   of_rows(distillation), 50, 8)
    for config in reduced({}):
        yield Case("z_loss", config, {"logits": logits},
                   of_rows(lambda i, c: i["logits"].logsumexp(-1).square()), 50, 6)


def pointwise_loss_cases():
    def pointwise(fn, **names):
        """PyTorch's function; names maps heed's options to its arguments."""
        return lambda w, i, c: [fn(i["x"], i["target"], reduction=c.get("reduction", "mean"),
                                   **{names[key]: c[key] for key in names if key in c})]

    pair = {"x": normal(3, 7, 5), "target": normal(3, 7, 5)}
    for name, fn, configs in [
        ("mse", pointwise(F.mse_loss), [{}]),
        ("l1", pointwise(F.l1_loss), [{}]),
        ("huber", pointwise(F.huber_loss, delta="delta"), [{}, {"delta": 0.3}]),
        ("smooth_l1", pointwise(F.smooth_l1_loss, beta="beta"), [{}, {"beta": 0.3}, {"beta": 0.0}]),
    ]:
        for config in reduced(*configs):
            yield Case(name, config, pair, fn, 105, 3)

    chances = {"x": probabilities(3, 7, 5), "target": probabilities(3, 7, 5)}
    logits = {"x": normal(3, 7, 5), "target": probabilities(3, 7, 5)}
    for config in reduced({}):
        for weights in ({}, {"weight": probabilities(7, 5)}):
            yield Case("bce", config, {**chances, **weights}, bce(F.binary_cross_entropy), 105, 6)
        for weights in ({}, {"pos_weight": probabilities(5)},
                        {"weight": probabilities(3, 7, 5), "pos_weight": probabilities(5)}):
            yield Case("bce_with_logits", config, {**logits, **weights},
                       bce(F.binary_cross_entropy_with_logits), 105, 6)

    kl_div = pointwise(F.kl_div, log_target="log_target")
    for config in reduced({}, names=("mean", "sum", "none", "batchmean")):
        yield Case("kl_div", config, {"x": normal(6, 11), "target": distribution(6, 11)}, kl_div, 66, 6)
        yield Case("kl_div", dict(config, log_target=True), {"x": normal(6, 11), "target": normal(6, 11)},
                   kl_div, 66, 6)


def metric_loss_cases():
    signs = given(torch.tensor([[1, -1, 1], [-1, -1, 1]]))
    # A cosine is of no scale: 1024 hides the 1e-12 that PyTorch adds to the squared lengths.
    cosine = lambda w, i, c: [F.cosine_embedding_loss(
        1024 * i["x"].flatten(0, 1), 1024 * i["y"].flatten(0, 1), i["sign"].flatten(),
        c.get("margin", 0.0),
        reduction=c.get("reduction", "mean")).reshape(
            i["sign"].shape if c.get("reduction") == "none" else ())]
    for config in reduced({}, {"margin": -0.3}):
        yield Case("cosine_embedding", config,
                   {"x": normal(2, 3, 17), "y": normal(2, 3, 17), "sign": signs}, cosine, 17, 6)
    triple = {name: normal(5, 17) for name in ("anchor", "positive", "negative")}
    for config in reduced({}, {"margin": 0.2}, {"soft": True}):
        yield Case("triplet", config, triple, triplet, 17, 6)
    # Rows 6 and 7 have no other of their label.
    labels = given(torch.tensor([0, 1, 0, 1, 2, 2, 3, 4, 0]))
    for config in ({}, {"margin": 0.2}, {"soft": True}):
        yield Case("batch_hard_triplet", config, {"x": normal(9, 13), "labels": labels},
                   batch_hard_triplet, 13, 8)
    for config in ({}, {"symmetric": False}, {"temperature": 0.5}):
        yield Case("info_nce", config, {"x": normal(7, 13), "y": normal(7, 13)}, info_nce,
                   13 / config.get("temperature", 0.07) ** 2, 8)
    for config in ({}, {"shots": 3, "scale": 0.5}, {"shots": 2, "distance": "cosine", "scale": 10}):
        yield Case("prototype", config, {"x": normal(2, 3, 5, 7)}, prototype, 70, 8)


def all_cases():
    return list(itertools.chain(layer_cases(), vision_layer_cases(), position_cases(), pooling_cases(),
                                recurrent_cases(), attention_cases(), pattern_cases(), selective_cases(),
                                state_cases(), model_cases(), image_reader_cases(),
                                encoder_cases(), recommender_cases(), sequence_to_sequence_cases(),
                                compact_text_cases(), vision_model_cases(),
                                image_model_cases(), loss_cases()))


# --- Running them ---


def draw(spec, random):
    if spec[0] == "given":
        return spec[1]
    if spec[0] == "ids":
        return torch.from_numpy(random.integers(0, spec[2], spec[1]))
    if spec[0] == "lengths":
        return torch.from_numpy(random.integers(spec[2], spec[3], spec[1], endpoint=True))
    values = torch.from_numpy(random.standard_normal(spec[1], dtype=numpy.float32))
    squash = {"probabilities": torch.sigmoid, "distribution": lambda x: x.softmax(-1)}
    return squash.get(spec[0], lambda x: x)(values)


def draw_weight(name, fresh, random):
    """Values of a trained model's size, so that every term matters."""
    values = torch.from_numpy(random.standard_normal(tuple(fresh.shape), dtype=numpy.float32))
    if name.endswith("running_var"):
        return 0.5 + values.square()
    if "norm" in name and name.endswith("weight") or fresh.dim() == 1 and name == "weight":
        return 1 + 0.2 * values
    return 0.3 * values if fresh.dim() == 1 else values / math.sqrt(fresh[0].numel())


def compare(label, name, got, expected, tolerance):
    if got.shape != expected.shape:
        return report.check(f"{label} {name}", False, f"shape {got.shape}, torch {expected.shape}")
    difference = (got.double() - expected).abs().max().item()
    limit = tolerance * max(expected.abs().max().item(), 1e-30)
    return report.check(f"{label} {name}", difference <= limit, f"{difference:.1e} of {limit:.1e}")


def run(heed, case, dtype, seed):
    random = numpy.random.default_rng(seed)
    fresh = heed.probe(case.module, case.config)
    weights = {name: draw_weight(name, t, random) for name, t in sorted(fresh.items())}
    inputs = {name: draw(spec, random) for name, spec in case.inputs.items()}

    def leaf(t):
        return t.double().requires_grad_() if t.is_floating_point() else t

    torch_weights = {name: leaf(t) for name, t in weights.items()}
    torch_inputs = {name: leaf(t) for name, t in inputs.items()}
    outputs = case.model(torch_weights, torch_inputs, case.config)
    several = len(outputs) > 1
    cotangents = {
        f"cot.{n}" if several else "cot": torch.from_numpy(
            numpy.asarray(random.standard_normal(tuple(out.shape)), dtype=numpy.float32))
        for n, out in enumerate(outputs)
    }
    sum((out * cot.double()).sum() for out, cot in zip(outputs, cotangents.values())).backward()

    got = heed.probe(case.module, case.config, weights, {**inputs, **cotangents}, grad=True,
                     dtype=dtype)
    expected = {f"out.{n}" if several else "out": out.detach() for n, out in enumerate(outputs)}
    for name, t in {**torch_inputs, **torch_weights}.items():
        if t.is_floating_point() and not re.search(case.frozen, name):
            expected[f"grad.{name}"] = torch.zeros_like(t) if t.grad is None else t.grad
    tolerance = 8 * case.depth * math.sqrt(case.terms) * ROUNDING[dtype]
    label = f"{dtype} {case.label()}"
    if set(got) != set(expected):
        report.check(f"{label}: tensors", False, f"{sorted(got)}, expected {sorted(expected)}")
        return
    for name in expected:
        # A bias that shifts all scores of a softmax alike has no gradient but rounding: it counts
        # beside its weight's.
        shifts = name.endswith(("score.bias", ".k.bias"))
        beside = expected[name.removesuffix("bias") + "weight"].abs().max() if shifts else 0.0
        compare(label, name, got[name] + beside, expected[name] + beside, tolerance)


def check_dropout(heed):
    """In training: zeros and 1/(1-p), as many zeros as p says, the same mask in the gradient; a
    channel's pixels share theirs."""
    p = 0.25
    for name, shape in (("dropout", (200, 200)), ("channel_dropout", (40, 3, 2, 50))):
        x = torch.ones(shape)
        got = heed.probe(name, {"p": p}, None, {"x": x}, grad=True, train=True, seed=3)
        mask = got["out"]
        if name == "channel_dropout":
            report.check(f"{name} in training: by channel", torch.equal(mask, mask[:, :1, :1].expand(shape)))
            mask = mask[:, 0, 0]
        kept = (mask != 0).double().mean().item()
        spread = math.sqrt(p * (1 - p) / mask.numel())
        scale = torch.tensor(1 / (1 - p)).item()
        report.check(f"{name} in training: keeps {kept:.3f} scaled by {scale:.4f}",
                     set(mask.unique().tolist()) == {0.0, scale} and abs(kept - (1 - p)) < 5 * spread)
        report.check(f"{name} in training: gradient's mask", torch.equal(got["out"], got["grad.x"]))


def check_files(heed):
    """Weights written by Python, read and written again by heed, read by Python: bit for bit."""
    random = numpy.random.default_rng(8)
    shape = {"weight": (70, 33), "bias": (70,)}
    for dtype, kind in ((torch.float32, "f32"), (torch.float64, "f64")):
        weights = {n: torch.from_numpy(random.standard_normal(s)).to(dtype) for n, s in shape.items()}
        back = heed.probe("linear", {"in": 33, "out": 70}, weights, dtype=kind)
        same = all(torch.equal(back[n], t) and back[n].dtype == t.dtype for n, t in weights.items())
        report.check(f"safetensors {kind}: there and back", same and set(back) == set(weights))
    narrow = {n: torch.from_numpy(random.standard_normal(s)).bfloat16() for n, s in shape.items()}
    back = heed.probe("linear", {"in": 33, "out": 70}, narrow)
    same = all(torch.equal(back[n], t.float()) for n, t in narrow.items())
    report.check("safetensors bf16: widened to f32 exactly", same)
    x = torch.from_numpy(random.standard_normal((5, 33), dtype=numpy.float32))
    out = heed.probe("linear", {"in": 33, "out": 70}, None, {"x": x}, dtype="bf16")["out"]
    report.check("safetensors bf16: written by heed, read by Python", out.dtype == torch.bfloat16)


def main():
    parser = arguments(__doc__)
    parser.add_argument("--dtype", nargs="+", choices=sorted(ROUNDING), default=["f32", "f64"])
    options = parser.parse_args()
    with folder_of(options.keep) as folder:
        heed = Heed(built(options.program), folder)
        for seed, case in enumerate(all_cases()):
            if options.only in (None, case.module):
                for dtype in options.dtype:
                    run(heed, case, dtype, seed)
        if options.only in (None, "dropout", "channel_dropout"):
            check_dropout(heed)
        if options.only is None:
            check_files(heed)
            missing = unchecked(heed)
            report.check("every registered module is compared", not missing, missing)
    return report.finish(f"PyTorch {torch.__version__}: outputs and gradients of modules")


def unchecked(heed):
    """The registered modules that no case above runs, as a text."""
    covered = {case.module for case in all_cases()}
    names = set()
    for kind in ("layers", "attentions", "models", "losses"):
        names |= set(names_in(json.loads(heed("list", kind, "--json"))))
    return ", ".join(sorted(names - covered))


def names_in(document):
    """Every "name" of a listing, wherever it stands."""
    if isinstance(document, dict):
        if isinstance(document.get("name"), str):
            yield document["name"]
        document = document.values()
    elif not isinstance(document, list):
        return
    for item in document:
        yield from names_in(item)


if __name__ == "__main__":
    sys.exit(main())
