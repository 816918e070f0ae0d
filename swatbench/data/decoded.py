"""A small split, decoded once and kept in memory.

All pixels lie in one numpy buffer, so that worker processes that are forked read the same memory.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from typing import Final, Literal

import numpy as np
import psutil
import torch
from PIL import Image

from swatbench.data.files import ImageFiles, Pictures

LARGEST_BYTES = 2**30
"""Most bytes of pixels of a split that are kept without being asked for."""
SHARE_OF_FREE_MEMORY = 0.25
"""Largest part of the free memory that they may take."""
SAMPLED = 64
"""Images whose headers are read to estimate the size of all."""


def keep_decoded(files: ImageFiles, wish: bool | Literal["auto"]) -> ImageFiles:
    """The same split, which decodes its images at the first opening and keeps them.

    Args:
        files: A split whose images can be asked for by number; a stream is returned as it is.
        wish: Whether to keep them; `auto` keeps them if they are few and small enough.
    """
    if files.streamed or wish is False:
        return files
    return replace(files, opener=_Keeper(files, always=wish is True))


class DecodedImages(torch.utils.data.Dataset):
    """Images in memory, given as (PIL image in RGB, int label) by number.

    Attributes:
        pixels: uint8 array (p,), the pixels of all images one after the other, each (h, w, 3).
    """

    def __init__(self, pictures: Pictures) -> None:
        """Decode every image.

        Args:
            pictures: The images.

        Raises:
            DataError: An image cannot be decoded.
        """
        n = len(pictures)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            self._sizes: Final = np.array(list(pool.map(pictures.size, range(n))))
            ends = np.cumsum(3 * self._sizes.prod(1))
            self._places: Final = list(pairwise([0, *ends.tolist()]))
            self.pixels: Final = np.empty(int(ends[-1]), np.uint8)
            self._labels: Final = np.fromiter(pool.map(lambda i: self._fill(pictures, i), range(n)), np.int64)

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        return Image.fromarray(self._array(index)), int(self._labels[index])

    def _array(self, index: int) -> np.ndarray:
        start, end = self._places[index]
        return self.pixels[start:end].reshape(*self._sizes[index], 3)

    def _fill(self, pictures: Pictures, index: int) -> int:
        picture, label = pictures[index]
        self._array(index)[:] = np.asarray(picture)
        return label


def fits(pictures: Pictures, *, free_bytes: int) -> bool:
    """Whether the decoded images are small beside the memory, by the headers of some of them.

    Args:
        pictures: The images.
        free_bytes: Free memory of the machine.
    """
    n = len(pictures)
    some = np.linspace(0, n - 1, min(n, SAMPLED)).astype(int)
    mean_bytes = np.mean([3 * np.prod(pictures.size(int(i))) for i in some])
    return bool(n * mean_bytes <= min(LARGEST_BYTES, SHARE_OF_FREE_MEMORY * free_bytes))


class _Keeper:
    """An opener that decodes at the first call; opening a split only to name it costs nothing."""

    def __init__(self, files: ImageFiles, *, always: bool) -> None:
        self._files, self._always = files, always
        self._opened: Pictures | DecodedImages | None = None

    def __call__(self, *, training: bool, seed: int, batch_size: int) -> Pictures | DecodedImages:
        if self._opened is None:
            pictures = self._files.open(training=training, seed=seed, batch_size=batch_size)
            assert isinstance(pictures, Pictures)
            keep = self._always or fits(pictures, free_bytes=psutil.virtual_memory().available)
            self._opened = DecodedImages(pictures) if keep else pictures
        return self._opened
