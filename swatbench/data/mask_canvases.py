"""The images with masks inside the package: garments of Fashion-MNIST, four to a canvas of 64 × 64 pixels.

`garment_canvases.zip` holds for each split `<split>.webp`, grey canvases in rows from left to right,
lossless; `<split>_masks.png`, their masks in the same places; and `canvases.json`: source, licence, rule,
classes and, for each split, how many canvases there are, how many in a row, and the digest.
garment_canvases.md beside the file says where they come from and how they were made.
"""

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from swatbench.data.masks import MaskDataset, MaskSplit, MemoryMasks, Numbering
from swatbench.data.subset import DAMAGE
from swatbench.errors import DataError
from swatbench.spec.sources import SOURCES

NAME: Final = "garment_canvases"
"""Name of the source."""
PATH = Path(__file__).with_name(f"{NAME}.zip")
"""The file inside the package."""
SIDE: Final = 64
"""Height and width of a canvas in pixels."""
CLASSES: Final = (
    "background",
    "T-shirt or top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
"""Names of the classes, in the order of the labels; those after the first are Fashion-MNIST's own."""
MEAN: Final = (0.2180, 0.2180, 0.2180)
"""Mean of the training canvases, with pixels scaled to [0, 1]; grey images have three equal channels."""
STD: Final = (0.3319, 0.3319, 0.3319)
"""Their standard deviation, likewise."""
REMEDY = (
    "Install swatbench again, or make the file anew with `python scripts/make_garment_canvases.py FOLDER`."
)
"""What to do when the file is not whole."""


def open_canvases() -> MaskDataset:
    """Read both splits and refuse them unless they are whole and unchanged.

    Raises:
        DataError: The file is missing or damaged, or holds other images than it should.
    """
    facts = SOURCES[NAME]
    counts = {"train": facts.train_images, "test": facts.test_images}
    train, test = (read_split(PATH, split, images=images) for split, images in counts.items())
    return MaskDataset(
        name=NAME,
        train=train,
        test=test,
        classes=CLASSES,
        mean=MEAN,
        std=STD,
        numbering=Numbering(num_classes=len(CLASSES), unlabelled=None),
    )


def read_split(path: Path, split: str, *, images: int) -> MaskSplit:
    """Read one split and refuse it unless it is whole and unchanged.

    Args:
        path: The zip file.
        split: `train` or `test`.
        images: Canvases that it must hold.

    Raises:
        DataError: The file is missing or damaged, or holds other images than it should.
    """
    try:
        pixels, labels, digest = _unpack(path, split)
    except DAMAGE as error:
        message = f"The {split} split needs {images} images, but the file is missing or damaged ({error})."
        raise DataError(message, where=str(path), fix=REMEDY) from error
    if len(pixels) != images:
        message = f"The {split} split has {len(pixels)} images, expected {images}."
        raise DataError(message, where=str(path), fix=REMEDY)
    if digest_of_canvases(pixels, labels) != digest:
        message = f"The pixels or masks of the {split} split's {images} images have changed."
        raise DataError(message, where=str(path), fix=REMEDY)
    return MaskSplit(name=split, images=images, digest=digest, pairs=MemoryMasks(pixels, labels))


def digest_of_canvases(pixels: np.ndarray, labels: np.ndarray) -> str:
    """SHA-256 in hex over the shape, the pixels and the labels, both uint8 (n, h, w)."""
    value = hashlib.sha256(repr(pixels.shape).encode())
    value.update(np.ascontiguousarray(pixels).data)
    value.update(np.ascontiguousarray(labels).data)
    return value.hexdigest()


def cut_sheet(sheet: np.ndarray, n: int, *, columns: int) -> np.ndarray:
    """Cut a sheet of canvases into its canvases.

    Args:
        sheet: uint8 array (rows · 64, columns · 64).
        n: Canvases on it; the last row may have room for more.
        columns: Canvases in a row.

    Returns:
        uint8 array (n, 64, 64).

    Raises:
        ValueError: The sheet's size is not that of n canvases in so many columns.
    """
    rows = -(-n // columns)
    if sheet.shape != (rows * SIDE, columns * SIDE):
        raise ValueError(f"{n} canvases in {columns} columns do not make a sheet of shape {sheet.shape}")
    grid = sheet.reshape(rows, SIDE, columns, SIDE).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(grid).reshape(-1, SIDE, SIDE)[:n]


def _unpack(path: Path, split: str) -> tuple[np.ndarray, np.ndarray, str]:
    """Pixels and labels of one split, and the digest that the file states for them."""
    with zipfile.ZipFile(path) as archive:
        facts: dict[str, Any] = json.loads(archive.read("canvases.json"))["splits"][split]
        pixels, labels = (
            cut_sheet(_grey(archive.read(name)), facts["images"], columns=facts["columns"])
            for name in (f"{split}.webp", f"{split}_masks.png")
        )
    return pixels, labels, facts["sha256"]


def _grey(content: bytes) -> np.ndarray:
    """One channel of an image, whose channels are equal where there are three."""
    with Image.open(io.BytesIO(content)) as sheet:
        pixels = np.asarray(sheet)
    return pixels if pixels.ndim == 2 else pixels[:, :, 0]
