import gzip
import importlib.util
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from swatbench.data import mask_canvases
from swatbench.data.mask_canvases import PATH, read_split
from swatbench.data.sources import load_dataset
from swatbench.errors import DataError
from swatbench.spec.data import Data

COUNTS = {"train": 1_500, "test": 500}


@pytest.fixture(scope="module")
def make():
    path = Path(__file__).parents[2] / "scripts" / "make_garment_canvases.py"
    spec = importlib.util.spec_from_file_location("make_garment_canvases", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.COLUMNS = 5  # or small sheets would be mostly empty, and slow to pack
    return module


@pytest.fixture(scope="module")
def dataset():
    return load_dataset(Data(source="garment_canvases"))


def test_the_file_in_the_package_loads_without_anything_else(dataset):
    assert PATH.stat().st_size <= 6_000_000
    assert (dataset.name, len(dataset.train), len(dataset.test)) == ("garment_canvases", 1_500, 500)
    assert dataset.digest == load_dataset(Data(source="garment_canvases")).digest
    image, labels = dataset.test.example(3)
    assert (image.dtype, image.shape, labels.dtype, labels.shape) == (
        np.uint8,
        (64, 64, 3),
        np.uint8,
        (64, 64),
    )
    with pytest.raises(ValueError, match="'garment_canvases' is inside the package and takes no `root`"):
        Data(source="garment_canvases", root="images")


def test_every_class_is_in_both_splits_and_a_mask_is_where_its_image_is_bright(dataset):
    for split in (dataset.train, dataset.test):
        pixels, labels = split.pairs.pixels, split.pairs.labels
        shares = np.bincount(labels.ravel(), minlength=11) / labels.size
        assert len(shares) == len(dataset.classes) == 11
        assert 0.6 < shares[0] < 0.7
        assert (shares[1:] > 0.015).all()
        assert ((labels > 0) == (pixels >= 16)).all()
    assert [word for word in dataset.classes if word == "sneaker"] == [dataset.classes[8]]


def test_mean_and_std_are_those_of_the_training_canvases(dataset):
    pixels = dataset.train.pairs.pixels / 255
    assert pixels.mean() == pytest.approx(dataset.mean[0], abs=1e-4)
    assert pixels.std() == pytest.approx(dataset.std[0], abs=1e-4)


def test_no_canvas_is_there_twice(dataset):
    both = [canvas.tobytes() for split in (dataset.train, dataset.test) for canvas in split.pairs.pixels]
    assert len(set(both)) == 2_000


def test_the_text_beside_the_file_states_its_digests_and_its_licence():
    text = PATH.with_suffix(".md").read_text()
    for split, images in COUNTS.items():
        assert read_split(PATH, split, images=images).digest in text
    assert f"{PATH.stat().st_size:,}" in text
    assert "Zalando SE" in text
    assert "no benchmark" in text
    with zipfile.ZipFile(PATH) as archive:
        facts = json.loads(archive.read("canvases.json"))
    assert "Zalando" in facts["licence"]
    assert "Fashion-MNIST" in facts["source"]
    assert facts["classes"] == list(mask_canvases.CLASSES)


def garments(n, *, seed=0):
    pixels = np.zeros((n, 28, 28), np.uint8)
    pixels[:, 4:24, 6:22] = np.random.default_rng(seed).integers(16, 256, (n, 1, 1))
    pixels[:, 0, 0] = 7
    return pixels, (np.arange(n) % 10).astype(np.uint8)


def test_garments_lie_in_their_quarters_with_their_own_pixels_and_classes(make):
    pixels, labels = garments(40)
    canvases, masks = make.compose(pixels, labels, seed=0)
    assert canvases.shape == masks.shape == (10, 64, 64)
    assert ((masks > 0) == (canvases >= 16)).all()
    assert 7 in canvases
    found = []
    for canvas, mask in zip(canvases, masks, strict=True):
        for rows in (slice(0, 32), slice(32, 64)):
            for columns in (slice(0, 32), slice(32, 64)):
                here = mask[rows, columns]
                (label,) = set(here[here > 0].tolist())
                (value,) = set(canvas[rows, columns][here > 0].tolist())
                found.append((label - 1, value))
    assert sorted(found) == sorted((int(k), int(p.max())) for p, k in zip(pixels, labels, strict=True))
    again = make.compose(pixels, labels, seed=0)
    assert np.array_equal(again[0], canvases)
    assert not np.array_equal(make.compose(pixels, labels, seed=1)[0], canvases)


def test_later_garments_lie_over_earlier_ones(make):
    pixels = np.full((400, 28, 28), 100, np.uint8)
    canvases, masks = make.compose(pixels, np.zeros(400, np.uint8), seed=0)
    assert set(np.unique(canvases)) == {0, 100}
    covered = (masks > 0).sum((1, 2))
    assert covered.max() <= 4 * 28**2
    assert covered.min() < 4 * 28**2


def idx(array):
    words = np.array(array.shape, ">u4").tobytes()
    return gzip.compress(bytes((0, 0, 8, array.ndim)) + words + array.tobytes())


def test_the_script_writes_what_is_read_and_the_same_bytes_twice(make, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(make, "PER_CLASS", {"train": 8, "test": 4})
    for split, (name, n) in {"train": ("train", 100), "test": ("t10k", 50)}.items():
        pixels, labels = garments(n, seed=len(split))
        (tmp_path / f"{name}-images-idx3-ubyte.gz").write_bytes(idx(pixels))
        (tmp_path / f"{name}-labels-idx1-ubyte.gz").write_bytes(idx(labels))
    for name in ("a.zip", "b.zip"):
        make.write(tmp_path, tmp_path / name)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    split = read_split(tmp_path / "a.zip", "train", images=20)
    assert f"train: 20 canvases, SHA-256 {split.digest}" in capsys.readouterr().out
    pixels, labels = make.choose(*make.read_garments(tmp_path, "train"), 8)
    assert np.array_equal(split.pairs.pixels, make.compose(pixels, labels, seed=0)[0])
    with pytest.raises(ValueError, match="need 11 garments of each class, but a class has only 10"):
        make.choose(*make.read_garments(tmp_path, "train"), 11)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(idx(np.zeros(3, np.uint8)))
    with pytest.raises(DataError, match=r"3 labels, but images of shape \(50, 28, 28\)"):
        make.read_garments(tmp_path, "test")
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(idx(np.zeros(3, np.uint8)))
    with pytest.raises(DataError, match="is no file of bytes in 3 dimensions"):
        make.read_garments(tmp_path, "test")


@pytest.fixture
def small(make, tmp_path):
    path = tmp_path / "small.zip"
    splits = {name: make.compose(*garments(40), seed=i) for i, name in enumerate(("train", "test"))}
    path.write_bytes(make.pack(splits))
    return path


def refusal(path, *, images=10):
    with pytest.raises(DataError) as caught:
        read_split(path, "test", images=images)
    assert caught.value.where == str(path)
    assert "make_garment_canvases.py" in caught.value.fix
    return caught.value.what


def test_missing_damaged_and_changed_files_are_refused(small, make):
    assert refusal(small, images=11) == "The test split has 10 images, expected 11."
    whole = small.read_bytes()
    small.write_bytes(whole[:200])
    assert "missing or damaged" in refusal(small)
    small.unlink()
    assert "missing or damaged" in refusal(small)
    splits = {name: make.compose(*garments(40), seed=0) for name in ("train", "test")}
    content = make.pack(splits)
    splits["test"][1][0, 30, 30] ^= 1
    (small.parent / "other.zip").write_bytes(make.pack(splits))
    with zipfile.ZipFile(small.parent / "other.zip") as other:
        masks = other.read("test_masks.png")
    small.write_bytes(content)
    with zipfile.ZipFile(small) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()} | {"test_masks.png": masks}
    with zipfile.ZipFile(small, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    assert refusal(small) == "The pixels or masks of the test split's 10 images have changed."


def test_a_sheet_of_another_size_is_refused():
    with pytest.raises(ValueError, match="7 canvases in 3 columns do not make a sheet"):
        mask_canvases.cut_sheet(np.zeros((128, 192), np.uint8), 7, columns=3)
