"""Training a model by a recipe, epoch by epoch, from a checkpoint where there is one.

All that a step depends on is the state after the last one, the recipe, the seed and the step's number. So a
run that was stopped and continued ends with the same weights as one that was not, bit for bit on a CPU.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import fsum

import torch
from torch import nn

from swatbench.precision import Precision
from swatbench.spec.cells import Speed
from swatbench.spec.recipe import Recipe
from swatbench.store.record import CurvePoint
from swatbench.train.batches import TestBatches, TrainBatches
from swatbench.train.epoch import Stoppable, Tally, Trainer, TrainingStopped, run_epoch
from swatbench.train.objective import Objective
from swatbench.train.optim import make_scheduler
from swatbench.train.retention import Retention
from swatbench.train.state import Listener, RunState
from swatbench.train.step import Stepper, make_stepper
from swatbench.world import ALONE, World


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FitResult:
    """What training gave, beside the model's new weights.

    Attributes:
        curve: One point for each epoch.
        train_s: Wall time of all epochs' steps and batches in seconds, without tests and checkpoints.
        data_s: The part of it spent waiting for batches.
        images_seen: Training images seen, counted with repetition.
        resumed: How often the run was continued from a checkpoint.
        order_sha256: Digest of the order in which images were seen.
        augmentation_sha256: Digest of every augmentation draw.
        average: The model with the moving average of the weights; None where the recipe keeps none.
    """

    curve: tuple[CurvePoint, ...]
    train_s: float
    data_s: float
    images_seen: int
    resumed: int
    order_sha256: str
    augmentation_sha256: str
    average: nn.Module | None


def fit(
    model: nn.Module,
    batches: TrainBatches,
    *,
    test: TestBatches | None,
    recipe: Recipe,
    speed: Speed,
    objective: Objective,
    seed: int,
    device: torch.device,
    precision: Precision,
    retention: Retention,
    every_s: float,
    digest: str,
    listener: Listener,
    world: World = ALONE,
) -> FitResult:
    """Train a model in place.

    Args:
        model: The model with its initial weights; it is moved to `device`.
        batches: Training batches, on `device`.
        test: Test batches, to be gone through after every epoch; None to leave that out.
        recipe: The recipe.
        speed: Switches that trade time and memory.
        objective: What is learnt: the loss of a step, and the score of a test.
        seed: Decides what the model itself draws while training, as dropout does.
        device: Where to train.
        precision: Autocast type of the forward pass.
        retention: Where checkpoints are, and which are kept.
        every_s: Longest time without a checkpoint, in seconds.
        digest: Digest of the cell, kept in the checkpoint.
        listener: Who is told how it goes.
        world: The processes that train together; all of them call this.

    Raises:
        TrainingError: Training diverged.
        TrainingStopped: It was asked to stop, and did so with a checkpoint.
        CheckpointError: The checkpoint belongs to another cell or model.
        StoreError: The checkpoint cannot be written.
        SuiteError: The recipe's optimizer cannot be used.
        ModelError: The model cannot do what a switch asks for.
    """
    stepper = make_stepper(
        model,
        recipe,
        speed,
        objective=objective,
        seed=seed,
        device=device,
        precision=precision,
        world=world,
    )
    state = RunState(stepper, retention, every_s=every_s, digest=digest, listener=listener)
    trainer = Trainer(
        stepper=stepper,
        scheduler=make_scheduler(stepper.optimizer, recipe, steps_per_epoch=batches.steps_per_epoch),
        batches=batches,
        guessing=objective.guessing,
        on_progress=listener.progress,
        on_pause=state.pause,
        should_stop=listener.should_stop,
        clock=listener.clock,
    )
    tally = state.resume(batches.steps_per_epoch)
    for epoch in range(len(state.curve), recipe.total_epochs):
        with _own_randomness(device):
            point = run_epoch(trainer, epoch, tally)
        if test is not None:
            try:
                point = _tested(point, stepper, Stoppable(test, trainer.alone_and_stopped), objective)
            except TrainingStopped:
                state.pause(epoch, tally, stop=True)
        state.end_epoch(point)
        tally = Tally()
    return _summarise(state, batches, stepper.average)


def _tested(point: CurvePoint, stepper: Stepper, test: TestBatches, objective: Objective) -> CurvePoint:
    """The point with the scores of the weights and of their moving average."""
    found = {}
    for prefix, model in (("", stepper.model), ("ema_", stepper.average)):
        if model is None:
            continue
        place = {"device": stepper.device, "precision": stepper.precision, "world": stepper.world}
        scores = objective.test(model, test, **place)
        found |= {f"{prefix}{name}": score for name, score in scores.items()}
    return point.model_copy(update=found)


@contextmanager
def _own_randomness(device: torch.device) -> Iterator[None]:
    """Leave torch's own random state as it was, whatever is drawn inside."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def _summarise(state: RunState, batches: TrainBatches, average: nn.Module | None) -> FitResult:
    curve = state.curve
    order_sha256, augmentation_sha256 = batches.digests(len(curve))
    return FitResult(
        curve=curve,
        train_s=fsum(point.compute_s + point.data_s for point in curve),
        data_s=fsum(point.data_s for point in curve),
        images_seen=len(curve) * batches.steps_per_epoch * batches.batch_size,
        resumed=state.resumed,
        order_sha256=order_sha256,
        augmentation_sha256=augmentation_sha256,
        average=average,
    )
