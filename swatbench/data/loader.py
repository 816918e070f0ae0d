"""Batches of images that are decoded and changed one by one, in worker processes ahead of the model.

Letters: B images in a batch, K classes.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from swatbench.data.batches import Colours, Normalise
from swatbench.data.draws import draw_visits, order_digest
from swatbench.data.erasing import erase_, make_erasing
from swatbench.data.mixing import Mixing
from swatbench.data.seeded import Key, SeededImages, Transform
from swatbench.data.steps import Steps
from swatbench.data.transforms import train_transform, versions
from swatbench.data.workers import Workers
from swatbench.spec.recipe import Augmentation
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


class TrainLoader:
    """Training micro-batches of any epoch, as `batches.TrainBatches`, from images changed one by one.

    Attributes:
        batch_size: Images in a step, over all processes.
        micro_batch_size: Images B in a micro-batch.
        steps_per_epoch: Steps in an epoch.
        micro_batches: Micro-batches of a step on this process.
    """

    def __init__(
        self,
        images: Dataset,
        *,
        steps: Steps,
        augmentation: Augmentation,
        img_size: int,
        colours: Colours,
        mixing: Mixing | None,
        seed: int,
        workers: Workers,
    ) -> None:
        """Make the loader; its processes start with the first batch and stay.

        Args:
            images: The training images, as `SeededImages` takes them.
            steps: How they fall into steps.
            augmentation: Random changes to each image.
            img_size: Side H = W of the images that the model takes.
            colours: Mean and std to normalise by.
            mixing: Mixes the images of a micro-batch; null for none.
            seed: Seed of the run.
            workers: Where images are decoded.
        """
        self.batch_size: Final = steps.batch_size
        self.micro_batch_size: Final = steps.micro_batch_size
        self.steps_per_epoch: Final = steps.per_epoch
        self.micro_batches: Final = steps.micro_batches
        self._steps, self._augmentation, self._seed, self._mixing = steps, augmentation, seed, mixing
        self._img_size, self._colours = img_size, colours
        self._workers = workers
        self._normalise = Normalise(colours, device=workers.device, dtype=torch.float32)
        self._keys = Keys(steps, repeats=augmentation.repeats, seed=seed)
        self._loader = DataLoader(
            SeededImages(
                images,
                transform=train_transform(
                    augmentation, img_size=img_size, mean=colours.mean, std=colours.std
                ),
                erasing=make_erasing(augmentation),
                seed=seed,
            ),
            batch_sampler=self._keys,
            persistent_workers=workers.count > 0,
            **workers.options(),
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
        places = self._steps.from_step(start)
        for place, batch in zip(places, self._workers.fetch(self._loader), strict=True):
            images = erase_(self._normalise(batch.pixels), batch)
            if self._mixing is None:
                yield images, batch.labels
            else:
                yield self._mixing(images, batch.labels, epoch=epoch, step=place.step, k=place.k)

    def digests(self, epochs: int) -> tuple[str, str]:
        """SHA-256 of the order of images, and of all that their changes follow from, over so many epochs."""
        order = order_digest(
            self._steps.images,
            repeats=self._augmentation.repeats,
            seed=self._seed,
            epochs=epochs,
            images_per_epoch=self._steps.images_per_epoch,
        )
        facts = {
            "img_size": self._img_size,
            "mean": self._colours.mean,
            "std": self._colours.std,
            "seed": self._seed,
            "mixing": None if self._mixing is None else self._mixing.digest(self.steps_per_epoch, epochs),
        }
        return order, change_digest(self._augmentation, facts, epochs=epochs)


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


def change_digest(augmentation: Augmentation, facts: Mapping[str, Any], *, epochs: int) -> str:
    """SHA-256 in hex of all that the changes to images follow from, versions of libraries included.

    Args:
        augmentation: What may change, and how much.
        facts: What else they follow from.
        epochs: Epochs of the run.
    """
    asked = augmentation.model_dump(mode="json")
    whole = {"augmentation": asked, "facts": facts, "epochs": epochs, "versions": versions()}
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()
