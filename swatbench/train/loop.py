"""Training a model by a recipe, epoch by epoch, from a checkpoint where there is one.

All that an epoch depends on is the state after the last one, the recipe, the seed and the epoch's number. So
a run that was stopped and continued ends with the same weights as one that was not, bit for bit on a CPU.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import fsum
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from timm.task import ClassificationTask
from torch import Tensor, nn

from swatbench.errors import CheckpointError
from swatbench.precision import Precision
from swatbench.progress import Progress
from swatbench.spec.suite import Recipe
from swatbench.store.record import CurvePoint
from swatbench.train.checkpoint import Checkpoint, read_checkpoint, require_digest, write_checkpoint
from swatbench.train.epoch import EpochBatches, Trainer, run_epoch
from swatbench.train.evaluate import evaluate
from swatbench.train.optim import make_optimizer, make_scheduler


@dataclass(frozen=True, slots=True, kw_only=True)
class FitResult:
    """What training gave, beside the model's new weights.

    Attributes:
        curve: One point for each epoch.
        train_s: Wall time of all epochs' steps and batches in seconds, without tests and checkpoints.
        images_seen: Training images seen, counted with repetition.
        resumed: How often the run was continued from a checkpoint.
        order_sha256: Digest of the order in which images were seen.
        augmentation_sha256: Digest of every augmentation draw.
    """

    curve: tuple[CurvePoint, ...]
    train_s: float
    images_seen: int
    resumed: int
    order_sha256: str
    augmentation_sha256: str


def fit(
    model: nn.Module,
    batches: EpochBatches,
    *,
    test: Iterable[tuple[Tensor, Tensor]] | None,
    recipe: Recipe,
    seed: int,
    device: torch.device,
    precision: Precision,
    checkpoint_path: Path,
    digest: str,
    on_progress: Callable[[Progress], None],
    on_note: Callable[[str], None],
    clock: Callable[[], float] = time.perf_counter,
) -> FitResult:
    """Train a model in place.

    Args:
        model: The model with its initial weights; it is moved to `device`.
        batches: Training batches, on `device`.
        test: Test batches, to be gone through after every epoch; None to leave that out.
        recipe: The recipe.
        seed: Decides what the model itself draws while training, as dropout does.
        device: Where to train.
        precision: Autocast type of the forward pass.
        checkpoint_path: Written after every epoch, and read at the start; it is left in place at the end.
        digest: Digest of the cell, kept in the checkpoint.
        on_progress: Told how far the run is, every few steps.
        on_note: Told in a sentence what a user should know, as that a damaged checkpoint is not used.
        clock: Seconds of wall time from any origin.

    Raises:
        TrainingError: Training diverged.
        CheckpointError: The checkpoint belongs to another cell or model.
        StoreError: The checkpoint cannot be written.
        SuiteError: The recipe's optimizer cannot be used.
    """
    model.to(device)
    trainer = _make_trainer(model, batches, recipe, device, precision, on_progress, clock)
    curve, resumed = _resume(trainer, model, checkpoint_path, digest, on_note)
    for epoch in range(len(curve), recipe.epochs):
        with _own_randomness(seed, epoch, device):
            point = run_epoch(trainer, epoch)
        curve = (*curve, point if test is None else _tested(point, trainer, model, test))
        weights, steps = model.state_dict(), trainer.optimizer.state_dict()
        state = Checkpoint(digest=digest, resumed=resumed, curve=curve, model=weights, optimizer=steps)
        write_checkpoint(checkpoint_path, state)
    return _summarise(curve, resumed, batches)


def _make_trainer(
    model: nn.Module,
    batches: EpochBatches,
    recipe: Recipe,
    device: torch.device,
    precision: Precision,
    on_progress: Callable[[Progress], None],
    clock: Callable[[], float],
) -> Trainer:
    optimizer = make_optimizer(model, recipe)

    def training_loss(logits: Tensor, labels: Tensor) -> Tensor:
        # In float32: autocast on a CPU leaves the log-softmax in bfloat16, good for two or three digits.
        return F.cross_entropy(logits.float(), labels, label_smoothing=recipe.label_smoothing)

    return Trainer(
        task=ClassificationTask(model, training_loss, device=device, verbose=False),
        optimizer=optimizer,
        scheduler=make_scheduler(optimizer, recipe, steps_per_epoch=batches.steps_per_epoch),
        batches=batches,
        recipe=recipe,
        device=device,
        precision=precision,
        on_progress=on_progress,
        clock=clock,
    )


def _tested(
    point: CurvePoint, trainer: Trainer, model: nn.Module, test: Iterable[tuple[Tensor, Tensor]]
) -> CurvePoint:
    result = evaluate(model, test, device=trainer.device, precision=trainer.precision)
    return point.model_copy(update={"top1_percent": result.top1_percent})


def _resume(
    trainer: Trainer, model: nn.Module, path: Path, digest: str, on_note: Callable[[str], None]
) -> tuple[tuple[CurvePoint, ...], int]:
    """Load the checkpoint, where there is a whole one; return the curve and how often it was resumed."""
    try:
        state = read_checkpoint(path)
    except CheckpointError as error:
        on_note(f"{path}: {error.what} Training starts anew.")
        return (), 0
    if state is None:
        return (), 0
    require_digest(state, digest, path=path)
    try:
        model.load_state_dict(state.model)
        trainer.optimizer.load_state_dict(state.optimizer)
    except (RuntimeError, ValueError) as error:
        fix = "Delete the file to train this cell from the start."
        raise CheckpointError("The checkpoint is of another model.", where=str(path), fix=fix) from error
    return state.curve, state.resumed + 1


@contextmanager
def _own_randomness(seed: int, epoch: int, device: torch.device) -> Iterator[None]:
    """Let the model draw from a stream of this seed and epoch, and leave torch's own as it was."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(int(np.random.SeedSequence((seed, epoch)).generate_state(1)[0]))
        yield


def _summarise(curve: tuple[CurvePoint, ...], resumed: int, batches: EpochBatches) -> FitResult:
    order_sha256, augmentation_sha256 = batches.digests(len(curve))
    return FitResult(
        curve=curve,
        train_s=fsum(point.compute_s + point.data_s for point in curve),
        images_seen=len(curve) * batches.steps_per_epoch * batches.batch_size,
        resumed=resumed,
        order_sha256=order_sha256,
        augmentation_sha256=augmentation_sha256,
    )
