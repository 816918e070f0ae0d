from dataclasses import FrozenInstanceError

import pytest
import torch

from swatbench.data.images import Dataset, Images

PIXELS = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
LABELS = torch.tensor([0, 1])


@pytest.mark.parametrize(
    ("pixels", "labels", "message"),
    [
        (PIXELS.float(), LABELS, "uint8, not torch.float32"),
        (PIXELS, LABELS.int(), "int64, not torch.int32"),
        (PIXELS[0], LABELS, r"\(n, c, h, w\), not \(3, 4, 4\)"),
        (PIXELS, LABELS[:1], r"2 images need labels of shape \(2,\), not \(1,\)"),
        (PIXELS, LABELS[:, None], r"not \(2, 1\)"),
        (PIXELS, torch.tensor([0, -3]), "0 or more, not -3"),
        (PIXELS[:0], LABELS[:0], "at least one image, not 0"),
    ],
)
def test_images_that_do_not_fit_are_refused(pixels, labels, message):
    with pytest.raises(ValueError, match=message):
        Images(pixels=pixels, labels=labels)


def test_images_are_frozen_and_have_a_length(make_images):
    images = make_images(7)
    assert len(images) == 7
    with pytest.raises(FrozenInstanceError):
        images.labels = LABELS


def test_the_digest_moves_with_every_pixel_every_label_and_the_shape(make_images):
    images = make_images(5)
    assert images.digest == make_images(5).digest
    pixel, label = images.pixels.clone(), images.labels.clone()
    pixel[4, 2, 31, 31] ^= 1
    label[4] = 9
    digests = {
        images.digest,
        Images(pixels=pixel, labels=images.labels).digest,
        Images(pixels=images.pixels, labels=label).digest,
        Images(pixels=images.pixels.reshape(5, 3, 16, 64), labels=images.labels).digest,
        Images(pixels=images.pixels[:4], labels=images.labels[:4]).digest,
    }
    assert len(digests) == 5


def test_the_digest_does_not_depend_on_the_layout_in_memory(make_images):
    images = make_images(5)
    other = images.pixels.contiguous(memory_format=torch.channels_last)
    assert other.stride() != images.pixels.stride()
    assert Images(pixels=other, labels=images.labels).digest == images.digest


def dataset(**changes):
    images = Images(pixels=PIXELS, labels=LABELS)
    values = {"train": images, "test": images, "classes": ("a", "b"), "mean": (0.5,) * 3, "std": (0.2,) * 3}
    return Dataset(**({"name": "x"} | values | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": ("a",)}, "label 1 is beyond the last of 1 classes"),
        ({"std": (0.2, 0.0, 0.2)}, "std must be above 0"),
        (
            {"test": Images(pixels=PIXELS[:, :, :2], labels=LABELS)},
            r"\(3, 4, 4\), but test images are \(3, 2, 4\)",
        ),
        (
            {name: Images(pixels=PIXELS[:, :1], labels=LABELS) for name in ("train", "test")},
            "3 channels, not 1",
        ),
    ],
)
def test_a_dataset_that_does_not_fit_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataset(**changes)


def test_the_digest_of_a_dataset_moves_with_either_split(make_images):
    images, other = make_images(4), make_images(4, seed=1)
    names = tuple("abcdefghij")
    digests = {
        dataset(train=train, test=test, classes=names).digest
        for train in (images, other)
        for test in (images, other)
    }
    assert len(digests) == 4
