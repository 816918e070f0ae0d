import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from timm.data import ImageNetInfo

from swatbench.data.further import open_test_set
from swatbench.data.sources import load_dataset
from swatbench.errors import DataError, SuiteError
from swatbench.spec.data import TestSet

WNIDS = ImageNetInfo("imagenet-1k").label_names()


@pytest.fixture
def dataset(make_data):
    return load_dataset(make_data("folder")[0])


@pytest.fixture
def further(jpegs, tmp_path):
    root = tmp_path / "further"
    shutil.copytree(jpegs / "folder" / "validation", root)
    return root


def rename(root, names):
    for number, name in enumerate(names):
        (root / f"n0000000{number + 1}").rename(root / name)


def asked(root, **changes):
    return TestSet(**({"name": "v2", "root": str(root), "images": 8} | changes))


def refused(test, dataset, **options):
    with pytest.raises(DataError) as caught:
        open_test_set(test, dataset, **options)
    assert caught.value.fix
    return caught.value.what


def by_file(found):
    pictures = found.files.open(training=False)
    return {found.files.filename(i): pictures[i][1] for i in range(len(found.files))}


def test_folders_named_as_in_training_have_the_training_labels(dataset, further):
    shutil.rmtree(further / "n00000002")
    found = open_test_set(asked(further, images=6), dataset)
    assert (found.name, found.allowed, found.real, found.files.images) == ("v2", None, None, 6)
    labels = by_file(found)
    # Images 1, 5 are of class 0; 3, 7 of class 2, which is not the second here but the third in training.
    assert labels["ILSVRC2012_val_00000003.JPEG"] == labels["ILSVRC2012_val_00000007.JPEG"] == 2
    assert labels["ILSVRC2012_val_00000001.JPEG"] == 0
    assert found.files.labels.tolist() == [0, 0, 2, 2, 3, 3]


def test_a_model_may_choose_among_the_classes_of_the_set_alone(dataset, further):
    shutil.rmtree(further / "n00000001")
    shutil.rmtree(further / "n00000003")
    allowed = open_test_set(asked(further, images=4, among_its_classes=True), dataset).allowed
    assert allowed.tolist() == [1, 3]
    assert allowed.dtype == np.int64


def test_folders_named_by_numbers_are_classes_of_these_numbers(dataset, further):
    rename(further, ["3", "0", "2", "1"])
    labels = by_file(open_test_set(asked(further), dataset))
    assert [labels[f"ILSVRC2012_val_0000000{i}.JPEG"] for i in range(1, 5)] == [3, 0, 2, 1]


def test_numbers_are_not_put_in_the_order_of_letters(dataset, further):
    rename(further, ["10", "9", "2", "1"])
    wide = replace_classes(dataset, tuple(f"n{i:08d}" for i in range(11, 23)))
    labels = by_file(open_test_set(asked(further), wide))
    assert [labels[f"ILSVRC2012_val_0000000{i}.JPEG"] for i in range(1, 5)] == [10, 9, 2, 1]


def replace_classes(dataset, classes):
    values = {name: getattr(dataset, name) for name in ("name", "train", "test", "mean", "std")}
    return type(dataset)(**values, classes=classes)


def test_classes_without_names_are_those_of_imagenet_if_they_are_a_thousand(dataset, further):
    rename(further, [WNIDS[7], WNIDS[999], WNIDS[0], WNIDS[5]])
    unnamed = replace_classes(dataset, tuple(str(i) for i in range(1000)))
    labels = by_file(open_test_set(asked(further), unnamed))
    assert [labels[f"ILSVRC2012_val_0000000{i}.JPEG"] for i in range(1, 5)] == [7, 999, 0, 5]
    # A thousand other classes are taken at their names, and so are ImageNet's in another order.
    turned = replace_classes(dataset, tuple(reversed(WNIDS)))
    labels = by_file(open_test_set(asked(further), turned))
    assert labels["ILSVRC2012_val_00000002.JPEG"] == 0


def test_unknown_classes_are_refused_and_not_left_out(dataset, further):
    rename(further, ["n00000001", "n00000002", "n00000003", "n00000009"])
    what = refused(asked(further), dataset)
    assert "1 of its 4 folders are named like no training class (n00000009)" in what
    rename_back = further / "n00000009"
    rename_back.rename(further / "4")
    assert "like no training class (4)" in refused(asked(further), dataset)


