import os
import shutil
from pathlib import Path

import pytest

from swatbench.data.sources import load_dataset
from swatbench.errors import DataError
from tests.data.refusals import refused


def grow(path):
    path.write_bytes(path.read_bytes() + b"\0")


@pytest.mark.parametrize(
    "change",
    [
        lambda root: grow(root / "train/n00000001/n00000001_0.JPEG"),
        lambda root: (root / "train/n00000001/n00000001_0.JPEG").rename(root / "train/n00000001/x.JPEG"),
        lambda root: (root / "train/n00000001/n00000001_0.JPEG").rename(root / "train/n00000002/x.JPEG"),
        lambda root: grow(root / "validation/n00000001/ILSVRC2012_val_00000001.JPEG"),
        lambda root: [
            (root / split / "n00000004").rename(root / split / "z") for split in ("train", "validation")
        ],
    ],
)
def test_the_digest_moves_with_sizes_names_labels_and_classes(make_data, change):
    data, root = make_data("folder")
    before = load_dataset(data).digest
    change(root)
    assert load_dataset(data).digest != before


def test_a_class_without_test_images_is_refused(make_data):
    data, root = make_data("folder", test_images=6)
    shutil.rmtree(root / "validation" / "n00000002")
    assert "3 classes are there" in refused(data)
    (root / "validation" / "n00000001").rename(root / "validation" / "n00000002")
    (root / "validation" / "n00000003").rename(root / "validation" / "n00000009")
    assert "3 classes are there" in refused(data)
    shutil.copytree(root / "validation" / "n00000004", root / "validation" / "n00000005")
    what = refused(data.model_copy(update={"test_images": 8}))
    assert what == (
        "The splits train and validation differ in 4 of their classes "
        "(n00000001, n00000003, n00000005 and 1 more)."
    )


def test_empty_files_are_refused(make_data):
    data, root = make_data("folder")
    (root / "train/n00000001/n00000001_0.JPEG").write_bytes(b"")
    assert "1 of the 24 files are empty or missing (n00000001/n00000001_0.JPEG)" in refused(data)


def test_a_broken_link_is_refused_like_an_empty_file(make_data):
    data, root = make_data("folder")
    image = root / "train/n00000001/n00000001_0.JPEG"
    image.unlink()
    image.symlink_to(root / "gone.JPEG")
    assert "1 of the 24 files are empty or missing (n00000001/n00000001_0.JPEG)" in refused(data)


@pytest.mark.parametrize("closed", ["train", "train/n00000002"])
def test_a_folder_that_cannot_be_listed_is_named(make_data, monkeypatch, closed):
    data, root = make_data("folder")
    scandir = os.scandir

    def shut(path):
        if Path(path) == root / closed:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    # As the system answers other users than root, who may run the tests.
    monkeypatch.setattr(os, "scandir", shut)
    with pytest.raises(DataError, match=r"cannot be listed \(Permission denied\)") as caught:
        load_dataset(data)
    assert caught.value.where == str(root / closed)


def test_an_empty_split_and_a_packed_one_are_refused(make_data):
    data, root = make_data("folder")
    shutil.rmtree(root / "validation")
    (root / "validation").mkdir()
    assert "0 images are there" in refused(data)
    (root / "validation").rmdir()
    (root / "validation").write_bytes(b"")
    assert "this is a file" in refused(data)


def test_classes_that_timm_numbers_by_chance_are_refused(make_data):
    data, root = make_data("folder")
    for split in ("train", "validation"):
        (root / split / "n00000002").rename(root / split / "M1")
        (root / split / "n00000003").rename(root / split / "m01")
    assert "the classes M1 and m01 differ in case or in leading zeros alone" in refused(data)


def test_a_class_whose_name_no_record_can_hold_is_refused(make_data):
    data, root = make_data("folder")
    for split in ("train", "validation"):
        (root / split / "n00000002").rename(root / split / os.fsdecode(b"caf\xe9"))
    assert r"the folder of the class 'caf\udce9' is not named in UTF-8" in refused(data)
