"""What the comparisons with other packages share: skipping where a package is missing, the program under test, a folder to
work in, and the count of comparisons that the last line of each gives:

  N of M comparisons agree (with what: of what)

tools/comparisons, of tools/test, adds these lines up. A comparison that disagrees, and a script that compared nothing, exit with 1; one that
misses its package exits with 77, and its last line says "skipped: ...".
"""
import argparse
import contextlib
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SKIPPED = 77


@contextlib.contextmanager
def needed():
    """Around imports: a package that is missing ends the script as skipped."""
    try:
        yield
    except ImportError as error:
        print(f"skipped: the Python package '{error.name}' is not importable")
        sys.exit(SKIPPED)


# --- the report -------------------------------------------------------------------------------------------------------


class Report:
    """Counts comparisons and says how each went; `quiet` leaves out those that agree."""

    def __init__(self):
        self.agreed, self.failed, self.quiet = 0, [], False

    @property
    def count(self):
        return self.agreed + len(self.failed)

    def check(self, name, holds, detail=""):
        holds = bool(holds)
        if holds:
            self.agreed += 1
        else:
            self.failed.append(name)
        if not holds or not self.quiet:
            print(f"{'ok' if holds else 'FAILED'}: {name}{'  ' + detail if detail else ''}", flush=True)
        return holds

    def add(self, name, agreed, count):
        """Comparisons that a program counted."""
        self.agreed += agreed
        self.failed += [name] * (count - agreed)
        print(f"{'ok' if agreed == count else 'FAILED'}: {name}: {agreed} of {count}", flush=True)

    def finish(self, about):
        """Prints the last line; the script's exit status."""
        if self.failed:
            print("disagree: " + "; ".join(sorted(set(self.failed))))
        print(f"{self.agreed} of {self.count} comparisons agree ({about})", flush=True)
        return 0 if self.agreed > 0 and not self.failed else 1


report = Report()


# --- the program ------------------------------------------------------------------------------------------------------


class Heed:
    """The heed command."""

    def __init__(self):
        self.command = None

    def run(self, *arguments):
        """The finished process, whatever its status."""
        return subprocess.run([self.command, *map(str, arguments)], capture_output=True, text=True)

    def __call__(self, *arguments, fails=False):
        """Its standard output; an error where it fails. `fails`: that is asked for, and the process is returned."""
        done = self.run(*arguments)
        if fails:
            return done
        if done.returncode != 0:
            raise RuntimeError(f"heed {' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stderr}")
        return done.stdout


heed = Heed()


def built(path):
    """A program's path as text; ends the script where it is not there."""
    if not pathlib.Path(path).exists():
        sys.exit(f"error: {path} is not built")
    return str(path)


def ask(program, test, folder, count, what):
    """Runs tests of the build's test_interop on `count` questions that lie in `folder`; they leave there, in
    compared.json, how many they were asked and how many agree (answers.h)."""
    done = subprocess.run([str(program), str(folder), f"--gtest_filter={test}", "--gtest_brief=1"],
                          stdout=subprocess.PIPE, text=True)
    answer = pathlib.Path(folder) / "compared.json"
    told = json.loads(answer.read_text()) if answer.exists() else {"agree": 0, "of": 0}
    if done.returncode != 0:
        print(done.stdout[-3000:])
    report.add(what, told["agree"], count)
    if told["of"] != count or (done.returncode == 0) != (told["agree"] == count):
        report.check(f"{what}: {test} ran to its end", False, f"{told}, exit {done.returncode}")


# --- a script's run -----------------------------------------------------------------------------------------------------


def arguments(description, program="heed"):
    """The parser of a script about a program of the build, its first argument."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", nargs="?", metavar=program, default=str(ROOT / "build" / program),
                        help="the program of the build")
    parser.add_argument("--only", help="cases whose name contains this")
    parser.add_argument("--keep", help="work in this folder and leave it")
    return parser


@contextlib.contextmanager
def folder_of(keep=None):
    """A folder to work in; a temporary one but for a name that is given."""
    folder = pathlib.Path(keep or tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def run_each(cases, folder, only=None):
    """Calls the function of each (name, function) with the folder. One that raises has failed; the others still run."""
    for name, compare in cases:
        if only and only not in name:
            continue
        try:
            compare(folder)
        except Exception as error:  # of whatever kind: it is told
            report.check(f"{name}: ran", False, f"{type(error).__name__}: {error}")


def read_yaml(text):
    """YAML 1.2's numbers: 1e-06 is one, which PyYAML reads as a text."""
    import re
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
                                 list("-+0123456789"))
    return yaml.load(text, Loader)
