"""The table of sources: from what a suite asks for to images, checked before anything is trained."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np

from swatbench.data import cifar10, folder, hugging_face, mask_canvases, subset, tars
from swatbench.data.cifar100 import read_cifar100
from swatbench.data.decoded import keep_decoded
from swatbench.data.expected import Expected, listed
from swatbench.data.files import FileDataset, Listing
from swatbench.data.images import Dataset
from swatbench.data.mask_files import ADE20K, Layout, open_mask_folders
from swatbench.data.masks import MaskDataset
from swatbench.data.survey import sample
from swatbench.errors import DataError
from swatbench.spec.data import MASKS, Data


def load_dataset(data: Data, *, sampled: bool = True) -> Dataset | FileDataset | MaskDataset:
    """Open a dataset and refuse it unless it is whole.

    Args:
        data: What the suite asks for.
        sampled: Whether some images of every split are decoded, which refuses sets of a wrong kind at once.

    Returns:
        Images in memory, or, for a source that timm opens, images that are decoded on demand; for a source
        with masks (`Data.of_masks`) a `MaskDataset`.

    Raises:
        DataError: Something is missing, incomplete or changed; nothing of it may be trained on.
    """
    if data.opened_by_timm:
        return _open_by_timm(data, sampled=sampled)
    if data.source in LAYOUTS:
        layout = LAYOUTS[data.source](data)
        return open_mask_folders(data, _root(data), layout, sampled=sampled)
    return READERS[data.source](data)


def _root(data: Data) -> Path:
    return Path(data.root or "data").expanduser()


def _read_cifar10_subset(data: Data) -> Dataset:
    train, test = (subset.read_split(subset.PATH, name, images=n) for name, n in subset.IMAGES.items())
    return Dataset(
        name=data.source, train=train, test=test, classes=cifar10.CLASSES, mean=cifar10.MEAN, std=cifar10.STD
    )


def _read_cifar10(data: Data) -> Dataset:
    train, test = (cifar10.read_split(_root(data), split) for split in (cifar10.TRAIN, cifar10.TEST))
    return Dataset(
        name=data.source, train=train, test=test, classes=cifar10.CLASSES, mean=cifar10.MEAN, std=cifar10.STD
    )


READERS: Mapping[str, Callable[[Data], Dataset | MaskDataset]] = MappingProxyType(
    {
        "cifar10_subset": _read_cifar10_subset,
        "cifar10": _read_cifar10,
        "cifar100": lambda data: read_cifar100(_root(data)),
        "garment_canvases": lambda _: mask_canvases.open_canvases(),
    }
)
"""Name of a source that is read into memory → what reads it."""

LAYOUTS: Mapping[str, Callable[[Data], Layout]] = MappingProxyType(
    {
        "ade20k": lambda _: ADE20K,
        MASKS: lambda data: Layout(train=data.train_split, test=data.test_split, unlabelled=data.unlabelled),
    }
)
"""Name of a source of folders with masks → how it is laid out."""


def _list_folder(data: Data, expected: Expected) -> Listing:
    return folder.list_split(_root(data), expected)


def _list_shards(data: Data, expected: Expected) -> Listing:
    return tars.list_split(data.source, _root(data), expected)


def _list_hugging_face(data: Data, expected: Expected) -> Listing:
    return hugging_face.list_split(data.source.partition("/")[2], expected, cache=data.root)


LISTERS: Mapping[str, Callable[[Data, Expected], Listing]] = MappingProxyType(
    {"folder": _list_folder, "wds": _list_shards, "hfds": _list_hugging_face}
)
"""First word of a source that timm opens → what lists one of its splits."""


def _open_by_timm(data: Data, *, sampled: bool) -> FileDataset:
    facts, lister = data.facts, LISTERS[data.source.partition("/")[0]]
    train, test = (
        _checked(data, Expected(name=name, images=images, num_classes=facts.num_classes), lister)
        for name, images in ((data.train_split, facts.train_images), (data.test_split, facts.test_images))
    )
    _require_that_they_fit(train, test)
    for listing in (train, test) if sampled else ():
        sample(listing.files)
    return FileDataset(
        name=data.source,
        train=keep_decoded(train.files, data.keep_decoded),
        test=keep_decoded(test.files, data.keep_decoded),
        classes=train.classes or tuple(str(label) for label in range(facts.num_classes)),
        mean=data.mean,
        std=data.std,
    )


def _checked(data: Data, expected: Expected, lister: Callable[[Data, Expected], Listing]) -> Listing:
    listing = lister(data, expected)
    expected.check(listing)
    return listing


def _require_that_they_fit(train: Listing, test: Listing) -> None:
    """Refuse two splits of unlike classes, and two that are one."""
    names = f"{train.files.name} and {test.files.name}"
    only = sorted(set(train.classes) ^ set(test.classes))
    only = only or [str(label) for label in np.setxor1d(train.labels, test.labels)]
    if only:
        raise DataError(
            f"The splits {names} differ in {len(only)} of their classes ({listed(only)}).",
            where=test.where,
            fix="Every class needs images in both.",
        )
    if train.files.digest == test.files.digest:
        raise DataError(
            f"The splits {names} hold the same images.", where=test.where, fix="Test on other images."
        )
