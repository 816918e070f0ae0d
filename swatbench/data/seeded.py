"""Images changed one by one, each from a seed of its own, in whatever process that happens.

Letters: b images in a micro-batch.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from swatbench.data.draws import image_seed
from swatbench.data.erasing import Batch, Erasing, Part, pack
from swatbench.data.images import Images
from swatbench.errors import DataError

Key = tuple[int, int, int]
"""Epoch, index and copy of an image."""
Transform = Callable[[Image.Image], Tensor]
"""From an image to uint8 pixels (3, H, W)."""


class MemoryImages(Dataset):
    """Images in memory by number, as PIL images with labels; worker processes share that memory."""

    def __init__(self, images: Images) -> None:
        """Keep the pixels as rows of colours, which is how PIL wants them."""
        self._pixels = images.pixels.permute(0, 2, 3, 1).contiguous().numpy()
        self._labels = images.labels.numpy()

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        """The image and its label."""
        return Image.fromarray(self._pixels[index]), int(self._labels[index])


@contextmanager
def seeded(words: np.ndarray, *, restore: bool) -> Iterator[None]:
    """Seed Python's, numpy's and torch's global generators of the CPU for the time of the block.

    timm and torchvision draw from these and take no generators of their own.

    Args:
        words: uint32 array (8,), as `draws` makes them.
        restore: Whether to put the generators back afterwards, as they were before.
    """
    before = (random.getstate(), np.random.get_state(), torch.get_rng_state()) if restore else None  # noqa: NPY002
    for_python, for_torch = (int(low) | int(high) << 32 for low, high in (words[:2], words[6:]))
    random.seed(for_python)
    np.random.seed(words[2:6])  # noqa: NPY002
    torch.default_generator.manual_seed(for_torch)
    try:
        yield
    finally:
        if before is not None:
            random.setstate(before[0])
            np.random.set_state(before[1])  # noqa: NPY002
            torch.set_rng_state(before[2])


class SeededImages(Dataset):
    """Micro-batches of images by their keys, each image changed from a seed of its own.

    What is drawn for an image follows from the run's seed and from the image's key alone: not from the worker
    that reads it, and not from what was read before.
    """

    def __init__(
        self, images: Dataset, *, transform: Transform, erasing: Erasing | None = None, seed: int | None
    ) -> None:
        """Keep what images are made of.

        Args:
            images: PIL images and labels by number; one that cannot be decoded raises `DataError`.
            transform: Changes an image, by draws from the global generators.
            erasing: Erases a part of it, likewise; null for none.
            seed: Seed of the run; null where nothing is drawn, as at a test.
        """
        self._images, self._transform, self._erasing, self._seed = images, transform, erasing, seed

    def __getitems__(self, keys: Sequence[Key]) -> Batch | DataError:
        """Images and labels; or what is wrong with one of them, not yet raised.

        An error that is raised in a worker process arrives as the text of its traceback; one that is handed
        over arrives as it is.
        """
        try:
            return pack([self._read(key) for key in keys])
        except DataError as error:
            return error

    def _read(self, key: Key) -> tuple[Tensor, int, list[Part]]:
        epoch, index, copy = key
        image, label = self._images[index]
        if self._seed is None:
            return self._transform(image), label, []
        words = image_seed(seed=self._seed, epoch=epoch, index=index, copy=copy)
        return change(image, label, words=words, transform=self._transform, erasing=self._erasing)


def change(
    image: Image.Image, label: int, *, words: np.ndarray, transform: Transform, erasing: Erasing | None
) -> tuple[Tensor, int, list[Part]]:
    """One image changed from its own seed.

    Args:
        image: The image.
        label: Its label, which is handed on.
        words: The seed, as `seeded` takes it.
        transform: Changes the image.
        erasing: Erases a part of it; null for none.

    Returns:
        uint8 pixels (3, H, W), the label, and the parts to erase once the pixels are normalised.
    """
    with seeded(words, restore=get_worker_info() is None):
        pixels = transform(image)
        return pixels, label, [] if erasing is None else erasing(pixels)
