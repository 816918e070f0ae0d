"""Changes to one image at a time, all of them timm's and torchvision's.

Letters: H rows and W columns of the image that a model takes.
"""

import re
from collections.abc import Iterator
from itertools import chain
from typing import Any, Literal

import numpy as np
import timm
import torchvision
from PIL import Image
from PIL import __version__ as pillow_version
from timm.data.auto_augment import AugmentOp, AugMixAugment, AutoAugment, RandAugment
from timm.data.auto_augment import posterize as timm_posterize
from timm.data.transforms_factory import transforms_imagenet_eval, transforms_imagenet_train
from torchvision.transforms import Compose, RandomCrop

from swatbench.data.seeded import seeded
from swatbench.errors import SuiteError
from swatbench.spec.recipe import Augmentation

Colour = tuple[float, float, float]

_GREY: Colour = (0.5, 0.5, 0.5)
_NUMBER, _WHOLE = r"\d+(\.\d+)?", r"\d+"
_SECTIONS = {
    "rand": rf"(m|n|mmax|inc){_WHOLE}|(p|mstd){_NUMBER}|t(weights|3a|3aw)",
    "augmix": rf"(m|w|d|b){_WHOLE}|(a|mstd){_NUMBER}",
}
_POLICY = rf"mstd{_NUMBER}"
"""Sections of the policies, which have no other; timm leaves a section without a number out in silence."""


def train_transform(augmentation: Augmentation, *, img_size: int, mean: Colour, std: Colour) -> Compose:
    """From a training image to what a model takes, by draws from the global generators.

    Args:
        augmentation: What may change, and how much.
        img_size: Side H = W of the result.
        mean: Mean of each channel, with pixels scaled to [0, 1], which fills what a rotation leaves empty.
        std: Standard deviation of each channel.

    Returns:
        A function from a PIL image to a uint8 tensor (3, H, W). Erasing, which is for normalised pixels, is
        not in it.
    """
    options: dict[str, Any] = {
        "scale": augmentation.crop_scale,
        "ratio": augmentation.crop_ratio,
        "hflip": augmentation.flip_probability,
        "color_jitter": augmentation.color_jitter or None,
        "auto_augment": augmentation.auto_augment,
        "interpolation": augmentation.interpolation,
    }
    whole = transforms_imagenet_train(img_size, mean=mean, std=std, use_prefetcher=True, **options)
    assert isinstance(whole, Compose)
    for operation in _operations(whole):
        if operation.aug_fn is timm_posterize:
            operation.aug_fn = posterize
    if augmentation.crop == "padded":
        whole.transforms[0] = RandomCrop(img_size, padding=augmentation.crop_padding)
    return whole


def posterize(image: Image.Image, bits_to_keep: int, **options: Any) -> Image.Image:
    """Keep the highest bits of each colour, as timm does it, and none of them where none are asked for.

    timm's policies ask for that at their strongest. Older Pillows then give a black image, newer ones fail.

    Args:
        image: The image.
        bits_to_keep: How many bits; 8 or more change nothing.
        options: What timm hands to every operation.
    """
    if bits_to_keep < 1:
        return Image.new(image.mode, image.size)
    return timm_posterize(image, bits_to_keep, **options)


def _operations(whole: Compose) -> Iterator[AugmentOp]:
    """The operations of the policies among some transforms."""
    for transform in whole.transforms:
        if isinstance(transform, RandAugment | AugMixAugment):
            yield from transform.ops
        if isinstance(transform, AutoAugment):
            yield from chain.from_iterable(transform.policy)


def test_transform(
    *, img_size: int, crop_fraction: float, interpolation: Literal["bilinear", "bicubic"]
) -> Compose:
    """From a test image to what a model takes: resized, and its middle cut out.

    Args:
        img_size: Side H = W of the result.
        crop_fraction: That side, as a share of the resized image's shorter one.
        interpolation: How the image is resized.

    Returns:
        A function from a PIL image to a uint8 tensor (3, H, W).
    """
    return transforms_imagenet_eval(
        img_size, crop_pct=crop_fraction, interpolation=interpolation, use_prefetcher=True
    )


test_transform.__test__ = False  # pyright: ignore[reportFunctionMemberAccess]


def check_augmentation(augmentation: Augmentation) -> None:
    """Refuse a policy that timm would not understand, or would understand only in part.

    Args:
        augmentation: What may change, and how much.

    Raises:
        SuiteError: `auto_augment` has a section that its policy does not, or cannot be applied.
    """
    if augmentation.auto_augment is None:
        return
    policy, *sections = augmentation.auto_augment.split("-")
    for section in sections:
        if not re.fullmatch(_SECTIONS.get(policy, _POLICY), section):
            raise _refusal(augmentation.auto_augment, f"{policy!r} has no section {section!r}")
    transform = train_transform(augmentation, img_size=32, mean=_GREY, std=_GREY)
    try:
        with seeded(np.zeros(8, np.uint32), restore=True):
            transform(Image.new("RGB", (32, 32)))
    except (AssertionError, ValueError, TypeError, LookupError, ArithmeticError) as error:
        raise _refusal(augmentation.auto_augment, str(error)) from error


def versions() -> dict[str, str]:
    """Versions of what draws and applies the changes."""
    return {"timm": timm.__version__, "torchvision": torchvision.__version__, "pillow": pillow_version}


def _refusal(asked: str, why: str) -> SuiteError:
    return SuiteError(
        f"timm cannot apply {asked!r}: {why}.",
        where="recipe.augmentation.auto_augment",
        fix="Write it as rand-m9-mstd0.5-inc1, augmix-m3-w3, original-mstd0.5 or 3a.",
    )
