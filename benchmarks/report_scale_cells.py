"""What the trained and tested cells of a large store hold; see `report_scale_store.py`."""

import hashlib
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from report_scale_forms import BY_SEED, CORRECT, IMAGES, LOSS, SEED, TOP1, TOP5, Form, Written

from swatbench.spec.catalog import PAIRS, parts_of
from swatbench.spec.cells import EvaluateCell, Resolution, Speed, TrainCell
from swatbench.spec.data import Data, TestSet
from swatbench.spec.recipe import Augmentation, Recipe
from swatbench.store.arrays import packed
from swatbench.store.files import packed_record
from swatbench.store.record import (
    CurvePoint,
    Environment,
    Evaluated,
    EvaluationResult,
    Failure,
    Record,
    TrainResult,
)
from swatbench.store.rows import packed_rows

SUITE = "scale"
CLASSES, EPOCHS = 10, 5
PARAMETERS = 120
"""Parameters of a model by name, each with a digest of its initial value."""

DATA = Data(source="folder", root="data/images", train_images=4_000, test_images=IMAGES, num_classes=CLASSES)
V2 = TestSet(name="v2", root="data/v2", images=IMAGES)
RECIPE = Recipe(epochs=EPOCHS, batch_size=64, learning_rate=2e-3, augmentation=Augmentation(crop="resized"))
SPEED = Speed(
    tf32=False, channels_last=False, compile="none", fused_optimizer=True, gradient_checkpointing=False
)
RESOLUTION = Resolution(device="cpu", precision="bf16", fused_attention=False, data_digest="d" * 64)
_PACKAGES = ("einops", "fvcore", "numpy", "pandas", "pillow", "scipy", "statsmodels", "timm", "torch")
ENVIRONMENT = Environment(
    machine="some-cpu-2-cores",
    processor="Some CPU",
    cores=2,
    memory_bytes=8 * 2**30,
    accelerator=None,
    system="Linux 6.1 (Debian GNU/Linux 12)",
    python="3.11.2",
    packages=dict.fromkeys(_PACKAGES, "1.2.3"),
    git_commit="0123456789abcdef0123456789abcdef01234567",
    git_dirty=False,
    swatbench="0.1.0",
)


def train_form(pair: str, arm: str, *, params: int) -> Form:
    """The form of the training runs of an arm.

    Args:
        pair: Name of the pair.
        arm: The arm.
        params: Parameters of its model.
    """
    row = PAIRS[pair]
    cell = TrainCell(
        pair=row.as_dict(),
        arm=arm,
        parts=parts_of(row, arm),
        seed=SEED,
        data=DATA,
        recipe=RECIPE,
        resolution=RESOLUTION,
        speed=SPEED,
        micro_batch_size=64,
        streams=None,
        threads=1,
        deterministic=True,
    )
    result = TrainResult(
        params=params,
        test_images=IMAGES,
        correct=CORRECT,
        top1_percent=TOP1,
        top5_percent=TOP5,
        test_loss=LOSS,
        train_s=41.5,
        data_s=1.25,
        images_seen=5 * 4_000,
        order_sha256=_sha("order"),
        augmentation_sha256=_sha("augmentation"),
        shared_init_sha256={
            f"blocks.{n // 10}.{n % 10}.weight": _sha(f"{pair} {n}") for n in range(PARAMETERS)
        },
        recipe_sha256=hashlib.sha256(RECIPE.model_dump_json().encode()).hexdigest(),
        classes=tuple(f"class {n}" for n in range(CLASSES)),
        evaluated=(_evaluated(),),
    )
    return _form(cell, train=result, files={"curve.jsonl": "@curve.jsonl"})


def evaluate_form(trained: Form) -> Form:
    """The form of the tests of an arm on the further test set."""
    of = trained.cell
    assert isinstance(of, TrainCell)
    cell = EvaluateCell(
        pair=of.pair,
        arm=of.arm,
        parts=of.parts,
        seed=SEED,
        weights="@weights",
        test=V2,
        data=DATA,
        resolution=RESOLUTION,
        threads=1,
    )
    result = EvaluationResult(
        test=V2.name, model=of.pair["name"], params=5_000_000, evaluated=(_evaluated(),)
    )
    return _form(cell, evaluation=result, files={})


