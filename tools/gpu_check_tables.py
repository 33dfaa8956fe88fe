#!/usr/bin/env python3
"""What tools/gpu-check has measured, as a record (JSON) and as the tables of docs/performance.md.

  gpu_check_tables.py collect RESULTS --record FILE      results of tools/gpu-check -> one record
  gpu_check_tables.py show [--record FILE]               the tables of a record, on standard output
  gpu_check_tables.py write [--record FILE] --docs FILE  puts them between the page's marks
  gpu_check_tables.py check [--record FILE] --docs FILE  1 unless the page has them already

The page has two stretches that are written here: what was not measured yet, which is what the record lacks, and what was.
Without a record nothing was. Needs Python 3.8, no packages.
"""
import argparse
import json
import statistics
import sys
from pathlib import Path

STEPS = ["tests", "memcheck", "racecheck", "nccl", "train", "ranks", "ceilings", "ops", "attention", "sparse", "step"]
TESTED = ["tests", "memcheck", "racecheck", "nccl"]
WIDTHS, LENGTHS, FORMS = (64, 128), (4096, 8192, 16384), ("dense", "causal")


def wrong(message):
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)


# -- results of tools/gpu-check -> a record ---------------------------------------------------------

def pairs_of(path):
    """{"name": "NVIDIA H100", ...} of lines "name NVIDIA H100"."""
    lines = path.read_text().splitlines() if path.exists() else []
    return dict(line.split(" ", 1) for line in lines if " " in line)


def documents_of(folder):
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def counts_of(tests):
    """Of a googletest report: how many passed, failed, skipped."""
    count = {"passed": 0, "failed": 0, "skipped": 0}
    for suite in tests.get("testsuites", []):
        for test in suite["testsuite"]:
            if test.get("status") == "NOTRUN":
                continue
            kind = "failed" if test.get("failures") else "skipped" if test["result"] == "SKIPPED" else "passed"
            count[kind] += 1
    return count


def clocks_of(path):
    """Medians over the step of the clocks (MHz), power (W) and temperature (C) that were sampled."""
    rows = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            rows.append([float(cell) for cell in line.split(",")])
        except ValueError:
            continue  # "[N/A]", or cut off
    rows = [row for row in rows if len(row) == 4]
    if not rows:
        return {}
    names = ("clock_mhz", "memory_clock_mhz", "power_w", "temperature_c")
    return {name: statistics.median(column) for name, column in zip(names, zip(*rows))}


def collect(results):
    device = pairs_of(results / "device.txt")
    if not device:
        wrong(f"{results} holds no results of tools/gpu-check")
    record = {"device": device, "steps": {}}
    for name in STEPS:
        state = pairs_of(results / name / "status.txt")
        if not state:
            continue
        if state.get("build") != device.get("build"):
            print(f"{name}: left out, of another build ({state.get('build')})", file=sys.stderr)
            continue
        step = {"status": state["status"], "seconds": int(state["seconds"])}
        if state.get("why") and state["status"] == "skipped":
            step["why"] = state["why"]
        clocks = clocks_of(results / name / "clocks.csv")
        if clocks:
            step["clocks"] = clocks
        documents = documents_of(results / name)
        if "tests" in documents:
            step["tests"] = counts_of(documents.pop("tests"))
        if documents:
            step["measured"] = documents
        record["steps"][name] = step
    return record


# -- what a record holds ----------------------------------------------------------------------------

class Record:
    def __init__(self, content):
        self.device = content.get("device", {})
        self.steps = content.get("steps", {})

    def measured(self, step):
        return self.steps.get(step, {}).get("measured", {})

    def passed(self, step):
        found = self.steps.get(step, {})
        counts = found.get("tests", {})
        return found.get("status") == "passed" and (step not in TESTED or counts.get("passed", 0) > 0)

    def attention(self):
        """The measurements of the whole sizes, dense and causal."""
        found = self.measured("attention")
        return {(w, n, f): found[f"{f}-{w}-{n}"] for w in WIDTHS for n in LENGTHS for f in FORMS if f"{f}-{w}-{n}" in found}

    def ceiling(self, dtype):
        """FLOP/s * 1e-12 of the best product; None where none was measured."""
        rates = [p["tflops"] for p in self.measured("ceilings").get("ceilings", {}).get("products", []) if p["dtype"] == dtype]
        return max(rates, default=None)


