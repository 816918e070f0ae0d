"""Every image of a dataset decoded once: what cannot be used is counted and named."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Protocol

import numpy as np

from swatbench.data.decode import UNREADABLE, notes_of, opened, to_rgb
from swatbench.data.files import ImageFiles, undecodable
from swatbench.data.masks import MaskSplit
from swatbench.data.shares import Share, read_share
from swatbench.errors import DataError

SAMPLED = 16
"""Images of a split that are decoded whenever it is opened."""


class Examined(Protocol):
    """Images by number, each of which can be examined."""

    def __len__(self) -> int: ...

    def examine(self, index: int) -> tuple[str, ...]:
        """Decode an image, and say what of it its owner may not expect; raise `DataError`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What the images of one split are.

    Attributes:
        name: Name of the split.
        images: Images in it.
        notes: What is done to some of them, or left undone, that their owner may not expect → how many.
        refused: What is wrong with each that cannot be used, and where it is.
    """

    name: str
    images: int
    notes: Mapping[str, int]
    refused: tuple[DataError, ...]


def survey(split: ImageFiles | MaskSplit, *, pause: Callable[[int], object] = lambda done: None) -> Survey:  # noqa: ARG005
    """Decode every image of a split, and its mask where it has one, once.

    Args:
        split: The split.
        pause: Told now and then how many are done.

    Raises:
        DataError: A shard cannot be read any further.
    """
    notes: Counter[str] = Counter()
    refused: list[DataError] = []
    for done, found in enumerate(_all_of(split), start=1):
        if isinstance(found, DataError):
            refused.append(found)
        else:
            notes.update(found)
        if done % 1_000 == 0:
            pause(done)
    return Survey(name=split.name, images=len(split), notes=dict(notes), refused=tuple(refused))


def sample(split: ImageFiles | MaskSplit) -> None:
    """Decode a few images spread over a split, so that a set of a wrong kind is refused at once.

    Args:
        split: The split; shards, whose images have no numbers, are left alone.

    Raises:
        DataError: One of them cannot be used.
    """
    if isinstance(split, ImageFiles) and split.streamed:
        return
    images = _numbered(split)
    for index in np.unique(np.linspace(0, len(split) - 1, SAMPLED).astype(int)).tolist():
        images.examine(index)


def _all_of(split: ImageFiles | MaskSplit) -> Iterator[tuple[str, ...] | DataError]:
    if isinstance(split, ImageFiles) and split.streamed:
        return _of_shards(split)
    return _by_number(_numbered(split))


def _numbered(split: ImageFiles | MaskSplit) -> Examined:
    images: Any = split.pairs if isinstance(split, MaskSplit) else split.open(training=False)
    return images


def _by_number(images: Examined) -> Iterator[tuple[str, ...] | DataError]:
    def examine(index: int) -> tuple[str, ...] | DataError:
        try:
            return images.examine(index)
        except DataError as error:
            return error

    # Pillow decodes without Python's lock.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for some in _parts(range(len(images)), 256):
            yield from pool.map(examine, some)


def _of_shards(files: ImageFiles) -> Iterator[tuple[str, ...] | DataError]:
    undecoded = read_share(files, Share(passed=files.images), training=False)
    for index, (content, _) in enumerate(undecoded):
        try:
            with opened(BytesIO(content)) as picture:
                to_rgb(picture)
                yield notes_of(picture)
        except UNREADABLE as error:
            yield undecodable(f"Image {index} of {files.name}", error, where=files.filenames(index))


def _parts(numbers: range, size: int) -> Iterable[range]:
    return (numbers[at : at + size] for at in range(0, len(numbers), size))
