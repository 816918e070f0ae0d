"""One pass over the training images, told, timed and saved as it goes."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from math import fsum, isfinite

import numpy as np
import torch
from torch import Tensor

from swatbench.errors import TrainingError
from swatbench.progress import Progress
from swatbench.store.record import CurvePoint
from swatbench.train.batches import TestBatches, TrainBatches
from swatbench.train.faults import explain
from swatbench.train.optim import Schedule
from swatbench.train.step import Stepper

REPORT_EVERY = 10
"""Most steps between two reports; the loss leaves the device only then."""
EXPLODED = 10.0
"""Loss, as a multiple of that of guessing, above which a run is given up."""

_REMEDY = "Lower recipe.learning_rate, lengthen recipe.warmup_epochs or set recipe.clip_grad_norm."


class TrainingStopped(Exception):  # noqa: N818 (nothing went wrong)
    """Somebody asked the run to stop; its checkpoint is written."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """Losses and times of an epoch so far; a resumed one begins with those of before.

    Attributes:
        losses: Mean loss of each step, over all processes.
        compute_s: Wall time of the steps.
        data_s: Wall time spent waiting for batches.
        waiting: Losses of the steps since the last report, still on the device.
        since_s: When the time now running began, by the run's clock.
    """

    losses: list[float] = field(default_factory=list)
    compute_s: float = 0.0
    data_s: float = 0.0
    waiting: list[Tensor] = field(default_factory=list)
    since_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trainer:
    """What every epoch of a run shares.

    Attributes:
        stepper: Takes the steps.
        scheduler: Sets the learning rate of each step.
        batches: Where images come from.
        guessing: Loss of a model that guesses.
        on_progress: Told how far the run is, at least twice an epoch, where that has two steps.
        on_pause: Told the epoch and its tally at every report, when all processes stand at one step.
        should_stop: Whether the run shall end; asked between steps.
        clock: Seconds of wall time from any origin.
    """

    stepper: Stepper
    scheduler: Schedule
    batches: TrainBatches
    guessing: float
    on_progress: Callable[[Progress], None]
    on_pause: Callable[[int, Tally, bool], None]
    should_stop: Callable[[], bool]
    clock: Callable[[], float] = time.perf_counter

    @property
    def learning_rate(self) -> float:
        """Learning rate of the last step."""
        return float(self.stepper.optimizer.param_groups[0]["lr"])

    def alone_and_stopped(self) -> bool:
        """Whether this process shall end and need agree with no other; several agree at reports alone."""
        return self.stepper.world.size == 1 and self.should_stop()


class Stoppable:
    """Test batches that are gone through as far as nobody asks to stop: a test may last for minutes.

    Args:
        batches: The batches.
        should_stop: Asked before every batch.

    Raises:
        TrainingStopped: From the iterator, where it was asked to stop.
    """

    def __init__(self, batches: TestBatches, should_stop: Callable[[], bool]) -> None:
        self._batches, self._should_stop = batches, should_stop

    @property
    def images(self) -> int:
        """Test images, over all processes."""
        return self._batches.images

    @property
    def positions(self) -> np.ndarray:
        """Places of this process's images in the test set."""
        return self._batches.positions

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches."""
        for batch in self._batches:
            if self._should_stop():
                raise TrainingStopped
            yield batch


def run_epoch(trainer: Trainer, epoch: int, tally: Tally) -> CurvePoint:
    """Train for what is left of an epoch.

    Args:
        trainer: What the run consists of.
        epoch: Number of the epoch, from 0.
        tally: Its steps so far.

    Returns:
        The epoch's point of the curve, without the score of a test. On CUDA, where steps run behind the
        program, the wait for them counts as compute, not as data.

    Raises:
        TrainingError: The loss is not finite or has exploded; epoch and step are named.
        TrainingStopped: The run was asked to stop.
    """
    per_epoch, start = trainer.batches.steps_per_epoch, len(tally.losses)
    report_every = min(REPORT_EVERY, -(-per_epoch // 2))
    trainer.stepper.task.train()
    tally.since_s = trainer.clock()
    if start:
        trainer.scheduler.step_update(epoch * per_epoch + start - 1)
    step = start - 1
    for step, micro_batches in enumerate(_timed(trainer, epoch, tally), start=start):
        done = epoch * per_epoch + step + 1
        trainer.scheduler.step_update(done - 1)
        tally.waiting.append(_take(trainer.stepper, micro_batches, epoch=epoch, step=step, done=done))
        if (step + 1) % report_every == 0 or step + 1 == per_epoch or trainer.alone_and_stopped():
            _report(trainer, epoch, tally)
    assert step + 1 == per_epoch, f"{step + 1} batches came, not {per_epoch}"
    return CurvePoint(
        epoch=epoch + 1,
        step=(epoch + 1) * per_epoch,
        loss=fsum(tally.losses) / per_epoch,
        learning_rate=trainer.learning_rate,
        top1_percent=None,
        compute_s=tally.compute_s,
        data_s=tally.data_s,
    )


def _take(stepper: Stepper, micro_batches: list[tuple[Tensor, Tensor]], **place: int) -> Tensor:
    try:
        with stepper.world.needing_peers():
            return stepper.take(micro_batches, **place)
    except (RuntimeError, MemoryError) as error:
        raise explain(error, stepper, *micro_batches[0]) from error


def _timed(trainer: Trainer, epoch: int, tally: Tally) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """Hand on the micro-batches of each step, and add up the time spent waiting for them."""
    batches = iter(trainer.batches(epoch, start=len(tally.losses)))
    while True:
        asked_s = trainer.clock()
        micro_batches = list(islice(batches, trainer.batches.micro_batches))
        came_s = trainer.clock()
        tally.compute_s += asked_s - tally.since_s
        tally.data_s += came_s - asked_s
        tally.since_s = came_s
        if not micro_batches:
            return
        yield micro_batches


def _report(trainer: Trainer, epoch: int, tally: Tally) -> None:
    """Bring the losses of all processes together, look at them, and tell them."""
    stop = torch.tensor([float(trainer.should_stop())], device=trainer.stepper.device)
    *fresh, stopping = trainer.stepper.world.mean(torch.cat([torch.stack(tally.waiting), stop])).tolist()
    tally.waiting.clear()
    now_s = trainer.clock()
    tally.compute_s += now_s - tally.since_s
    tally.since_s = now_s
    _require_sound(fresh, trainer, epoch=epoch, step=len(tally.losses))
    tally.losses += fresh
    trainer.on_progress(_progress(trainer, epoch, tally, fresh))
    trainer.on_pause(epoch, tally, stopping > 0)
    # What was done in the pause is neither a step nor a wait for images.
    tally.since_s = trainer.clock()


def _progress(trainer: Trainer, epoch: int, tally: Tally, fresh: list[float]) -> Progress:
    done, per_epoch = len(tally.losses), trainer.batches.steps_per_epoch
    epochs = trainer.stepper.recipe.total_epochs
    elapsed_s = tally.compute_s + tally.data_s
    return Progress(
        epoch=epoch + 1,
        epochs=epochs,
        step=epoch * per_epoch + done,
        steps=epochs * per_epoch,
        loss=fsum(fresh) / len(fresh),
        learning_rate=trainer.learning_rate,
        images_per_s=done * trainer.batches.batch_size / elapsed_s if elapsed_s > 0 else 0.0,
        data_share=tally.data_s / elapsed_s if elapsed_s > 0 else 0.0,
    )


def _require_sound(losses: list[float], trainer: Trainer, *, epoch: int, step: int) -> None:
    for number, loss in enumerate(losses, start=step + 1):
        if not isfinite(loss):
            raise TrainingError(
                f"The training loss became {loss}.", where=f"epoch {epoch + 1}, step {number}", fix=_REMEDY
            )
    guessing, mean = trainer.guessing, fsum(losses) / len(losses)
    if mean > EXPLODED * guessing:
        raise TrainingError(
            f"The training loss exploded: it is {mean:.3g}, where guessing gives {guessing:.3g}.",
            where=f"epoch {epoch + 1}, steps {step + 1} to {step + len(losses)}",
            fix=_REMEDY,
        )
