"""Make swatbench's canvases of garments from Fashion-MNIST, as Debian's `dataset-fashion-mnist` carries it.

    apt-get download dataset-fashion-mnist && dpkg-deb -x dataset-fashion-mnist_*.deb fashion
    python scripts/make_garment_canvases.py fashion/usr/share/datasets/fashion-mnist

The folder holds the four original files, `train-images-idx3-ubyte.gz` and so on. Run twice, the command
writes the same bytes.
"""

import gzip
import io
import json
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image

from swatbench.data import mask_canvases
from swatbench.data.mask_canvases import SIDE, digest_of_canvases
from swatbench.errors import DataError

PER_CLASS = {"train": 600, "test": 200}
"""Split → garments of each class."""
FILES = {"train": "train", "test": "t10k"}
"""Split → how the names of its files begin."""
GARMENT = 28
"""Height and width of a garment in pixels."""
PLACES = ((0, 0), (0, 1), (1, 0), (1, 1))
"""Row and column of a canvas's four quarters, in the order in which they are filled."""
JITTER = 8
"""Pixels that a garment may lie further down and to the right than the quarter's first place."""
DARKEST = 16
"""Pixels of at least this value are the garment, and darker ones the background."""
COLUMNS = 50
"""Canvases in a row of a sheet."""
SOURCE = (
    "Fashion-MNIST (H. Xiao, K. Rasul, R. Vollgraf, arXiv:1708.07747, 2017), "
    "through Debian's package dataset-fashion-mnist 0.0~git20200523.55506a9-1"
)
LICENCE = "MIT, Copyright 2017 Zalando SE"
RULE = (
    f"of each class, the first {PER_CLASS['train']} garments of the training file and the first "
    f"{PER_CLASS['test']} of the test file, in a drawn order, four to a canvas, each within {JITTER} pixels "
    "of its quarter's first place, later ones over earlier ones; a mask has the garment's class where its "
    f"pixel is at least {DARKEST} of 255"
)

app = typer.Typer(help="Make swatbench's canvases of garments from Fashion-MNIST.", add_completion=False)


@app.command()
def write(
    folder: Annotated[Path, typer.Argument(help="The folder of the four original files.")],
    out: Annotated[Path, typer.Option(help="The file to write.")] = mask_canvases.PATH,
) -> None:
    """Write the file that ships inside swatbench."""
    splits = {}
    for number, (split, per_class) in enumerate(PER_CLASS.items()):
        pixels, labels = choose(*read_garments(folder, split), per_class)
        splits[split] = compose(pixels, labels, seed=number)
    out.write_bytes(pack(splits))
    for split, (pixels, labels) in splits.items():
        print(f"{split}: {len(pixels)} canvases, SHA-256 {digest_of_canvases(pixels, labels)}")
        print(f"  mean {pixels.mean() / 255:.4f}, standard deviation {pixels.std() / 255:.4f}")
    print(f"{out}: {out.stat().st_size} bytes")


