"""Batches from images in memory: cropped, mirrored and normalised a whole batch at a time.

Letters: B images in a batch, c channels, h rows, w columns, p pixels of padding on each side.
"""

from collections.abc import Iterator
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from swatbench.data.draws import draw_augmentation, draw_order, stream_digests
from swatbench.data.images import Dataset
from swatbench.errors import SuiteError
from swatbench.spec.suite import Augmentation


class TrainBatches:
    """Training batches of any epoch; call it with the epoch to get them.

    Attributes:
        batch_size: Images in a batch.
        steps_per_epoch: Batches in an epoch; the last, smaller one is dropped.
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        augmentation: Augmentation,
        batch_size: int,
        seed: int,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Keep the training images on the device.

        Args:
            dataset: Images, and the mean and std to normalise them by.
            augmentation: Random changes to each image.
            batch_size: Images in a batch.
            seed: Decides the order and the changes, together with the epoch and the image's index.
            device: Where batches are made and returned.
            dtype: Type of the returned images.

        Raises:
            SuiteError: There are fewer images than make one batch.
        """
        n = len(dataset.train)
        if batch_size > n:
            raise SuiteError(
                f"A batch of {batch_size} images cannot be filled from {n} training images.",
                where="recipe.batch_size",
                fix=f"Choose {n} or less.",
            )
        self.batch_size: Final = batch_size
        self.steps_per_epoch: Final = n // batch_size
        self._augmentation, self._seed, self._device = augmentation, seed, device
        self._pixels = dataset.train.pixels.to(device)
        self._labels = dataset.train.labels.to(device)
        self._normalise = Normalise(dataset, device=device, dtype=dtype)

    def __call__(self, epoch: int, *, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Make the batches of one epoch, one at a time.

        Args:
            epoch: Number of the epoch, from 0.
            start: Batches to leave out at the beginning; the others stay as they are.

        Yields:
            Images (B, c, h, w), normalised, and int64 labels (B,).
        """
        n, seed = len(self._pixels), self._seed
        draws = draw_augmentation(n, self._augmentation, seed=seed, epoch=epoch)
        order, y, x, flip = (
            torch.from_numpy(array).to(self._device)
            for array in (draw_order(n, seed=seed, epoch=epoch), draws.y, draws.x, draws.flip)
        )
        padding = self._augmentation.crop_padding
        for step in range(start, self.steps_per_epoch):
            i = order[step * self.batch_size : (step + 1) * self.batch_size]
            pixels = crop_and_flip(self._pixels[i], y[i], x[i], flip[i], padding=padding)
            yield self._normalise(pixels), self._labels[i]

    def digests(self, epochs: int) -> tuple[str, str]:
        """SHA-256 of the order and of the augmentation draws over so many epochs (see `stream_digests`)."""
        return stream_digests(
            len(self._pixels),
            self._augmentation,
            seed=self._seed,
            epochs=epochs,
            images_per_epoch=self.steps_per_epoch * self.batch_size,
        )


class TestBatches:
    """Test batches in the original order, only normalised; iterate as often as needed."""

    __test__ = False

    def __init__(
        self, dataset: Dataset, *, batch_size: int, device: torch.device, dtype: torch.dtype = torch.float32
    ) -> None:
        """Keep the test images on the device.

        Args:
            dataset: Images, and the mean and std to normalise them by.
            batch_size: Images in a batch; the last one may be smaller.
            device: Where batches are made and returned.
            dtype: Type of the returned images.
        """
        self._batch_size = batch_size
        self._pixels = dataset.test.pixels.to(device)
        self._labels = dataset.test.labels.to(device)
        self._normalise = Normalise(dataset, device=device, dtype=dtype)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images (B, c, h, w), normalised, and int64 labels (B,)."""
        pixels, labels = self._pixels.split(self._batch_size), self._labels.split(self._batch_size)
        for some, their_labels in zip(pixels, labels, strict=True):
            yield self._normalise(some), their_labels


class Normalise:
    """From uint8 pixels to numbers of mean 0 and standard deviation 1 over the training images."""

    def __init__(self, dataset: Dataset, *, device: torch.device, dtype: torch.dtype) -> None:
        """Take mean and std from the dataset.

        Args:
            dataset: States both, with pixels scaled to [0, 1].
            device: Where the pixels will be.
            dtype: Type to return.
        """
        self._mean = 255 * torch.tensor(dataset.mean, device=device).reshape(-1, 1, 1)
        self._std = 255 * torch.tensor(dataset.std, device=device).reshape(-1, 1, 1)
        self._dtype = dtype

    def __call__(self, pixels: Tensor) -> Tensor:
        """Normalise pixels (B, c, h, w); the sums are done in float32 whatever the type returned."""
        return pixels.float().sub_(self._mean).div_(self._std).to(self._dtype)


def crop_and_flip(pixels: Tensor, y: Tensor, x: Tensor, flip: Tensor, *, padding: int) -> Tensor:
    """Pad each image with zeros, cut its own crop of the original size, and mirror it if it should be.

    Args:
        pixels: (B, c, h, w), any type.
        y: int64 (B,), first row of each crop in the padded image, 0 to 2p.
        x: int64 (B,), first column of each crop, 0 to 2p.
        flip: bool (B,), whether to mirror the crop left to right.
        padding: Pixels p added on each of the four sides.

    Returns:
        Tensor (B, c, h, w) of the same type.
    """
    B, c, h, w = pixels.shape
    padded = F.pad(pixels, (padding,) * 4)
    rows = y[:, None] + torch.arange(h, device=pixels.device)
    columns = x[:, None] + torch.arange(w, device=pixels.device)
    columns = torch.where(flip[:, None], columns.flip(1), columns)
    # One gather over flat positions: a third of the time of indexing rows and columns, same result.
    places = rows[:, :, None] * padded.shape[3] + columns[:, None, :]
    places = places.reshape(B, 1, h * w).expand(B, c, h * w)
    return padded.reshape(B, c, -1).gather(2, places).reshape(B, c, h, w)
