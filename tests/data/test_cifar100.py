import hashlib
import pickle

import numpy as np
import pytest
from torchvision.datasets import CIFAR100

from swatbench.data import cifar100
from swatbench.data.sources import load_dataset
from swatbench.errors import DataError
from swatbench.spec.data import Data
from swatbench.spec.sources import Source

IMAGES = {"train": 200, "test": 100}


def write(root, monkeypatch, **changes):
    """Files of the layout of CIFAR-100 with few images, whose MD5 sums torchvision takes for right."""
    folder = root / "cifar-100-python"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for split, n in (IMAGES | changes).items():
        content = {
            "data": rng.integers(0, 256, (n, 3072), dtype=np.uint8),
            "fine_labels": [i % 100 for i in range(n)],
            "coarse_labels": [i % 20 for i in range(n)],
        }
        (folder / split).write_bytes(pickle.dumps(content, protocol=2))
    meta = {"fine_label_names": [f"class {i}" for i in range(100)]}
    (folder / "meta").write_bytes(pickle.dumps(meta, protocol=2))
    sums = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    monkeypatch.setattr(CIFAR100, "train_list", [["train", sums["train"]]])
    monkeypatch.setattr(CIFAR100, "test_list", [["test", sums["test"]]])
    monkeypatch.setattr(CIFAR100, "meta", CIFAR100.meta | {"md5": sums["meta"]})
    facts = Source(img_size=32, num_classes=100, train_images=IMAGES["train"], test_images=IMAGES["test"])
    monkeypatch.setattr(cifar100, "SOURCES", {"cifar100": facts})
    return folder


def load(root):
    return load_dataset(Data(source="cifar100", root=str(root)))


def test_both_splits_are_read_with_fine_labels_and_names(tmp_path, monkeypatch):
    folder = write(tmp_path, monkeypatch)
    dataset = load(tmp_path)
    assert dataset.name == "cifar100"
    assert dataset.classes[99] == "class 99"
    for split, images in (("train", dataset.train), ("test", dataset.test)):
        content = pickle.loads((folder / split).read_bytes())
        assert (images.pixels.numpy() == content["data"].reshape(-1, 3, 32, 32)).all()
        assert images.labels.tolist() == content["fine_labels"]
        assert images.pixels.is_contiguous()


def test_the_mean_is_a_whole_sum_of_bytes_over_all_training_pixels():
    # A wrong digit in any of the first eleven places makes no whole number of the sum.
    for mean in cifar100.MEAN:
        total = mean * 255 * 50_000 * 1024
        assert total == pytest.approx(round(total), abs=1e-4, rel=0)


@pytest.mark.parametrize("name", ["train", "test", "meta"])
def test_a_missing_and_a_damaged_file_are_refused_by_their_names(tmp_path, monkeypatch, name):
    folder = write(tmp_path, monkeypatch)
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-1])
    with pytest.raises(DataError, match="the file has another MD5 sum than the original") as caught:
        load(tmp_path)
    assert caught.value.where == str(folder / name)
    assert "cifar-100-python.tar.gz" in caught.value.fix
    (folder / name).unlink()
    count = IMAGES["test" if name == "test" else "train"]
    with pytest.raises(DataError, match=f"needs {count} images of 100 classes, but the file is missing"):
        load(tmp_path)


def test_an_absent_folder_is_refused_with_the_true_count(tmp_path):
    with pytest.raises(DataError, match="The train split needs 50000 images of 100 classes, but"):
        load(tmp_path)


def test_another_count_than_the_known_one_is_refused(tmp_path, monkeypatch):
    write(tmp_path, monkeypatch, test=99)
    with pytest.raises(DataError, match=r"test split needs 100 images .* 99 images and 99 labels are there"):
        load(tmp_path)
