"""Which way from a dataset to batches: whole batches on the device, images one by one, or streams."""

from typing import Any, Final

import torch

from swatbench.data.batches import TestBatches, TrainBatches
from swatbench.data.changes import Changes
from swatbench.data.files import FileDataset, ImageFiles
from swatbench.data.images import Dataset, Images
from swatbench.data.loader import TestLoader, TrainLoader
from swatbench.data.mixing import make_mixing
from swatbench.data.seeded import MemoryImages
from swatbench.data.steps import Steps
from swatbench.data.streams import TestStream, TrainStream
from swatbench.data.transforms import test_transform
from swatbench.data.workers import Workers
from swatbench.spec.data import Data
from swatbench.spec.recipe import Recipe
from swatbench.world import World

TEST_BATCH: Final = 250
"""Most images in a test batch."""


def make_train_batches(
    dataset: Dataset | FileDataset,
    *,
    recipe: Recipe,
    img_size: int,
    micro_batch_size: int,
    seed: int,
    device: torch.device,
    world: World,
    workers: int,
    stall_s: float,
) -> TrainBatches | TrainLoader | TrainStream:
    """Training micro-batches, made in the fastest way that the images and the recipe allow.

    Args:
        dataset: Where the images come from.
        recipe: Batch size and augmentation.
        img_size: Side H = W of the images that the model takes.
        micro_batch_size: Images in a forward pass.
        seed: Seed of the run.
        device: Where batches are returned.
        world: This process's place among those that train together.
        workers: Processes that decode images, for this process; of no use to whole batches in memory.
        stall_s: Longest wait for one batch, in seconds.

    Raises:
        SuiteError: The batch size fits neither the images nor the micro-batches and processes.
        DataError: There are fewer shards than processes.
    """
    augmentation = recipe.augmentation
    mixing = make_mixing(
        recipe, num_classes=len(dataset.classes), micro_batch_size=micro_batch_size, seed=seed
    )
    if isinstance(dataset, Dataset) and augmentation.whole_batches:
        return TrainBatches(
            dataset,
            augmentation=augmentation,
            batch_size=recipe.batch_size,
            seed=seed,
            device=device,
            micro_batch_size=micro_batch_size,
            mixing=mixing,
            world=world,
        )
    train = dataset.train
    steps = Steps(
        images=len(train) if isinstance(train, Images) else train.images,
        batch_size=recipe.batch_size,
        micro_batch_size=micro_batch_size,
        world=world,
    )
    changes = Changes(
        steps=steps,
        augmentation=augmentation,
        img_size=img_size,
        colours=dataset,
        mixing=mixing,
        seed=seed,
        workers=Workers(count=workers, stall_s=stall_s, device=device),
    )
    if not isinstance(train, Images) and train.streamed:
        return TrainStream(train, changes)
    by_number = MemoryImages(train) if isinstance(train, Images) else train.open(training=True)
    return TrainLoader(by_number, changes)


def make_test_batches(
    split: Images | ImageFiles,
    dataset: Dataset | FileDataset,
    *,
    data: Data,
    img_size: int,
    device: torch.device,
    world: World,
    workers: int,
    stall_s: float,
) -> TestBatches | TestLoader | TestStream:
    """Test batches of a split, each image once over all processes.

    Args:
        split: The images, which need not be the dataset's own.
        dataset: States the mean and std that images are normalised by.
        data: States how images of other sizes are resized and cropped.
        img_size: Side H = W of the images that the model takes.
        device: Where batches are returned.
        world: This process's place; it tests every image whose place modulo their number is its rank.
        workers: Processes that decode images, for this process.
        stall_s: Longest wait for one batch, in seconds.
    """
    if isinstance(split, Images):
        assert isinstance(dataset, Dataset)
        return TestBatches(dataset, batch_size=TEST_BATCH, device=device, split=split, world=world)
    shared: dict[str, Any] = {
        "batch_size": TEST_BATCH,
        "transform": test_transform(
            img_size=img_size, crop_fraction=data.crop_fraction, interpolation=data.interpolation
        ),
        "colours": dataset,
        "workers": Workers(count=workers, stall_s=stall_s, device=device),
        "world": world,
    }
    if split.streamed:
        return TestStream(split, **shared)
    return TestLoader(split.open(training=False), count=split.images, **shared)
