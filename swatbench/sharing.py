"""The cells of a run, shared with other runs of the suite: each is done by one run alone.

A run claims a cell by a lock in the cell's folder before it begins, and holds it until the record is written.
What another run holds is passed over, and looked at again at the end: by then there is a record, or whoever
had the cell is gone and it is taken over. Every cell also needs a turn on the machine (`store.turns`).
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from swatbench.agenda import can_be_tested, to_evaluate, to_measure, to_train
from swatbench.errors import StoreError
from swatbench.job import Job
from swatbench.spec.cells import CostCell, TrainCell
from swatbench.store.atomic import tidy
from swatbench.store.files import RECORD, finished_record, read_record
from swatbench.store.lock import LOCK, Held, take
from swatbench.store.record import Record
from swatbench.store.turns import Turns
from swatbench.watcher import Ended, ended

AGAIN_S = 0.5
"""Time until it is asked again for what another run has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A cell that this run alone may do now.

    Attributes:
        job: The cell.
        held: What keeps others from it, the claim first; it is handed to the process that does the cell.
    """

    job: Job
    held: tuple[Held, ...]

    def require_whole(self) -> None:
        """See that nobody removed the cell's folder since it was claimed; else it has no record.

        Raises:
            StoreError: Somebody did, and so files that its record stands for.
        """
        try:
            self.held[0].require_there()
        except StoreError:
            (self.job.folder / RECORD).unlink(missing_ok=True)
            raise

    def close(self) -> None:
        """Let others at the cell."""
        for one in self.held:
            one.close()


class Shared:
    """The cells that a run has still to do, handed out one by one.

    Args:
        todo: Cells without a finished record.
        turns: The run's turns on the machine.
        on_other: Told each record that another run wrote meanwhile.
    """

    def __init__(self, todo: Sequence[Job], turns: Turns, on_other: Callable[[Record], None]) -> None:
        self._turns, self._on_other = turns, on_other
        in_turn = (*to_train(todo), *to_evaluate(todo), *to_measure(todo))
        self._left = {job.folder: job for job in in_turn}
        self._before = {job.folder: _seen(job) for job in in_turn}
        self._begun: set[Path] = set()
        self._waiting: tuple[Job, Held] | None = None
        self.others: list[Ended] = []

    @property
    def left(self) -> int:
        """Cells that this run has neither begun nor found done, and of which that is still to be expected."""
        return len(self._left)

    @property
    def models_left(self) -> int:
        """Those of them that train or test."""
        return sum(not isinstance(job.cell, CostCell) for job in self._left.values())

    def why(self) -> str:
        """What this run waits for, in a sentence."""
        if self._waiting is not None:
            return "Waiting for another run that measures cost on this machine: nothing runs beside that."
        if self.models_left:
            cells = "a cell" if self.models_left == 1 else f"{self.models_left} cells"
            return f"Waiting for {cells} that other runs of this suite have under way, or that need those."
        return "Waiting for what other runs have under way on this machine: cost is measured alone."

    def model(self) -> Claimed | None:
        """A cell that trains or tests, claimed, with a turn; None where none is free now.

        Raises:
            StoreError: The claim cannot be written, or the file system does not lock files.
        """
        if self._waiting is None:
            jobs = self._testable(job for job in self._in_turn() if not isinstance(job.cell, CostCell))
            self._waiting = self._claim(jobs)
        turn = self._turns.train() if self._waiting else None
        if self._waiting is None or turn is None:
            return None
        (job, claim), self._waiting = self._waiting, None
        return self._begin(job, claim, turn)

    def cost(self) -> Claimed | None:
        """A cell that measures cost, claimed, with a turn of its own; None where none is free now.

        Raises:
            StoreError: The claim cannot be written, or the file system does not lock files.
        """
        jobs = [job for job in self._in_turn() if isinstance(job.cell, CostCell)]
        # A model that could begin comes first: to wait for both turns would be to wait for oneself.
        turn = self._turns.measure() if jobs and self._waiting is None else None
        if turn is None:
            return None
        claimed = self._claim(jobs)
        if claimed is None:
            turn.close()
            return None
        return self._begin(*claimed, turn)

    def end(self, claimed: Claimed) -> None:
        """Let others at a cell that has its record."""
        self._begun.discard(claimed.job.folder)
        claimed.close()

    def close(self) -> None:
        """Let others at what this run has not begun."""
        self._turns.step_back()
        if self._waiting is not None:
            self._waiting[1].close()
            self._waiting = None

    def _in_turn(self) -> list[Job]:
        return [*self._left.values()]

    def _begin(self, job: Job, claim: Held, turn: Held) -> Claimed:
        del self._left[job.folder]
        self._begun.add(job.folder)
        return Claimed(job=job, held=(claim, turn))

    def _testable(self, jobs: Iterable[Job]) -> Iterator[Job]:
        """Leave out what waits for weights, and forget what waits in vain."""
        for job in jobs:
            source = Path(job.weights or "")
            if isinstance(job.cell, TrainCell):
                yield job
            elif source in self._left or source in self._begun:
                continue
            elif can_be_tested(job):
                yield job
            else:
                del self._left[job.folder]

    def _claim(self, jobs: Iterable[Job]) -> tuple[Job, Held] | None:
        """The first cell that nobody has and nobody has done."""
        for job in jobs:
            claim = take(job.folder / LOCK)
            if claim is None:
                continue
            record = self._by_another(job)
            if record is None:
                tidy(job.folder)
                return job, claim
            claim.close()
            del self._left[job.folder]
            self.others.append(ended(record))
            self._on_other(record)
        return None

    def _by_another(self, job: Job) -> Record | None:
        """The record that another run left since this one looked; a failure too is not tried again."""
        seen = _seen(job)
        if seen is None:
            return None
        found = finished_record(job.folder, job.cell.digest)
        if found is None and seen != self._before[job.folder]:
            with suppress(StoreError):
                failed = read_record(job.folder / RECORD)
                return failed if failed.digest == job.cell.digest and failed.failure else None
        return found


def _seen(job: Job) -> str | None:
    try:
        return hashlib.sha256((job.folder / RECORD).read_bytes()).hexdigest()
    except OSError:
        return None
