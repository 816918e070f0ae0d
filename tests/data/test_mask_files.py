import os
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from swatbench.data import survey
from swatbench.data.masks import MaskDataset, Numbering
from swatbench.data.sources import load_dataset
from swatbench.errors import DataError
from swatbench.spec.data import Data
from swatbench.spec.sources import SOURCES
from tests.data.mask_folders import CLASSES, make_mask_folder, mask_data
from tests.data.refusals import refused


@pytest.fixture
def root(tmp_path):
    return make_mask_folder(tmp_path / "scenes")


def test_images_and_masks_are_read_in_the_order_of_their_names(root):
    dataset = load_dataset(mask_data(root))
    assert isinstance(dataset, MaskDataset)
    assert (len(dataset.train), len(dataset.test)) == (7, 4)
    assert dataset.classes == tuple("01234")
    stems = ["inner/1", "inner/3", "scene_0", "scene_2"]
    for i, stem in enumerate(stems):
        image, labels = dataset.test.example(i)
        with Image.open(root / "annotations" / "validation" / f"{stem}.png") as mask:
            indices = np.asarray(mask)
        end = "png" if "inner" in stem else "jpg"
        with Image.open(root / "images" / "validation" / f"{stem}.{end}") as original:
            assert np.array_equal(image, np.asarray(original.convert("RGB")))
        assert (image.dtype, image.shape) == (np.uint8, (*indices.shape, 3))
        assert labels.dtype == np.uint8
        # Exactly reduced by one, and 0 for none.
        assert np.array_equal(labels, np.where(indices == 0, 255, indices.astype(int) - 1))
        assert (labels[:, 0] == 255).all()


def test_ade20k_is_that_folder_with_its_own_counts_and_numbering(root, monkeypatch):
    assert (SOURCES["ade20k"].train_images, SOURCES["ade20k"].test_images) == (20_210, 2_000)
    assert "The training split needs 20210 images of 150 classes, but 7 images are there" in refused(
        Data(source="ade20k", root=str(root))
    )
    small = {**SOURCES, "ade20k": replace(SOURCES["ade20k"], train_images=7, test_images=4)}
    monkeypatch.setattr("swatbench.spec.data.SOURCES", small)
    dataset = load_dataset(Data(source="ade20k", root=str(root)))
    assert dataset.numbering == Numbering(num_classes=150, unlabelled="zero")
    assert dataset.test.example(0)[1].max() == 255
    assert len(dataset.classes) == 150


@pytest.mark.parametrize(
    ("unlabelled", "expected"),
    [("zero", [255, 0, 1, 149]), ("255", [0, 1, 2, 150]), (None, [0, 1, 2, 150])],
)
def test_indices_become_labels(unlabelled, expected):
    numbering = Numbering(num_classes=150 if unlabelled == "zero" else 151, unlabelled=unlabelled)
    for kind in (np.uint8, np.uint16, np.int32):
        found = numbering.labels(np.array([[0, 1, 2, 150]], kind))
        assert (found.dtype, found.tolist()) == (np.uint8, [expected])
        with pytest.raises(ValueError, match=r"^151$"):
            numbering.labels(np.array([[0, 151]], kind))
    with pytest.raises(ValueError, match=r"^300$"):
        numbering.labels(np.array([[0, 300]], np.uint16))
    if unlabelled == "255":
        assert numbering.labels(np.array([[255, 0]], np.uint8)).tolist() == [[255, 0]]
        assert numbering.known == "0 to 150 or 255"
    else:
        with pytest.raises(ValueError, match=r"^255$"):
            numbering.labels(np.array([[255]], np.uint8))


def test_the_most_classes_that_masks_can_have_are_told_apart(root):
    for unlabelled, first in (("zero", 1), ("255", 0), (None, 0)):
        numbering = Numbering(num_classes=254, unlabelled=unlabelled)
        indices = np.arange(first, first + 254, dtype=np.uint8)[None]
        assert numbering.labels(indices).tolist() == [list(range(254))]
    with pytest.raises(ValueError, match="num_classes: masks tell 254 classes apart at most"):
        mask_data(root, num_classes=255)


