"""CIFAR-10 as its authors publish it for Python: a folder of pickled batches.

Each file holds a dict with `data`, a uint8 array (10000, 3072) whose rows are the red, green and blue plane
of one image, and `labels`, a list of numbers. The original files were pickled by Python 2; files with str or
bytes keys, of protocol 0 to 4, are read alike.

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from swatbench.data.images import Images
from swatbench.data.plain_pickle import PlainArray, load_plain
from swatbench.errors import DataError

FOLDER = "cifar-10-batches-py"
"""Name of the folder that holds the files."""
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
"""Names of the classes, in the order of the labels."""
MEAN = (0.49139968, 0.48215841, 0.44653091)
"""Mean of red, green and blue over all 50,000 training images, with pixels scaled to [0, 1]."""
STD = (0.24703223, 0.24348513, 0.26158784)
"""Standard deviation of red, green and blue over all 50,000 training images, likewise."""
REMEDY = (
    f"Unpack the original cifar-10-python.tar.gz there, or write {FOLDER} anew with "
    "`python scripts/make_cifar10.py full`."
)
"""What to do when the folder is not whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """What a split must hold to be accepted.

    Attributes:
        name: `train` or `test`.
        files: Names of its files, in order.
        images_per_file: Images in each of them.
        digest: Digest of the split's `Images`.
    """

    name: str
    files: tuple[str, ...]
    images_per_file: int
    digest: str


TRAIN = Split(
    name="train",
    files=tuple(f"data_batch_{i}" for i in range(1, 6)),
    images_per_file=10_000,
    digest="f3120a8fa253dbdad16aeebfcbcdbe65951c58226061082bf1b61dde3add92d7",
)
"""The 50,000 training images."""
TEST = Split(
    name="test",
    files=("test_batch",),
    images_per_file=10_000,
    digest="815bee49b92162b075142619fb16b9562d1186e49d0509d9cf0af8940f739265",
)
"""The 10,000 test images."""


def read_split(root: Path, split: Split) -> Images:
    """Read one split and refuse it unless it is whole and unchanged.

    Args:
        root: Folder that holds `cifar-10-batches-py`.
        split: What it must hold.

    Returns:
        Images (n, 3, 32, 32) in the order of the files.

    Raises:
        DataError: A file is missing or unreadable, or holds other images than it should.
    """
    folder = root / FOLDER
    batches = [_read_batch(folder / name, split) for name in split.files]
    images = Images(
        pixels=torch.from_numpy(np.concatenate([pixels for pixels, _ in batches])),
        labels=torch.from_numpy(np.concatenate([labels for _, labels in batches])),
    )
    if images.digest != split.digest:
        raise DataError(
            f"The {split.name} split has {len(images)} images, as it should, but their pixels or labels are "
            f"not those of CIFAR-10 (SHA-256 {images.digest[:12]}, expected {split.digest[:12]}).",
            where=str(folder),
            fix=REMEDY,
        )
    return images


def _read_batch(path: Path, split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (n, 3, 32, 32) uint8 and labels (n,) int64 of one file."""
    try:
        batch = load_plain(path.read_bytes())
    except OSError as error:
        raise _refusal(path, split, f"the file cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise _refusal(path, split, f"the file is cut short or damaged ({error})") from error
    data, labels = (_entry(batch, key) for key in ("data", "labels"))
    if not isinstance(data, np.ndarray) or data.shape[1:] != (3072,):
        raise _refusal(path, split, "`data` is no uint8 array of rows of 3072 numbers")
    if not isinstance(labels, list) or any(type(label) is not int or not 0 <= label < 10 for label in labels):
        raise _refusal(path, split, "`labels` is no list of numbers from 0 to 9")
    counts = {len(data), len(labels)}
    if counts != {split.images_per_file}:
        found = f"{len(data)} images and {len(labels)} labels"
        raise _refusal(path, split, f"it holds {found}, expected {split.images_per_file} of each")
    return data.reshape(-1, 3, 32, 32), np.array(labels, dtype=np.int64)


def _entry(batch: object, key: str) -> object:
    # Python 2 wrote byte strings, which latin-1 turns to str; Python 3 may have written either.
    found = batch.get(key, batch.get(key.encode())) if isinstance(batch, dict) else None
    return found.to_numpy() if isinstance(found, PlainArray) else found


def _refusal(path: Path, split: Split, why: str) -> DataError:
    total = split.images_per_file * len(split.files)
    return DataError(
        f"The {split.name} split needs {total} images in {', '.join(split.files)}, but {why}.",
        where=str(path),
        fix=REMEDY,
    )