def read_garments(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Read one split, in the order of its files.

    Args:
        folder: Folder of the original files.
        split: `train` or `test`.

    Returns:
        uint8 pixels (n, 28, 28), bright garments on black, and uint8 labels (n,), 0 to 9.

    Raises:
        DataError: A file is missing or is not what its name says.
    """
    begin = FILES[split]
    try:
        pixels = _idx(folder / f"{begin}-images-idx3-ubyte.gz", dimensions=3)
        labels = _idx(folder / f"{begin}-labels-idx1-ubyte.gz", dimensions=1)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise _refusal(folder, split, str(error)) from error
    if pixels.shape != (len(labels), GARMENT, GARMENT):
        raise _refusal(folder, split, f"{len(labels)} labels, but images of shape {pixels.shape}")
    return pixels, labels


def _refusal(folder: Path, split: str, why: str) -> DataError:
    return DataError(
        f"The {split} garments cannot be read ({why}).",
        where=str(folder),
        fix="apt-get download dataset-fashion-mnist && dpkg-deb -x dataset-fashion-mnist_*.deb fashion",
    )


def choose(pixels: np.ndarray, labels: np.ndarray, per_class: int) -> tuple[np.ndarray, np.ndarray]:
    """Keep the first garments of each class, in their original order.

    Args:
        pixels: uint8 (n, 28, 28).
        labels: uint8 (n,).
        per_class: Garments to keep of each class.

    Raises:
        ValueError: A class has fewer garments.
    """
    firsts = [np.flatnonzero(labels == label)[:per_class] for label in range(10)]
    counts = {len(first) for first in firsts}
    if counts != {per_class}:
        raise ValueError(f"need {per_class} garments of each class, but a class has only {min(counts)}")
    kept = np.sort(np.concatenate(firsts))
    return pixels[kept], labels[kept]


def compose(pixels: np.ndarray, labels: np.ndarray, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Lay garments on canvases, four on each.

    Args:
        pixels: uint8 (4n, 28, 28).
        labels: uint8 (4n,), 0 to 9.
        seed: Decides the order and the places, by the raw numbers of a Philox generator.

    Returns:
        Canvases and masks, both uint8 (n, 64, 64); label 0 is the background, and class k has k + 1.
    """
    stream = np.random.Philox(np.random.SeedSequence((seed, len(pixels))))
    order = np.argsort(stream.random_raw(len(pixels)), kind="stable")
    shifts = (stream.random_raw(2 * len(pixels)) >> np.uint64(40)).astype(np.int64) % (JITTER + 1)
    n = len(pixels) // len(PLACES)
    canvases, masks = (np.zeros((n, SIDE, SIDE), np.uint8) for _ in range(2))
    for i, garment in enumerate(order[: n * len(PLACES)]):
        canvas, (row, column) = i // len(PLACES), PLACES[i % len(PLACES)]
        y, x = np.array((row, column)) * (SIDE - GARMENT - JITTER) + shifts[2 * i : 2 * i + 2]
        place = (canvas, slice(y, y + GARMENT), slice(x, x + GARMENT))
        own = pixels[garment] >= DARKEST
        # What is darker than the garment is kept where nothing else lies: no pixel of a canvas is made up.
        canvases[place] = np.where(own, pixels[garment], np.maximum(canvases[place], pixels[garment]))
        masks[place] = np.where(own, labels[garment] + 1, masks[place])
    return canvases, masks


def pack(splits: dict[str, tuple[np.ndarray, np.ndarray]]) -> bytes:
    """Bytes of the zip file that `swatbench.data.mask_canvases` reads; equal canvases give equal bytes.

    Args:
        splits: `train` and `test` → canvases and masks, both uint8 (n, 64, 64).
    """
    facts = {
        "source": SOURCE,
        "licence": LICENCE,
        "rule": RULE,
        "classes": mask_canvases.CLASSES,
        "splits": {
            name: {"images": len(pixels), "columns": COLUMNS, "sha256": digest_of_canvases(pixels, labels)}
            for name, (pixels, labels) in splits.items()
        },
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        _add(archive, "canvases.json", json.dumps(facts).encode())
        for name, (pixels, labels) in splits.items():
            sheet = Image.fromarray(_sheet(pixels)).convert("RGB")
            _add(archive, f"{name}.webp", _saved(sheet, "WEBP", lossless=True, quality=100, method=6))
            _add(archive, f"{name}_masks.png", _saved(Image.fromarray(_sheet(labels)), "PNG", optimize=True))
    return buffer.getvalue()


def _idx(path: Path, *, dimensions: int) -> np.ndarray:
    """Bytes of a file of the IDX format, after its kind (8 for bytes) and its sides as big-endian words."""
    content = gzip.decompress(path.read_bytes())
    if content[:4] != bytes((0, 0, 8, dimensions)):
        raise ValueError(f"{path.name} is no file of bytes in {dimensions} dimensions")
    shape = np.frombuffer(content, ">u4", count=dimensions, offset=4).astype(int)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def _sheet(canvases: np.ndarray) -> np.ndarray:
    rows = -(-len(canvases) // COLUMNS)
    sheet = np.zeros((rows * COLUMNS, SIDE, SIDE), np.uint8)
    sheet[: len(canvases)] = canvases
    return sheet.reshape(rows, COLUMNS, SIDE, SIDE).transpose(0, 2, 1, 3).reshape(rows * SIDE, COLUMNS * SIDE)


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    # A fixed date and no compression of what is compressed already: equal content gives equal bytes.
    info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    info.compress_type = zipfile.ZIP_DEFLATED if name.endswith(".json") else zipfile.ZIP_STORED
    archive.writestr(info, content)


def main(run: Callable[[], None] = app) -> None:
    """Run the program; an error of the data ends it with one line."""
    try:
        run()
    except DataError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
