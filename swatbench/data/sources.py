"""The table of sources: from what a suite asks for to images in memory."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from swatbench.data import cifar10, subset
from swatbench.data.images import Dataset
from swatbench.spec.suite import Data


def load_dataset(data: Data) -> Dataset:
    """Read a dataset, whole, into memory.

    Args:
        data: What the suite asks for.

    Raises:
        DataError: Something is missing, incomplete or changed; nothing of it may be trained on.
    """
    return READERS[data.source](data)


def _read_cifar10_subset(data: Data) -> Dataset:
    train, test = (subset.read_split(subset.PATH, name, images=n) for name, n in subset.IMAGES.items())
    return Dataset(
        name=data.source, train=train, test=test, classes=cifar10.CLASSES, mean=cifar10.MEAN, std=cifar10.STD
    )


def _read_cifar10(data: Data) -> Dataset:
    root = Path(data.root or "data").expanduser()
    train, test = (cifar10.read_split(root, split) for split in (cifar10.TRAIN, cifar10.TEST))
    return Dataset(
        name=data.source, train=train, test=test, classes=cifar10.CLASSES, mean=cifar10.MEAN, std=cifar10.STD
    )


READERS: Mapping[str, Callable[[Data], Dataset]] = MappingProxyType(
    {
        "cifar10_subset": _read_cifar10_subset,
        "cifar10": _read_cifar10,
    }
)
"""Name of a source → what reads it."""
