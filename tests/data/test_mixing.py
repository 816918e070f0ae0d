import numpy as np
import pytest
import torch
from timm.data.mixup import Mixup

from swatbench.data.draws import mixing_seed
from swatbench.data.mixing import Mixing, make_mixing
from swatbench.data.seeded import seeded
from swatbench.errors import SuiteError
from swatbench.spec.recipe import Augmentation, Recipe

BOTH = {"mixup_alpha": 0.8, "cutmix_alpha": 1.0}


def recipe(**augmentation):
    return Recipe(
        epochs=1, batch_size=8, learning_rate=0.1, augmentation=Augmentation(**(BOTH | augmentation))
    )


def mixing(*, seed=0, size=8, **augmentation):
    return Mixing(recipe(**augmentation), num_classes=5, micro_batch_size=size, seed=seed)


def mixed(mix, *, epoch=0, step=0, k=0):
    images = torch.arange(8 * 3 * 16 * 16, dtype=torch.float32).reshape(8, 3, 16, 16)
    return mix(images, torch.arange(8) % 5, epoch=epoch, step=step, k=k)


@pytest.mark.parametrize("mode", ["batch", "pair", "elem"])
def test_images_and_targets_are_those_of_timm_from_the_seed_of_the_micro_batch(mode):
    images, targets = mixed(mixing(mixing_mode=mode, seed=2), epoch=1, step=3, k=4)
    timms = Mixup(mixup_alpha=0.8, cutmix_alpha=1.0, mode=mode, label_smoothing=0.1, num_classes=5)
    with seeded(mixing_seed(seed=2, epoch=1, step=3, k=4), restore=True):
        expected, expected_targets = timms(
            torch.arange(8 * 3 * 16 * 16, dtype=torch.float32).reshape(8, 3, 16, 16), torch.arange(8) % 5
        )
    assert images.equal(expected)
    assert targets.equal(expected_targets)
    assert targets.shape == (8, 5)
    assert torch.allclose(targets.sum(1), torch.ones(8))


def test_seed_epoch_step_and_number_each_change_the_mixing():
    places = [{}, {"epoch": 1}, {"step": 1}, {"k": 1}]
    found = [mixed(mixing(mixing_mode="elem"), **place)[0] for place in places]
    found.append(mixed(mixing(mixing_mode="elem", seed=1))[0])
    assert all(not a.equal(b) for i, a in enumerate(found) for b in found[:i])
    assert mixed(mixing(mixing_mode="elem"), step=1)[0].equal(found[2])


def test_the_global_random_state_is_neither_read_nor_moved():
    np.random.seed(0)  # noqa: NPY002
    first = mixed(mixing())[0]
    after = np.random.random()  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    assert np.random.random() == after  # noqa: NPY002
    assert mixed(mixing())[0].equal(first)


def test_without_mixing_labels_are_smoothed_alone():
    images, targets = mixed(mixing(mixing_probability=1e-12))
    assert images[0].equal(torch.arange(3 * 256.0).reshape(3, 16, 16))
    expected = torch.full((8, 5), 0.02).scatter(1, (torch.arange(8) % 5)[:, None], 0.92)
    assert torch.allclose(targets, expected)


def test_an_odd_micro_batch_is_refused():
    with pytest.raises(SuiteError, match="even number of images, not 7") as caught:
        mixing(size=7)
    assert caught.value.where == "recipe.micro_batch_size"


@pytest.mark.parametrize("augmentation", [{"mixup_alpha": 0, "cutmix_alpha": 0}, {"mixing_probability": 0}])
def test_a_recipe_that_does_not_mix_has_no_mixing(augmentation):
    assert make_mixing(recipe(**augmentation), num_classes=5, micro_batch_size=7, seed=0) is None


def test_the_digest_follows_all_that_is_drawn():
    digests = [
        mixing().digest(3, 2),
        mixing().digest(4, 2),
        mixing().digest(3, 3),
        mixing(seed=1).digest(3, 2),
        mixing(size=4).digest(3, 2),
        mixing(mixup_alpha=0.7).digest(3, 2),
    ]
    assert len({*digests}) == 6
    assert mixing().digest(3, 2) == digests[0]
