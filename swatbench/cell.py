"""What runs in a process of its own: a cell, from description to record, and questions to the machine."""

import hashlib
import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from safetensors.torch import save
from torch import nn

from swatbench.data.batches import TestBatches, TrainBatches
from swatbench.data.images import Dataset
from swatbench.data.sources import load_dataset
from swatbench.errors import DataError, StoreError
from swatbench.job import Job, failed_record, now, record_of
from swatbench.measure.cost import Profile, measure_pair, profile_model
from swatbench.measure.machine import resolve_device, resolve_precision
from swatbench.models.build import build_model
from swatbench.models.digests import initial_digests
from swatbench.processes import Say
from swatbench.spec.catalog import find_model, parts_of
from swatbench.spec.cells import CostCell, Resolution, TrainCell
from swatbench.spec.suite import Cost, Suite
from swatbench.stats.ratios import paired_ratio
from swatbench.store.atomic import write_bytes_atomic
from swatbench.store.files import CURVE, PREDICTIONS, SAMPLES, write_arrays, write_curve, write_record
from swatbench.store.provenance import usable_cores
from swatbench.store.record import Record, TrainResult
from swatbench.train.evaluate import Evaluation, evaluate
from swatbench.train.loop import FitResult, fit

CHECKPOINT = "training.ckpt"
"""The last epoch's state; gone when the cell is finished."""
WEIGHTS = "weights.safetensors"
"""The trained weights; kept beside the record, but no part of it."""
TEST_BATCH = 250
PRECISE = 0.01
"""Timing ends early once every ratio's 95 % interval is narrower than this on either side."""


def run_cell(job: Job, say: Say) -> None:
    """Run a cell and write its record; whatever goes wrong becomes a record too.

    Args:
        job: The cell.
        say: Takes (kind, content), where kind is `progress`, `stage`, `note` or `error`.
    """
    try:
        record = _record(job, say)
        write_record(job.folder, record)
        if record.status == "finished":
            (job.folder / CHECKPOINT).unlink(missing_ok=True)
    except StoreError as error:
        # What cannot be written cannot be recorded either: the parent must hear it.
        say(("error", error))


def _record(job: Job, say: Say) -> Record:
    started_at, start = now(), time.monotonic()
    try:
        found = _train(job, job.cell, say) if isinstance(job.cell, TrainCell) else _cost(job, job.cell, say)
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001 (the one place where a failure becomes a record)
        return failed_record(job, error, started_at=started_at, duration_s=time.monotonic() - start)
    return record_of(job, "finished", started_at=started_at, duration_s=time.monotonic() - start, **found)


def resolve(suite: Suite) -> tuple[Resolution, int, str | None]:
    """Decide what the suite leaves to the machine.

    Returns:
        The resolution, the number of classes of the data, and the name of the CUDA device in use.

    Raises:
        DataError: The dataset is missing or damaged.
        MachineError: The device that the suite asks for is not here.
    """
    device = resolve_device(suite.execution.device)
    fused = suite.execution.fused_attention
    dataset = load_dataset(suite.data)
    resolution = Resolution(
        device=device,
        precision=resolve_precision(suite.execution.precision, device),
        fused_attention=device == "cuda" if fused == "auto" else fused,
        data_digest=dataset.digest,
    )
    return resolution, len(dataset.classes), torch.cuda.get_device_name() if device == "cuda" else None


def profile_by_name(
    name: str,
    *,
    batch: int,
    device: Literal["auto", "cpu", "cuda"],
    precision: Literal["auto", "fp32", "bf16"],
    threads: int | None,
    on_stage: Callable[[str], None],
) -> Profile:
    """Count and measure one model of the catalogue (see `run.profile`)."""
    pair, arm = find_model(name)
    where = resolve_device(device)
    build = partial(build_model, pair.as_dict(), parts_of(pair, arm), num_classes=pair.num_classes, seed=0)
    return profile_model(
        partial(build, fused_attention=where == "cuda"),
        model=name,
        cost=Cost(batch_size=batch, training=False),
        img_size=pair.img_size,
        device=where,
        precision=resolve_precision(precision, where),
        threads=threads or usable_cores(),
        on_stage=on_stage,
    )


