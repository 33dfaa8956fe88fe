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
import pickle
import sys

from hf_check import probe, refuses
from interop_common import arguments, built, folder_of, heed, needed, report, run_each

with needed():
    import torch
    from safetensors.torch import save_file

from official_models import (compact, compact_weights, isotropic, isotropic_weights, nat, nat_weights, van, van_weights)


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
        refuses(name, wanted, base, path, "--family", family, "--size", size, *more)

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
    args = arguments(__doc__).parse_args()
    heed.command = built(args.program)
    runs = [(case.name, lambda base, case=case: compare_case(case, base)) for case in cases()]
    with folder_of(args.keep) as base:
        run_each([*runs, ("refused", compare_refusals)], base, args.only)
    return report.finish(f"PyTorch {torch.__version__}: state_dicts of papers' own code")


if __name__ == "__main__":
    sys.exit(main())