@pytest.mark.parametrize("kind", ["images", "annotations"])
def test_missing_folders_are_told(root, kind):
    (root / kind / "validation").rename(root / kind / "val")
    text = refused(mask_data(root))
    assert text.startswith("The validation split needs 4 images of 5 classes, but ")
    assert text.endswith(f"{kind}/validation is missing (found: training, val in {kind}).")
    assert refused(mask_data(root / "none")).endswith("but the folder is missing.")
    (root / kind).rename(root / "other")
    assert f"{kind}/training is missing (found: nothing in {kind})" in refused(mask_data(root))


def test_wrong_counts_are_told(root):
    assert "needs 8 images of 5 classes, but 7 images are there" in refused(mask_data(root, train_images=8))
    assert "needs 3 images of 5 classes, but 4 images are there" in refused(mask_data(root, test_images=3))


def test_images_without_masks_and_masks_without_images_are_told(root):
    folder = root / "annotations" / "validation"
    (folder / "extra.png").write_bytes((folder / "scene_0.png").read_bytes())
    assert "1 of its 5 masks have no image (extra)" in refused(mask_data(root))
    (folder / "scene_2.png").rename(folder / "scene_02.png")
    assert "1 of its 4 images have no mask (scene_2)" in refused(mask_data(root))


def test_two_images_of_one_mask_are_refused(root):
    folder = root / "images" / "training"
    (folder / "scene_0.png").write_bytes((folder / "scene_0.jpg").read_bytes())
    assert "scene_0.jpg and scene_0.png would have the same mask" in refused(mask_data(root))


def test_empty_files_are_refused(root):
    (root / "annotations" / "training" / "inner" / "3.png").write_bytes(b"")
    text = refused(mask_data(root))
    assert "1 of the 14 files are empty or missing (annotations/training/inner/3.png)" in text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list every folder")
def test_a_closed_folder_is_refused(root):
    (root / "images" / "training" / "inner").chmod(0)
    assert "the folder cannot be listed" in refused(mask_data(root))


def test_a_folder_that_cannot_be_listed_is_refused(root, monkeypatch):
    def walk(folder, onerror, **_):
        onerror(PermissionError(13, "Permission denied", str(folder)))

    monkeypatch.setattr(os, "walk", walk)
    assert "the folder cannot be listed (Permission denied)" in refused(mask_data(root))


def test_the_same_images_twice_are_refused(root):
    data = mask_data(root, train_split="validation", train_images=4)
    assert "The splits validation and validation hold the same images." in refused(data)


def spoil(path, change):
    with Image.open(path) as mask:
        spoiled = change(mask)
    spoiled.save(path)


def test_a_mask_of_colours_is_found_before_training(root):
    path = root / "annotations" / "training" / "scene_4.png"
    spoil(path, lambda mask: mask.convert("RGB"))
    with pytest.raises(DataError, match="mask of image 5 of training is of mode RGB") as caught:
        load_dataset(mask_data(root))
    assert caught.value.where == str(path)
    assert "mode L or P" in caught.value.fix


def test_the_wrong_numbering_is_found_before_training(root):
    text = refused(mask_data(root, unlabelled=None))
    assert f"holds index {CLASSES}, which is none of 0 to {CLASSES - 1}." in text
    data = mask_data(make_mask_folder(root.parent / "from_0", first=0), unlabelled="255")
    assert load_dataset(data).test.example(0)[1].tolist()[0][0] == 255
    data = mask_data(root.parent / "from_0", unlabelled="zero")
    assert f"holds index 255, which is none of 0 to {CLASSES}." in refused(data)


