"""The images of a cell as batches, whatever they are of."""

from swatbench.cell.machine import device_of
from swatbench.data.files import FileDataset, ImageFiles
from swatbench.data.images import Dataset, Images
from swatbench.data.loading import make_test_batches, make_train_batches
from swatbench.data.mask_loading import make_mask_test_batches, make_mask_train_batches
from swatbench.data.masks import MaskDataset
from swatbench.spec.cells import EvaluateCell, TrainCell
from swatbench.train.batches import TestBatches, TrainBatches
from swatbench.world import World

AnyDataset = Dataset | FileDataset | MaskDataset
"""Images with labels in memory or on disk, or images with masks."""


def train_batches(
    cell: TrainCell, dataset: AnyDataset, *, world: World, workers: int, stall_s: float
) -> TrainBatches:
    """Training micro-batches of a cell, on its device.

    Args:
        cell: The cell.
        dataset: Its images.
        world: The processes that train together.
        workers: Processes that decode images for this one.
        stall_s: Longest wait for one batch, in seconds.
    """
    device = device_of(cell.resolution, world)
    if isinstance(dataset, MaskDataset):
        assert cell.segmentation is not None
        return make_mask_train_batches(
            dataset,
            segmentation=cell.segmentation,
            recipe=cell.recipe,
            micro_batch_size=cell.micro_batch_size,
            seed=cell.seed,
            device=device,
            world=world,
            workers=workers,
            stall_s=stall_s,
        )
    return make_train_batches(
        dataset,
        recipe=cell.recipe,
        img_size=cell.pair["img_size"],
        micro_batch_size=cell.micro_batch_size,
        seed=cell.seed,
        device=device,
        world=world,
        workers=workers,
        stall_s=stall_s,
    )


def test_batches(
    cell: TrainCell | EvaluateCell,
    dataset: AnyDataset,
    *,
    world: World,
    workers: int,
    stall_s: float,
    split: Images | ImageFiles | None,
) -> TestBatches:
    """Test batches of a cell, on its device.

    Args:
        cell: The cell.
        dataset: Its images, which state the mean and std that others are normalised by.
        world: The processes that test together.
        workers: Processes that decode images for this one.
        stall_s: Longest wait for one batch, in seconds.
        split: Images of another test set than the dataset's own; None for that.
    """
    device = device_of(cell.resolution, world)
    if isinstance(dataset, MaskDataset):
        return make_mask_test_batches(
            dataset,
            device=device,
            world=world,
            workers=workers,
            stall_s=stall_s,
        )
    return make_test_batches(
        dataset.test if split is None else split,
        dataset,
        data=cell.data,
        img_size=cell.pair["img_size"],
        device=device,
        world=world,
        workers=workers,
        stall_s=stall_s,
    )


test_batches.__test__ = False  # pyright: ignore[reportFunctionMemberAccess]
