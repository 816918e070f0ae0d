import json
import zipfile
from contextlib import suppress

import numpy as np
import pytest

from swatbench.data import subset
from swatbench.errors import DataError


def test_the_file_in_the_package_is_balanced_and_small_enough():
    assert subset.PATH.stat().st_size <= 12_000_000
    for split, per_class in {"train": 500, "test": 100}.items():
        images = subset.read_split(subset.PATH, split, images=subset.IMAGES[split])
        assert images.pixels.shape == (10 * per_class, 3, 32, 32)
        assert np.bincount(images.labels).tolist() == [per_class] * 10


def test_the_images_are_pictures_and_not_a_shuffle_of_pixels():
    # In a photograph a pixel is much like its neighbour: mean steps are a fraction of those at random.
    pixels = subset.read_split(subset.PATH, "test", images=1_000).pixels.float()
    down = (pixels[:, :, 1:] - pixels[:, :, :-1]).abs().mean()
    right = (pixels[:, :, :, 1:] - pixels[:, :, :, :-1]).abs().mean()
    unrelated = (pixels[1:] - pixels[:-1]).abs().mean()
    assert down < unrelated / 3
    assert right < unrelated / 3


def test_the_first_images_are_the_first_of_cifar_10():
    # The first labels of the original files: frog, truck, truck, deer ... and cat, ship, ship, airplane ...
    labels = subset.read_split(subset.PATH, "train", images=5_000).labels
    assert labels[:10].tolist() == [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]
    labels = subset.read_split(subset.PATH, "test", images=1_000).labels
    assert labels[:10].tolist() == [3, 8, 8, 0, 6, 6, 1, 6, 3, 1]


def test_no_test_image_is_among_the_training_images():
    splits = {name: subset.read_split(subset.PATH, name, images=n) for name, n in subset.IMAGES.items()}
    train, test = ({image.numpy().tobytes() for image in splits[name].pixels} for name in ("train", "test"))
    assert not train & test


def test_the_readme_states_the_digests_of_the_file():
    text = subset.PATH.with_name("README.md").read_text()
    for split, n in subset.IMAGES.items():
        assert subset.read_split(subset.PATH, split, images=n).digest in text
    assert f"{subset.PATH.stat().st_size:,}" in text


def test_cut_sheet_reads_rows_from_left_to_right():
    sheet = np.zeros((64, 96, 3), np.uint8)
    for row in range(2):
        for column in range(3):
            sheet[32 * row : 32 * row + 32, 32 * column : 32 * column + 32] = 3 * row + column
    sheet[33, 34] = (7, 8, 9)
    images = subset.cut_sheet(sheet, 5, columns=3)
    assert images.shape == (5, 3, 32, 32)
    assert images[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert images[4, :, 1, 2].tolist() == [7, 8, 9]
    assert (images[3] == 3).all()


@pytest.mark.parametrize("n", [3, 7])
def test_cut_sheet_refuses_a_number_that_does_not_fit(n):
    with pytest.raises(ValueError, match=f"{n} images in 3 columns"):
        subset.cut_sheet(np.zeros((64, 96, 3), np.uint8), n, columns=3)


@pytest.fixture
def small(tmp_path, make_plain_images, make_cifar10):
    path = tmp_path / "small.zip"
    path.write_bytes(
        make_cifar10.pack({"train": make_plain_images(70), "test": make_plain_images(20, seed=1)})
    )
    return path


def refusal(path, *, images):
    with pytest.raises(DataError) as caught:
        subset.read_split(path, "test", images=images)
    assert caught.value.where == str(path)
    assert "make_cifar10.py subset" in caught.value.fix
    return caught.value.what


def test_a_wrong_count_is_told_with_both_numbers(small):
    assert refusal(small, images=30) == "The test split has 20 images, expected 30."


def test_a_missing_file_is_refused(tmp_path):
    assert "missing or damaged" in refusal(tmp_path / "none.zip", images=20)


def test_damaged_files_end_in_a_data_error_and_nothing_else(small, make_plain_images):
    whole, good = small.read_bytes(), make_plain_images(20, seed=1).digest
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(whole), 200):
        small.write_bytes(whole[:place])
        assert "missing or damaged" in refusal(small, images=20)
        changed = bytearray(whole)
        changed[place] ^= 1 << int(rng.integers(8))
        small.write_bytes(changed)
        with suppress(DataError):
            # The other split's bytes are not read, so a change there does no harm.
            assert subset.read_split(small, "test", images=20).digest == good


def rewrite(path, change):
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    facts = json.loads(content["subset.json"])
    change(facts)
    content["subset.json"] = json.dumps(facts).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)


def test_a_changed_label_is_refused(small):
    rewrite(small, lambda facts: facts["splits"]["test"]["labels"].__setitem__(3, 0))
    assert "pixels or labels of the test split's 20 images have changed" in refusal(small, images=20)


@pytest.mark.parametrize(
    "change",
    [
        lambda facts: facts.pop("splits"),
        lambda facts: facts["splits"]["test"].pop("sha256"),
        lambda facts: facts["splits"]["test"].update(columns=0),
        lambda facts: facts["splits"]["test"].update(columns="x"),
        lambda facts: facts["splits"]["test"].update(labels=["a"] * 20),
        lambda facts: facts["splits"]["test"].update(labels=None),
    ],
)
def test_facts_of_another_kind_are_refused(small, change):
    rewrite(small, change)
    assert "missing or damaged" in refusal(small, images=20)
