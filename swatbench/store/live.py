"""How far a running cell is, in a file beside it that grows by a line at a time (`tail -f live.jsonl`).

Each line is a JSON object with `kind`, `at` (UTC, ISO 8601), `clock_s` (seconds from any origin, by a clock
that nobody sets) and `step` (optimizer steps done in the run):

    start    the cell begins, or goes on from `step`
    report   every few steps: also steps, epoch, epochs, loss, learning_rate, images_per_s, ...
    epoch    an epoch is done: the fields of `record.CurvePoint`

The file is for watching alone. No result rests on it: a cell's record and curve are written apart from it.
"""

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from swatbench.regular_file import open_regular
from swatbench.store.atomic import write_bytes_atomic
from swatbench.store.record import CurvePoint
from swatbench.store.refusal import refused

LIVE = "live.jsonl"
TAIL_BYTES = 65_536
"""As much of the end of the file is read, about 250 lines, and the rate is that of these lines."""


def _utc() -> datetime:
    return datetime.now(UTC)


class LiveWriter:
    """Writes a cell's live file; no file stays open between two lines.

    Args:
        folder: The cell's folder; it is made if it is not there.
        clock: The present moment in UTC.
        monotonic: Seconds from any origin, never set back or forward.
    """

    def __init__(
        self,
        folder: Path,
        *,
        clock: Callable[[], datetime] = _utc,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path, self._clock, self._monotonic = folder / LIVE, clock, monotonic

    def resume(self, step: int = 0) -> None:
        """Begin, or go on: lines of later steps are cut away, and lines that are torn.

        Args:
            step: Optimizer steps that the checkpoint holds; 0 where there is none.

        Raises:
            StoreError: The file cannot be read or written.
        """
        try:
            lines = _lines(self._path.read_bytes()) if self._path.exists() else []
        except OSError as error:
            raise refused(error, self._path, "read") from error
        kept = [line for line in lines if step > 0 and line["step"] <= step]
        written = [*map(_text, kept), self._line("start", {"step": step})]
        write_bytes_atomic(self._path, b"".join(written))

    def report(self, progress: Mapping[str, float]) -> None:
        """Add a line about the steps since the last report.

        Args:
            progress: The fields of `progress.Progress`, `step` and `steps` among them.

        Raises:
            StoreError: The file cannot be written.
            ValueError: A number is not finite.
        """
        self._append(self._line("report", progress))

    def epoch(self, point: CurvePoint) -> None:
        """Add a line about an epoch that is done.

        Args:
            point: The epoch's point of the curve.

        Raises:
            StoreError: The file cannot be written.
            ValueError: A number is not finite.
        """
        self._append(self._line("epoch", point.model_dump()))

    def beat(self) -> None:
        """Say that the cell is alive where there is no step to report: the file's time becomes the present.

        Raises:
            StoreError: The file cannot be written.
        """
        try:
            self._path.touch()
        except OSError as error:
            raise refused(error, self._path, "written") from error

    def _line(self, kind: str, values: Mapping[str, Any]) -> bytes:
        at = self._clock().isoformat(timespec="milliseconds")
        return _text({"kind": kind, "at": at, "clock_s": round(self._monotonic(), 3), **values})

    def _append(self, line: bytes) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # Unbuffered, so that each line is one write, which a reader meets whole.
            with self._path.open("ab", buffering=0) as file:
                file.write(line)
        except OSError as error:
            raise refused(error, self._path, "written") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """The end of a live file.

    Attributes:
        step: Optimizer steps done in the run.
        steps: Optimizer steps in all; None before the first report.
        at: Time of the last line in UTC.
        touched: Time of the last line or beat in UTC.
        steps_per_s: Steps per second of wall time, tests and checkpoints included, since the cell last began
            and over no more than the end of the file; None before the second report.
        top1_percent: Top-1 accuracy after the last epoch that was tested, as far as it is known.
        miou_percent: Of segmentation: mean IoU after it.
    """

    step: int
    steps: int | None
    at: datetime
    touched: datetime
    steps_per_s: float | None
    top1_percent: float | None
    miou_percent: float | None = None

    @property
    def share(self) -> float | None:
        """Part of the training that is done, from 0 to 1; None before the first report."""
        return min(self.step / self.steps, 1.0) if self.steps else None


def read_live(folder: Path) -> Live | None:
    """Read how far a cell is; a torn line is left out.

    Args:
        folder: The cell's folder.

    Returns:
        The end of its live file; None where there is none, or none that can be read.
    """
    try:
        with open_regular(folder / LIVE) as file:
            status = os.fstat(file.fileno())
            file.seek(max(0, status.st_size - TAIL_BYTES))
            lines = _lines(file.read())
    except OSError:
        return None
    return _summary(lines, datetime.fromtimestamp(status.st_mtime, UTC)) if lines else None


def _summary(lines: Sequence[Mapping[str, Any]], touched: datetime) -> Live:
    begun = max((i for i, line in enumerate(lines) if line["kind"] == "start"), default=0)
    steps = [line["steps"] for line in lines if isinstance(line.get("steps"), int)]
    return Live(
        step=lines[-1]["step"],
        steps=steps[-1] if steps else None,
        at=lines[-1]["at"],
        touched=touched,
        steps_per_s=_rate([line for line in lines[begun:] if line["kind"] != "start"]),
        top1_percent=_last(lines, "top1_percent"),
        miou_percent=_last(lines, "miou_percent"),
    )


def _last(lines: Sequence[Mapping[str, Any]], name: str) -> float | None:
    found = [line[name] for line in lines if isinstance(line.get(name), int | float)]
    return found[-1] if found else None


def _rate(lines: Sequence[Mapping[str, Any]]) -> float | None:
    """Steps per second between the first and the last line: what came before the first holds the warm-up."""
    if len(lines) < 2:
        return None
    steps = lines[-1]["step"] - lines[0]["step"]
    elapsed_s = _elapsed_s(lines[0], lines[-1])
    return steps / elapsed_s if steps > 0 and elapsed_s > 0 else None


def _elapsed_s(first: Mapping[str, Any], last: Mapping[str, Any]) -> float:
    """Time between two lines of one process; by the wall clock, which may be set, where there is no other."""
    begun_s, ended_s = first.get("clock_s"), last.get("clock_s")
    if isinstance(begun_s, int | float) and isinstance(ended_s, int | float):
        return ended_s - begun_s
    return (last["at"] - first["at"]).total_seconds()


def _lines(data: bytes) -> list[dict[str, Any]]:
    """The lines that are whole, with their times parsed."""
    return [line for line in map(_parsed, data.splitlines()) if line is not None]


def _parsed(text: bytes) -> dict[str, Any] | None:
    try:
        line = json.loads(text)
        at = datetime.fromisoformat(line["at"])
    except (ValueError, TypeError, KeyError):
        return None
    whole = isinstance(line.get("kind"), str) and type(line.get("step")) is int and at.tzinfo is not None
    return {**line, "at": at} if whole else None


def _text(line: Mapping[str, Any]) -> bytes:
    at = line["at"]
    values = {**line, "at": at.isoformat(timespec="milliseconds") if isinstance(at, datetime) else at}
    return f"{json.dumps(values, allow_nan=False)}\n".encode()
