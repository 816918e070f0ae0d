"""Batches from tar shards, which are read from end to end and not by number.

Every worker of every process reads its own share of the shards, in an order that follows from the seed, the
epoch, the shards and the number of workers in all. Where shards are not dealt out evenly, a worker with fewer
images sees some of them twice, so that every process has as many micro-batches as the others.

Letters: b images in a micro-batch, K classes.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from itertools import islice
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from swatbench.data.batches import Colours, Normalise
from swatbench.data.changes import Changes
from swatbench.data.draws import sample_seed, shard_seed
from swatbench.data.erasing import Batch, Part, make_erasing, pack
from swatbench.data.files import ImageFiles
from swatbench.data.seeded import Transform, change
from swatbench.data.shares import Share, read_share, reader_of, shard_count
from swatbench.data.steps import Stepwise
from swatbench.data.workers import Workers
from swatbench.errors import DataError
from swatbench.world import World


class ShardBatches(IterableDataset):
    """One worker's micro-batches of one epoch; set `epoch` and `start` before each pass.

    Worker w of `count` takes every `count`-th micro-batch of its process, as torch's loader asks for them.
    """

    def __init__(self, files: ImageFiles, changes: Changes) -> None:
        """Keep what the micro-batches follow from."""
        self._files, self._steps, self._seed = files, changes.steps, changes.seed
        self._repeats = changes.augmentation.repeats
        self._transform, self._erasing = changes.transform, make_erasing(changes.augmentation)
        self.epoch, self.start = 0, 0

    def __iter__(self) -> Iterator[Batch | DataError]:
        """Yield images (b, 3, H, W) and labels (b,); or what is wrong with one of them, not yet raised."""
        try:
            yield from self._micro_batches()
        except DataError as error:
            yield error

    def _micro_batches(self) -> Iterator[Batch]:
        steps, info = self._steps, get_worker_info()
        local, count = (0, 1) if info is None else (info.id, info.num_workers)
        skipped = self.start * steps.micro_batches
        # The loader asks worker 0 first, whichever micro-batch the pass begins with.
        lane = (local + skipped) % count
        passed = len(range(lane, skipped, count)) * steps.micro_batch_size
        samples = self._samples(steps.world.rank * count + lane, steps.world.size * count, passed)
        for number in range(lane, steps.per_epoch * steps.micro_batches, count):
            some = list(islice(samples, steps.micro_batch_size))
            if number >= skipped:
                yield pack([self._change(*sample) for sample in some])

    def _samples(self, worker: int, workers: int, passed: int) -> Iterator[tuple[Any, int, np.ndarray]]:
        """Images of a worker's share with their labels and seeds; so many at the beginning are not wanted."""
        seed, epoch = self._seed, self.epoch
        share = Share(
            worker=worker,
            workers=workers,
            shard_seed=shard_seed(seed=seed, epoch=epoch),
            image_seed=shard_seed(seed=seed, epoch=epoch, worker=worker),
            passed=passed // self._repeats,
        )
        images = read_share(self._files, share, training=True, batch_size=self._steps.micro_batch_size)
        for position, (image, label) in enumerate(images):
            for copy in range(self._repeats):
                yield (
                    image,
                    label,
                    sample_seed(seed=seed, epoch=epoch, worker=worker, position=position, copy=copy),
                )

    def _change(self, image: Any, label: int, words: np.ndarray) -> tuple[Tensor, int, list[Part]]:
        return change(image, int(label), words=words, transform=self._transform, erasing=self._erasing)