def test_a_wrong_count_and_a_missing_folder_are_refused(dataset, further):
    what = refused(asked(further, images=9), dataset)
    assert what.startswith("The v2 split needs 9 images of 4 classes, but 8 images are there")
    assert "the folder is missing" in refused(asked(further / "none"), dataset)
    (further / "n00000001" / "ILSVRC2012_val_00000001.JPEG").write_bytes(b"")
    assert "1 of the 8 files are empty or missing" in refused(asked(further), dataset)


REAL = TestSet(name="real", labels="real", images=8)
LABELS = [[1], [], [2, 3], [0], [1], [1], [3], [0, 2]]


@pytest.fixture
def real_json(tmp_path):
    path = tmp_path / "real.json"
    path.write_text(json.dumps(LABELS))
    return path


@pytest.mark.parametrize("kind", ["folder", "wds", "hfds"])
def test_real_labels_follow_the_names_of_the_test_images(kind, make_data, real_json):
    dataset = load_dataset(make_data(kind)[0])
    found = open_test_set(REAL, dataset, real_json=real_json)
    numbers = [int(found.files.filename(i)[15:23]) for i in range(8)]
    assert sorted(numbers) == list(range(1, 9))
    assert found.real == tuple(tuple(LABELS[number - 1]) for number in numbers)
    assert found.files is dataset.test
    assert (found.name, found.allowed) == ("real", None)


def test_names_with_the_class_added_are_known_too(dataset, real_json):
    names = [dataset.test.filename(i).replace(".JPEG", "_n01751748.JPEG") for i in range(8)]
    renamed = replace(dataset.test, filenames=names.__getitem__)
    dataset = type(dataset)(
        **{name: getattr(dataset, name) for name in ("name", "train", "classes", "mean", "std")}, test=renamed
    )
    assert open_test_set(REAL, dataset, real_json=real_json).real[0] == (1,)


@pytest.mark.parametrize(
    "names",
    [
        ["x.JPEG"] + [f"ILSVRC2012_val_{i:08d}.JPEG" for i in range(2, 9)],
        ["ILSVRC2012_val_00000009.JPEG"] + [f"ILSVRC2012_val_{i:08d}.JPEG" for i in range(2, 9)],
    ],
)
def test_test_images_of_other_names_have_no_real_labels(dataset, real_json, names):
    values = {name: getattr(dataset, name) for name in ("name", "train", "classes", "mean", "std")}
    other = type(dataset)(**values, test=replace(dataset.test, filenames=names.__getitem__))
    assert f"1 of 8 test images have no such labels ({names[0]})" in refused(REAL, other, real_json=real_json)


def test_test_images_of_one_name_have_no_real_labels(dataset, real_json):
    names = ["ILSVRC2012_val_00000002.JPEG"] + [f"ILSVRC2012_val_{i:08d}.JPEG" for i in range(2, 9)]
    values = {name: getattr(dataset, name) for name in ("name", "train", "classes", "mean", "std")}
    other = type(dataset)(**values, test=replace(dataset.test, filenames=names.__getitem__))
    what = refused(REAL, other, real_json=real_json)
    assert "1 of its names are there more than once (ILSVRC2012_val_00000002.JPEG)" in what


def test_the_real_labels_in_timms_package_are_for_all_of_imagenet_alone(dataset):
    with pytest.raises(SuiteError, match="ImageNet's 1000 classes, not of 4"):
        open_test_set(REAL, dataset)
    thousand = replace_classes(dataset, tuple(WNIDS))
    what = refused(REAL, thousand)
    assert (
        "needs 8 images of 1000 classes, but the test split has 8, and there are labels for another" in what
    )


def test_real_labels_that_cannot_be_read_are_refused(dataset, tmp_path, real_json):
    with pytest.raises(DataError, match="cannot be read"):
        open_test_set(REAL, dataset, real_json=tmp_path / "none.json")
    real_json.write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        open_test_set(REAL, dataset, real_json=real_json)


def test_the_count_of_real_labels_is_that_of_the_suite(dataset, real_json):
    what = refused(REAL.model_copy(update={"images": 9}), dataset, real_json=real_json)
    assert what == "The real split needs 9 images of 4 classes, but 8 images are there."


def test_images_without_names_have_no_real_labels(dataset, real_json):
    nameless = replace(dataset.test, filenames=lambda _: None)
    values = {name: getattr(dataset, name) for name in ("name", "train", "classes", "mean", "std")}
    assert "has no file name" in refused(REAL, type(dataset)(**values, test=nameless), real_json=real_json)
