"""Images that are decoded when they are asked for: one split of a dataset, and a dataset of two.

timm's readers list and open them; what timm would pass over with a warning is refused here.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from timm.data.readers.reader import Reader

from swatbench.data.decode import UNREADABLE, notes_of, opened, to_rgb
from swatbench.errors import DataError

REMEDY = (
    "Get this file again, or convert it: an image is neither left out nor replaced by another. "
    "`swatbench doctor --images SUITE` names all such files."
)
"""What to do about an image that cannot be decoded."""


class Opener(Protocol):
    """What opens a split as a torch dataset of (PIL image in RGB, label)."""

    def __call__(self, *, training: bool, seed: int, batch_size: int) -> torch.utils.data.Dataset:
        """Open it; see `ImageFiles.open`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageFiles:
    """One split of images that are decoded on demand.

    Attributes:
        name: Name of the split, as in the suite.
        images: Images in it.
        digest: SHA-256 in hex over the names, sizes in bytes and labels of all images, in order; not over
            their bytes, which would have to be read. For shards also over their own names and sizes.
        labels: int64 array (images,); None for streams.
        streamed: Whether images come in the order of their shards and cannot be asked for by number.
        opener: What `open` calls.
        filenames: Number of an image → the last part of its file's name; None if it has none.
    """

    name: str
    images: int
    digest: str
    labels: np.ndarray | None
    streamed: bool
    opener: Opener
    filenames: Callable[[int], str | None]

    def __len__(self) -> int:
        return self.images

    def open(self, *, training: bool, seed: int = 0, batch_size: int = 1) -> torch.utils.data.Dataset:
        """The images without any transform.

        Args:
            training: Whether a stream is shuffled and dealt out among processes; other kinds do not care.
            seed: Decides the order of a stream, likewise.
            batch_size: Images in a batch, to a multiple of which a stream's epoch is made up, likewise.

        Returns:
            A map-style dataset of (PIL image in RGB, int label), which raises `DataError` at an image that
            cannot be decoded; of shards timm's iterable one, which logs and leaves out such images.
        """
        return self.opener(training=training, seed=seed, batch_size=batch_size)

    def filename(self, index: int) -> str:
        """The last part of the name of an image's file.

        Raises:
            DataError: The source keeps no names.
        """
        name = self.filenames(index)
        if name is None:
            raise DataError(f"Image {index} of {self.name} has no file name.", fix="Use a source with names.")
        return name


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FileDataset:
    """A dataset to train and test on, decoded on demand.

    Attributes:
        name: Name of its source.
        train: Images to train on.
        test: Images to test on.
        classes: Name of each class, in the order of the labels; its number where the source names none.
        mean: Mean of each channel to normalise by, with pixels scaled to [0, 1].
        std: Standard deviation of each channel, likewise.
        digest: SHA-256 in hex over the digests of both splits and the names of the classes.
    """

    name: str
    train: ImageFiles
    test: ImageFiles
    classes: tuple[str, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        value = hashlib.sha256(f"{self.train.digest}{self.test.digest}".encode())
        value.update("\0".join(self.classes).encode())
        object.__setattr__(self, "digest", value.hexdigest())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Listing:
    """What was found of a split, before it is held against what there must be.

    Attributes:
        files: The split.
        labels: int64 array (images,), of streams too.
        classes: Names of the classes in the order of the labels; none where the source names none.
        where: Place to name in an error.
        hint: What more to say if images are missing.
    """

    files: ImageFiles
    labels: np.ndarray
    classes: tuple[str, ...]
    where: str
    hint: str = ""


class Pictures(torch.utils.data.Dataset):
    """Images of a timm reader by number; one that cannot be decoded is refused.

    timm's own dataset gives the next image, with the next image's label, in its place.
    """

    def __init__(self, reader: Reader, *, name: str) -> None:
        """Keep the reader.

        Args:
            reader: Gives an open file and a label for a number.
            name: Name of the split, for errors.
        """
        self.reader: Any = reader
        self._name = name

    def __len__(self) -> int:
        return len(self.reader)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        with self._opened(index) as (picture, label):
            return to_rgb(picture), int(label)

    def examine(self, index: int) -> tuple[str, ...]:
        """Decode an image, and say what of it its owner may not expect (see `decode.notes_of`)."""
        with self._opened(index) as (picture, _):
            to_rgb(picture)
            return notes_of(picture)

    def size(self, index: int) -> tuple[int, int]:
        """Height and width of an image in pixels, from the header of its file alone."""
        with self._opened(index) as (picture, _):
            return picture.height, picture.width

    @contextmanager
    def _opened(self, index: int) -> Iterator[tuple[Image.Image, int]]:
        try:
            file, label = self.reader[index]
            with file, opened(file) as picture:
                yield picture, label
        except UNREADABLE as error:
            raise undecodable(
                f"Image {index} of {self._name}", error, where=str(self.reader.filename(index, absolute=True))
            ) from error


def undecodable(what: str, error: Exception | str, *, where: str | None) -> DataError:
    """The error for an image or a mask that cannot be used.

    Args:
        what: Which of which split.
        error: Why.
        where: The file.
    """
    return DataError(f"{what} cannot be decoded ({error}).", where=where, fix=REMEDY)


def digest_of(names: Iterable[str], sizes: Iterable[int], labels: Iterable[int]) -> str:
    """SHA-256 in hex over the name, the size in bytes and the label of every image, in order."""
    value = hashlib.sha256()
    for name, size, label in zip(names, sizes, labels, strict=True):
        value.update(f"{name}\0{size}\0{label}\n".encode(errors="surrogateescape"))
    return value.hexdigest()