def test_unequal_sizes_are_refused_with_both(root):
    path = root / "annotations" / "validation" / "scene_0.png"
    with Image.open(path) as mask:
        w, h = mask.size
    spoil(path, lambda mask: mask.crop((0, 0, w - 1, h)))
    text = refused(mask_data(root))
    assert text == f"Image 2 of validation is {h} × {w}, and its mask {h} × {w - 1}."


@pytest.mark.parametrize("kind", ["images", "annotations"])
def test_a_damaged_file_is_named(root, kind):
    path = root / kind / "validation" / "inner" / "1.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match=r"mage 0 of validation cannot be decoded \(") as caught:
        load_dataset(mask_data(root))
    assert caught.value.where == str(path)


def test_only_some_are_read_at_opening_and_the_others_when_they_are_asked_for(root, monkeypatch):
    monkeypatch.setattr(survey, "SAMPLED", 2)
    spoil(root / "annotations" / "validation" / "inner" / "3.png", lambda mask: mask.convert("RGB"))
    dataset = load_dataset(mask_data(root))
    dataset.test.example(0)
    with pytest.raises(DataError, match="mask of image 1 of validation is of mode RGB"):
        dataset.test.example(1)


@pytest.mark.parametrize("mode", ["P", "I;16"])
def test_palettes_and_sixteen_bits_are_indices(root, mode):
    expected = load_dataset(mask_data(root)).test.example(2)[1]

    def change(mask):
        if mode == "I;16":
            return Image.fromarray(np.asarray(mask).astype(np.uint16))
        mask = mask.copy()
        mask.putpalette(np.random.default_rng(0).integers(0, 256, 768).astype(np.uint8).tobytes())
        return mask

    path = root / "annotations" / "validation" / "scene_0.png"
    spoil(path, change)
    with Image.open(path) as mask:
        assert mask.mode in (mode, "I")
    assert np.array_equal(load_dataset(mask_data(root)).test.example(2)[1], expected)


def test_classes_are_named_by_a_list(root):
    (root / "objectInfo150.txt").write_text(
        "Idx\tRatio\t\tTrain\tVal\t\tName\n"
        + "".join(
            f"{i}\t0.1\t\t9\t9\t\t{name}\n"
            for i, name in enumerate(["wall", "sky", "door, gate", "a", "b"], 1)
        )
    )
    assert load_dataset(mask_data(root)).classes == ("wall", "sky", "door", "a", "b")
    (root / "classes.txt").write_text("road\nsidewalk\ncar\n\nsky\ntree\n")
    dataset = load_dataset(mask_data(root))
    assert dataset.classes == ("road", "sidewalk", "car", "sky", "tree")
    (root / "classes.txt").write_text("road\nsidewalk\n")
    assert refused(mask_data(root)) == "classes.txt names 2 classes, and there are 5."
    (root / "classes.txt").write_text("road\nroad\na\nb\nc\n")
    assert refused(mask_data(root)) == "classes.txt has a name twice (road)."
    (root / "classes.txt").write_bytes(b"\xff\xfe\x00")
    assert "names of the classes cannot be read" in refused(mask_data(root))


def test_the_digest_moves_with_names_sizes_numbering_and_classes(root, tmp_path):
    digest = load_dataset(mask_data(root)).digest
    assert load_dataset(mask_data(make_mask_folder(tmp_path / "elsewhere"))).digest == digest
    (root / "classes.txt").write_text("a\nb\nc\nd\ne\n")
    named = load_dataset(mask_data(root)).digest
    path = root / "annotations" / "training" / "scene_0.png"
    path.write_bytes(path.read_bytes() + b"\0")
    longer = load_dataset(mask_data(root)).digest
    for kind in ("images", "annotations"):
        folder = root / kind / "training"
        next(folder.glob("scene_2.*")).rename(folder / f"scene_02.{'jpg' if kind == 'images' else 'png'}")
    renamed = load_dataset(mask_data(root)).digest
    (root / "classes.txt").unlink()
    other = load_dataset(mask_data(root, num_classes=CLASSES + 1)).digest
    assert len({digest, named, longer, renamed, other}) == 5
