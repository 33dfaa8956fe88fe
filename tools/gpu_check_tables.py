#!/usr/bin/env python3
"""What tools/gpu-check has measured, as a record (JSON) and as the tables of docs/performance.md.

  gpu_check_tables.py collect RESULTS --record FILE      results of tools/gpu-check -> one record
  gpu_check_tables.py show [--record FILE]               the tables of a record, on standard output
  gpu_check_tables.py write [--record FILE] --docs FILE  puts them between the page's marks
  gpu_check_tables.py check [--record FILE] --docs FILE  1 unless the page has them already

The page has two stretches that are written here: what was not measured yet, which is what the record
lacks, and what was. Without a record nothing was. Needs Python 3.8, no packages.
"""
import argparse
import json
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # of a module in the sources
from gpu_check_record import STEPS, TESTED, Record, collect, missing, wrong  # noqa: E402


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
    if d.get("memory_mib", "").isdigit():  # "[N/A]" of a GPU that shares the host's
        parts.append(f"{int(d['memory_mib']) / 1024:.0f} GiB")
    if "driver" in d:
        parts.append(f"driver {d['driver']} (CUDA {d.get('cuda', '?')})")
    if "clock_mhz" in d:
        memory, power = d.get("memory_clock_mhz", "?"), d.get("power_limit_w", "?")
        parts.append(f"clocks up to {d['clock_mhz']} MHz, memory {memory} MHz, {power} W")
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
    header = ["while measuring (medians)", "clock", "memory", "power", "temperature"]
    return table(header, rows) if rows else ""


def tests_text(record):
    rows = []
    names = {"tests": "`test_cuda`", "memcheck": "`test_cuda` under memcheck",
             "racecheck": "`test_cuda` under racecheck", "nccl": "`test_nccl`, one rank",
             "train": "ten steps beside the CPU's", "ranks": "2, 3 and 4 ranks on the GPU beside one"}
    for step, name in names.items():
        found = record.steps.get(step)
        if not found:
            continue
        text = found["status"]
        if "tests" in found:
            text += ": " + ", ".join(f"{count} {kind}" for kind, count in found["tests"].items() if count)
        if step in ("train", "ranks") and found.get("measured"):
            text += ": losses within " + ", ".join(f"{one['largest_difference']:.1e} ({which})"
                                                   for which, one in found["measured"].items())
        rows.append([name, text + (f" ({found['why']})" if found.get("why") else "")])
    return table(["test", "result"], rows) if rows else ""


def ceilings_text(record):
    found = record.measured("ceilings").get("ceilings")
    if not found:
        return ""
    rows = [["copy, read and written", f"{found['copy_gb_s']:.0f} GB/s"]]
    for p in found["products"]:
        rows.append([f"product of {p['size']} x {p['size']}, {p['dtype']}", f"{p['tflops']:.1f} TFLOP/s"])
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
        rows.append([one["op"], one["dtype"], f"{milliseconds(one['ms'])} ms", f"{one['gb_s']:.0f}",
                     f"{100 * one['of_copy']:.0f}%",
                     f"{milliseconds(beside['ms'])} ms, {beside['mode']}" if beside else "",
                     ratio(beside and beside["ms"], one["ms"])])
    return (f"Ops bound by memory on [{ours['rows']}, {ours['width']}] (`heed bench ops --device cuda`), beside a "
            f"copy's {ours['copy_gb_s']:.0f} GB/s in the same run; PyTorch's better of eager and compiled:\n\n"
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
            row += [f"{milliseconds(ms)} ms", f"{tflops:.0f}", share(tflops, peak),
                    f"{milliseconds(theirs)} ms" if theirs else "", ratio(theirs, ms)]
        rows.append(row + [one.get("pytorch_kernel", "")])
    text = ("Fused attention in bf16 (`heed bench attention --device cuda --dtype bf16 --pytorch`), TFLOP/s of the "
            "allowed pairs")
    text += f" and their share of a product's {peak:.0f}" if peak else ""
    each = ["TFLOP/s", "share", "PyTorch", "ratio"]
    header = ["(B, H, N, D)", "", "forward", *each, "with backward", *each, "its kernel"]
    return text + ":\n\n" + table(header, rows)


def portable_text(record):
    rows = []
    for (width, tokens, form), one in record.attention().items():
        if "portable_forward_ms" not in one or one.get("kernels") != "sm_90a":
            continue
        row = [f"{one['batch']}, {one['heads']}, {tokens}, {width}", form]
        for key in ("forward", "forward_backward"):
            ours, portable = one[f"{key}_ms"], one[f"portable_{key}_ms"]
            row += [f"{milliseconds(ours)} ms", f"{milliseconds(portable)} ms", ratio(portable, ours)]
        rows.append(row)
    if not rows:
        return ""
    each = ["portable", "ratio"]
    return ("The kernels for sm_90a beside heed's portable ones, in the same runs:\n\n"
            + table(["(B, H, N, D)", "", "forward", *each, "with backward", *each], rows))


def sparse_text(record):
    found = record.measured("sparse")
    if not found:
        return ""
    rows = []
    for one in found.values():
        row = [f"`{one['pattern']}`", f"{one['tokens']}, {one['head_dim']}", f"{100 * one['density']:.1f}%"]
        for key in ("forward", "forward_backward"):
            own, dense = one[f"{key}_ms"], one[f"dense_{key}_ms"]
            ideal = one["density"] * dense
            row += [f"{milliseconds(own)} ms", f"{100 * own / dense:.1f}%", f"{100 * ideal / own:.0f}%"]
        rows.append(row)
    each = ["of dense", "of ideal"]
    return ("Sparse patterns beside our own dense attention of the same shape: the share of dense's time, and of the "
            "speed-up that the share of pairs alone would give:\n\n"
            + table(["pattern", "N, D", "pairs", "forward", *each, "with backward", *each], rows))


def step_text(record):
    ours, theirs = record.measured("step").get("heed"), record.measured("step").get("torch")
    if not ours:
        return ""
    peak = record.ceiling("bf16")
    tokens = ours["items_per_second"]
    flops = ours["gflops"] * 1e-3
    per_token = flops / tokens
    rows = [["heed", str(ours["items_per_step"]), f"{milliseconds(ours['step_ms']['median'])} ms", f"{tokens:.0f}",
             f"{flops:.0f}", share(flops, peak), f"{ours['peak_tensor_bytes'] / 2**30:.1f} GiB"]]
    if theirs:
        speed = theirs["tokens_per_second"]
        memory = f"{theirs['peak_tensor_mib'] / 1024:.1f} GiB" if "peak_tensor_mib" in theirs else ""
        rows.append([f"PyTorch {theirs['version']}, {theirs['mode']}", str(theirs["tokens_per_step"]),
                     f"{milliseconds(theirs['ms'])} ms", f"{speed:.0f}", f"{speed * per_token:.0f}",
                     share(speed * per_token, peak), memory])
    text = "A training step of GPT-2 124M, bf16 with f32 master weights, 1024 tokens, the largest batch that fits each"
    if theirs:
        text += f": heed trains {tokens / theirs['tokens_per_second']:.2f} times as many tokens a second"
    header = ["", "tokens a step", "step", "tokens/s", "TFLOP/s", "of a product", "tensors at most"]
    return text + ":\n\n" + table(header, rows)


def tables(record):
    if not record.steps:
        return ""
    parts = [part(record) for part in (machine_text, clocks_text, tests_text, ceilings_text, ops_text, attention_text,
                                       portable_text, sparse_text, step_text)]
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