def _train(job: Job, cell: TrainCell, say: Say) -> dict[str, Any]:
    _prepare(cell.threads, deterministic=cell.deterministic)
    device, precision = torch.device(cell.resolution.device), cell.resolution.precision
    dataset = _dataset(cell)
    model = _builder(cell, cell.parts, len(dataset.classes), seed=cell.seed)()
    initial = initial_digests(model)
    test = TestBatches(dataset, batch_size=TEST_BATCH, device=device)
    trained = fit(
        model,
        _train_batches(cell, dataset, device),
        test=test,
        recipe=cell.recipe,
        seed=cell.seed,
        device=device,
        precision=precision,
        checkpoint_path=job.folder / CHECKPOINT,
        digest=cell.digest,
        on_progress=lambda progress: say(("progress", progress)),
        on_note=lambda note: say(("note", note)),
    )
    score = evaluate(model, test, device=device, precision=precision)
    write_bytes_atomic(job.folder / WEIGHTS, save({k: v.contiguous() for k, v in model.state_dict().items()}))
    written = {
        CURVE: write_curve(job.folder, trained.curve),
        PREDICTIONS: write_arrays(job.folder, PREDICTIONS, score.predictions),
    }
    result = _train_result(cell, model, initial, trained, score)
    return {"train": result, "files": written, "resumed": trained.resumed}


def _dataset(cell: TrainCell) -> Dataset:
    dataset = load_dataset(cell.data)
    if dataset.digest != cell.resolution.data_digest:
        raise DataError(
            "The dataset changed while the suite was running.", fix="Run the suite again, from the new data."
        )
    return dataset


def _train_batches(cell: TrainCell, dataset: Dataset, device: torch.device) -> TrainBatches:
    return TrainBatches(
        dataset,
        augmentation=cell.recipe.augmentation,
        batch_size=cell.recipe.batch_size,
        seed=cell.seed,
        device=device,
    )


def _train_result(
    cell: TrainCell, model: nn.Module, initial: dict[str, str], trained: FitResult, score: Evaluation
) -> TrainResult:
    return TrainResult(
        params=sum(value.numel() for value in model.parameters()),
        test_images=score.images,
        correct=score.correct,
        top1_percent=score.top1_percent,
        top5_percent=score.top5_percent,
        test_loss=score.loss,
        train_s=trained.train_s,
        images_seen=trained.images_seen,
        order_sha256=trained.order_sha256,
        augmentation_sha256=trained.augmentation_sha256,
        shared_init_sha256=initial,
        recipe_sha256=hashlib.sha256(cell.recipe.model_dump_json().encode()).hexdigest(),
    )


def _cost(job: Job, cell: CostCell, say: Say) -> dict[str, Any]:
    _prepare(cell.threads, deterministic=False)
    result, samples = measure_pair(
        {arm: _builder(cell, parts, cell.num_classes, seed=0) for arm, parts in cell.arms.items()},
        cost=cell.cost,
        img_size=cell.pair["img_size"],
        num_classes=cell.num_classes,
        device=cell.resolution.device,
        precision=cell.resolution.precision,
        threads=cell.threads,
        enough=precise,
        on_stage=lambda stage: say(("stage", stage)),
    )
    return {"cost": result, "files": {SAMPLES: write_arrays(job.folder, SAMPLES, samples)}}


def precise(samples: Mapping[str, np.ndarray]) -> bool:
    """Whether every arm's ratio to the first is known within `PRECISE` (never whether it differs from 1).

    Args:
        samples: Seconds per call of each arm, the reference first, and of its `twin`, one entry a round.
    """
    reference, *others = (name for name in samples if name != "twin")
    ratios = (paired_ratio(samples[arm], samples[reference], samples["twin"]) for arm in others)
    return all(r.enough and r.high / r.ratio - 1 < PRECISE and 1 - r.low / r.ratio < PRECISE for r in ratios)


def _builder(
    cell: TrainCell | CostCell, parts: tuple[str, ...], num_classes: int, *, seed: int
) -> Callable[[], nn.Module]:
    fused = cell.resolution.fused_attention
    return partial(build_model, cell.pair, parts, num_classes=num_classes, seed=seed, fused_attention=fused)


def _prepare(threads: int, *, deterministic: bool) -> None:
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS starts
    torch.set_num_threads(threads)
    # fp32 means float32: by default cuDNN's convolutions, of which a SWAT arm has more, use TF32.
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    torch.use_deterministic_algorithms(deterministic)
    # Filling fresh memory guards against reading it unwritten, and costs a pass over every tensor.
    torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue]
