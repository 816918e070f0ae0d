import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from swatbench.data.images import Dataset, Images
from swatbench.spec.data import Data
from tests.data.jpegs import make_hf, make_jpeg_folder, make_shards

ROOT = Path(__file__).parents[2]


def random_images(n: int, *, seed: int = 0, size: int = 32, classes: int = 10) -> Images:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (n, 3, size, size), dtype=np.uint8)
    return Images(pixels=torch.from_numpy(pixels), labels=torch.arange(n) % classes)


def plain_images(n: int, *, seed: int = 0) -> Images:
    """Each image of one colour, which WebP packs in no time."""
    colours = np.random.default_rng(seed).integers(0, 256, (n, 3, 1, 1), dtype=np.uint8)
    pixels = torch.from_numpy(colours).expand(n, 3, 32, 32).contiguous()
    return Images(pixels=pixels, labels=torch.arange(n) % 10)


@pytest.fixture
def make_plain_images() -> Callable[..., Images]:
    return plain_images


@pytest.fixture
def make_images() -> Callable[..., Images]:
    return random_images


@pytest.fixture
def make_dataset() -> Callable[..., Dataset]:
    def make(train: int, test: int) -> Dataset:
        return Dataset(
            name="noise",
            train=random_images(train, seed=1),
            test=random_images(test, seed=2),
            classes=tuple("abcdefghij"),
            mean=(0.5, 0.4, 0.3),
            std=(0.2, 0.25, 0.5),
        )

    return make


@pytest.fixture(scope="session")
def make_cifar10() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_cifar10", ROOT / "scripts" / "make_cifar10.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def jpegs(tmp_path_factory) -> Path:
    """24 training and 8 test JPEGs of 4 classes, in three ways: the folders `folder`, `wds` and `hfds`."""
    root = tmp_path_factory.mktemp("jpegs")
    folder = make_jpeg_folder(root / "folder")
    make_shards(root / "wds", folder)
    make_hf(root / "hfds", folder)
    return root


@pytest.fixture
def make_data(jpegs, tmp_path, monkeypatch) -> Callable[..., tuple[Data, Path]]:
    """What a suite asks for, and a copy of the images that a test may damage, which is where it works."""

    def make(kind: str, **changes: object) -> tuple[Data, Path]:
        root = tmp_path / kind
        shutil.copytree(jpegs / kind, root)
        monkeypatch.chdir(tmp_path)
        source = {"folder": "folder", "wds": "wds/some", "hfds": "hfds/hfds"}[kind]
        place = tmp_path / "cache" if kind == "hfds" else root
        asked = {"train_images": 24, "test_images": 8, "num_classes": 4, "keep_decoded": False}
        return Data(source=source, root=str(place), **(asked | changes)), root

    return make
