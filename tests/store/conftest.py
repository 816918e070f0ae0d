"""Records of a finished training, a finished measurement and a failure, made by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swatbench.store.files import cell_folder, write_arrays, write_record
from swatbench.store.record import CurvePoint, Environment, Failure, Record, TrainResult
from swatbench.store.rows import write_rows


@pytest.fixture
def place() -> Environment:
    return Environment(
        machine="some-processor-2-cores",
        processor="Some Processor",
        cores=2,
        memory_bytes=2**33,
        accelerator=None,
        system="Linux",
        python="3.11.7",
        packages={"torch": "2.15.0"},
        git_commit=None,
        git_dirty=None,
        swatbench="0.1.0",
    )


@pytest.fixture
def record(place: Environment) -> Record:
    return Record(
        status="finished",
        suite="small",
        cell_id="deit_mini-swat-seed0-0123456789",
        digest="0" * 64,
        cell={"kind": "train", "pair": {"name": "deit_mini"}, "arm": "swat", "seed": 0},
        environment=place,
        started_at="2024-05-06T07:08:09+00:00",
        duration_s=1.5,
        train=TrainResult(
            params=10,
            test_images=4,
            correct=3,
            top1_percent=75.0,
            top5_percent=100.0,
            test_loss=0.5,
            train_s=1.0,
            images_seen=40,
            order_sha256="1" * 64,
            augmentation_sha256="2" * 64,
            shared_init_sha256={"head.weight": "3" * 64},
            recipe_sha256="4" * 64,
        ),
    )


@pytest.fixture
def failed(record: Record) -> Record:
    reason = Failure(error="TrainingError", message="Training diverged.", where=None)
    return record.model_copy(update={"status": "failed", "train": None, "failure": reason})


@pytest.fixture
def points() -> tuple[CurvePoint, ...]:
    return tuple(
        CurvePoint(
            epoch=epoch,
            step=10 * epoch,
            loss=1 / epoch,
            learning_rate=0.1,
            top1_percent=None,
            compute_s=1.0,
            data_s=0.1,
        )
        for epoch in (1, 2, 3)
    )


@pytest.fixture
def predictions() -> dict[str, np.ndarray]:
    return {
        "label": np.array([0, 1, 2, 3]),
        "predicted": np.array([0, 1, 2, 0]),
        "margin": np.array([0.5, 1.5, 0.1, -2.0], dtype=np.float32),
        "loss": np.array([0.1, 0.2, 0.3, 4.0], dtype=np.float32),
    }


@pytest.fixture
def store(
    tmp_path: Path, record: Record, points: tuple[CurvePoint, ...], predictions: dict[str, np.ndarray]
) -> Callable[..., Path]:
    """Store the record, with changes, as a whole cell below `tmp_path`, and return its folder."""

    def write(machine: str = "some-processor-2-cores", **changes: Any) -> Path:
        changed = record.model_copy(update=changes)
        folder = cell_folder(tmp_path, changed.suite, machine, changed.cell_id)
        files = {
            "curve.jsonl": write_rows(folder, "curve.jsonl", points),
            "predictions.npz": write_arrays(folder, "predictions.npz", predictions),
        }
        write_record(folder, changed.model_copy(update={"files": files}))
        return folder

    return write
