"""Batches of images with masks, read and changed one by one, in worker processes ahead of the model.

Letters: b images in a micro-batch, S = `crop_size`, H rows and W columns of a test image.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from swatbench.data.batches import Colours, Normalise
from swatbench.data.erasing import Batch
from swatbench.data.mask_draws import Visits, draw_mask_changes
from swatbench.data.mask_transforms import Changed, change_masked, versions
from swatbench.data.masks import MaskedImages
from swatbench.data.steps import Steps, Stepwise
from swatbench.data.workers import Workers
from swatbench.errors import DataError
from swatbench.spec.segmentation import Segmentation
from swatbench.world import World

Visit = tuple[int, int]
"""Number of the pass, and index of the image."""


class VisitBatches(Sampler[list[Visit]]):
    """This process's micro-batches of an epoch as visits; set `epoch` and `start` before each pass."""

    def __init__(self, visits: Visits, steps: Steps) -> None:
        """Take what the order follows from."""
        self._visits, self._steps = visits, steps
        self.epoch, self.start = 0, 0

    def __iter__(self) -> Iterator[list[Visit]]:
        """Yield the visits of each micro-batch."""
        passes, index = self._visits.of_epoch(self.epoch)
        for batch in self._steps.from_step(self.start):
            yield list(zip(passes[batch.places].tolist(), index[batch.places].tolist(), strict=True))


class ChangedMasks(Dataset):
    """Micro-batches of training images by their visits, each image changed from draws of its own."""

    def __init__(self, pairs: MaskedImages, *, segmentation: Segmentation, seed: int) -> None:
        """Keep what images are made of."""
        self._pairs, self._segmentation, self._seed = pairs, segmentation, seed

    def __getitems__(self, visits: Sequence[Visit]) -> Batch | DataError:
        """Images and masks (see `pack`); or what is wrong with one of them, not yet raised.

        An error that is raised in a worker process arrives as the text of its traceback; one that is handed
        over arrives as it is.
        """
        try:
            return pack([self._changed(*visit) for visit in visits])
        except DataError as error:
            return error

    def _changed(self, visited_in: int, index: int) -> Changed:
        image, labels = self._pairs[index]
        draws = draw_mask_changes(seed=self._seed, visited_in=visited_in, index=index)
        return change_masked(image, labels, segmentation=self._segmentation, draws=draws)


class MaskTrainLoader(Stepwise):
    """Training micro-batches of any epoch, of images with masks."""

    def __init__(
        self,
        pairs: MaskedImages,
        *,
        visits: Visits,
        steps: Steps,
        segmentation: Segmentation,
        colours: Colours,
        workers: Workers,
    ) -> None:
        """Make the loader; its processes start with the first batch and stay.

        Args:
            pairs: The training images.
            visits: Which of them an epoch visits, and the seed of the run.
            steps: How the visits fall into steps.
            segmentation: Sizes, and what may change.
            colours: Mean and std to normalise by.
            workers: Where images are read.
        """
        super().__init__(steps)
        self._visits, self._segmentation, self._colours, self._workers = (
            visits,
            segmentation,
            colours,
            workers,
        )
        self._normalise = Normalise(colours, device=workers.device, dtype=torch.float32)
        self._keys = VisitBatches(visits, steps)
        self._loader = DataLoader(
            ChangedMasks(pairs, segmentation=segmentation, seed=visits.seed),
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
            Images (b, 3, S, S), normalised, and int64 labels (b, S, S), `IGNORED` where there is none.

        Raises:
            DataError: An image or a mask cannot be read, they do not fit one another, or no batch came in
                time.
            MachineError: A worker process died.
        """
        self._keys.epoch, self._keys.start = epoch, start
        for batch in self._workers.fetch(self._loader):
            images = self._normalise(batch.pixels)
            for i, y, x, h, w in batch.boxes.tolist():
                images[i, :, y : y + h, x : x + w] = 0
            yield images, batch.labels.long()

    def digests(self, epochs: int) -> tuple[str, str]:
        """SHA-256 of the order of images, and of all that their changes follow from, over so many epochs."""
        segmentation = self._segmentation
        facts = {
            "augmentation": segmentation.augmentation.model_dump(mode="json"),
            "sizes": [segmentation.crop_size, segmentation.short_side, segmentation.long_side],
            "colours": [self._colours.mean, self._colours.std],
            "seed": self._visits.seed,
            "visits": [self._visits.images, self._visits.per_epoch, self._visits.run_on, epochs],
            "versions": versions(),
        }
        changes = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        return self._visits.digest(epochs), changes


class WholeMasks(Dataset):
    """Test images by number, unchanged, each a batch of its own."""

    def __init__(self, pairs: MaskedImages) -> None:
        """Keep the images."""
        self._pairs = pairs

    def __getitem__(self, index: int) -> Batch | DataError:
        """Pixels (1, 3, H, W) and labels (1, H, W); or what is wrong with them, not yet raised."""
        try:
            image, labels = self._pairs[index]
        except DataError as error:
            return error
        pixels = torch.from_numpy(np.array(image).transpose(2, 0, 1).copy())
        h, w = labels.shape
        return pack([Changed(pixels, torch.from_numpy(labels.copy()), h, w)])


class MaskTestLoader:
    """Test images in the original order and in their own sizes, one at a time.

    Attributes:
        images: Test images over all processes.
        positions: int64 array, places of this process's images in the test set, in the order they come in.
    """

    __test__ = False

    def __init__(
        self, pairs: MaskedImages, *, count: int, colours: Colours, workers: Workers, world: World
    ) -> None:
        """Make the loader; its processes live for one pass.

        Args:
            pairs: The test images.
            count: How many there are.
            colours: Mean and std to normalise by.
            workers: Where images are read.
            world: This process's place; it tests every image whose place modulo their number is its rank.
        """
        self.images: Final = count
        self.positions: Final = np.arange(count)[world.rank :: world.size]
        self._workers = workers
        self._normalise = Normalise(colours, device=workers.device, dtype=torch.float32)
        self._loader = DataLoader(
            WholeMasks(pairs),
            batch_size=None,
            sampler=self.positions.tolist(),
            **workers.options(),
        )

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images (1, 3, H, W), normalised, and int64 labels (1, H, W), `IGNORED` where there is none.

        Raises:
            DataError: An image or a mask cannot be read, they do not fit one another, or no batch came in
                time.
            MachineError: A worker process died.
        """
        for batch in self._workers.fetch(self._loader):
            yield self._normalise(batch.pixels), batch.labels.long()


def pack(samples: Sequence[Changed]) -> Batch:
    """Put b images with masks of one size into one batch.

    Returns:
        Pixels (b, 3, S, S) and labels (b, S, S), both uint8; the boxes are what was filled up at the right
        and at the bottom, where normalised images are to be 0, and there are no fillings.
    """
    boxes = []
    for i, (pixels, _, h, w) in enumerate(samples):
        H, W = pixels.shape[1:]
        boxes += [(i, h, 0, H - h, W), (i, 0, w, h, W - w)]
    return Batch(
        pixels=torch.stack([each.pixels for each in samples]),
        labels=torch.stack([each.labels for each in samples]),
        boxes=torch.tensor([box for box in boxes if box[3] and box[4]], dtype=torch.int64).reshape(-1, 5),
        fillings=torch.empty(0),
    )
