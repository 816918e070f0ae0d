"""CIFAR-100 in torchvision's layout, read by torchvision, which verifies the MD5 sum of every file.

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
"""

import warnings
from pathlib import Path

import numpy as np
import torch
from torchvision.datasets import CIFAR100
from torchvision.datasets.utils import check_integrity

from swatbench.data.expected import Expected
from swatbench.data.images import Dataset, Images
from swatbench.spec.sources import SOURCES

MEAN = (0.50707515923713235, 0.48654887331495098, 0.44091784336703431)
"""Mean of red, green and blue over all 50,000 training images, with pixels scaled to [0, 1]; as published in
many places, and not computed here, since the files are not in the package."""
STD = (0.26733429, 0.25643846, 0.27615047)
"""Standard deviation of red, green and blue over all 50,000 training images, likewise."""
FIX = "Unpack the original cifar-100-python.tar.gz there."


def read_cifar100(root: Path) -> Dataset:
    """Read both splits into memory.

    Args:
        root: Folder that holds `cifar-100-python`.

    Returns:
        Images (n, 3, 32, 32) in the order of the files, with the 100 fine labels.

    Raises:
        DataError: A file is missing or changed, or holds other counts than it should.
    """
    facts = SOURCES["cifar100"]
    train, test = (
        Expected(name=name, images=images, num_classes=facts.num_classes)
        for name, images in (("train", facts.train_images), ("test", facts.test_images))
    )
    _require_files(root / CIFAR100.base_folder, train, test)
    with warnings.catch_warnings():
        # The files were pickled by an old numpy, in a way that the new one frowns upon.
        warnings.simplefilter("ignore", np.exceptions.VisibleDeprecationWarning)
        splits = [CIFAR100(root, train=split is train, download=False) for split in (train, test)]
    images = [_images(split, expected, root) for split, expected in zip(splits, (train, test), strict=True)]
    return Dataset(
        name="cifar100", train=images[0], test=images[1], classes=tuple(splits[0].classes), mean=MEAN, std=STD
    )


def _require_files(folder: Path, train: Expected, test: Expected) -> None:
    """Say which file is not whole, where torchvision says only that one is not."""
    meta = (CIFAR100.meta["filename"], CIFAR100.meta["md5"])
    files = [(train, *file) for file in (*CIFAR100.train_list, meta)]
    files += [(test, *file) for file in CIFAR100.test_list]
    for split, name, md5 in files:
        if not check_integrity(folder / name, md5):
            there = (folder / name).is_file()
            why = "the file has another MD5 sum than the original" if there else "the file is missing"
            raise split.refusal(why, where=str(folder / name), fix=FIX)


def _images(split: CIFAR100, expected: Expected, root: Path) -> Images:
    labels = np.array(split.targets, dtype=np.int64)
    if len(split.data) != expected.images or len(labels) != expected.images:
        why = f"{len(split.data)} images and {len(labels)} labels are there"
        raise expected.refusal(why, where=str(root / split.base_folder), fix=FIX)
    pixels = np.ascontiguousarray(split.data.transpose(0, 3, 1, 2))
    return Images(pixels=torch.from_numpy(pixels), labels=torch.from_numpy(labels))
