"""A model over an image of any size: resized, whole or by windows that slide over it, mirrored or not.

Letters: H and W, rows and columns of an image, K classes.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from swatbench.spec.segmentation import Inference, Segmentation

Classify = Callable[[Tensor], Tensor]
"""Class probabilities (1, K, H, W) of an image (1, 3, H, W)."""


def resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps (1, C, H, W) at another size, bilinear, edges of pixels aligned and nothing smoothed before."""
    if maps.shape[2:] == size:
        return maps
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)


def probabilities_at_scales(
    classify: Classify, image: Tensor, segmentation: Segmentation, inference: Inference
) -> list[Tensor]:
    """Class probabilities of one image, at the size of each scale.

    Args:
        classify: The model.
        image: The image (1, 3, H, W) in its own size, from which it is resized to every scale.
        segmentation: Sizes of images and of windows.
        inference: How to test, with nothing left open.

    Returns:
        For each scale probabilities (1, K, h, w), averaged over windows and over both sides of the mirror.

    Raises:
        ValueError: The mode or the stride is not decided.
    """
    if inference.mode == "auto" or (inference.mode == "sliding") != (inference.stride is not None):
        raise ValueError(
            f"{inference.name}: mode {inference.mode} and stride {inference.stride} leave it open"
        )
    if inference.stride is not None:
        classify = _Sliding(classify, segmentation.crop_size, inference.stride)
    height, width = image.shape[2:]
    sizes = [segmentation.resized(height, width, scale) for scale in inference.scales]
    return [_both_sides(classify, _as_in_training(image, size), flip=inference.flip) for size in sizes]


def window_starts(length: int, window: int, stride: int) -> list[int]:
    """Where windows begin along a side: every `stride` pixels, the last one flush with the border.

    Args:
        length: Pixels of the side.
        window: Pixels of a window; one that is longer than the side begins at 0.
        stride: Pixels between two windows.

    Example:
        >>> window_starts(700, 512, 341), window_starts(512, 512, 341), window_starts(300, 512, 341)
        ([0, 188], [0], [0])
    """
    last = max(0, length - window)
    return [*range(0, last, stride), last]


def _as_in_training(image: Tensor, size: tuple[int, int]) -> Tensor:
    """An image (1, 3, H, W) at another size; smoothed where it shrinks, as Pillow does it in training."""
    if image.shape[2:] == size:
        return image
    return F.interpolate(image, size=size, mode="bilinear", align_corners=False, antialias=True)


def _both_sides(classify: Classify, image: Tensor, *, flip: bool) -> Tensor:
    probabilities = classify(image)
    if not flip:
        return probabilities
    return (probabilities + classify(image.flip(3)).flip(3)) / 2


class _Sliding:
    """A model that sees squares of one size: a larger image by windows, a smaller one with zeros around."""

    def __init__(self, classify: Classify, window: int, stride: int) -> None:
        self._classify, self._window, self._stride = classify, window, stride

    def __call__(self, image: Tensor) -> Tensor:
        height, width = image.shape[2:]
        window, stride = self._window, self._stride
        # At the right and at the bottom, as crops of training are padded; zeros are the mean colour.
        image = F.pad(image, (0, max(0, window - width), 0, max(0, window - height)))
        total, seen = None, torch.zeros(image.shape[2:], device=image.device)
        for top in window_starts(height, window, stride):
            for left in window_starts(width, window, stride):
                part = (..., slice(top, top + window), slice(left, left + window))
                probabilities = self._classify(image[part])
                if total is None:
                    total = probabilities.new_zeros((1, probabilities.shape[1], *image.shape[2:]))
                total[part] += probabilities
                seen[part] += 1
        assert total is not None, "a side has at least one window"
        return total.div_(seen)[..., :height, :width]
