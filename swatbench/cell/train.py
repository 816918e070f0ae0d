"""A train cell: a model built, trained, tested and kept."""

import hashlib
from pathlib import Path
from typing import Any, Literal

from safetensors.torch import save
from torch import nn

from swatbench.cell.machine import builder, device_of, prepare
from swatbench.cell.testing import test_batches
from swatbench.cell.watch import watched
from swatbench.data.files import FileDataset
from swatbench.data.images import Dataset
from swatbench.data.loading import make_train_batches
from swatbench.data.sources import load_dataset
from swatbench.data.workers import explaining_workers
from swatbench.errors import DataError
from swatbench.job import Job
from swatbench.models.digests import initial_digests
from swatbench.processes import Say
from swatbench.spec.cells import TrainCell
from swatbench.store.atomic import write_bytes_atomic
from swatbench.store.files import CURVE, PREDICTIONS, PREDICTIONS_RAW, write_arrays
from swatbench.store.record import Evaluated, TrainResult
from swatbench.store.rows import write_rows
from swatbench.train.batches import TestBatches, TrainBatches
from swatbench.train.evaluate import Evaluation, evaluate
from swatbench.train.loop import FitResult, fit
from swatbench.train.retention import Retention
from swatbench.world import World

CHECKPOINTS = "checkpoints"
"""Folder of the states of a run; of a finished cell those that the suite keeps."""
Scores = dict[Literal["ema", "raw"], Evaluation]
"""What each kind of weights gives; the first are those that the record speaks of."""
WEIGHTS, AVERAGE = "weights.safetensors", "weights-ema.safetensors"
"""The trained weights and their moving average; kept beside the record, but no part of it."""


@explaining_workers()
def train(job: Job, cell: TrainCell, say: Say, world: World) -> dict[str, Any]:
    """Train and test a model, and write its curve, predictions and weights.

    Args:
        job: The cell and its folder.
        cell: The cell.
        say: Told how it goes.
        world: The processes that train together.

    Returns:
        Fields of the record.
    """
    prepare(cell.threads, deterministic=cell.deterministic, tf32=cell.speed.tf32)
    dataset = _dataset(cell)
    num_classes = len(dataset.classes)
    model = builder(
        _with_drop_path(cell),
        cell.parts,
        num_classes=num_classes,
        seed=cell.seed,
        fused_attention=cell.resolution.fused_attention,
    )()
    initial = initial_digests(model)
    test = test_batches(job, cell, dataset.test, dataset, world)
    with watched(job, say, world) as listener:
        trained = fit(
            model,
            _train_batches(job, cell, dataset, world),
            test=test,
            recipe=cell.recipe,
            speed=cell.speed,
            num_classes=num_classes,
            seed=cell.seed,
            device=device_of(cell.resolution, world),
            precision=cell.resolution.precision,
            retention=retention_of(job),
            every_s=job.execution.checkpoints.every_s,
            digest=cell.digest,
            listener=listener,
            world=world,
        )
    scores = _scores(cell, model, trained, test, num_classes, world)
    written, evaluated = _write(job, model, trained, scores) if world.first else ({}, ())
    result = _train_result(
        cell, model, initial, trained, scores, evaluated, classes=dataset.classes, world=world
    )
    return {"train": result, "files": written, "resumed": trained.resumed}


def retention_of(job: Job) -> Retention:
    """The checkpoints of a train cell."""
    kept = job.execution.checkpoints
    return Retention(
        job.folder / CHECKPOINTS, keep_every_epochs=kept.keep_every_epochs, keep_best=kept.keep_best
    )


def _dataset(cell: TrainCell) -> Dataset | FileDataset:
    dataset = load_dataset(cell.data)
    if dataset.digest != cell.resolution.data_digest:
        raise DataError(
            "The dataset changed while the suite was running.", fix="Run the suite again, from the new data."
        )
    return dataset


def _with_drop_path(cell: TrainCell) -> dict[str, Any]:
    """The pair's row with the recipe's rate of dropped paths, where it states one."""
    if cell.recipe.drop_path_rate is None:
        return cell.pair
    return {
        **cell.pair,
        "timm_kwargs": {**cell.pair["timm_kwargs"], "drop_path_rate": cell.recipe.drop_path_rate},
    }


def _train_batches(job: Job, cell: TrainCell, dataset: Dataset | FileDataset, world: World) -> TrainBatches:
    return make_train_batches(
        dataset,
        recipe=cell.recipe,
        img_size=cell.pair["img_size"],
        micro_batch_size=cell.micro_batch_size,
        seed=cell.seed,
        device=device_of(cell.resolution, world),
        world=world,
        workers=job.workers,
        stall_s=job.execution.stall_s,
    )


def _scores(
    cell: TrainCell, model: nn.Module, trained: FitResult, test: TestBatches, num_classes: int, world: World
) -> Scores:
    """What each kind of weights gives on the test split; the first are those that the record speaks of."""
    models: dict[Literal["ema", "raw"], nn.Module | None] = {"ema": trained.average, "raw": model}
    return {
        weights: evaluate(
            one,
            test,
            device=device_of(cell.resolution, world),
            precision=cell.resolution.precision,
            world=world,
            num_classes=num_classes,
        )
        for weights, one in models.items()
        if one is not None
    }


def _write(
    job: Job, model: nn.Module, trained: FitResult, scores: Scores
) -> tuple[dict[str, str], tuple[Evaluated, ...]]:
    """Write the files of a finished run; return their digests, and what the record says of each test."""
    _save(job.folder / WEIGHTS, model)
    if trained.average is not None:
        _save(job.folder / AVERAGE, trained.average)
    written, evaluated = {CURVE: write_rows(job.folder, CURVE, trained.curve)}, []
    for (weights, score), file in zip(scores.items(), (PREDICTIONS, PREDICTIONS_RAW), strict=False):
        written[file] = write_arrays(job.folder, file, score.predictions)
        evaluated.append(score.record(weights, file))
    return written, tuple(evaluated)


def _save(path: Path, model: nn.Module) -> None:
    write_bytes_atomic(path, save({name: value.contiguous() for name, value in model.state_dict().items()}))


def _train_result(
    cell: TrainCell,
    model: nn.Module,
    initial: dict[str, str],
    trained: FitResult,
    scores: Scores,
    evaluated: tuple[Evaluated, ...],
    *,
    classes: tuple[str, ...],
    world: World,
) -> TrainResult:
    weights, score = next(iter(scores.items()))
    assert score.top5_percent is not None
    assert score.loss is not None
    return TrainResult(
        weights=weights,
        params=sum(value.numel() for value in model.parameters()),
        test_images=score.images,
        correct=score.correct,
        top1_percent=score.top1_percent,
        top5_percent=score.top5_percent,
        test_loss=score.loss,
        train_s=trained.train_s,
        data_s=trained.data_s,
        processes=world.size,
        images_seen=trained.images_seen,
        order_sha256=trained.order_sha256,
        augmentation_sha256=trained.augmentation_sha256,
        shared_init_sha256=initial,
        recipe_sha256=hashlib.sha256(cell.recipe.model_dump_json().encode()).hexdigest(),
        classes=classes,
        evaluated=evaluated,
    )