def trained(form: Form, seed: int, gain: float) -> Written:
    """One training run.

    Args:
        form: Form of its pair and arm.
        seed: Its seed.
        gain: Percentage points that its arm gains.
    """
    predictions, right = _predictions(seed, 60 + gain)
    curve = packed_rows(_point(epoch, 100 * right / IMAGES, seed) for epoch in range(1, EPOCHS + 1))
    cell = form.cell.model_copy(update={"seed": seed})
    return form.filled(cell, {"predictions.npz": predictions, "curve.jsonl": curve}, right)


def tested(form: Form, seed: int, weights: str, gain: float) -> Written:
    """One test of a training run on the further test set.

    Args:
        form: Form of its pair and arm.
        seed: Seed of the training run.
        weights: Digest of the training run's cell.
        gain: Percentage points that its arm gains.
    """
    predictions, right = _predictions(seed + 10_000, 45 + gain)
    cell = form.cell.model_copy(update={"seed": seed, "weights": weights})
    return form.filled(cell, {"predictions.npz": predictions}, right)


def failed(form: Form, seed: int) -> Written:
    """A training run that ended with an error."""
    cell = form.cell.model_copy(update={"seed": seed})
    failure = Failure(error="TrainingError", message="The loss is not finite.", where="epoch 2")
    record = _record(cell, failure=failure, status="failed")
    return Form(cell=cell, text=record).filled(cell, {}, 0)


def damaged(form: Form, seed: int, kind: int) -> Written:
    """A training run whose record is cut short, is no text, or does not fit its predictions."""
    whole = trained(form, seed, 0.0)
    record, predictions = whole.files["record.json"], whole.files["predictions.npz"]
    spoilt = (
        {"record.json": record[: len(record) // 2]},
        {"record.json": b"\xff" + record},
        {"predictions.npz": predictions[: len(predictions) // 2]},
    )
    return Written(name=whole.name, digest=whole.digest, files={**whole.files, **spoilt[kind % len(spoilt)]})


def _form(
    cell: TrainCell | EvaluateCell,
    *,
    files: Mapping[str, str],
    train: TrainResult | None = None,
    evaluation: EvaluationResult | None = None,
) -> Form:
    text = _record(
        cell, train=train, evaluation=evaluation, files={"predictions.npz": "@predictions.npz", **files}
    )
    return Form(cell=cell, text=text)


def _record(
    cell: TrainCell | EvaluateCell, *, status: Literal["finished", "failed"] = "finished", **result: Any
) -> str:
    record = Record(
        status=status,
        suite=SUITE,
        cell_id="@id",
        digest="@digest",
        cell=cell.facts,
        environment=ENVIRONMENT,
        started_at="@start",
        duration_s=42.0,
        **result,
    )
    return packed_record(record).decode()


def _evaluated() -> Evaluated:
    return Evaluated(
        weights="raw",
        images=IMAGES,
        correct=CORRECT,
        top1_percent=TOP1,
        top5_percent=TOP5,
        loss=LOSS,
        calibration_error=0.05,
        per_class_percent=tuple(50.0 + n for n in range(CLASSES)),
        file="predictions.npz",
    )


def _predictions(seed: int, percent: float) -> tuple[bytes, int]:
    """The file of one run's answers, and how many of them are right."""
    rng = np.random.default_rng([seed, round(10 * percent)])
    right = rng.random(IMAGES) < percent / 100
    label = np.arange(IMAGES, dtype=np.int64) % CLASSES
    margin = np.where(right, 1, -1) * rng.random(IMAGES, np.float32)
    arrays = {
        "label": label,
        "predicted": np.where(right, label, (label + 1) % CLASSES),
        "margin": margin.astype(np.float32),
        "loss": rng.random(IMAGES, np.float32),
        "confidence": rng.random(IMAGES, np.float32),
    }
    return packed(arrays), int((margin > 0).sum())


def _point(epoch: int, percent: float, seed: int) -> CurvePoint:
    done = epoch / EPOCHS
    return CurvePoint(
        epoch=epoch,
        step=epoch * 60,
        loss=2.3 - done - 0.001 * (seed % 17),
        learning_rate=1e-3,
        top1_percent=percent * (0.5 + 0.5 * done),
        compute_s=8.0,
        data_s=0.25,
    )


def _sha(name: str) -> str:
    """A digest whose last characters are each seed's own."""
    return f"{hashlib.sha256(name.encode()).hexdigest()[: -len(BY_SEED)]}{BY_SEED}"
