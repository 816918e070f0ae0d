"""From a dataset of images with masks to batches."""

import torch

from swatbench.data.mask_draws import Visits
from swatbench.data.mask_loader import MaskTestLoader, MaskTrainLoader
from swatbench.data.masks import MaskDataset
from swatbench.data.steps import Steps
from swatbench.data.workers import Workers
from swatbench.spec.recipe import Recipe
from swatbench.spec.segmentation import Segmentation
from swatbench.world import World


def make_mask_train_batches(
    dataset: MaskDataset,
    *,
    segmentation: Segmentation,
    recipe: Recipe,
    micro_batch_size: int,
    seed: int,
    device: torch.device,
    world: World,
    workers: int,
    stall_s: float,
) -> MaskTrainLoader:
    """Training micro-batches of images with masks.

    Args:
        dataset: Where the images come from.
        segmentation: Size of the crops, and how images and masks change.
        recipe: Batch size, and how many steps are called an epoch: so many, or as many as one pass fills.
        micro_batch_size: Images in a forward pass.
        seed: Seed of the run.
        device: Where batches are returned.
        world: This process's place among those that train together.
        workers: Processes that read images, for this process.
        stall_s: Longest wait for one batch, in seconds.

    Raises:
        SuiteError: The batch size fits neither the images nor the micro-batches and processes.
    """
    images = dataset.train.images
    run_on = recipe.steps_per_epoch is not None
    steps = Steps(
        images=recipe.steps_per_epoch * recipe.batch_size if recipe.steps_per_epoch else images,
        batch_size=recipe.batch_size,
        micro_batch_size=micro_batch_size,
        world=world,
    )
    return MaskTrainLoader(
        dataset.train.pairs,
        visits=Visits(images=images, seed=seed, per_epoch=steps.images_per_epoch, run_on=run_on),
        steps=steps,
        segmentation=segmentation,
        colours=dataset,
        workers=Workers(count=workers, stall_s=stall_s, device=device),
    )


def make_mask_test_batches(
    dataset: MaskDataset,
    *,
    device: torch.device,
    world: World,
    workers: int,
    stall_s: float,
) -> MaskTestLoader:
    """Test images with masks in their own sizes, one at a time, each once over all processes.

    Args:
        dataset: Where the images come from.
        device: Where batches are returned.
        world: This process's place; it tests every image whose place modulo their number is its rank.
        workers: Processes that read images, for this process.
        stall_s: Longest wait for one batch, in seconds.
    """
    return MaskTestLoader(
        dataset.test.pairs,
        count=dataset.test.images,
        colours=dataset,
        workers=Workers(count=workers, stall_s=stall_s, device=device),
        world=world,
    )
