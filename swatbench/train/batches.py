"""What training and testing need of their images.

A step is an optimizer step. It consists of micro-batches, one forward pass each, numbered k = 0, 1, ... in
the step; of W processes, the one of rank r takes those with k mod W = r. So what a step does depends on the
batch and the micro-batch alone, and not on the number of processes; but for batch norm, which on CUDA sees
the images of all processes.

Letters: b images in a micro-batch, K classes.
"""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from torch import Tensor


class TrainBatches(Protocol):
    """Where training images come from."""

    @property
    def batch_size(self) -> int:
        """Images in a step, over all processes."""
        ...

    @property
    def steps_per_epoch(self) -> int:
        """Steps in an epoch."""
        ...

    @property
    def micro_batches(self) -> int:
        """Micro-batches of this process in a step."""
        ...

    def __call__(self, epoch: int, /, *, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """This process's micro-batches of an epoch, numbered from 0, from step `start` on.

        Yields:
            Normalised images (b, 3, H, W), and their labels, int64 (b,), or where images are mixed the
            probability of each class, float32 (b, K), with label smoothing already in it.
        """
        ...

    def digests(self, epochs: int, /) -> tuple[str, str]:
        """SHA-256 of the order and of the augmentation draws over so many epochs."""
        ...


class TestBatches(Protocol):
    """Where test images come from."""

    __test__ = False

    @property
    def images(self) -> int:
        """Test images, over all processes."""
        ...

    @property
    def positions(self) -> np.ndarray:
        """Places of this process's images in the test set, int64, in the order in which they come."""
        ...

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Normalised images (b, 3, H, W) and int64 labels (b,) of this process."""
        ...
