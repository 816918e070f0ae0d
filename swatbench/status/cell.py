"""What is done, running, failed or waiting.

States of a cell:

    done         its record holds a result
    running      a run holds it (`store.lock`), as the kernel says, whatever the clocks say
    interrupted  it began, and neither ended nor runs; the next run goes on with it
    failed       its record says why; the next run tries it again
    waiting      it has not begun
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from swatbench.regular_file import read_regular
from swatbench.store.files import RECORD, SAFE
from swatbench.store.live import LIVE, Live, read_live
from swatbench.store.lock import LOCK, is_held

State = Literal["done", "running", "interrupted", "failed", "waiting"]

_CELL = re.compile(
    r"(?P<pair>.+?)-(?:cost|(?P<arm>\w+?)(?:-seed(?P<seed>\d+))?(?:-on-(?P<test>.+))?)-[0-9a-f]{10}\Z"
)


class _Trained(BaseModel):
    top1_percent: float | None = None
    miou_percent: float | None = None
    train_s: float = 0.0


class _Evaluation(BaseModel):
    evaluated: tuple[_Trained, ...] = ()


class _Failure(BaseModel):
    message: str = ""


class _Record(BaseModel):
    # What is needed of a record, of whatever layout. The rest is not even taken in: there may be thousands.

    status: str
    duration_s: float
    train: _Trained | None = None
    evaluation: _Evaluation | None = None
    failure: _Failure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CellStatus:
    """What is known of one cell.

    Attributes:
        cell: Name of its folder.
        kind: `train`, `evaluate` or `cost`.
        pair: Name of the pair.
        arm: The arm; None for a cost cell, which holds them all.
        seed: The seed of a train cell, or of the one whose weights are tested.
        test: Name of the test set of an evaluate cell.
        state: See the head of this module.
        share: Part of a training run that is done, from 0 to 1, as far as it is known.
        top1_percent: Of a finished cell; of another the last that was measured.
        miou_percent: Of segmentation, in place of it.
        took_s: Time that a finished cell took, in seconds.
        left_s: Time that a running cell still takes at its present rate, in seconds.
        reason: Why it failed, in one line.
    """

    cell: str
    kind: Literal["train", "evaluate", "cost"]
    pair: str
    arm: str | None
    seed: int | None
    test: str | None
    state: State = "waiting"
    share: float | None = None
    top1_percent: float | None = None
    miou_percent: float | None = None
    took_s: float | None = None
    left_s: float | None = None
    reason: str | None = None


def cell_status(machine: Path, name: str) -> CellStatus:
    """Look how far a cell is.

    Args:
        machine: Folder of the machine.
        name: Name of the cell's folder, which need not exist.
    """
    named = _named(name)
    if not SAFE.match(name):
        return CellStatus(cell=name, **named)
    folder = machine / name
    record, running = _record(folder / RECORD), is_held(folder / LOCK)
    again = record is None or _newer(folder / LIVE, folder / RECORD)
    # A run holds a cell for a moment after it has its record.
    if record is not None and not (running and (again or record.status != "finished")):
        return CellStatus(cell=name, **named, **_ended(record))
    live = read_live(folder) if again else None
    if live is None:
        return CellStatus(cell=name, **named, state="running" if running else "waiting")
    return CellStatus(cell=name, **named, **_begun(live, running))


def _named(name: str) -> dict[str, Any]:
    match = _CELL.match(name)
    if match is None:
        return {"kind": "evaluate", "pair": name, "arm": None, "seed": None, "test": None}
    pair, arm, seed, test = match.group("pair", "arm", "seed", "test")
    kind = "cost" if arm is None else "evaluate" if test else "train"
    return {"kind": kind, "pair": pair, "arm": arm, "seed": int(seed) if seed else None, "test": test}


def _record(path: Path) -> _Record | None:
    try:
        return _Record.model_validate_json(read_regular(path))
    except (OSError, ValidationError):
        return None


def _newer(one: Path, other: Path) -> bool:
    """Whether a cell that has a record is on its way again."""
    try:
        return one.stat().st_mtime_ns > other.stat().st_mtime_ns
    except OSError:
        return False


def _ended(record: _Record) -> dict[str, Any]:
    if record.status != "finished":
        lines = (record.failure.message if record.failure else "").strip().splitlines()
        return {"state": "failed", "reason": lines[0] if lines else "unknown"}
    trained, evaluated = record.train or _Trained(), record.evaluation.evaluated if record.evaluation else ()
    # A cell that was continued has its last session's time in the record, and that of all in its result.
    took_s = max(record.duration_s, trained.train_s)
    score = evaluated[0] if evaluated else trained
    return {"state": "done", "took_s": took_s, **_scores(score)}


def _begun(live: Live, alive: bool) -> dict[str, Any]:
    left_s = None
    if alive and live.steps is not None and live.steps_per_s is not None:
        left_s = max(0, live.steps - live.step) / live.steps_per_s
    state = "running" if alive else "interrupted"
    return {"state": state, "share": live.share, **_scores(live), "left_s": left_s}


def _scores(found: _Trained | Live) -> dict[str, float | None]:
    return {"top1_percent": found.top1_percent, "miou_percent": found.miou_percent}
