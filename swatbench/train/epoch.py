"""One pass over the training images, told and timed as it goes.

Letters: B images in a batch.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from math import fsum, isfinite
from typing import Protocol

import torch
from timm.scheduler.scheduler import Scheduler
from timm.task import ClassificationTask
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from swatbench.errors import TrainingError
from swatbench.precision import Precision, autocast
from swatbench.progress import Progress
from swatbench.spec.suite import Recipe
from swatbench.store.record import CurvePoint

REPORT_EVERY = 10
"""Most steps between two reports; the loss leaves the device only then."""


class EpochBatches(Protocol):
    """Where training batches come from."""

    @property
    def batch_size(self) -> int:
        """Images B in a batch."""
        ...

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""
        ...

    def __call__(self, epoch: int, /) -> Iterable[tuple[Tensor, Tensor]]:
        """Batches of an epoch, numbered from 0: normalised images (B, 3, H, W) and int64 labels (B,)."""
        ...

    def digests(self, epochs: int, /) -> tuple[str, str]:
        """SHA-256 of the order and of the augmentation draws over so many epochs."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trainer:
    """What every epoch of a run shares.

    Attributes:
        task: timm's task, which holds the model and the training loss.
        optimizer: The optimizer over the model's parameters.
        scheduler: Sets the learning rate of each step.
        batches: Where batches come from.
        recipe: The recipe.
        device: Where all of it is.
        precision: Autocast type of the forward pass.
        on_progress: Called at least twice an epoch, where that has two steps.
        clock: Seconds of wall time from any origin.
    """

    task: ClassificationTask
    optimizer: Optimizer
    scheduler: Scheduler
    batches: EpochBatches
    recipe: Recipe
    device: torch.device
    precision: Precision
    on_progress: Callable[[Progress], None]
    clock: Callable[[], float] = time.perf_counter


@dataclass(slots=True, kw_only=True)
class _Tally:
    """Losses and times of the epoch so far."""

    started_s: float
    data_s: float = 0.0
    losses: list[float] = field(default_factory=list)
    waiting: list[Tensor] = field(default_factory=list)


def run_epoch(trainer: Trainer, epoch: int) -> CurvePoint:
    """Train for one epoch.

    Args:
        trainer: What the run consists of.
        epoch: Number of the epoch, from 0.

    Returns:
        The epoch's point of the curve, without a test accuracy. On CUDA, where steps run behind the program,
        the wait for them counts as compute, not as data.

    Raises:
        TrainingError: The loss is not finite; epoch and step are named.
    """
    per_epoch = trainer.batches.steps_per_epoch
    report_every = min(REPORT_EVERY, -(-per_epoch // 2))
    trainer.task.train()
    tally = _Tally(started_s=trainer.clock())
    done = 0
    for done, (images, labels) in enumerate(_timed(trainer, epoch, tally), start=1):
        trainer.scheduler.step_update(epoch * per_epoch + done - 1)
        tally.waiting.append(_step(trainer, images, labels))
        if done % report_every == 0 or done == per_epoch:
            _report(trainer, epoch, tally)
    assert done == per_epoch, f"{done} batches came, not {per_epoch}"
    return CurvePoint(
        epoch=epoch + 1,
        step=(epoch + 1) * per_epoch,
        loss=fsum(tally.losses) / per_epoch,
        learning_rate=_learning_rate(trainer),
        top1_percent=None,
        compute_s=trainer.clock() - tally.started_s - tally.data_s,
        data_s=tally.data_s,
    )


def _timed(trainer: Trainer, epoch: int, tally: _Tally) -> Iterator[tuple[Tensor, Tensor]]:
    """Hand batches on and add up the time spent waiting for them."""
    batches = iter(trainer.batches(epoch))
    while True:
        asked_s = trainer.clock()
        batch = next(batches, None)
        tally.data_s += trainer.clock() - asked_s
        if batch is None:
            return
        yield batch


def _step(trainer: Trainer, images: Tensor, labels: Tensor) -> Tensor:
    """Take one optimizer step and return its loss (), still on the device."""
    with autocast(trainer.device.type, trainer.precision):
        loss = trainer.task(images, labels)["loss"]
    loss.backward()
    if trainer.recipe.clip_grad_norm is not None:
        clip_grad_norm_(trainer.task.parameters(), trainer.recipe.clip_grad_norm)
    trainer.optimizer.step()
    trainer.optimizer.zero_grad(set_to_none=True)
    return loss.detach()


def _report(trainer: Trainer, epoch: int, tally: _Tally) -> None:
    fresh = torch.stack(tally.waiting).tolist()
    tally.waiting.clear()
    _require_finite(fresh, epoch=epoch, step=len(tally.losses))
    tally.losses += fresh
    done, per_epoch = len(tally.losses), trainer.batches.steps_per_epoch
    elapsed_s = trainer.clock() - tally.started_s
    trainer.on_progress(
        Progress(
            epoch=epoch + 1,
            epochs=trainer.recipe.epochs,
            step=epoch * per_epoch + done,
            steps=trainer.recipe.epochs * per_epoch,
            loss=fsum(fresh) / len(fresh),
            learning_rate=_learning_rate(trainer),
            images_per_s=done * trainer.batches.batch_size / elapsed_s if elapsed_s > 0 else 0.0,
        )
    )


def _require_finite(losses: list[float], *, epoch: int, step: int) -> None:
    for i, loss in enumerate(losses, start=step + 1):
        if not isfinite(loss):
            raise TrainingError(
                f"The training loss became {loss}.",
                where=f"epoch {epoch + 1}, step {i}",
                fix="Lower recipe.learning_rate, lengthen recipe.warmup_epochs or set recipe.clip_grad_norm.",
            )


def _learning_rate(trainer: Trainer) -> float:
    return float(trainer.optimizer.param_groups[0]["lr"])
