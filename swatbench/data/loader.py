"""Batches of images that are decoded and changed one by one, in worker processes ahead of the model.

Letters: B images in a batch, K classes.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from swatbench.data.batches import Colours, Normalise
from swatbench.data.changes import Changes
from swatbench.data.draws import draw_visits, order_digest
from swatbench.data.erasing import make_erasing
from swatbench.data.seeded import Key, SeededImages, Transform
from swatbench.data.steps import Steps, Stepwise
from swatbench.data.workers import Workers
from swatbench.world import World


class Keys(Sampler[list[Key]]):
    """This process's micro-batches of an epoch as lists of keys; set `epoch` and `start` before each pass."""

    def __init__(self, steps: Steps, *, repeats: int, seed: int) -> None:
        """Take what the order follows from."""
        self._steps, self._repeats, self._seed = steps, repeats, seed
        self.epoch, self.start = 0, 0

    def __iter__(self) -> Iterator[list[Key]]:
        """Yield the keys of each micro-batch."""
        epoch, n = self.epoch, self._steps.images
        index, copies = draw_visits(n, repeats=self._repeats, seed=self._seed, epoch=epoch)
        for batch in self._steps.from_step(self.start):
            pairs = zip(index[batch.places].tolist(), copies[batch.places].tolist(), strict=True)
            yield [(epoch, i, copy) for i, copy in pairs]


class TrainLoader(Stepwise):
    """Training micro-batches of any epoch, as `batches.TrainBatches`, from images changed one by one."""

    def __init__(self, images: Dataset, changes: Changes) -> None:
        """Make the loader; its processes start with the first batch and stay.

        Args:
            images: The training images, as `SeededImages` takes them.
            changes: What else the micro-batches follow from.
        """
        super().__init__(changes.steps)
        self._changes = changes
        self._keys = Keys(changes.steps, repeats=changes.augmentation.repeats, seed=changes.seed)
        self._loader = DataLoader(
            SeededImages(
                images,
                transform=changes.transform,
                erasing=make_erasing(changes.augmentation),
                seed=changes.seed,
            ),
            batch_sampler=self._keys,
            persistent_workers=changes.workers.count > 0,
            **changes.workers.options(),
        )

    def __call__(self, epoch: int, *, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Make this process's micro-batches of one epoch.

        Args:
            epoch: Number of the epoch, from 0.
            start: Steps to leave out at the beginning; the others stay as they are.

        Yields:
            Images (B, 3, H, W), normalised, and int64 labels (B,); float32 targets (B, K) where images are
            mixed.

        Raises:
            DataError: An image cannot be decoded, or no batch came in time.
            MachineError: A worker process died.
        """
        self._keys.epoch, self._keys.start = epoch, start
        yield from self._changes.finish(self._loader, epoch=epoch, start=start)

    def digests(self, epochs: int) -> tuple[str, str]:
        """SHA-256 of the order of images, and of all that their changes follow from, over so many epochs."""
        changes, steps = self._changes, self._changes.steps
        order = order_digest(
            steps.images,
            repeats=changes.augmentation.repeats,
            seed=changes.seed,
            epochs=epochs,
            images_per_epoch=steps.images_per_epoch,
        )
        return order, changes.digest(epochs, seed=changes.seed)


class TestLoader:
    """Test batches in the original order, as `batches.TestBatches`, from images resized one by one.

    Attributes:
        images: Test images over all processes.
        positions: int64 array, places of this process's images in the test set, in the order they come in.
    """

    __test__ = False

    def __init__(
        self,
        images: Dataset,
        *,
        count: int,
        batch_size: int,
        transform: Transform,
        colours: Colours,
        workers: Workers,
        world: World,
    ) -> None:
        """Make the loader; its processes live for one pass.

        Args:
            images: The test images, as `SeededImages` takes them.
            count: How many there are.
            batch_size: Images in a batch; the last one may be smaller.
            transform: From an image to uint8 pixels (see `transforms.test_transform`).
            colours: Mean and std to normalise by.
            workers: Where images are decoded.
            world: This process's place; it tests every image whose place modulo their number is its rank.
        """
        self.images: Final = count
        self.positions: Final = np.arange(count)[world.rank :: world.size]
        self._workers = workers
        self._normalise = Normalise(colours, device=workers.device, dtype=torch.float32)
        keys = [(0, index, 0) for index in self.positions.tolist()]
        self._loader = DataLoader(
            SeededImages(images, transform=transform, seed=None),
            batch_sampler=[keys[i : i + batch_size] for i in range(0, len(keys), batch_size)],  # pyright: ignore[reportArgumentType]
            **workers.options(),
        )

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images (B, 3, H, W), normalised, and int64 labels (B,).

        Raises:
            DataError: An image cannot be decoded, or no batch came in time.
            MachineError: A worker process died.
        """
        for batch in self._workers.fetch(self._loader):
            yield self._normalise(batch.pixels), batch.labels
