#!/usr/bin/env python3
"""Compares ONNX files that heed writes, run by onnxruntime, with heed itself.

  python3 tests/interop/onnx_check.py [build/heed] [--tests build/test_recipes] [--part PART] [--only NAME] [--keep FOLDER]

Three parts:
- ops: a graph of every differentiable op (tests/recipes/onnx_ops.h), on the inputs that it was traced on and on others;
- modules: `heed probe MODULE --onnx` of every case of torch_check.py that is no loss, also on both;
- recipes: every paper's smoke recipe, those of each kind of task and one of LLaVA are trained, exported by `heed export --format onnx`
  and compared on random inputs with `heed probe` of the same checkpoint; one also with its weights in a second file.

Each file passes onnx.checker first. A tensor agrees when

    max |onnxruntime - heed| <= tolerance * max |heed|

where the tolerance is that of the case in torch_check.py (derived there from the sums in it) twice, since both sides
round in f32; integers agree exactly. Modules without a static graph must say so.

Exits with 77 where a package is missing.
"""
import json
import math
import os
import re
import subprocess
import sys

from interop_common import ROOT, arguments, built, folder_of, needed, read_yaml, report

with needed():
    import numpy
    import onnx
    import onnxruntime
    import torch
    from safetensors.torch import load_file

import torch_check

UNIT = 2.0**-24
# Modules without a form, and what heed must say of them.
REFUSED = {
    "codebook": "no static graph",
    "routing": "no static graph",
    "routing_transformer": "no static graph",
}
RECIPES = ["base/smoke", "base/smoke-classification", "base/smoke-denoising", "base/smoke-lora", "base/smoke-regression",
           "base/smoke-restoration", "base/smoke-segmentation", "base/smoke-seq2seq", "base/sequences-smoke"]


def refusal_of(module, config):
    """What heed must say of such a module, or None: routing whose heads all look nearby has a graph."""
    routes = config if module in REFUSED else config.get("attention", {}) if isinstance(config, dict) else {}
    if isinstance(routes, dict):
        layers = config.get("layers", 1) - 1 if module == "routing_transformer" else routes.get("layer", 0)
        if routes.get("skip_first", 0) > layers or routes.get("routing_heads", 1) == 0:
            return None
    return REFUSED.get(module) or REFUSED.get(attention_of(config))


worst = 0.0  # of all differences, in parts of their limits


def compare(name, got, expected, tolerance):
    global worst
    got, expected = numpy.asarray(got), numpy.asarray(expected)
    if got.shape != expected.shape or got.dtype != expected.dtype:
        return report.check(name, False, f"{got.dtype}{got.shape}, heed {expected.dtype}{expected.shape}")
    if not numpy.issubdtype(expected.dtype, numpy.floating):
        return report.check(name, numpy.array_equal(got, expected))
    finite = numpy.isfinite(expected)
    if not numpy.array_equal(numpy.where(finite, 0, got), numpy.where(finite, 0, expected)):
        return report.check(name, False, "infinities stand elsewhere")
    if not numpy.isfinite(got[finite]).all():
        return report.check(name, False, "is not finite")
    difference = numpy.abs(got[finite].astype("f8") - expected[finite]).max(initial=0.0)
    limit = tolerance * max(numpy.abs(expected[finite]).max(initial=0.0), 1e-30)
    worst = max(worst, difference / limit)
    return report.check(name, difference <= limit, f"{difference:.1e} of {limit:.1e}")


