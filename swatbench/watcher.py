"""Who is told how a run of a suite goes, and how it ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from swatbench.progress import Progress
from swatbench.spec.cells import CostCell, EvaluateCell, TrainCell
from swatbench.store.record import Environment, Failure, Record


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
class Ended:
    """What a run remembers of a cell: not its record, of which thousands would fill the memory.

    Attributes:
        cell_id: Name of its folder, where the record lies.
        status: How it ended.
        failure: What went wrong; None where nothing did.
    """

    cell_id: str
    status: Literal["finished", "failed"]
    failure: Failure | None


def ended(record: Record) -> Ended:
    """What a run remembers of a record's cell."""
    return Ended(cell_id=record.cell_id, status=record.status, failure=record.failure)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run of a suite ended.

    Attributes:
        suite: Name of the suite.
        folder: Where this machine's cells lie.
        finished: Cells that this run finished.
        skipped: Cells that were finished before.
        failed: Cells that failed, here or in another run meanwhile.
        others: Cells that another run finished meanwhile.
    """

    suite: str
    folder: Path
    finished: tuple[Ended, ...]
    skipped: int
    failed: tuple[Ended, ...]
    others: tuple[Ended, ...]


def outcome(
    suite: str, folder: Path, cells: Sequence[Ended], *, skipped: int, others: Sequence[Ended]
) -> Outcome:
    """Sort the cells of a run.

    Args:
        suite: Name of the suite.
        folder: Where this machine's cells lie.
        cells: Those that this run did.
        skipped: Cells that were finished before.
        others: Those that another run did meanwhile.
    """
    return Outcome(
        suite=suite,
        folder=folder,
        finished=tuple(one for one in cells if one.status == "finished"),
        skipped=skipped,
        failed=tuple(one for one in (*cells, *others) if one.status == "failed"),
        others=tuple(one for one in others if one.status == "finished"),
    )
