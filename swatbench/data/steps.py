"""How an epoch's images fall into optimizer steps, and a step into the processes' micro-batches.

A step's images are dealt out to its M micro-batches one by one, so that copies of an image, which follow one
another, fall into different micro-batches, as into different processes of DeiT: a step is what its sampler
(timm's `RepeatAugSampler`) gives to M processes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from swatbench.errors import SuiteError
from swatbench.world import ALONE, World


@dataclass(frozen=True, slots=True, kw_only=True)
class MicroBatch:
    """One forward pass of a process.

    Attributes:
        step: Number of the optimizer step within the epoch, from 0.
        k: Number of the micro-batch within the step, over all processes.
        places: Which images of the epoch's order it holds: every M-th of the step from its k-th on.
    """

    step: int
    k: int
    places: slice


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """The steps of an epoch; micro-batch k of a step is taken by process k modulo their number.

    Attributes:
        images: Training images, or visits to them, in an epoch.
        batch_size: Images in a step, over all processes.
        micro_batch_size: Images in a forward pass.
        world: This process's place among all.

    Raises:
        SuiteError: A step cannot be filled, or its micro-batches cannot be dealt out evenly.
    """

    images: int
    batch_size: int
    micro_batch_size: int
    world: World = ALONE

    def __post_init__(self) -> None:
        if self.batch_size > self.images:
            raise SuiteError(
                f"A batch of {self.batch_size} images cannot be filled from {self.images} training images.",
                where="recipe.batch_size",
                fix=f"Choose {self.images} or less.",
            )
        if self.batch_size % (self.micro_batch_size * self.world.size):
            raise SuiteError(
                f"A step of {self.batch_size} images cannot be dealt out to {self.world.size} process(es) in "
                f"micro-batches of {self.micro_batch_size}.",
                where="recipe.micro_batch_size",
                fix="Choose it so that times the number of processes it divides recipe.batch_size.",
            )

    @property
    def per_epoch(self) -> int:
        """Steps in an epoch; the last, smaller one is dropped."""
        return self.images // self.batch_size

    @property
    def micro_batches(self) -> int:
        """Micro-batches of a step on this process."""
        return self.batch_size // (self.micro_batch_size * self.world.size)

    @property
    def images_per_epoch(self) -> int:
        """Images seen in an epoch, over all processes."""
        return self.per_epoch * self.batch_size

    def from_step(self, start: int) -> Iterator[MicroBatch]:
        """This process's micro-batches of an epoch from a step on, in order."""
        M = self.batch_size // self.micro_batch_size
        for step in range(start, self.per_epoch):
            first, end = step * self.batch_size, (step + 1) * self.batch_size
            for k in range(self.world.rank, M, self.world.size):
                yield MicroBatch(step=step, k=k, places=slice(first + k, end, M))


class Stepwise:
    """Anything that gives the micro-batches of steps, and says how many there are."""

    def __init__(self, steps: Steps) -> None:
        """Keep the steps."""
        self._steps = steps

    @property
    def batch_size(self) -> int:
        """Images in a step, over all processes."""
        return self._steps.batch_size

    @property
    def steps_per_epoch(self) -> int:
        """Steps in an epoch; the last, smaller one is dropped."""
        return self._steps.per_epoch

    @property
    def micro_batches(self) -> int:
        """Micro-batches of a step on this process."""
        return self._steps.micro_batches
