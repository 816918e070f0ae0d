"""Names of the classes of images with masks, where their folder has a list of them."""

from pathlib import Path

from swatbench.data.decode import UNREADABLE
from swatbench.errors import DataError

OWN = "classes.txt"
"""A name a line, in the order of the classes."""
ADE20K_LIST = "objectInfo150.txt"
"""ADE20K's table: a heading, then for each class its number from 1, some counts, and last its names."""


def read_names(root: Path, num_classes: int) -> tuple[str, ...]:
    """Name of each class from `classes.txt` or `objectInfo150.txt`; its number where there is neither.

    Args:
        root: Folder of the images and masks.
        num_classes: Classes that there must be.

    Raises:
        DataError: The list cannot be read, or names another number of classes, or one twice.
    """
    for name, parse in ((OWN, _lines), (ADE20K_LIST, _first_names)):
        path = root / name
        if path.is_file():
            return _checked(parse(_text(path)), num_classes, path)
    return tuple(str(label) for label in range(num_classes))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UNREADABLE as error:
        raise DataError(
            f"The names of the classes cannot be read ({error}).",
            where=str(path),
            fix="Write it as UTF-8 text.",
        ) from error


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _first_names(text: str) -> list[str]:
    """The first of each class's names; all of them where two classes have the same first."""
    rows = [[part.strip() for part in line.split("\t") if part.strip()] for line in text.splitlines()]
    names = [row[-1] for row in rows if row and row[0].isdecimal()]
    firsts = [name.split(",")[0].strip() for name in names]
    return firsts if len(set(firsts)) == len(firsts) else names


def _checked(names: list[str], num_classes: int, path: Path) -> tuple[str, ...]:
    if len(names) != num_classes:
        raise DataError(
            f"{path.name} names {len(names)} classes, and there are {num_classes}.",
            where=str(path),
            fix="Write a name a line, one for each class; or correct data.num_classes.",
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(
            f"{path.name} has a name twice ({', '.join(twice[:3])}).",
            where=str(path),
            fix="Give each class a name of its own.",
        )
    return tuple(names)
