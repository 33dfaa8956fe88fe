"""What tools/gpu-check has left in a folder, as one record, and what a record holds and lacks."""
import json
import statistics
import sys

STEPS = ["tests", "memcheck", "racecheck", "nccl", "train", "ranks", "ceilings", "ops", "attention", "sparse",
         "step"]
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
            skipped = test["result"] == "SKIPPED"
            kind = "failed" if test.get("failures") else "skipped" if skipped else "passed"
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
        sizes = [(w, n, f) for w in WIDTHS for n in LENGTHS for f in FORMS]
        return {(w, n, f): found[f"{f}-{w}-{n}"] for w, n, f in sizes if f"{f}-{w}-{n}" in found}

    def ceiling(self, dtype):
        """FLOP/s * 1e-12 of the best product; None where none was measured."""
        products = self.measured("ceilings").get("ceilings", {}).get("products", [])
        return max((p["tflops"] for p in products if p["dtype"] == dtype), default=None)


def beside_pytorch(record):
    found = record.attention()
    return found and all("pytorch_forward_ms" in one for one in found.values())


def beside_portable(record):
    """The kernels for sm_90a beside the portable ones, which need a GPU that takes them."""
    found = record.attention()
    return found and all(one.get("kernels") == "sm_90a" and "portable_forward_ms" in one for one in found.values())


def all_attention(record):
    return len(record.attention()) == len(WIDTHS) * len(LENGTHS) * len(FORMS)


# In the page's order: what it is, and whether the record has it.
WANTED = [
    ("the tests of every op and of every kind of attention on a device (`build/test_cuda`)",
     lambda r: r.passed("tests")),
    ("the small ones of them under `compute-sanitizer`'s memcheck", lambda r: r.passed("memcheck")),
    ("the small ones of them under `compute-sanitizer`'s racecheck", lambda r: r.passed("racecheck")),
    ("NCCL's communicator on one rank (`build/test_nccl`)", lambda r: r.passed("nccl")),
    ("a recipe's losses on a GPU beside the CPU's", lambda r: r.passed("train")),
    ("2 to 4 ranks that share one GPU", lambda r: r.passed("ranks")),
    ("the ceilings: a copy, products in f32 and bf16", lambda r: "ceilings" in r.measured("ceilings")),
    ("ops that are bound by memory, beside a copy", lambda r: "heed" in r.measured("ops")),
    ("ops that are bound by memory, beside PyTorch", lambda r: "torch" in r.measured("ops")),
    ("fused attention, dense and causal, bf16, heads of 64 and 128, 4k to 16k tokens, forward and backward",
     all_attention),
    ("the kernels for sm_90a beside the portable ones, on a GPU of compute capability 9.0",
     lambda r: all_attention(r) and beside_portable(r)),
    ("the same attention in PyTorch's fused kernels (flash, cuDNN)",
     lambda r: all_attention(r) and beside_pytorch(r)),
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
