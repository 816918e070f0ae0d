import os
import shutil

import pytest
from timm.data import create_dataset

from swatbench.data import hugging_face, tars
from swatbench.data.files import Pictures
from swatbench.data.sources import load_dataset
from swatbench.errors import DataError
from tests.data.refusals import refused

KINDS = ("folder", "wds", "hfds")


WNIDS = ("n00000001", "n00000002", "n00000003", "n00000004")


each_kind = pytest.mark.parametrize("kind", KINDS)


@each_kind
def test_a_whole_set_is_opened_with_its_counts_and_classes(kind, make_data):
    data, _ = make_data(kind)
    dataset = load_dataset(data)
    assert (dataset.train.images, len(dataset.test)) == (24, 8)
    assert (dataset.train.name, dataset.test.name) == ("train", "validation")
    assert dataset.classes == (("0", "1", "2", "3") if kind == "wds" else WNIDS)
    assert dataset.name == data.source
    assert dataset.mean == data.mean
    assert dataset.train.streamed == (kind == "wds")


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("split", ["train", "test"])
def test_the_three_kinds_hold_the_same_images_with_the_same_labels(split, make_data):
    contents = []
    for kind in KINDS:
        files = getattr(load_dataset(make_data(kind)[0]), split)
        samples = list(files.open(training=False)) if kind == "wds" else files.open(training=False)
        contents.append(
            {files.filename(i): (samples[i][1], samples[i][0].tobytes()) for i in range(len(files))}
        )
        if not files.streamed:
            assert files.labels.tolist() == [samples[i][1] for i in range(len(files))]
    assert contents[0] == contents[1] == contents[2]
    assert all(type(label) is int for label, _ in contents[0].values())


@each_kind
def test_wrong_counts_are_refused_with_both_numbers(kind, make_data):
    data, _ = make_data(kind)
    what = refused(data.model_copy(update={"train_images": 25}))
    assert "The train split needs 25 images of 4 classes, but" in what
    assert "24 images" in what
    assert "needs 9 images" in refused(data.model_copy(update={"test_images": 9}))
    assert "but 4 classes are there" in refused(data.model_copy(update={"num_classes": 5}))
    fewer = refused(data.model_copy(update={"num_classes": 3}))
    assert "label 3 is none of 0 to 2" in fewer


@each_kind
def test_a_missing_split_is_refused_with_the_splits_that_are_there(kind, make_data):
    data, _ = make_data(kind, test_split="vali")
    what = refused(data)
    assert what.startswith("The vali split needs 8 images of 4 classes, but")
    assert "train" in what


@each_kind
def test_a_missing_folder_is_refused(kind, make_data):
    data, root = make_data(kind)
    root.rename(root.with_name("elsewhere"))
    assert "the folder is missing" in refused(data)


@each_kind
def test_training_and_testing_on_the_same_images_is_refused(kind, make_data):
    data, _ = make_data(kind, test_split="train", test_images=24)
    assert refused(data) == "The splits train and train hold the same images."


@each_kind
def test_the_digest_is_that_of_the_content_wherever_and_whenever_it_was_written(kind, make_data, tmp_path):
    data, root = make_data(kind)
    before = load_dataset(data)
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    for path in root.rglob("*"):
        os.utime(path, (0, 0))
    assert load_dataset(data).digest == before.digest
    assert before.train.digest != before.test.digest


@pytest.mark.parametrize("kind", ["folder", "hfds"])
def test_an_image_that_cannot_be_decoded_is_refused_and_not_replaced(kind, jpegs, tmp_path):
    root = tmp_path / "images"
    shutil.copytree(jpegs / "folder" / "train", root / "train")
    path = root / "train/n00000001/n00000001_0.JPEG"
    path.write_bytes(path.read_bytes()[:700])
    name = f"hfds/{os.path.relpath(root)}" if kind == "hfds" else ""
    dataset = create_dataset(name, root=str(tmp_path / "cache" if name else root), split="train")
    wrong = next(i for i in range(24) if dataset.filename(i, basename=True).endswith("n00000001_0.JPEG"))
    with pytest.raises(DataError, match=f"Image {wrong} of train cannot be decoded .*truncated") as caught:
        Pictures(dataset.reader, name="train")[wrong]
    assert caught.value.where.endswith("n00000001_0.JPEG")


def test_an_image_beyond_the_last_ends_a_loop_as_lists_do(make_data):
    pictures = load_dataset(make_data("folder")[0]).test.open(training=False)
    assert len(list(pictures)) == 8


@pytest.mark.parametrize(("kind", "room"), [("hfds", hugging_face), ("wds", tars)])
def test_a_package_that_is_not_installed_is_named(kind, room, make_data, monkeypatch):
    data, _ = make_data(kind)
    monkeypatch.setattr(room, "find_spec", lambda _: None)
    with pytest.raises(DataError, match="need the package") as caught:
        load_dataset(data)
    assert caught.value.fix == "pip install 'swatbench[data]'"


def test_listing_does_not_decode_any_image(make_data, monkeypatch):
    from PIL import Image

    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("an image was opened"))
    for kind in KINDS:
        load_dataset(make_data(kind)[0], sampled=False)
