"""How long `swatbench run` takes from its start to the first optimizer step, part by part.

    python benchmarks/startup.py [--runs 5] [--cold]

The quickstart is started anew for each run, on a CPU, and ended after the first step of its first cell. Parts
are what lies between two marks (`startup_marks.py`):

    command     python, the command line and the suite, until the process that cells are forked off begins
    imports     torch, timm and our own modules, in that process
    machine     what the machine decides about the suite, which looks at all images
    data        the cell's process, and the images in it
    model       the model built
    first step  optimizer, TensorBoard's files, the first batch, forward, backward and update

The first run finds no compiled module, as after an installation that compiles none; the others find them.
With `--cold`, a last run finds no file of the installation in memory, but for those that other programs use.
Beside that stands the processor time of `swatbench --help` over that of `python -c pass`.

Promised, and the exit code is 1 where it is not kept: the fastest of the compiled runs takes at most 10 s.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import swatbench
from swatbench.stats.ratios import Ratio, paired_ratio
from swatbench.store.provenance import environment

OUT = Path("results/overhead/startup.json")
HERE = Path(__file__).parent
PACKAGE = Path(swatbench.__file__).parent
SUITE = HERE.parent / "suites" / "quickstart.yaml"
PARTS = ("command", "imports", "machine", "data", "model", "first step")
MOST_S = 10.0
POLL_S = 0.02
LONGEST_S = 300.0
_PROGRAM = (
    "import swatbench.run; swatbench.run.PRELOAD = 'startup_marks'; from swatbench.cli import main; main()"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One start.

    Attributes:
        kind: `first`, `compiled` or `cold`.
        wall_s: Part → seconds.
        processor_s: Part → processor time in seconds; of `command` it is not known.
    """

    kind: str
    wall_s: dict[str, float]
    processor_s: dict[str, float]

    @property
    def total_s(self) -> float:
        """Wall time from the start of the program to the end of the first step, in seconds."""
        return sum(self.wall_s.values())


def main() -> int:
    """Start it as often as asked, print the parts, write the file; 1 where the promise is not kept."""
    asked = _arguments()
    where, console = environment(), Console(stderr=True)
    kinds = ["first", *["compiled"] * asked.runs, *["cold"] * asked.cold]
    starts = []
    with tempfile.TemporaryDirectory(prefix="startup-") as folder:
        for number, kind in enumerate(kinds):
            if kind == "cold":
                forget(installed())
            starts.append(started(Path(folder), kind, number))
            console.print(f"{kind}: {starts[-1].total_s:.2f} s")
    Console(width=None if sys.stdout.isatty() else 100).print(as_table(starts))
    ratio = help_ratio(asked.runs * 2)
    console.print(f"--help over python -c pass: {ratio.ratio:.1f} ({ratio.low:.1f} to {ratio.high:.1f})")
    fastest_s = min(one.total_s for one in starts if one.kind == "compiled")
    out: Path = asked.out or OUT
    out.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "most_s": MOST_S,
        "fastest_s": fastest_s,
        "help_ratio": asdict(ratio),
        "environment": where.model_dump(mode="json"),
        "starts": [asdict(one) for one in starts],
    }
    out.write_text(json.dumps(content, indent=1) + "\n")
    if fastest_s > MOST_S:
        console.print(f"not kept: the fastest start took {fastest_s:.1f} s")
    return int(fastest_s > MOST_S)


def started(folder: Path, kind: str, number: int) -> Start:
    """Start the quickstart, and end it after its first step.

    Args:
        folder: Where its files go, and compiled modules.
        kind: What is said of the start.
        number: Tells its files from those of other starts.

    Raises:
        RuntimeError: It ended, or five minutes went by, before the first step.
    """
    marks = folder / f"marks-{number}"
    command = [sys.executable, "-c", _PROGRAM, "run", str(SUITE), "--quiet"]
    command += ["--results", str(folder / f"results-{number}"), "--reports", str(folder / "reports")]
    start_s = time.monotonic()
    process = subprocess.Popen(command, env=_variables(folder, marks), stdout=subprocess.DEVNULL)
    try:
        while not (told := _told(marks)) or told[-1]["name"] != PARTS[-1]:
            if process.poll() is not None or time.monotonic() > start_s + LONGEST_S:
                raise RuntimeError(f"no first step, but {told}")
            time.sleep(POLL_S)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
    return _parts(kind, told, start_s)