class TrainStream(Stepwise):
    """Training micro-batches of any epoch, as `batches.TrainBatches`, from tar shards."""

    def __init__(self, files: ImageFiles, changes: Changes) -> None:
        """Keep what an epoch follows from.

        Args:
            files: The training images.
            changes: What else the micro-batches follow from.

        Raises:
            DataError: There are fewer shards than processes.
        """
        super().__init__(changes.steps)
        shards, processes = shard_count(files), changes.steps.world.size
        if shards < processes:
            raise DataError(
                f"There are {shards} shards for {processes} processes.",
                fix="Start at most as many processes as there are shards.",
            )
        # A worker without a shard would have nothing to give.
        count = min(changes.workers.count, shards // processes)
        self._files = files
        self._changes = replace(changes, workers=replace(changes.workers, count=count))
        self._batches = ShardBatches(files, changes)

    def __call__(self, epoch: int, *, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Make this process's micro-batches of one epoch.

        Args:
            epoch: Number of the epoch, from 0.
            start: Steps to leave out at the beginning, which are read but not decoded; the others stay as
                they are.

        Yields:
            Images (b, 3, H, W), normalised, and int64 labels (b,); float32 targets (b, K) where images are
            mixed.

        Raises:
            DataError: A shard or an image in it cannot be read, or no batch came in time.
            MachineError: A worker process died.
        """
        self._batches.epoch, self._batches.start = epoch, start
        # New workers every epoch, so that nothing of the last one is left in them.
        loader = DataLoader(self._batches, batch_size=None, **self._changes.workers.options())
        yield from self._changes.finish(loader, epoch=epoch, start=start)

    def digests(self, epochs: int) -> tuple[str, str]:
        """SHA-256 of all that the order of images follows from, and their changes, over so many epochs."""
        changes, steps = self._changes, self._changes.steps
        facts = {
            "shards": self._files.digest,
            "shuffled": reader_of(self._files).sample_shuffle_size,
            "workers": max(changes.workers.count, 1) * steps.world.size,
            "batch_size": steps.batch_size,
            "micro_batch_size": steps.micro_batch_size,
            "repeats": changes.augmentation.repeats,
            "seed": changes.seed,
            "epochs": epochs,
            "webdataset": version("webdataset"),
        }
        order = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        return order, changes.digest(epochs, order=order)


class ShardTests(IterableDataset):
    """This process's test images in the order of the shards, or what is wrong with them, not yet raised."""

    def __init__(self, files: ImageFiles, *, batch_size: int, transform: Transform, world: World) -> None:
        """Keep what the batches follow from."""
        self._files, self._batch_size, self._transform, self._world = files, batch_size, transform, world

    def __iter__(self) -> Iterator[Batch | DataError]:
        """Yield pixels (b, 3, H, W) and labels (b,); or what is wrong with one of them, not yet raised."""
        share = Share(every=self._world.size, first=self._world.rank)
        try:
            images = read_share(self._files, share, training=False)
            samples = ((self._transform(image), int(label), []) for image, label in images)
            while some := list(islice(samples, self._batch_size)):
                yield pack(some)
        except DataError as error:
            yield error


class TestStream:
    """Test batches as `batches.TestBatches`, from tar shards; every process reads them all, by one worker.

    Attributes:
        images: Test images over all processes.
        positions: int64 array, places of this process's images in the test set, in the order they come in.
    """

    __test__ = False

    def __init__(
        self,
        files: ImageFiles,
        *,
        batch_size: int,
        transform: Transform,
        colours: Colours,
        workers: Workers,
        world: World,
    ) -> None:
        """Keep what a pass follows from; see `loader.TestLoader`."""
        self.images: Final = files.images
        self.positions: Final = np.arange(files.images)[world.rank :: world.size]
        self._workers = replace(workers, count=min(workers.count, 1))
        self._normalise = Normalise(colours, device=workers.device, dtype=torch.float32)
        self._batches = ShardTests(files, batch_size=batch_size, transform=transform, world=world)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images (b, 3, H, W), normalised, and int64 labels (b,).

        Raises:
            DataError: A shard or an image in it cannot be read, their number is not that stated, or no batch
                came in time.
            MachineError: A worker process died.
        """
        found = 0
        for batch in self._workers.fetch(
            DataLoader(self._batches, batch_size=None, **self._workers.options())
        ):
            found += len(batch.labels)
            yield self._normalise(batch.pixels), batch.labels
        if found != len(self.positions):
            raise DataError(
                f"The test shards gave {found} images where {len(self.positions)} were expected.",
                fix="Make the shards whole, or state their number of images as it is.",
            )
