"""The images inside the package: 6,000 of CIFAR-10's, as lossless WebP sheets in one zip file.

`train.webp` and `test.webp` hold the images in rows, from left to right; `subset.json` holds the classes, the
labels, the number of images in a row and the digest of each split. README.md beside the file says where they
come from and how they were chosen.
"""

import io
import json
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from swatbench.data.images import Images
from swatbench.errors import DataError

PATH = Path(__file__).with_name("cifar10_subset.zip")
"""The file inside the package."""
IMAGES = {"train": 5_000, "test": 1_000}
"""Split → images in it."""
REMEDY = "Install swatbench again, or make the file anew with `python scripts/make_cifar10.py subset`."
"""What to do when the file is not whole."""


def read_split(path: Path, split: str, *, images: int) -> Images:
    """Read one split and refuse it unless it is whole and unchanged.

    Args:
        path: The zip file.
        split: `train` or `test`.
        images: Images that it must hold.

    Returns:
        Images (n, 3, 32, 32).

    Raises:
        DataError: The file is missing or damaged, or holds other images than it should.
    """
    try:
        found, digest = _unpack(path, split)
    except DAMAGE as error:
        message = f"The {split} split needs {images} images, but the file is missing or damaged ({error})."
        raise DataError(message, where=str(path), fix=REMEDY) from error
    if len(found) != images:
        message = f"The {split} split has {len(found)} images, expected {images}."
        raise DataError(message, where=str(path), fix=REMEDY)
    if found.digest != digest:
        message = f"The pixels or labels of the {split} split's {images} images have changed."
        raise DataError(message, where=str(path), fix=REMEDY)
    return found


def _unpack(path: Path, split: str) -> tuple[Images, str]:
    """Images of one split, and the digest that the file states for them."""
    with zipfile.ZipFile(path) as archive:
        facts: dict[str, Any] = json.loads(archive.read("subset.json"))["splits"][split]
        with Image.open(io.BytesIO(archive.read(f"{split}.webp"))) as sheet:
            pixels = cut_sheet(
                np.asarray(sheet.convert("RGB")), len(facts["labels"]), columns=facts["columns"]
            )
    images = Images(pixels=torch.from_numpy(pixels), labels=torch.tensor(facts["labels"], dtype=torch.int64))
    return images, facts["sha256"]


def cut_sheet(sheet: np.ndarray, n: int, *, columns: int) -> np.ndarray:
    """Cut a sheet of 32 × 32 images into its images.

    Args:
        sheet: uint8 array (rows · 32, columns · 32, 3).
        n: Images on it; the last row may have room for more.
        columns: Images in a row.

    Returns:
        uint8 array (n, 3, 32, 32).

    Raises:
        ValueError: The sheet's size is not that of n images in so many columns.
    """
    rows = -(-n // columns)
    if sheet.shape != (rows * 32, columns * 32, 3):
        raise ValueError(f"{n} images in {columns} columns do not make a sheet of shape {sheet.shape}")
    grid = sheet.reshape(rows, 32, columns, 32, 3).transpose(0, 2, 4, 1, 3)
    return np.ascontiguousarray(grid).reshape(-1, 3, 32, 32)[:n]


# What zipfile, zlib, json and Pillow raise on bytes that are not what they should be.
DAMAGE = (
    OSError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    NotImplementedError,
    LookupError,
    ArithmeticError,
    ValueError,
    TypeError,
    EOFError,
    SyntaxError,
    RuntimeError,
)