def run_onnx(path, inputs):
    """The graph's results by name."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    named = {i.name: inputs[i.name].numpy() for i in session.get_inputs()}
    return {o.name: value for o, value in zip(session.get_outputs(), session.run(None, named))}


def checked(name, path):
    """Whether onnx.checker takes the file."""
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except Exception as error:  # the checker's own, and shape inference's
        return report.check(f"{name}: onnx.checker", False, str(error).strip().splitlines()[0])
    return report.check(f"{name}: onnx.checker", True)


def run_checked(name, path, inputs):
    try:
        return run_onnx(path, inputs)
    except Exception as error:
        report.check(f"{name}: onnxruntime", False, str(error).strip().splitlines()[0])


# --- Ops ----------------------------------------------------------------------------------------------------------


def check_ops(tests, folder, only):
    environment = {**os.environ, "HEED_ONNX_CASES": str(folder)}
    done = subprocess.run([tests, "--gtest_filter=OnnxOps.EachIsWritten"], env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        report.check("ops: written", False, done.stdout[-2000:])
    for path in sorted(folder.glob("*.onnx")):
        name = "op " + path.stem[4:]
        if only and only not in name or not checked(name, path):
            continue
        for example in (1, 2):
            tensors = load_file(f"{path.with_suffix('')}.{example}.safetensors")
            inputs = {key[3:]: t for key, t in tensors.items() if key.startswith("in.")}
            got = run_checked(name, path, inputs)
            for key, value in (got or {}).items():
                # Every op here sums at most some hundred terms, in a chain of four or so.
                tolerance = 2 * 8 * 4 * math.sqrt(128) * UNIT
                compare(f"{name} {key} of example {example}", value, tensors[key].numpy(), tolerance)


# --- Modules ------------------------------------------------------------------------------------------------------


def without_losses(case):
    """The inputs of a case that a user of the model has."""
    given = dict(case.inputs)
    if case.module != "encoder_decoder":
        for name in ("targets", "negatives"):
            given.pop(name, None)
    return given


def draw_inputs(case, random):
    inputs = {}
    for name, spec in without_losses(case).items():
        tensor = torch_check.draw(spec, random)
        inputs[name] = tensor.float() if tensor.is_floating_point() else tensor
    return inputs


def check_module(heed, case, number, folder):
    random = numpy.random.default_rng(number)
    fresh = heed.probe(case.module, case.config)
    weights = {name: torch_check.draw_weight(name, t, random) for name, t in sorted(fresh.items())}
    first, second = draw_inputs(case, random), draw_inputs(case, random)
    name, path = case.label(), folder / f"{number}.onnx"
    refusal = refusal_of(case.module, case.config)
    try:
        expected = heed.probe(case.module, case.config, weights, first, onnx=path)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        return report.check(f"{name}: refused", refusal is not None and refusal in reason, reason)
    if refusal is not None:
        return report.check(f"{name}: refused", False, "a file was written")
    if not checked(name, path):
        return
    tolerance = 2 * 8 * case.depth * math.sqrt(case.terms) * UNIT
    for inputs, outputs in ((first, expected), (second, None)):
        which = "traced" if outputs else "other"
        outputs = outputs or heed.probe(case.module, case.config, weights, inputs)
        got = run_checked(name, path, inputs)
        for key, value in (got or {}).items():
            compare(f"{name} {key} of {which} inputs", value, outputs[key].numpy(), tolerance)
    path.unlink()


def attention_of(config):
    slot = config.get("attention")
    return slot.get("type") if isinstance(slot, dict) else slot


def check_modules(heed, folder, only):
    compared = set()
    for number, case in enumerate(torch_check.all_cases()):
        if case.module in kinds(heed, "losses") or only and only != case.module:
            continue
        check_module(heed, case, number, folder)
        compared.add(case.module)
    if only is None:
        every = set().union(*(kinds(heed, kind) for kind in ("layers", "attentions", "models")))
        missing = sorted(every - compared)
        report.check("every registered module is written", not missing, ", ".join(missing))


_kinds = {}


def kinds(heed, kind):
    if kind not in _kinds:
        _kinds[kind] = set(torch_check.names_in(json.loads(heed("list", kind, "--json"))))
    return _kinds[kind]


# --- Recipes ------------------------------------------------------------------------------------------------------


def drawn(text, model, random):
    """An input as `heed export --json` describes it: "ids i64[2, 8]"."""
    name, dtype, extents = re.fullmatch(r"(\S+) (\w+)\[(.*)\]", text).groups()
    shape = [int(extent) for extent in extents.split(",") if extent]
    if dtype == "f32":
        values = random.standard_normal(shape, dtype=numpy.float32)
        return name, torch.from_numpy(values * 300 if name == "times" else values)
    if name == "lengths":
        return name, torch.from_numpy(random.integers(1, LENGTH, shape, endpoint=True))
    if name == "items":
        items = random.integers(1, model["items"], shape, endpoint=True)
        for row, count in enumerate(random.integers(1, shape[1], shape[0], endpoint=True)):
            items[row, count:] = 0
        return name, torch.from_numpy(items)
    if name == "ids" and "image_token" in model:
        return name, ids_about_images(shape, model, random)
    below = {"labels": "classes", "token_types": "token_types"}.get(name, "vocab")
    return name, torch.from_numpy(random.integers(0, model[below], shape))


LENGTH = 1


def ids_about_images(shape, model, random):
    """Rows of ids that each hold an image's states, anywhere."""
    vision, token = model["vision"], model["image_token"]
    states = (vision["height"] // vision["patch"]) * (vision["width"] // vision["patch"]) + vision["cls"]
    ids = random.integers(0, model["vocab"] - 1, shape)
    ids += ids >= token
    for row in ids:
        at = random.integers(0, len(row) - states, endpoint=True)
        row[at:at + states] = token
    return torch.from_numpy(ids)


def write_llava(folder):
    """A recipe of LLaVA, on this file's text alone."""
    path = folder / "llava.yaml"
    recipe = {
        "name": "llava", "data": {"type": "text", "files": [__file__], "tokenizer": {"type": "bytes"}},
        "model": {"type": "llava", "image_token": 256,
                  "vision": {"height": 12, "width": 8, "patch": 4, "layers": 2, "dim": 16, "heads": 2, "hidden": 24},
                  "text": {"layers": 2, "dim": 24, "heads": 4, "kv_heads": 2, "context": 20, "mlp": "swiglu", "hidden": 32,
                           "norm": "rms_norm", "position": "rotary", "bias": False, "tied": False}},
        "train": {"steps": 2, "batch_size": 2, "eval_every": 0}}
    path.write_text(json.dumps(recipe))  # JSON is YAML
    return path


def check_recipe(heed, slug, number, folder):
    global LENGTH
    run, path = folder / f"run{number}", folder / f"recipe{number}.onnx"
    recipe = ROOT / "recipes" / f"{slug}.yaml"

    def call(*words):
        done = heed.run(*words)
        return done.returncode, done.stdout, done.stderr.strip()

    first = folder / "run0"  # of the first recipe
    if slug == "llava":
        recipe = write_llava(folder)
    tuned = [f"train.from={first}", f"data.tokenizer.file={first}"] if slug.endswith("lora") else []
    status, _, errors = call("train", recipe, *tuned, "--out", run)
    if not report.check(f"{slug}: trained", status == 0, errors):
        return
    extra = ["--batch", "2"]
    if slug.endswith("restoration"):
        extra += ["--height", "12", "--width", "10"]
    status, output, errors = call("export", run, path, "--format", "onnx", "--json", *extra)
    reason = errors.splitlines()[-1] if errors else ""
    checkpoint = sorted(run.glob("checkpoints/*/recipe.yaml"))[-1].parent
    model = read_yaml((checkpoint / "recipe.yaml").read_text())["model"]
    refusal = REFUSED.get(attention_of(model))
    if status != 0 or refusal:
        return report.check(f"{slug}: refused", bool(refusal) and status == 2 and refusal in reason, reason)
    if not checked(slug, path):
        return
    told = json.loads(output)
    exported = folder / f"weights{number}"
    call("export", run, exported)
    weights = load_file(exported / "model.safetensors")
    config = json.loads((exported / "config.json").read_text())
    random = numpy.random.default_rng(number)
    for text in told["inputs"]:
        if text.startswith("ids "):
            LENGTH = int(re.search(r", (\d+)\]", text).group(1))
    files = [path]
    if number == 0:
        apart = folder / "apart.onnx"
        call("export", run, apart, "--format", "onnx", "--shard", "1e-6", *extra)
        report.check(f"{slug}: a second file", (folder / "apart.onnx.data").exists())
        files.append(apart)
    for draw in range(2):
        inputs = dict(drawn(text, config, random) for text in told["inputs"])
        probed = dict(inputs)
        if config["type"] == "encoder_decoder":  # heed moves targets behind the start token itself
            targets = probed.pop("decoder_ids")
            start = torch.full_like(targets[:, :1], config["start"])
            inputs["decoder_ids"] = torch.cat([start, targets[:, :-1]], 1)
            probed["targets"] = targets
        expected = heed.probe(config["type"], config, weights, probed)
        for file in files:
            got = run_checked(slug, file, inputs)
            names = [text.split()[0] for text in told["outputs"]]
            for index, key in enumerate(names if got else []):
                wanted = expected["out" if "out" in expected else f"out.{index}"].numpy()
                # Two blocks or so, each some five sums of a hundred terms behind one another.
                compare(f"{slug} {key} of draw {draw} ({file.name})", got[key], wanted,
                               2 * 8 * 10 * math.sqrt(128) * UNIT)


def check_recipes(heed, folder, only):
    papers = sorted(f"{path.parent.name}/smoke" for path in ROOT.glob("recipes/*/smoke.yaml") if path.parent.name != "base")
    for number, slug in enumerate([*RECIPES, *papers, "llava"]):
        if only is None or only in slug:
            check_recipe(heed, slug, number, folder)


def main():
    parser = arguments(__doc__)
    parser.add_argument("--tests", default=ROOT / "build/test_recipes", help="the program with the ops")
    parser.add_argument("--part", choices=["ops", "modules", "recipes"], help="only this part")
    parser.add_argument("--verbose", action="store_true", help="a line also for each comparison that agrees")
    options = parser.parse_args()
    report.quiet = not options.verbose
    counts = {}
    with folder_of(options.keep) as folder:
        heed = torch_check.Heed(built(options.program), folder)
        (folder / "ops").mkdir(exist_ok=True)
        for part, check in (("ops", lambda: check_ops(built(options.tests), folder / "ops", options.only)),
                            ("modules", lambda: check_modules(heed, folder, options.only)),
                            ("recipes", lambda: check_recipes(heed, folder, options.only))):
            if options.part in (None, part):
                before = report.count
                check()
                counts[part] = report.count - before
    parts = ", ".join(f"{count} of {part}" for part, count in counts.items())
    return report.finish(f"onnxruntime {onnxruntime.__version__}: {parts}; the largest difference is {worst:.2f} of its limit")


if __name__ == "__main__":
    sys.exit(main())
