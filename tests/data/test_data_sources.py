import pytest

from swatbench.data import cifar10, subset
from swatbench.data.decoded import DecodedImages
from swatbench.data.sources import LAYOUTS, LISTERS, READERS, load_dataset
from swatbench.errors import DataError
from swatbench.spec.data import MASKS, OPENED_BY_TIMM, Data
from swatbench.spec.sources import SOURCES


def test_every_source_of_a_suite_has_a_reader():
    assert {*READERS, *LAYOUTS} == {*SOURCES, MASKS}
    assert not set(READERS) & set(LAYOUTS)
    assert set(LISTERS) == {kind.rstrip("/") for kind in OPENED_BY_TIMM}


@pytest.mark.parametrize(("kind", "wish"), [("folder", True), ("hfds", True), ("folder", "auto")])
def test_a_small_split_is_kept_decoded_if_the_suite_says_so(make_data, kind, wish):
    data, _ = make_data(kind, keep_decoded=wish)
    dataset = load_dataset(data)
    assert isinstance(dataset.train.open(training=True), DecodedImages)
    assert isinstance(dataset.test.open(training=False), DecodedImages)


def test_the_subset_loads_without_anything_else():
    dataset = load_dataset(Data(source="cifar10_subset"))
    assert (len(dataset.train), len(dataset.test)) == (5_000, 1_000)
    assert dataset.classes[6] == "frog"
    assert dataset.name == "cifar10_subset"
    assert dataset.digest == load_dataset(Data(source="cifar10_subset")).digest


def test_mean_and_std_are_near_those_of_the_subset():
    # They are those of all 50,000 images, of which these are a tenth.
    dataset = load_dataset(Data(source="cifar10_subset"))
    pixels = dataset.train.pixels.double() / 255
    assert pixels.mean((0, 2, 3)).tolist() == pytest.approx(dataset.mean, abs=0.005)
    assert pixels.transpose(0, 1).flatten(1).std(1).tolist() == pytest.approx(dataset.std, abs=0.005)


def test_an_absent_folder_is_a_data_error_that_says_what_to_do(tmp_path):
    with pytest.raises(DataError) as caught:
        load_dataset(Data(source="cifar10", root=str(tmp_path)))
    assert "needs 50000 images" in caught.value.what
    assert caught.value.where == str(tmp_path / cifar10.FOLDER / "data_batch_1")
    assert "make_cifar10.py full" in caught.value.fix


def test_a_half_written_subset_is_refused_before_training(tmp_path, monkeypatch):
    broken = tmp_path / "cifar10_subset.zip"
    broken.write_bytes(subset.PATH.read_bytes()[:5_000_000])
    monkeypatch.setattr(subset, "PATH", broken)
    with pytest.raises(DataError, match="train split needs 5000 images"):
        load_dataset(Data(source="cifar10_subset"))
