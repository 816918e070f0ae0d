"""Parts of images erased by timm's rules, drawn where an image is decoded and put in place on the device.

What fills an erased part is meant for normalised pixels, and normalised pixels take four times the room of
uint8. So images travel as uint8, and what fills their erased parts beside them.

Letters: b images in a batch, m erased parts among them, h rows and w columns of a part.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from timm.data.random_erasing import RandomErasing
from torch import Tensor

from swatbench.spec.recipe import Augmentation

Part = tuple[int, int, Tensor]
"""First row and column of an erased part, and what fills it, float32 (3, h, w)."""


class Batch(NamedTuple):
    """Images on their way to the device.

    Attributes:
        pixels: uint8 (b, 3, H, W).
        labels: int64 (b,).
        boxes: int64 (m, 5): the image's place in the batch, first row, first column, h and w of each part.
        fillings: float32, what fills the parts, one after the other.
    """

    pixels: Tensor
    labels: Tensor
    boxes: Tensor
    fillings: Tensor


class Erasing:
    """Draws what is erased of one image, from the global generators.

    Source: Z. Zhong et al., "Random erasing data augmentation", AAAI 2020.
    """

    def __init__(self, augmentation: Augmentation) -> None:
        """Take probability and mode; areas and shapes are timm's own."""
        self._erase = RandomErasing(
            augmentation.erasing_probability, mode=augmentation.erasing_mode, device="cpu"
        )

    def __call__(self, pixels: Tensor) -> list[Part]:
        """The parts to erase of an image (3, H, W)."""
        sheet = _Sheet(pixels.shape)
        self._erase(sheet)
        return sheet.parts


class _Sheet:
    """Stands where timm writes to an image, and keeps what would be written."""

    def __init__(self, shape: torch.Size) -> None:
        self.parts: list[Part] = []
        self.dtype = torch.float32
        self._shape = shape

    def size(self) -> torch.Size:
        return self._shape

    def __setitem__(self, place: tuple[slice, slice, slice], filling: Tensor) -> None:
        _, rows, columns = place
        height, width = rows.stop - rows.start, columns.stop - columns.start
        self.parts.append((rows.start, columns.start, filling.expand(3, height, width)))


def make_erasing(augmentation: Augmentation) -> Erasing | None:
    """What erases parts of images, or None where nothing does."""
    return Erasing(augmentation) if augmentation.erasing_probability else None


def pack(samples: Sequence[tuple[Tensor, int, list[Part]]]) -> Batch:
    """Put b samples of uint8 pixels (3, H, W), label and erased parts into one batch."""
    pixels = torch.empty((len(samples), *samples[0][0].shape), dtype=torch.uint8)
    boxes, fillings = [], [torch.empty(0)]
    for i, (image, _, parts) in enumerate(samples):
        pixels[i].copy_(image)
        for y, x, filling in parts:
            boxes.append((i, y, x, *filling.shape[1:]))
            fillings.append(filling.reshape(-1))
    return Batch(
        pixels=pixels,
        labels=torch.tensor([label for _, label, _ in samples], dtype=torch.int64),
        boxes=torch.tensor(boxes, dtype=torch.int64).reshape(-1, 5),
        fillings=torch.cat(fillings),
    )


def erase_(images: Tensor, batch: Batch) -> Tensor:
    """Fill the erased parts of normalised images (b, 3, H, W) in place, and return the images."""
    done = 0
    for i, y, x, h, w in batch.boxes.tolist():
        filling = batch.fillings[done : done + 3 * h * w].reshape(3, h, w)
        images[i, :, y : y + h, x : x + w] = filling
        done += 3 * h * w
    return images
