import pytest
import torch
from timm.data.random_erasing import RandomErasing

from swatbench.data.erasing import Erasing, erase_, make_erasing, pack
from swatbench.data.seeded import seeded
from swatbench.spec.recipe import Augmentation

PIXELS = torch.zeros(3, 32, 24, dtype=torch.uint8)


def words(word):
    return torch.full((8,), word, dtype=torch.int64).numpy().astype("uint32")


def erasing(mode="pixel", probability=0.5):
    return Erasing(Augmentation(crop="resized", erasing_probability=probability, erasing_mode=mode))


def drawn(word, each):
    with seeded(words(word), restore=True):
        return each(PIXELS)


@pytest.mark.parametrize("mode", ["const", "rand", "pixel"])
def test_a_batch_is_erased_as_timm_erases_each_of_its_images(mode):
    each = erasing(mode)
    batch = pack([(PIXELS, 0, drawn(word, each)) for word in range(20)])
    images = torch.rand(20, 3, 32, 24)
    expected = images.clone()
    timms = RandomErasing(0.5, mode=mode, device="cpu")
    for word in range(20):
        with seeded(words(word), restore=True):
            timms(expected[word])
    assert 2 < len(batch.boxes) < 18
    assert not expected.equal(images)
    assert erase_(images, batch).equal(expected)


def test_a_batch_of_which_nothing_is_erased_stays_as_it_is():
    batch = pack([(PIXELS + i, i, []) for i in range(3)])
    assert batch.pixels.equal(torch.arange(3, dtype=torch.uint8).reshape(3, 1, 1, 1).expand(3, 3, 32, 24))
    assert batch.labels.tolist() == [0, 1, 2]
    assert batch.boxes.shape == (0, 5)
    images = torch.rand(3, 3, 32, 24)
    assert erase_(images.clone(), batch).equal(images)


def test_nothing_erases_without_a_probability():
    assert make_erasing(Augmentation()) is None
    assert make_erasing(Augmentation(crop="resized", erasing_probability=0.1)) is not None
