"""What a run says, and what it keeps, when it is asked to stop."""

import json
import signal
from collections import Counter
from pathlib import Path

from swatbench.store.live import LIVE
from tests.faults.starts import Started

CODES = {signal.SIGTERM: 143, signal.SIGINT: 130}
MESSAGE = "Stopped. Finished cells are kept; the same command goes on from here."


def said_well(run: Started, number: signal.Signals, code: int | None, counts: Counter[str]) -> list[str]:
    """What is wrong about the end of a run that was asked to stop.

    A signal that comes while Python starts or modules are loaded ends the process as it ends any other.
    """
    lines = run.errors.read_text().splitlines()
    if (code == -number and not lines) or (number == signal.SIGINT and _by_python_alone(lines)):
        counts["before_the_first_line"] += 1
        return []
    wrong = [] if code == CODES[number] else [f"exit code {code}"]
    if lines[-1:] != [MESSAGE] or any("Traceback" in line for line in lines):
        wrong.append(f"it said {lines[-30:]}")
    return wrong


def session_steps(results: Path, since_ns: int) -> dict[Path, int]:
    """Unfinished cell → steps that it has told since a moment; without those that told none."""
    found = {}
    for live in results.glob(f"*/*/*/{LIVE}"):
        if (live.parent / "record.json").exists() or live.stat().st_mtime_ns < since_ns:
            continue
        last = json.loads(live.read_text().splitlines()[-1])
        if last["kind"] != "start":
            found[live.parent] = last["step"]
    return found


def without_checkpoint(results: Path, since_ns: int) -> list[str]:
    """Cells that were stopped while training and whose checkpoint holds less than what they had told."""
    from swatbench.train.checkpoint import read_checkpoint

    wrong = []
    for cell, step in session_steps(results, since_ns).items():
        kept = read_checkpoint(cell / "checkpoints" / "newest.ckpt")
        if kept is None or kept.step < step:
            wrong.append(f"{cell.name} told of step {step} and kept {kept.step if kept else 'none'}")
    return wrong


def _by_python_alone(lines: list[str]) -> bool:
    """Whether Python was interrupted before it came to swatbench."""
    return lines[-1:] == ["KeyboardInterrupt"] and "swatbench" not in "".join(lines)