def beside_pytorch(record):
    found = record.attention()
    return found and all("pytorch_forward_ms" in one for one in found.values())


def all_attention(record):
    return len(record.attention()) == len(WIDTHS) * len(LENGTHS) * len(FORMS)


# In the page's order: what it is, and whether the record has it.
WANTED = [
    ("the tests of every op and of every kind of attention on a device (`build/test_cuda`)", lambda r: r.passed("tests")),
    ("the small ones of them under `compute-sanitizer`'s memcheck", lambda r: r.passed("memcheck")),
    ("the small ones of them under `compute-sanitizer`'s racecheck", lambda r: r.passed("racecheck")),
    ("NCCL's communicator on one rank (`build/test_nccl`)", lambda r: r.passed("nccl")),
    ("a recipe's losses on a GPU beside the CPU's", lambda r: r.passed("train")),
    ("2 to 4 ranks that share one GPU", lambda r: r.passed("ranks")),
    ("the ceilings: a copy, products in f32 and bf16", lambda r: "ceilings" in r.measured("ceilings")),
    ("ops that are bound by memory, beside a copy", lambda r: "heed" in r.measured("ops")),
    ("ops that are bound by memory, beside PyTorch", lambda r: "torch" in r.measured("ops")),
    ("fused attention, dense and causal, bf16, heads of 64 and 128, 4k to 16k tokens, forward and backward", all_attention),
    ("the same attention in PyTorch's fused kernels (flash, cuDNN)", lambda r: all_attention(r) and beside_pytorch(r)),
    ("sparse patterns beside our own dense attention", lambda r: bool(r.measured("sparse"))),
    ("a training step of GPT-2 124M in bf16", lambda r: "heed" in r.measured("step")),
    ("that step in PyTorch, compiled", lambda r: "torch" in r.measured("step")),
]


def missing(record):
    lacking = [text for text, there in WANTED if not there(record)]
    head = "Of what [`tools/gpu-check`](cuda.md#on-a-machine-with-a-gpu) measures on a GPU "
    if not lacking:
        return head + "nothing is missing: see [on a GPU](#on-a-gpu).\n"
    head += "nothing has been measured:" if len(lacking) == len(WANTED) else "([measured](#on-a-gpu)) there is missing:"
    return head + "\n\n" + "".join(f"- {text}\n" for text in lacking)


# -- tables -----------------------------------------------------------------------------------------

def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def share(part, whole):
    return "" if not whole else f"{100 * part / whole:.0f}%"


def ratio(theirs, ours):
    return "" if not theirs else f"{theirs / ours:.2f}"


def milliseconds(value):
    return "" if value is None else f"{value:.4f}" if value < 0.1 else f"{value:.3f}" if value < 10 else f"{value:.1f}"


def machine_text(record):
    d = record.device
    parts = [d.get("name", "?")]
    if "memory_mib" in d:
        parts.append(f"{int(d['memory_mib']) / 1024:.0f} GiB")
    if "driver" in d:
        parts.append(f"driver {d['driver']} (CUDA {d.get('cuda', '?')})")
    if "clock_mhz" in d:
        parts.append(f"clocks up to {d['clock_mhz']} MHz, memory {d.get('memory_clock_mhz', '?')} MHz, {d.get('power_limit_w', '?')} W")
    text = f"{', '.join(parts)}; {d.get('date', '?')[:10]}; {d.get('build', '?')}"
    if "pytorch" in d:
        text += f"; PyTorch {d['pytorch']}"
    return text + ". Ratios are PyTorch's time over heed's in the same run: above 1 heed is faster.\n"


def clocks_text(record):
    rows = []
    for name in STEPS:
        clocks = record.steps.get(name, {}).get("clocks")
        if clocks and name not in TESTED:
            rows.append([name, f"{clocks['clock_mhz']:.0f} MHz", f"{clocks['memory_clock_mhz']:.0f} MHz",
                         f"{clocks['power_w']:.0f} W", f"{clocks['temperature_c']:.0f} C"])
    return table(["while measuring (medians)", "clock", "memory", "power", "temperature"], rows) if rows else ""


