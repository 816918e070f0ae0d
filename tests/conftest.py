"""Values that several rooms' tests share."""

import importlib
from pathlib import Path

import pytest

from swatbench.spec.catalog import PAIRS, parts_of
from swatbench.spec.cells import Resolution, Speed, TrainCell
from swatbench.spec.data import Data
from swatbench.spec.recipe import Recipe


@pytest.fixture
def benchmark(monkeypatch):
    """Imports a module of a benchmark by name, as its own files do."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    return importlib.import_module


@pytest.fixture
def speed():
    """The switches as they are where nothing is asked for."""
    return Speed(
        tf32=False,
        channels_last=False,
        compile="none",
        fused_optimizer=True,
        gradient_checkpointing=False,
    )


@pytest.fixture
def train_cell(speed):
    """A train cell of two epochs."""
    return TrainCell(
        pair=PAIRS["deit_mini"].as_dict(),
        arm="swat",
        parts=parts_of(PAIRS["deit_mini"], "swat"),
        seed=4,
        data=Data(source="cifar10_subset"),
        recipe=Recipe(epochs=2, batch_size=2500, learning_rate=1e-3),
        resolution=Resolution(device="cpu", precision="fp32", fused_attention=False, data_digest="0" * 64),
        speed=speed,
        micro_batch_size=2500,
        streams=None,
        threads=1,
        deterministic=True,
    )
