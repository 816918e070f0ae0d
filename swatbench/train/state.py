"""The state of a run between steps: read from a checkpoint at the start, written to one as it goes."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from swatbench.errors import CheckpointError, SwatbenchError
from swatbench.out_of_memory import out_of_memory
from swatbench.progress import Progress
from swatbench.store.record import CurvePoint
from swatbench.train.checkpoint import REMEDY, Checkpoint
from swatbench.train.epoch import Tally, TrainingStopped
from swatbench.train.retention import Retention
from swatbench.train.step import Stepper


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Who is told what, and asked whether to go on; the first process alone tells.

    Attributes:
        progress: Told how far the run is, every few steps.
        epoch: Told the point of an epoch that is done.
        begin: Told the steps that a checkpoint brings, 0 without one, before the first step.
        note: Told in a sentence what a user should know, as that a damaged checkpoint is not used.
        should_stop: Asked between steps whether to end with a checkpoint.
        clock: Seconds of wall time from any origin.
    """

    progress: Callable[[Progress], None]
    epoch: Callable[[CurvePoint], None]
    begin: Callable[[int], None]
    note: Callable[[str], None]
    should_stop: Callable[[], bool] = lambda: False
    clock: Callable[[], float] = time.perf_counter


class RunState:
    """What a checkpoint holds, beside what the recipe, the seed and the step's number give.

    Attributes:
        curve: One point for each epoch done.
        resumed: How often the run has been continued.
    """

    def __init__(
        self, stepper: Stepper, retention: Retention, *, every_s: float, digest: str, listener: Listener
    ) -> None:
        """Begin with nothing done.

        Args:
            stepper: Holds model, optimizer, moving average and scaler.
            retention: Where checkpoints are, and which are kept.
            every_s: Longest time without a checkpoint, in seconds.
            digest: Digest of the cell.
            listener: Who is told how it goes.
        """
        self.curve: tuple[CurvePoint, ...] = ()
        self.resumed = 0
        self._stepper, self._retention, self._listener = stepper, retention, listener
        self._every_s, self._digest = every_s, digest
        self._saved_s = listener.clock()

    def resume(self, steps_per_epoch: int) -> Tally:
        """Continue from the checkpoint, where there is a whole one.

        Args:
            steps_per_epoch: Steps in an epoch.

        Returns:
            The unfinished epoch so far.

        Raises:
            CheckpointError: The checkpoint belongs to another cell or model.
        """
        found = self._found()
        if found is None:
            self._listener.begin(0)
            return Tally()
        try:
            self._load(found)
        except (RuntimeError, ValueError, KeyError) as error:
            if out_of_memory(error):
                raise
            raise CheckpointError(
                "The checkpoint is of another model.",
                where=str(self._retention.folder),
                fix=REMEDY,
            ) from error
        self.curve, self.resumed = found.curve, found.resumed + 1
        assert found.step == len(found.curve) * steps_per_epoch + len(found.losses), (
            "steps and epochs disagree"
        )
        self._listener.begin(found.step)
        return Tally(losses=list(found.losses), compute_s=found.compute_s, data_s=found.data_s)

    def pause(self, epoch: int, tally: Tally, stop: bool) -> None:
        """Write a checkpoint where it is time for one, and end the run where it was asked to stop.

        Args:
            epoch: Number of the epoch, from 0; those before it are in the curve.
            tally: The epoch so far.
            stop: Whether the run was asked to stop.

        Raises:
            TrainingStopped: It was.
            StoreError: The checkpoint cannot be written.
        """
        assert epoch == len(self.curve), "an epoch began before the one before it was done"
        if stop or self._listener.clock() - self._saved_s >= self._every_s:
            self._save(tally, epoch_done=False)
        if stop:
            raise TrainingStopped

    def end_epoch(self, point: CurvePoint) -> None:
        """Add an epoch's point to the curve and write a checkpoint.

        Args:
            point: The point.

        Raises:
            StoreError: The checkpoint cannot be written.
        """
        self.curve = (*self.curve, point)
        self._save(Tally(), epoch_done=True)
        self._listener.epoch(point)

    def _found(self) -> Checkpoint | None:
        """The newest whole checkpoint that the first process finds, on all of them."""
        found = self._stepper.world.by_first(lambda: self._retention.load(self._digest, self._listener.note))
        if isinstance(found, SwatbenchError):
            raise found
        return found

    def _load(self, found: Checkpoint) -> None:
        stepper = self._stepper
        stepper.model.load_state_dict(found.model)
        stepper.optimizer.load_state_dict(found.optimizer)
        if stepper.average is not None:
            stepper.average.load_state_dict(found.ema or {})
        stepper.scaler.load_state_dict(found.scaler or {})

    def _save(self, tally: Tally, *, epoch_done: bool) -> None:
        if self._stepper.world.first:
            self._retention.save(self._checkpoint(tally), epoch_done=epoch_done)
        self._saved_s = self._listener.clock()

    def _checkpoint(self, tally: Tally) -> Checkpoint:
        stepper = self._stepper
        before = self.curve[-1].step if self.curve else 0
        return Checkpoint(
            digest=self._digest,
            resumed=self.resumed,
            curve=self.curve,
            step=before + len(tally.losses),
            losses=tuple(tally.losses),
            compute_s=tally.compute_s,
            data_s=tally.data_s,
            model=stepper.model.state_dict(),
            optimizer=stepper.optimizer.state_dict(),
            ema=_state_of(stepper.average),
            scaler=stepper.scaler.state_dict(),
        )


def _state_of(model: nn.Module | None) -> dict[str, Any] | None:
    return None if model is None else model.state_dict()
