"""A folder for each class, as ImageNet is usually kept: `<root>/<split>/<class>/*.JPEG`."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from timm.data import create_dataset
from timm.data.dataset_factory import _search_split
from timm.utils.misc import natural_key

from swatbench.data.expected import Expected, listed
from swatbench.data.files import ImageFiles, Listing, Pictures, digest_of

FILES_AT_ONCE = 2_000
"""Files whose sizes one thread asks for in one go."""
STAT_THREADS = 16
"""Threads that ask for sizes, which takes long where the folder is on the network."""
READ = "Images are files that end in .png, .jpg or .jpeg."

Numbering = Callable[[tuple[str, ...]], Mapping[str, int]]
"""From the names of the classes, in timm's order, to the number of each."""


def list_split(root: Path, expected: Expected) -> Listing:
    """List one split of a folder of splits.

    Args:
        root: Folder of the splits' folders.
        expected: What there must be.

    Raises:
        DataError: The split is missing, closed or empty, or holds empty files.
    """
    with open_to_us(root, expected):
        if not root.is_dir():
            raise expected.refusal("the folder is missing", where=str(root), fix="Correct data.root.")
        return _listing(_reader_of_split(root, expected), expected)


def _reader_of_split(root: Path, expected: Expected) -> Any:
    if (root / expected.name).is_file():
        raise expected.refusal(
            "this is a file", where=str(root / expected.name), fix="Unpack it: one folder for each class."
        )
    found = Path(_search_split(str(root), expected.name))
    # Where there is no folder of this name, nor val for validation, timm takes all that is under the root.
    if found.resolve() == root.resolve():
        there = listed(sorted(path.name for path in root.iterdir() if path.is_dir())) or "nothing"
        fix = "Correct data.root, or the name of the split."
        raise expected.refusal(f"it has no folder there (found: {there})", where=str(root), fix=fix)
    return _reader(found, expected)


def list_classes(root: Path, expected: Expected, *, number: Numbering) -> Listing:
    """List a folder of class folders.

    Args:
        root: Folder of the classes' folders.
        expected: What there must be.
        number: Numbers the classes by the names of their folders.

    Raises:
        DataError: The folder is missing, closed or empty, or holds empty files.
    """
    with open_to_us(root, expected):
        if not root.is_dir():
            raise expected.refusal("the folder is missing", where=str(root), fix="Correct its root.")
        return _listing(_reader(root, expected), expected, number=number)


@contextmanager
def open_to_us(root: Path, expected: Expected) -> Iterator[None]:
    """Refuse a folder that the system does not let us list."""
    try:
        yield
    except OSError as error:
        why = f"the folder cannot be listed ({error.strerror or error})"
        fix = "See to its permissions, or to the disk."
        raise expected.refusal(why, where=str(error.filename or root), fix=fix) from error


def walk(root: Path, expected: Expected) -> Iterator[tuple[Path, list[str]]]:
    """Every folder under a root with the names of its files; symbolic links are followed, each folder once.

    Args:
        root: The folder.
        expected: What there must be, for errors.

    Raises:
        DataError: A folder is there twice, by a link: in a loop of links a walk would have no end.
        OSError: A folder cannot be listed.
    """
    seen: dict[tuple[int, int], str] = {}
    for place, folders, names in os.walk(root, onerror=_raise, followlinks=True):
        folders.sort()
        about = Path(place).stat()
        known = seen.setdefault((about.st_dev, about.st_ino), place)
        if known != place and about.st_ino:
            raise expected.refusal(
                f"a symbolic link leads to {known} once more", where=place, fix="Remove the link."
            )
        yield Path(place), sorted(names)


def _raise(error: OSError) -> None:
    raise error


def _reader(root: Path, expected: Expected) -> Any:
    """A reader of timm's for a folder, in which we have found no loop and nothing that is closed to us.

    timm would walk through the one without end, and pass over the other in silence.
    """
    for _ in walk(root, expected):
        pass
    try:
        dataset: Any = create_dataset("", root=str(root), search_split=False)
    except RuntimeError as error:
        raise expected.refusal("0 images are there", where=str(root), fix=READ) from error
    return dataset.reader


def _listing(reader: Any, expected: Expected, *, number: Numbering | None = None) -> Listing:
    root = Path(reader.root)
    paths = [path for path, _ in reader.samples]
    sizes = file_sizes(paths)
    names = [path[len(reader.root) :].lstrip("/") for path in paths]
    empty = [name for name, size in zip(names, sizes, strict=True) if size == 0]
    if empty:
        why = f"{len(empty)} of the {len(paths)} files are empty or missing ({listed(empty)})"
        raise expected.refusal(why, where=str(root), fix="Get these files again.")
    classes = _classes(reader.class_to_idx, expected, root)
    if number is not None:
        numbers = number(classes)
        reader.samples = [(path, numbers[classes[label]]) for path, label in reader.samples]
        classes = tuple(sorted(numbers, key=lambda name: numbers[name]))
    labels = np.array([label for _, label in reader.samples], dtype=np.int64)
    files = ImageFiles(
        name=expected.name,
        images=len(paths),
        digest=digest_of(names, sizes, labels.tolist()),
        labels=labels,
        streamed=False,
        opener=lambda **_: Pictures(reader, name=expected.name),
        filenames=lambda index: Path(paths[index]).name,
    )
    return Listing(files=files, labels=labels, classes=classes, where=str(root), hint=f". {READ[:-1]}")


def file_sizes(paths: Sequence[str]) -> list[int]:
    """Sizes of files in bytes; 0 for those that are not there, as behind a broken link, or not open to us."""
    parts = [paths[i : i + FILES_AT_ONCE] for i in range(0, len(paths), FILES_AT_ONCE)]
    with ThreadPoolExecutor(STAT_THREADS) as pool:
        found = pool.map(lambda part: [_size(Path(path)) for path in part], parts)
        return [size for part in found for size in part]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _classes(numbers: Mapping[str, int], expected: Expected, root: Path) -> tuple[str, ...]:
    """Names in the order of their numbers, if a record can hold them and timm can tell them apart."""
    foreign = [name for name in sorted(numbers) if not _in_utf_8(name)]
    if foreign:
        why = f"the folder of the class {foreign[0]!r} is not named in UTF-8"
        raise expected.refusal(why, where=str(root), fix="Rename it.")
    alike = defaultdict(list)
    for name in sorted(numbers):
        alike[tuple(natural_key(name))].append(name)
    # timm sorts these by chance: their labels would be others in the next process.
    twins = [names for names in alike.values() if len(names) > 1]
    if twins:
        why = f"the classes {' and '.join(twins[0])} differ in case or in leading zeros alone"
        raise expected.refusal(why, where=str(root), fix="Rename one of the folders.")
    return tuple(sorted(numbers, key=lambda name: numbers[name]))


def _in_utf_8(name: str) -> bool:
    # Python keeps a name's other bytes as halves of surrogates, which no file of text can hold.
    return not any("\ud800" <= letter <= "\udfff" for letter in name)
