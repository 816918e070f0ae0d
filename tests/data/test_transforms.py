import numpy as np
import pytest
import torch
from PIL import Image
from timm.data.transforms import RandomResizedCropAndInterpolation
from torchvision.transforms import RandomCrop

from swatbench.data.seeded import seeded
from swatbench.data.transforms import check_augmentation, posterize, train_transform
from swatbench.data.transforms import test_transform as at_test
from swatbench.errors import SuiteError
from swatbench.spec.recipe import Augmentation

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.5)
RESIZED = Augmentation(crop="resized")


def noise(height=40, width=60):
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def changed(augmentation, *, word=0, img_size=32, image=None):
    transform = train_transform(augmentation, img_size=img_size, mean=MEAN, std=STD)
    with seeded(np.full(8, word, np.uint32), restore=True):
        return transform(image or noise())


def names(augmentation):
    return [
        type(step).__name__
        for step in train_transform(augmentation, img_size=32, mean=MEAN, std=STD).transforms
    ]


def test_pixels_are_uint8_of_the_size_asked_for():
    assert changed(RESIZED, img_size=48).shape == (3, 48, 48)
    assert changed(RESIZED).dtype == torch.uint8


def test_the_crop_is_the_one_asked_for():
    steps = train_transform(RESIZED, img_size=32, mean=MEAN, std=STD).transforms
    assert isinstance(steps[0], RandomResizedCropAndInterpolation)
    assert (steps[0].scale, steps[0].ratio) == ((0.08, 1.0), (0.75, 4 / 3))
    padded = train_transform(Augmentation(color_jitter=0.1), img_size=32, mean=MEAN, std=STD).transforms
    assert isinstance(padded[0], RandomCrop)
    assert (padded[0].padding, padded[0].size) == (4, (32, 32))


def test_only_what_is_asked_for_is_done():
    crop, tensor = "RandomResizedCropAndInterpolation", "MaybePILToTensor"
    assert names(Augmentation(crop="resized", flip_probability=0)) == [crop, tensor]
    assert names(RESIZED) == [crop, "RandomHorizontalFlip", tensor]
    assert names(Augmentation(crop="resized", color_jitter=0.4))[2] == "ColorJitter"
    assert names(Augmentation(crop="resized", color_jitter=0.4, auto_augment="rand-m9"))[2:] == [
        "RandAugment",
        tensor,
    ]


def test_every_random_number_comes_from_the_seed():
    heavy = Augmentation(crop="resized", auto_augment="augmix-m5-w4", color_jitter=0.2)
    for word in range(5):
        assert changed(heavy, word=word).equal(changed(heavy, word=word))
    assert not changed(heavy, word=1).equal(changed(heavy, word=2))


@pytest.mark.parametrize("crop_fraction", [0.5, 0.875, 1.0])
def test_test_images_are_resized_and_their_middle_is_cut_out(crop_fraction):
    transform = at_test(img_size=32, crop_fraction=crop_fraction, interpolation="bicubic")
    image = noise(64, 64)
    side = int(32 / crop_fraction)
    resized = image.resize((side, side), Image.Resampling.BICUBIC)
    first = round((side - 32) / 2)
    expected = np.asarray(resized)[first : first + 32, first : first + 32].transpose(2, 0, 1)
    assert transform(image).dtype == torch.uint8
    assert (transform(image).numpy() == expected).all()


def test_interpolations_of_a_test_differ():
    first, second = (
        at_test(img_size=32, crop_fraction=0.875, interpolation=name)(noise())
        for name in ("bilinear", "bicubic")
    )
    assert not first.equal(second)


@pytest.mark.parametrize(
    "policy",
    [
        "rand-m9-mstd0.5-inc1",
        "rand-m9-n3-p0.3-mmax12-tweights",
        "rand-mstd101-t3aw",
        "augmix-m3-w3-d2-a0.5-b1",
        "3a",
        "v0",
        "v0r-mstd0.5",
        "original-mstd0.5",
        "originalr",
    ],
)
def test_policies_that_timm_has_are_taken(policy):
    check_augmentation(Augmentation(crop="resized", auto_augment=policy))


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ("rand-9", "'9'"),
        ("rand-m9-mag", "'mag'"),
        ("rand-mstdinf", "'mstdinf'"),
        ("rand-w3", "'w3'"),
        ("rand-m9-tweight", "'tweight'"),
        ("rand-n40-tweights", "larger sample"),
        ("augmix-inc1", "'inc1'"),
        ("original-m9", "'m9'"),
        ("3a-", "''"),
    ],
)
def test_policies_that_timm_would_not_follow_are_refused_before_anything_is_trained(policy, said):
    with pytest.raises(SuiteError, match="timm cannot apply") as caught:
        check_augmentation(Augmentation(crop="resized", auto_augment=policy))
    assert caught.value.where == "recipe.augmentation.auto_augment"
    assert said.lower() in caught.value.what.lower()


def test_without_a_policy_there_is_nothing_to_refuse():
    check_augmentation(Augmentation())


@pytest.mark.parametrize("policy", ["rand-m10-n15-p1-inc1", "rand-m0-n15-p1", "v0", "augmix-m10-w5-d3"])
def test_policies_can_be_applied_at_their_strongest(policy):
    # Of 15 operations drawn 15 times, one is left out in a third of the images; 40 images leave none out.
    augmentation = Augmentation(crop="resized", auto_augment=policy)
    for word in range(40):
        changed(augmentation, word=word)


def test_posterising_keeps_the_highest_bits_and_may_keep_none():
    image = np.asarray(noise())
    for bits, mask in ((0, 0), (1, 0x80), (4, 0xF0), (8, 0xFF)):
        assert (np.asarray(posterize(noise(), bits)) == image & mask).all()
