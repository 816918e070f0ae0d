"""Whether images come as fast as a model can be trained on them.

Where there are several CUDA cards, one is measured with its share of the cores; their shared disk is not.
Loading and training are measured apart. Together they are slower where they share cores, as on a CPU.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, repeat

import torch

from swatbench.cell.batches import AnyDataset, train_batches
from swatbench.cell.machine import device_of, lies_in_memory, prepare, resolve, workers_of
from swatbench.cell.model import builder, objective_of
from swatbench.data.sources import load_dataset
from swatbench.errors import MachineError
from swatbench.measure.calls import random_images
from swatbench.out_of_memory import out_of_memory
from swatbench.spec.cells import Machine, TrainCell
from swatbench.spec.expand import train_cell
from swatbench.spec.suite import Suite
from swatbench.train.step import Stepper, make_stepper
from swatbench.world import ALONE

WARMUP_SHARE = 0.25
"""Time spent before a measurement, as a share of the measurement; it also empties what lay ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSpeed:
    """How fast the images of a pair come, and how fast they are used.

    Attributes:
        pair: Name of the pair.
        arm: The arm whose training step is the fastest.
        loading_images_per_s: Images that the loader gives while nothing is trained.
        training_images_per_s: Images that the arm is trained on while nothing is loaded.
        workers: Processes that load; with none, training waits for every batch.
    """

    pair: str
    arm: str
    loading_images_per_s: float
    training_images_per_s: float
    workers: int

    @property
    def ratio(self) -> float:
        """Speed of loading over speed of training; below 1, loading is what limits a run."""
        return self.loading_images_per_s / self.training_images_per_s

    @property
    def waiting_share(self) -> float:
        """Share of a run's time that is spent waiting for images, 0 to 1."""
        return max(0.0, 1 - self.ratio) if self.workers else 1 / (1 + self.ratio)

    @property
    def verdict(self) -> str:
        """What the two speeds mean, in a few words."""
        if self.ratio < 1:
            return f"loading is the bottleneck: {1 / self.ratio:.1f} × too slow"
        if self.workers:
            return "loading keeps up"
        return f"loading keeps up, in turn with training: {100 * self.waiting_share:.0f} % of the time"


def measure_data_speed(
    suite: Suite,
    *,
    seconds: float = 10.0,
    on_stage: Callable[[str], object] = lambda stage: None,  # noqa: ARG005
) -> tuple[DataSpeed, ...]:
    """Measure loading and training of every pair of a suite, in one training process.

    Args:
        suite: The suite.
        seconds: Length of each measurement, of which there is one for a pair and one for each of its arms.
        on_stage: Told what begins, in a few words.

    Raises:
        DataError: The dataset is missing, incomplete or damaged.
        MachineError: The device that the suite asks for is not here, or memory ran out.
        ModelError: A model cannot do what the suite asks for.
        SuiteError: An optimizer or an augmentation is unknown.
    """
    dataset = load_dataset(suite.data)
    machine = resolve(suite, ALONE, dataset=dataset)
    machine = _as_one_of_all(suite, machine, in_memory=lies_in_memory(dataset))
    prepare(suite.execution.threads, deterministic=suite.execution.deterministic, tf32=machine.speed.tf32)
    return tuple(_measure(suite, machine, dataset, pair, seconds, on_stage) for pair in suite.pairs)


def _as_one_of_all(suite: Suite, machine: Machine, *, in_memory: bool) -> Machine:
    """The machine as one of several cards sees it, where there are several: they share cores and batches."""
    cards = torch.cuda.device_count() if machine.resolution.device == "cuda" else 1
    if cards == 1:
        return machine
    workers = workers_of(suite, cards, in_memory=in_memory)
    return machine.model_copy(update={"processes": cards, "workers": workers})


def training_step(cell: TrainCell, *, num_classes: int) -> Callable[[], object]:
    """A training step of a cell's model as the training loop takes it, on images that lie on the device.

    On CUDA a call returns when the device is done.

    Args:
        cell: The cell.
        num_classes: Classes of the data.

    Raises:
        ModelError: The model cannot do what a switch asks for.
        SuiteError: The recipe's optimizer cannot be used.
    """
    stepper = _stepper(cell, num_classes)
    side = cell.segmentation.crop_size if cell.segmentation else cell.pair["img_size"]
    b = cell.micro_batch_size
    images = random_images((b, 3, side, side), stepper.device.type)
    labels = torch.arange(b, device=stepper.device) % num_classes
    if cell.segmentation:
        labels = labels[:, None, None].expand(b, side, side).contiguous()
    micro_batches = [(images, labels)] * (cell.recipe.batch_size // b)
    stepper.task.train()

    def step() -> None:
        stepper.take(micro_batches, epoch=0, step=0, done=1)
        _synchronize(stepper.device)

    return step


def _stepper(cell: TrainCell, num_classes: int) -> Stepper:
    return make_stepper(
        builder(cell, num_classes=num_classes, seed=cell.seed)(),
        cell.recipe,
        cell.speed,
        objective=objective_of(cell, num_classes=num_classes),
        seed=cell.seed,
        device=device_of(cell.resolution, ALONE),
        precision=cell.resolution.precision,
        world=ALONE,
    )


def _measure(
    suite: Suite,
    machine: Machine,
    dataset: AnyDataset,
    pair: str,
    seconds: float,
    on_stage: Callable[[str], object],
) -> DataSpeed:
    cells = [train_cell(suite, machine, pair=pair, arm=arm, seed=suite.seeds[0]) for arm in suite.arms]
    on_stage(f"loading for {pair}")
    loading = images_per_s(_loading(suite, machine, dataset, cells[0]), seconds=seconds)
    training = {}
    for cell in cells:
        on_stage(f"training {pair}, {cell.arm}")
        training[cell.arm] = images_per_s(_training(cell, machine.num_classes), seconds=seconds)
    fastest = max(training, key=training.__getitem__)
    return DataSpeed(
        pair=pair,
        arm=fastest,
        loading_images_per_s=loading,
        training_images_per_s=training[fastest],
        workers=machine.workers,
    )


def _loading(suite: Suite, machine: Machine, dataset: AnyDataset, cell: TrainCell) -> Iterator[int]:
    device = device_of(cell.resolution, ALONE)
    batches = train_batches(
        cell, dataset, world=ALONE, workers=machine.workers, stall_s=suite.execution.stall_s
    )
    for epoch in count():
        for images, _ in batches(epoch):
            _synchronize(device)
            yield len(images)


def _training(cell: TrainCell, num_classes: int) -> Iterator[int]:
    try:
        step = training_step(cell, num_classes=num_classes)
        for images in repeat(cell.recipe.batch_size):
            step()
            yield images
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise MachineError(
            f"Memory ran out in a training step of {cell.pair['name']}, {cell.arm}, with a micro-batch of "
            f"{cell.micro_batch_size}.",
            fix="Set a smaller recipe.micro_batch_size.",
        ) from error


def images_per_s(
    work: Iterator[int], *, seconds: float, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Rate at which an endless iterator gets images done, once it is warm.

    Args:
        work: Gives the number of images that it has just done.
        seconds: Shortest time that is measured.
        clock: Seconds from any origin.
    """
    _rate(work, WARMUP_SHARE * seconds, clock)
    return _rate(work, seconds, clock)


def _rate(work: Iterator[int], seconds: float, clock: Callable[[], float]) -> float:
    start, images, elapsed_s = clock(), 0, 0.0
    while elapsed_s < seconds:
        images += next(work)
        elapsed_s = clock() - start
    return images / elapsed_s


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
