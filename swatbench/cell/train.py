"""A train cell: a model built, trained, tested and kept."""

import hashlib
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import nn

from swatbench.backbones import AVERAGE, WEIGHTS
from swatbench.cell.backbone import begin_with
from swatbench.cell.batches import AnyDataset, test_batches, train_batches
from swatbench.cell.machine import device_of, prepare
from swatbench.cell.model import builder, objective_of
from swatbench.cell.scores import Models, Scores, score
from swatbench.cell.watch import watched
from swatbench.data.sources import load_dataset
from swatbench.data.workers import explaining_workers
from swatbench.errors import DataError
from swatbench.job import Job
from swatbench.models.digests import initial_digests
from swatbench.processes import Say
from swatbench.spec.cells import TrainCell
from swatbench.store.atomic import write_bytes_atomic
from swatbench.store.files import CURVE
from swatbench.store.leftovers import CHECKPOINTS
from swatbench.store.record import TrainResult
from swatbench.store.rows import write_rows
from swatbench.train.loop import FitResult, fit
from swatbench.train.retention import Retention
from swatbench.world import World


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
    model = builder(cell, num_classes=num_classes, seed=cell.seed)()
    begin_with(job, cell, model, say)
    initial = initial_digests(model)
    loading: dict[str, Any] = {"world": world, "workers": job.workers, "stall_s": job.execution.stall_s}
    test = test_batches(cell, dataset, split=None, **loading)
    with watched(job, say, world) as listener:
        trained = fit(
            model,
            train_batches(cell, dataset, **loading),
            test=test,
            recipe=cell.recipe,
            speed=cell.speed,
            objective=objective_of(cell, num_classes=num_classes),
            seed=cell.seed,
            device=device_of(cell.resolution, world),
            precision=cell.resolution.precision,
            retention=retention_of(job),
            every_s=job.execution.checkpoints.every_s,
            digest=cell.digest,
            listener=listener,
            world=world,
        )
    models: Models = {"raw": model} if trained.average is None else {"ema": trained.average, "raw": model}
    scores = score(cell, models, test, dataset, world)
    written = _write(job, models, trained, scores) if world.first else {}
    result = _result(cell, model, initial, trained, scores, classes=dataset.classes, world=world)
    return {"train": result, "files": written, "resumed": trained.resumed}


def retention_of(job: Job) -> Retention:
    """The checkpoints of a train cell."""
    kept = job.execution.checkpoints
    return Retention(
        job.folder / CHECKPOINTS, keep_every_epochs=kept.keep_every_epochs, keep_best=kept.keep_best
    )


def _dataset(cell: TrainCell) -> AnyDataset:
    dataset = load_dataset(cell.data)
    if dataset.digest != cell.resolution.data_digest:
        raise DataError(
            "The dataset changed while the suite was running.", fix="Run the suite again, from the new data."
        )
    return dataset


def _write(job: Job, models: Models, trained: FitResult, scores: Scores) -> dict[str, str]:
    """Write the files of a finished run; return their digests."""
    for weights, model in models.items():
        _save(job.folder / (AVERAGE if weights == "ema" else WEIGHTS), model)
    return {CURVE: write_rows(job.folder, CURVE, trained.curve), **scores.write(job)}


def _save(path: Path, model: nn.Module) -> None:
    write_bytes_atomic(path, save({name: value.contiguous() for name, value in model.state_dict().items()}))


def _result(
    cell: TrainCell,
    model: nn.Module,
    initial: dict[str, str],
    trained: FitResult,
    scores: Scores,
    *,
    classes: tuple[str, ...],
    world: World,
) -> TrainResult:
    return TrainResult(
        params=sum(value.numel() for value in model.parameters()),
        train_s=trained.train_s,
        data_s=trained.data_s,
        processes=world.size,
        images_seen=trained.images_seen,
        order_sha256=trained.order_sha256,
        augmentation_sha256=trained.augmentation_sha256,
        shared_init_sha256=initial,
        recipe_sha256=hashlib.sha256(cell.recipe.model_dump_json().encode()).hexdigest(),
        classes=classes,
        evaluated=scores.evaluated,
        **scores.fields,
    )
