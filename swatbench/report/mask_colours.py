"""Classes of masks → colours, and masks → pictures.

h and w, rows and columns of a picture.
"""

import colorsys

import numpy as np
from numpy.typing import NDArray

from swatbench.spec.segmentation import IGNORED

Picture = NDArray[np.uint8]
"""Red, green and blue of each pixel, of shape (h, w, 3)."""

MOST_NAMED = 20
"""Most classes that have a colour of their own which a reader can tell from the others, and a legend."""

_NAMED = (
    *("#1f6fb2", "#ffd23c", "#008778", "#e12d5a", "#5a0087", "#ffa587", "#005a00", "#00d2ff", "#691e0f"),
    *("#a5f078", "#ff1eb4", "#876900", "#ffb4ff", "#0069ff", "#ff0f0f", "#00ffe1", "#783c69", "#00ff0f"),
    *("#4b00ff", "#f000ff"),
)
"""Found by a search for the largest least distance in CIELAB of any two, and of each from the greys below."""
_LEVELS = ((0.55, 0.95), (0.85, 0.75), (0.45, 0.70), (0.95, 0.50))
"""Saturations and values that further colours take in turn."""
_GOLDEN = 0.618034
"""Turns of the colour circle from one further colour to the next, so that neighbours differ most."""
STRIPES = ("#8d8d8d", "#b9b9b9")
"""Pixels that count for nothing are striped in two greys."""
_STRIPE = 4
"""Pixels of a stripe."""


def colour_of(label: int) -> str:
    """The colour of a class; up to `MOST_NAMED` they are told apart easily, beyond not all are.

    Example:
        >>> colour_of(0), colour_of(20)
        ('#1f6fb2', '#6df283')
    """
    if label < len(_NAMED):
        return _NAMED[label]
    saturation, value = _LEVELS[label % len(_LEVELS)]
    red, green, blue = colorsys.hsv_to_rgb(label * _GOLDEN % 1, saturation, value)
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"


def coloured(mask: NDArray[np.uint8]) -> Picture:
    """A mask as a picture, of shape (h, w, 3); what is ignored is striped.

    Args:
        mask: Class of each pixel, of shape (h, w).
    """
    table = np.array([_bytes(colour_of(label)) for label in range(256)], dtype=np.uint8)
    picture = table[mask]
    rows, columns = np.indices(mask.shape)
    greys = np.array([_bytes(grey) for grey in STRIPES], dtype=np.uint8)
    striped = greys[(rows + columns) // _STRIPE % 2]
    ignored = mask == IGNORED
    picture[ignored] = striped[ignored]
    return picture


def smaller_mask(mask: NDArray[np.uint8], most: int) -> NDArray[np.uint8]:
    """Every so many rows and columns of a mask, so that no side has more than `most`."""
    step = _step(mask.shape, most)
    return mask[::step, ::step]


def smaller_picture(picture: Picture, most: int) -> Picture:
    """A picture of block means, so that no side has more than `most`."""
    step = _step(picture.shape, most)
    if step == 1:
        return picture
    h, w = (max(side // step, 1) for side in picture.shape[:2])
    blocks = picture[: h * step, : w * step].astype(np.float64)
    rows = np.add.reduceat(blocks, np.arange(0, blocks.shape[0], step), axis=0)
    summed = np.add.reduceat(rows, np.arange(0, blocks.shape[1], step), axis=1)
    each = min(step, blocks.shape[0]) * min(step, blocks.shape[1])
    return np.asarray(np.rint(summed / each), dtype=np.uint8)


def _step(shape: tuple[int, ...], most: int) -> int:
    return -(-max(shape[:2]) // most)


def _bytes(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))
