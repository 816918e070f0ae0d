"""Who is told how a run of a suite goes, and how it ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from swatbench.progress import Progress
from swatbench.spec.cells import CostCell, EvaluateCell, TrainCell
from swatbench.store.record import Environment, Record


class Watcher(Protocol):
    """Whoever is told how a run goes; every method returns at once."""

    def begin(
        self, cells: Sequence[TrainCell | EvaluateCell | CostCell], done: int, environment: Environment
    ) -> None:
        """The cells still to run, how many are finished already, and where they run."""

    def start(self, cell_id: str) -> None:
        """A cell begins."""

    def progress(self, cell_id: str, progress: Progress) -> None:
        """How far a train cell is."""

    def stage(self, cell_id: str, stage: str) -> None:
        """What a cell is doing that has no steps."""

    def note(self, cell_id: str, note: str) -> None:
        """Something a user should know."""

    def end(self, cell_id: str, record: Record) -> None:
        """A cell has its record."""

    def other(self, record: Record) -> None:
        """Another run has done a cell meanwhile."""

    def wait(self, why: str) -> None:
        """The run waits for other runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run of a suite ended.

    Attributes:
        suite: Name of the suite.
        folder: Where this machine's cells lie.
        finished: Records written by this run.
        skipped: Cells that were finished before.
        failed: Records of the cells that failed, here or in another run meanwhile.
        others: Records of the cells that another run finished meanwhile.
    """

    suite: str
    folder: Path
    finished: tuple[Record, ...]
    skipped: int
    failed: tuple[Record, ...]
    others: tuple[Record, ...]


def outcome(
    suite: str, folder: Path, records: Sequence[Record], *, skipped: int, others: Sequence[Record]
) -> Outcome:
    """Sort the records of a run.

    Args:
        suite: Name of the suite.
        folder: Where this machine's cells lie.
        records: Records written by this run.
        skipped: Cells that were finished before.
        others: Records that another run wrote meanwhile.
    """
    return Outcome(
        suite=suite,
        folder=folder,
        finished=tuple(record for record in records if record.status == "finished"),
        skipped=skipped,
        failed=tuple(record for record in (*records, *others) if record.status == "failed"),
        others=tuple(record for record in others if record.status == "finished"),
    )
