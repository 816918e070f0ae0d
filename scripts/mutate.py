"""Makes the mistakes of the table of marks, one at a time in a copy, and tells whether a test catches each.

A mistake is caught where a test that is named for its mark fails. Where the tests cannot even be collected,
or a fixture fails, the mistake proves nothing and counts as not caught. A test that no mistake of its mark
makes fail is wrong too. Heavy packages are loaded once; every try runs in a process forked off.
"""

import argparse
import gc
import importlib
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from marks import SECTIONS, Mark, Mutation

ROOT = Path(__file__).parent.parent
COPIED = ("swatbench", "tests", "docs", "pyproject.toml")
HEAVY = ("torch", "torchvision", "timm", "einops", "numpy", "pydantic", "safetensors.torch", "fvcore.nn")
OPTIONS = (
    "-o",
    "addopts=--import-mode=importlib",
    "--assert=plain",
    "--noconftest",
    "-p",
    "no:cacheprovider",
)
"""What of pytest's settings is not as in the project: what takes time and changes no verdict."""
LIMIT_S = 300
"""Longest that one try may take."""


@dataclass(slots=True, eq=False)
class Outcome:
    """What a run of tests came to.

    Attributes:
        failed: Id of a test that failed → what was raised.
        broken: What could not be run at all: collection, import, fixtures, the process itself.
    """

    failed: dict[str, str] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """The first test that failed and what it raised, or what is broken."""
        if not self.failed:
            return "; ".join(self.broken)
        test, kind = next(iter(self.failed.items()))
        more = len(self.failed) - 1
        return f"{test.partition('::')[2]} ({kind}){f' and {more} more' if more else ''}"

    def pytest_exception_interact(self, call: Any, report: Any) -> None:
        """Note an exception, as pytest calls it."""
        if getattr(report, "when", "collect") == "call":
            self.failed[report.nodeid] = call.excinfo.typename
        else:
            self.broken.append(f"{report.nodeid}: {call.excinfo.typename}")


def main() -> None:
    """Try the chosen mutations and end with 1 where one survives."""
    chosen, also = _arguments()
    for name in HEAVY:
        with warnings.catch_warnings(action="ignore"):
            importlib.import_module(name)
    sys.modules["torch"].set_num_threads(1)
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutate-") as folder:
        copy = _copy(Path(folder))
        _check_without_mutation(copy, [test for mark in chosen for test in _tests(mark, also=also)])
        wrong = [line for mark in chosen for line in _try(mark, copy, also=also)]
    tries = sum(len(mark.mutations) for mark in chosen)
    print(
        f"\n{tries} mutations of {len(chosen)} marks in {time.monotonic() - start:.0f} s, {len(wrong)} wrong"
    )
    if wrong:
        sys.exit("\n".join(wrong))


def _arguments() -> tuple[list[Mark], bool]:
    marks = {mark.name: mark for section in SECTIONS for mark in section.marks}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", metavar="NAME", action="append", choices=marks, help="a mark (repeatable)")
    parser.add_argument("--also", action="store_true", help="run the slower tests of a mark too")
    found = parser.parse_args()
    return [marks[name] for name in found.only or marks], found.also


def _tests(mark: Mark, *, also: bool) -> tuple[str, ...]:
    return (*mark.tests, *(mark.also if also else ()))


def _copy(folder: Path) -> Path:
    """What the tests need, in a folder of its own."""
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


def _check_without_mutation(copy: Path, tests: Sequence[str]) -> None:
    """End where a test fails by itself, which would seem to catch everything."""
    outcome = _run(copy, sorted(set(tests)))
    if outcome.failed or outcome.broken:
        sys.exit("\n".join(["Without any mutation:", *outcome.failed, *outcome.broken]))


def _try(mark: Mark, copy: Path, *, also: bool) -> Iterator[str]:
    """Try the mutations of a mark; what is wrong with them and with its tests."""
    caught: set[str] = set()
    for mutation in mark.mutations:
        with _made(mutation, copy):
            outcome = _run(copy, _tests(mark, also=also))
        caught |= outcome.failed.keys()
        verdict = "caught" if outcome.failed else "BROKEN" if outcome.broken else "SURVIVES"
        print(f"{verdict:8} | {mark.name} | {mutation.what} | {outcome}", flush=True)
        if not outcome.failed:
            yield f"{verdict}: {mark.name}: {mutation.what} in {mutation.file}"
    for test in mark.tests:
        if not any(failed == test or failed.startswith(f"{test}[") for failed in caught):
            yield f"IDLE: {mark.name}: no mutation makes {test} fail"


@contextmanager
def _made(mutation: Mutation, copy: Path) -> Iterator[None]:
    """A mutation in the copy, taken back afterwards."""
    path = copy / mutation.file
    before = path.read_text()
    count = before.count(mutation.old)
    if count != 1:
        sys.exit(f"{mutation.what}: {mutation.file} has the text {count} times, not once:\n{mutation.old}")
    path.write_text(before.replace(mutation.old, mutation.new))
    try:
        yield
    finally:
        path.write_text(before)


def _run(copy: Path, tests: Sequence[str]) -> Outcome:
    """Run tests of the copy in a process forked off this one."""
    fork = multiprocessing.get_context("fork")
    receiver, sender = fork.Pipe(duplex=False)
    process = fork.Process(target=_report, args=(copy, tests, sender))
    process.start()
    sender.close()
    try:
        if receiver.poll(LIMIT_S):
            return receiver.recv()
        process.kill()
        return Outcome(broken=[f"no end within {LIMIT_S} s"])
    except EOFError:
        return Outcome(broken=["the process died"])
    finally:
        process.join()


def _report(copy: Path, tests: Sequence[str], sender: Connection) -> None:
    """Run tests in this process, without its output, and send what came out."""
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.chdir(copy)
    sys.dont_write_bytecode = True
    gc.freeze()  # else pytest searches all that was loaded before for garbage, over and over
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # pytest warns of plugins that are loaded already
    sys.path.insert(0, str(copy))
    outcome = Outcome()
    code = pytest.main([*OPTIONS, *tests], plugins=[outcome])
    home = getattr(sys.modules.get("swatbench"), "__file__", None) or ""
    if code not in {0, 1}:
        outcome.broken.append(f"pytest ended with {code!r}")
    elif not home.startswith(str(copy)):
        outcome.broken.append("the tests imported another swatbench than the copy's")
    sender.send(outcome)


if __name__ == "__main__":
    main()
