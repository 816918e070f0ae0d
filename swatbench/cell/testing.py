"""The test images of a cell, of whichever kind it is."""

from swatbench.cell.machine import device_of
from swatbench.data.files import FileDataset, ImageFiles
from swatbench.data.images import Dataset, Images
from swatbench.data.loading import make_test_batches
from swatbench.job import Job
from swatbench.spec.cells import EvaluateCell, TrainCell
from swatbench.train.batches import TestBatches
from swatbench.world import World


def test_batches(
    job: Job,
    cell: TrainCell | EvaluateCell,
    split: Images | ImageFiles,
    dataset: Dataset | FileDataset,
    world: World,
) -> TestBatches:
    """Test batches of a split as a cell asks for them.

    Args:
        job: The cell and how it runs.
        cell: The cell.
        split: The images, which need not be the dataset's own.
        dataset: States the mean and std that images are normalised by.
        world: The processes that test together.
    """
    return make_test_batches(
        split,
        dataset,
        data=cell.data,
        img_size=cell.pair["img_size"],
        device=device_of(cell.resolution, world),
        world=world,
        workers=job.workers,
        stall_s=job.execution.stall_s,
    )


test_batches.__test__ = False  # pyright: ignore[reportFunctionMemberAccess]