def tests_text(record):
    rows = []
    names = {"tests": "`test_cuda`", "memcheck": "`test_cuda` under memcheck", "racecheck": "`test_cuda` under racecheck",
             "nccl": "`test_nccl`, one rank", "train": "ten steps beside the CPU's", "ranks": "2, 3 and 4 ranks on the GPU beside one"}
    for step, name in names.items():
        found = record.steps.get(step)
        if not found:
            continue
        text = found["status"]
        if "tests" in found:
            text += ": " + ", ".join(f"{count} {kind}" for kind, count in found["tests"].items() if count)
        if step in ("train", "ranks") and found.get("measured"):
            text += ": losses within " + ", ".join(f"{one['largest_difference']:.1e} ({which})" for which, one in found["measured"].items())
        rows.append([name, text + (f" ({found['why']})" if found.get("why") else "")])
    return table(["test", "result"], rows) if rows else ""


def ceilings_text(record):
    found = record.measured("ceilings").get("ceilings")
    if not found:
        return ""
    rows = [["copy, read and written", f"{found['copy_gb_s']:.0f} GB/s"]]
    rows += [[f"product of {p['size']} x {p['size']}, {p['dtype']}", f"{p['tflops']:.1f} TFLOP/s"] for p in found["products"]]
    for key, name in (("to_device_gb_s", "host to device"), ("from_device_gb_s", "device to host")):
        if key in found:
            rows.append([name, f"{found[key]:.1f} GB/s"])
    return "Ceilings (`heed bench device --device cuda`):\n\n" + table(["", "measured"], rows)


def ops_text(record):
    ours, theirs = record.measured("ops").get("heed"), record.measured("ops").get("torch")
    if not ours:
        return ""
    times = {(one["op"], one["dtype"]): one for one in (theirs or {}).get("ops", [])}
    rows = []
    for one in ours["ops"]:
        beside = times.get((one["op"], one["dtype"]))
        rows.append([one["op"], one["dtype"], f"{milliseconds(one['ms'])} ms", f"{one['gb_s']:.0f}", f"{100 * one['of_copy']:.0f}%",
                     f"{milliseconds(beside['ms'])} ms, {beside['mode']}" if beside else "", ratio(beside and beside["ms"], one["ms"])])
    return (f"Ops bound by memory on [{ours['rows']}, {ours['width']}] (`heed bench ops --device cuda`), beside a copy's "
            f"{ours['copy_gb_s']:.0f} GB/s in the same run; PyTorch's better of eager and compiled:\n\n"
            + table(["op", "dtype", "heed", "GB/s", "of a copy", "PyTorch", "ratio"], rows))


def attention_text(record):
    found = record.attention()
    if not found:
        return ""
    peak = record.ceiling("bf16")
    rows = []
    for (width, tokens, form), one in found.items():
        row = [f"{one['batch']}, {one['heads']}, {tokens}, {width}", form]
        for key in ("forward", "forward_backward"):
            ms, tflops = one[f"{key}_ms"], one[f"{key}_gflops"] * 1e-3
            theirs = one.get(f"pytorch_{key}_ms")
            row += [f"{milliseconds(ms)} ms", f"{tflops:.0f}", share(tflops, peak), f"{milliseconds(theirs)} ms" if theirs else "", ratio(theirs, ms)]
        rows.append(row + [one.get("pytorch_kernel", "")])
    text = "Fused attention in bf16 (`heed bench attention --device cuda --dtype bf16 --pytorch`), TFLOP/s of the allowed pairs"
    text += f" and their share of a product's {peak:.0f}" if peak else ""
    return text + ":\n\n" + table(
        ["(B, H, N, D)", "", "forward", "TFLOP/s", "share", "PyTorch", "ratio", "with backward", "TFLOP/s", "share", "PyTorch", "ratio", "its kernel"], rows)


