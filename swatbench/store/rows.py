"""Rows of one kind in a file, one JSON object a line: the training curve, modules, where the time goes."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from swatbench.regular_file import read_regular
from swatbench.store.atomic import write_bytes_atomic
from swatbench.store.refusal import damaged, refused

RowT = TypeVar("RowT", bound=BaseModel)


def write_rows(folder: Path, name: str, rows: Iterable[BaseModel]) -> str:
    """Write rows to `folder/name` and return the file's SHA-256.

    Args:
        folder: The cell's folder.
        name: Name of the file, ending in `.jsonl`.
        rows: The rows.

    Raises:
        StoreError: The file cannot be written.
        ValueError: A number is not finite.
    """
    return write_bytes_atomic(folder / name, packed_rows(rows))


def packed_rows(rows: Iterable[BaseModel]) -> bytes:
    """The bytes of a file that holds these rows.

    Args:
        rows: The rows.

    Raises:
        ValueError: A number is not finite.
    """
    lines = (json.dumps(row.model_dump(), ensure_ascii=False, allow_nan=False) for row in rows)
    return "".join(f"{line}\n" for line in lines).encode()


def read_rows(path: Path, kind: type[RowT]) -> tuple[RowT, ...]:
    """Read what `write_rows` wrote.

    Args:
        path: The file.
        kind: What each row is.

    Raises:
        StoreError: The file is missing or damaged.
    """
    try:
        return tuple(kind.model_validate_json(line) for line in read_regular(path).splitlines())
    except OSError as error:
        raise refused(error, path, "read") from error
    except ValidationError as error:
        raise damaged(path, f"{error.error_count()} values are not those of {kind.__name__}") from error