def _variables(folder: Path, marks: Path) -> dict[str, str]:
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return variables | {
        "SWATBENCH_STARTUP_MARKS": str(marks),
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPYCACHEPREFIX": str(folder / "compiled"),
        "PYTHONPATH": os.pathsep.join((str(HERE), str(PACKAGE.parent))),
    }


def _told(marks: Path) -> list[dict[str, Any]]:
    """The marks up to the first step of all, without those of a cell that was slower to it."""
    lines = [json.loads(line) for line in marks.read_text().splitlines()] if marks.exists() else []
    first = next((i for i, line in enumerate(lines) if line["name"] == PARTS[-1]), None)
    if first is None:
        return lines
    cell = lines[first]["process"]
    return [line for line in lines[: first + 1] if line["process"] == cell or line["name"] in PARTS[:3]]


def _parts(kind: str, told: Sequence[dict[str, Any]], start_s: float) -> Start:
    ends = [start_s, *(line["at_s"] for line in told)]
    wall_s = {
        line["name"]: after - before for line, (before, after) in zip(told, pairwise(ends), strict=True)
    }
    processor_s, before = {}, {}
    for line in told:
        processor_s[line["name"]] = line["processor_s"] - before.get(line["process"], 0.0)
        before[line["process"]] = line["processor_s"]
    del processor_s["command"]
    return Start(kind=kind, wall_s=wall_s, processor_s=processor_s)


def help_ratio(rounds: int) -> Ratio:
    """Processor time of `swatbench --help` over that of Python's own start, in rounds of both and a twin.

    Args:
        rounds: Rounds, at least one.
    """
    nothing = ["-c", "pass"]
    calls = {"help": ["-m", "swatbench", "--help"], "pass": nothing, "twin": nothing}
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, arguments in calls.items():
            before = os.times()
            subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
            after = os.times()
            seconds[name].append(sum(after[2:4]) - sum(before[2:4]))
    return paired_ratio(seconds["help"], seconds["pass"], seconds["twin"])


def installed() -> Iterator[Path]:
    """Files of Python, of what is installed and of swatbench."""
    places = {sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")}
    for place in (*places, PACKAGE):
        yield from (path for path in Path(place).rglob("*") if path.is_file())


def forget(paths: Iterator[Path]) -> None:
    """Ask the system to keep nothing of these files in memory."""
    for path in paths:
        file = os.open(path, os.O_RDONLY)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)


def as_table(starts: Sequence[Start]) -> Table:
    """Medians of each kind for a terminal, processor time in brackets."""
    kinds = list(dict.fromkeys(one.kind for one in starts))
    table = Table("wall time, s (processor time, s)", *kinds)
    for part in (*PARTS, "all"):
        table.add_row(part, *(_words([one for one in starts if one.kind == kind], part) for kind in kinds))
    return table


def _words(starts: Sequence[Start], part: str) -> str:
    if part == "all":
        total_s = np.median([one.total_s for one in starts])
        return f"{total_s:.2f} ({np.median([sum(one.processor_s.values()) for one in starts]):.2f})"
    wall_s = np.median([one.wall_s[part] for one in starts])
    if part == "command":
        return f"{wall_s:.2f}"
    return f"{wall_s:.2f} ({np.median([one.processor_s[part] for one in starts]):.2f})"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="From the start of `swatbench run` to its first step.")
    parser.add_argument("--runs", type=int, default=5, help="starts with compiled modules")
    parser.add_argument("--cold", action="store_true", help="one more, with no file in memory")
    parser.add_argument("--out", type=Path, help=f"JSON file (default {OUT})")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
