"""Random changes to an image and its mask: size, crop, mirroring and colours.

They are those of the published UPerNet training, as mmsegmentation defines them: resize, crop, mirror,
distort the colours, and fill up at the right and at the bottom, in this order. Pillow resizes, which averages
over more pixels where an image shrinks.

Letters: h rows and w columns of an image, S = `crop_size`.
"""

from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageChops
from PIL import __version__ as pillow_version
from torch import Tensor

from swatbench.data.mask_draws import MaskDraws
from swatbench.spec.segmentation import IGNORED, Segmentation

BRIGHTNESS = 32
"""Most that is added to every channel, of 255, or taken away."""
FACTORS = (0.5, 1.5)
"""Least and most factor on contrast and on saturation."""
HUE = 18 / 180
"""Most that hues are turned by, as a share of the circle, either way."""


class Changed(NamedTuple):
    """A training image and its mask, changed.

    Attributes:
        pixels: uint8 (3, S, S).
        labels: uint8 (S, S), `IGNORED` where nothing is labelled and where the image was filled up.
        height: Rows that the image has; what is below is to be 0 once it is normalised.
        width: Columns that the image has, likewise.
    """

    pixels: Tensor
    labels: Tensor
    height: int
    width: int


def change_masked(
    image: Image.Image, labels: np.ndarray, *, segmentation: Segmentation, draws: MaskDraws
) -> Changed:
    """Change one training image and its mask alike.

    Args:
        image: PIL image in RGB.
        labels: uint8 (h, w).
        segmentation: Sizes, and what may change.
        draws: What was drawn for this image in this pass.
    """
    how = segmentation.augmentation
    low, high = how.scale
    height, width = segmentation.resized(*labels.shape, scale=low + (high - low) * draws.scale)
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    mask = Image.fromarray(labels).resize((width, height), Image.Resampling.NEAREST)
    labels = np.asarray(mask)
    rows, columns = _crop(labels, draws.places, S=segmentation.crop_size, share=how.largest_class_share)
    labels = labels[rows, columns]
    image = image.crop((columns.start, rows.start, columns.stop, rows.stop))
    if draws.flip < how.flip_probability:
        image, labels = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), labels[:, ::-1]
    if how.photometric_distortion:
        image = distort(image, draws.colours)
    return _filled(np.asarray(image), labels, S=segmentation.crop_size)


def distort(image: Image.Image, colours: np.ndarray) -> Image.Image:
    """Change brightness, contrast, saturation and hue, each with probability one half.

    Source: mmsegmentation's PhotoMetricDistortion, after W. Liu et al., "SSD", ECCV 2016. Brightness comes
    first; contrast follows it, or with probability one half comes last. Every change ends in whole numbers
    from 0 to 255, and hues have 256 steps.

    Args:
        image: PIL image in RGB.
        colours: Nine numbers in [0, 1): for each of the four whether and how much, and contrast's place.
    """
    brightness, contrast, saturation, hue = (
        float(amount) if whether < 0.5 else None for whether, amount in colours[:8].reshape(4, 2)
    )
    contrast_first = colours[8] < 0.5
    if brightness is not None:
        image = _mapped(image, np.arange(256) + BRIGHTNESS * (2 * brightness - 1))
    if contrast is not None and contrast_first:
        image = _mapped(image, np.arange(256) * _factor(contrast))
    if saturation is not None or hue is not None:
        image = _recoloured(image, saturation, hue)
    if contrast is not None and not contrast_first:
        image = _mapped(image, np.arange(256) * _factor(contrast))
    return image


def versions() -> dict[str, str]:
    """Versions of what applies the changes."""
    return {"pillow": pillow_version}


def _crop(labels: np.ndarray, places: np.ndarray, *, S: int, share: float) -> tuple[slice, slice]:
    """Rows and columns of the first crop without too much of one class, or of the last."""
    rows = columns = slice(0, 0)
    for y, x in places:
        rows, columns = (
            _window(side, S, at) for side, at in zip(labels.shape, (float(y), float(x)), strict=True)
        )
        if max(labels.shape) <= S or _largest_share(labels[rows, columns]) <= share:
            break
    return rows, columns


def _window(side: int, S: int, at: float) -> slice:
    start = int(at * (max(side - S, 0) + 1))
    return slice(start, min(start + S, side))


def _largest_share(labels: np.ndarray) -> float:
    """Share of the labelled pixels that are of the commonest class; 1 where none is labelled."""
    counts = np.bincount(labels.ravel(), minlength=256)[:IGNORED]
    return float(counts.max() / counts.sum()) if counts.any() else 1.0


def _filled(pixels: np.ndarray, labels: np.ndarray, *, S: int) -> Changed:
    h, w = labels.shape
    canvas = torch.zeros((3, S, S), dtype=torch.uint8)
    canvas[:, :h, :w] = torch.from_numpy(pixels.transpose(2, 0, 1).copy())
    mask = torch.full((S, S), IGNORED, dtype=torch.uint8)
    mask[:h, :w] = torch.from_numpy(labels.copy())
    return Changed(canvas, mask, h, w)


def _factor(amount: float) -> float:
    low, high = FACTORS
    return low + (high - low) * amount


def _mapped(image: Image.Image, values: np.ndarray) -> Image.Image:
    """The image with each channel's values 0 to 255 mapped to others."""
    return image.point(values.clip(0, 255).astype(np.uint8).tolist() * len(image.getbands()))


def _recoloured(image: Image.Image, saturation: float | None, hue: float | None) -> Image.Image:
    h, s, v = image.convert("HSV").split()
    if saturation is not None:
        s = _mapped(s, np.arange(256) * _factor(saturation))
    if hue is not None:
        turn = round(256 * HUE * (2 * hue - 1)) % 256
        h = ImageChops.add_modulo(h, Image.new("L", h.size, turn))
    return Image.merge("HSV", (h, s, v)).convert("RGB")
