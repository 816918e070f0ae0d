"""Images with a mask of classes each: how masks are numbered, one split, and a dataset of two.

Letters: h rows and w columns of an image.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import torch
from PIL import Image

from swatbench.spec.data import MOST_MASK_CLASSES
from swatbench.spec.segmentation import IGNORED

Pair = tuple[Image.Image, np.ndarray]
"""A PIL image in RGB, and the label of each of its pixels, uint8 (h, w), `IGNORED` where there is none."""
UNKNOWN: Final = MOST_MASK_CLASSES
"""What stands for an index that means nothing, until it is refused; no class has this number."""


class MaskedImages(torch.utils.data.Dataset):
    """Images with masks, by number."""

    def __getitem__(self, index: int) -> Pair:
        """The image and the labels of its pixels.

        Raises:
            DataError: One of the two cannot be read, or they do not fit one another.
        """
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbering:
    """What the indices in masks mean.

    Attributes:
        num_classes: Classes.
        unlabelled: `zero`: 0 stands for no class, and class k has index k + 1; `255`: class k has index k,
            and 255 stands for no class; None: class k has index k.
    """

    num_classes: int
    unlabelled: Literal["zero", "255"] | None

    @property
    def known(self) -> str:
        """The indices that there may be, in words."""
        last = self.num_classes if self.unlabelled == "zero" else self.num_classes - 1
        return f"0 to {last}" + (" or 255" if self.unlabelled == "255" else "")

    def labels(self, indices: np.ndarray) -> np.ndarray:
        """Labels of pixels: classes from 0, and `IGNORED` where an index stands for no class.

        Args:
            indices: Whole numbers (h, w).

        Returns:
            uint8 array (h, w).

        Raises:
            ValueError: An index means nothing; its number is the error's argument.
        """
        if indices.dtype != np.uint8:
            outside = (indices < 0) | (indices > 255)
            if outside.any():
                raise ValueError(int(indices[outside][0]))
            indices = indices.astype(np.uint8)
        labels = self._table()[indices]
        unknown = labels == UNKNOWN
        if unknown.any():
            raise ValueError(int(indices[unknown].max()))
        return labels

    def _table(self) -> np.ndarray:
        """The label of each index, uint8 (256,)."""
        table, zero = np.full(256, UNKNOWN, np.uint8), self.unlabelled == "zero"
        table[int(zero) : self.num_classes + int(zero)] = np.arange(self.num_classes)
        if self.unlabelled is not None:
            table[0 if zero else 255] = IGNORED
        return table


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MaskSplit:
    """One split of images with masks.

    Attributes:
        name: Name of the split.
        images: Images in it.
        digest: SHA-256 in hex; of folders over the names and sizes in bytes of all images and masks, in
            order, and not over their bytes; of images in memory over all pixels and labels.
        pairs: The images with their masks, by number.
    """

    name: str
    images: int
    digest: str
    pairs: MaskedImages

    def __len__(self) -> int:
        return self.images

    def example(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """One image as a report shows it: uint8 (h, w, 3), and its labels, uint8 (h, w).

        Raises:
            DataError: The image or its mask cannot be read, or they do not fit one another.
        """
        image, labels = self.pairs[index]
        return np.array(image), labels


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MaskDataset:
    """Images with masks to train and test on.

    Attributes:
        name: Name of its source.
        train: Images to train on.
        test: Images to test on.
        classes: Name of each class, in the order of the labels; its number where the source names none.
        mean: Mean of each channel to normalise by, with pixels scaled to [0, 1].
        std: Standard deviation of each channel, likewise.
        numbering: What the indices in its masks mean.
        digest: SHA-256 in hex over the digests of both splits, the numbering and the names of the classes.
    """

    name: str
    train: MaskSplit
    test: MaskSplit
    classes: tuple[str, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    numbering: Numbering
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        value = hashlib.sha256(f"{self.train.digest}{self.test.digest}{self.numbering.known}".encode())
        value.update("\0".join(self.classes).encode())
        object.__setattr__(self, "digest", value.hexdigest())


class MemoryMasks(MaskedImages):
    """Images of one size with their masks in memory, which worker processes share."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray) -> None:
        """Keep both.

        Args:
            pixels: uint8 (n, h, w) of greys, or (n, h, w, 3).
            labels: uint8 (n, h, w).
        """
        self.pixels, self.labels = pixels, labels

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> Pair:
        """The image and the labels of its pixels."""
        return Image.fromarray(self.pixels[index]).convert("RGB"), self.labels[index]
