"""What training micro-batches of images that are changed one by one share, whichever way the images come.

Letters: B images in a micro-batch, K classes.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import Compose

from swatbench.data.batches import Colours, Normalise
from swatbench.data.erasing import erase_
from swatbench.data.mixing import Mixing, mixed
from swatbench.data.steps import Steps
from swatbench.data.transforms import train_transform, versions
from swatbench.data.workers import Workers
from swatbench.spec.recipe import Augmentation


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Changes:
    """Everything but the images that training micro-batches follow from.

    Attributes:
        steps: How the images fall into steps.
        augmentation: Random changes to each image.
        img_size: Side H = W of the images that the model takes.
        colours: Mean and std to normalise by.
        mixing: Mixes the images of a micro-batch; null for none.
        seed: Seed of the run.
        workers: Where images are decoded.
    """

    steps: Steps
    augmentation: Augmentation
    img_size: int
    colours: Colours
    mixing: Mixing | None
    seed: int
    workers: Workers

    @property
    def transform(self) -> Compose:
        """From an image to uint8 pixels (see `transforms.train_transform`)."""
        colours = self.colours
        return train_transform(self.augmentation, img_size=self.img_size, mean=colours.mean, std=colours.std)

    def finish(self, loader: Iterable[Any], *, epoch: int, start: int) -> Iterator[tuple[Tensor, Tensor]]:
        """This process's micro-batches of an epoch on the device: normalised, erased and mixed.

        Args:
            loader: Gives what `erasing.pack` made of each micro-batch, or an error.
            epoch: Number of the epoch, from 0.
            start: Steps that were left out at the beginning.

        Yields:
            Images (B, 3, H, W) and int64 labels (B,); float32 targets (B, K) where images are mixed.

        Raises:
            DataError: An image cannot be decoded, or no batch came in time.
            MachineError: A worker process died.
        """
        normalise = Normalise(self.colours, device=self.workers.device, dtype=torch.float32)
        places = self.steps.from_step(start)
        for place, batch in zip(places, self.workers.fetch(loader), strict=True):
            images = erase_(normalise(batch.pixels), batch)
            yield mixed(self.mixing, images, batch.labels, epoch=epoch, place=place)

    def digest(self, epochs: int, **facts: Any) -> str:
        """SHA-256 in hex of all that the changes to images follow from, versions of libraries included.

        Args:
            epochs: Epochs of the run.
            facts: What else they follow from, as JSON values.
        """
        mixing = None if self.mixing is None else self.mixing.digest(self.steps.per_epoch, epochs)
        own = {
            "img_size": self.img_size,
            "mean": self.colours.mean,
            "std": self.colours.std,
            "mixing": mixing,
        }
        whole = {
            "augmentation": self.augmentation.model_dump(mode="json"),
            "facts": own | facts,
            "epochs": epochs,
            "versions": versions(),
        }
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()