def sparse_text(record):
    found = record.measured("sparse")
    if not found:
        return ""
    rows = []
    for one in found.values():
        row = [f"`{one['pattern']}`", f"{one['tokens']}, {one['head_dim']}", f"{100 * one['density']:.1f}%"]
        for key in ("forward", "forward_backward"):
            own, dense = one[f"{key}_ms"], one[f"dense_{key}_ms"]
            row += [f"{milliseconds(own)} ms", f"{100 * own / dense:.1f}%", f"{100 * one['density'] * dense / own:.0f}%"]
        rows.append(row)
    return ("Sparse patterns beside our own dense attention of the same shape: its share of dense's time, and how much of the speed-up "
            "that the share of pairs alone would give:\n\n"
            + table(["pattern", "N, D", "pairs", "forward", "of dense", "of ideal", "with backward", "of dense", "of ideal"], rows))


def step_text(record):
    ours, theirs = record.measured("step").get("heed"), record.measured("step").get("torch")
    if not ours:
        return ""
    peak = record.ceiling("bf16")
    tokens = ours["items_per_second"]
    flops = ours["gflops"] * 1e-3
    per_token = flops / tokens
    rows = [["heed", str(ours["items_per_step"]), f"{milliseconds(ours['step_ms']['median'])} ms", f"{tokens:.0f}", f"{flops:.0f}", share(flops, peak),
             f"{ours['peak_tensor_bytes'] / 2**30:.1f} GiB"]]
    if theirs:
        speed = theirs["tokens_per_second"]
        memory = f"{theirs['peak_tensor_mib'] / 1024:.1f} GiB" if "peak_tensor_mib" in theirs else ""
        rows.append([f"PyTorch {theirs['version']}, {theirs['mode']}", str(theirs["tokens_per_step"]), f"{milliseconds(theirs['ms'])} ms", f"{speed:.0f}",
                     f"{speed * per_token:.0f}", share(speed * per_token, peak), memory])
    text = "A training step of GPT-2 124M, bf16 with f32 master weights, 1024 tokens, the largest batch that fits each"
    text += f": heed trains {tokens / theirs['tokens_per_second']:.2f} times as many tokens a second" if theirs else ""
    return text + ":\n\n" + table(["", "tokens a step", "step", "tokens/s", "TFLOP/s", "of a product", "tensors at most"], rows)


def tables(record):
    if not record.steps:
        return ""
    parts = [machine_text(record), clocks_text(record), tests_text(record), ceilings_text(record), ops_text(record),
             attention_text(record), sparse_text(record), step_text(record)]
    return "## On a GPU\n\n" + "\n".join(part for part in parts if part)


# -- the page ---------------------------------------------------------------------------------------

def replaced(page, name, content, path):
    """The page with the content between its marks of that name."""
    begin, end = f"<!-- gpu-check: {name} -->\n", "<!-- end of gpu-check -->"
    at = page.find(begin)
    stop = page.find(end, at)
    if at < 0 or stop < 0:
        wrong(f"{path} has no place for this: lines '{begin.strip()}' and '{end}'")
    return page[:at + len(begin)] + content + page[stop:]


def written(page, record, path):
    page = replaced(page, "missing", missing(record), path)
    return replaced(page, "tables", tables(record), path)


def read_record(path):
    if path is None or not Path(path).exists():
        return Record({})
    try:
        return Record(json.loads(Path(path).read_text()))
    except (json.JSONDecodeError, AttributeError) as error:
        wrong(f"{path} is no record: {error}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("collect")
    command.add_argument("results", type=Path)
    command.add_argument("--record", type=Path, required=True)
    for name in ("show", "write", "check"):
        command = commands.add_parser(name)
        command.add_argument("--record", type=Path)
        if name != "show":
            command.add_argument("--docs", type=Path, required=True)
    args = parser.parse_args()
    if args.command == "collect":
        args.record.write_text(json.dumps(collect(args.results), indent=1) + "\n")
        return
    record = read_record(args.record)
    if args.command == "show":
        print(missing(record) + "\n" + tables(record), end="")
        return
    if args.record and record.steps and ("driver" not in record.device or "quick" in record.device):
        wrong(f"{args.record} is not of a whole run on a GPU: such figures do not go into {args.docs}")
    page = args.docs.read_text()
    wanted = written(page, record, args.docs)
    if args.command == "write":
        args.docs.write_text(wanted)
    elif page != wanted:
        print(f"{args.docs} is not what the record says: tools/gpu_check_tables.py write makes it so", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
