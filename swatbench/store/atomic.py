"""Files written whole or not at all: a reader, or a power cut, never meets half of one."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from swatbench.store.refusal import refused

TEMPORARY = ".tmp"
"""Last part of the name of a file that is still being written."""


def write_bytes_atomic(path: Path, data: bytes) -> str:
    """Write a file so that it has either its old content or all of the new one, also after a power cut.

    The bytes go to a temporary file in the same folder, which is made if it is missing, reach the disk, and
    then take the file's name in one step.

    Args:
        path: The file.
        data: Its new content.

    Returns:
        SHA-256 of the content, in hexadecimal.

    Raises:
        StoreError: The folder or the file cannot be written, with the path and what to do.
    """
    with replacing(path) as file:
        file.write(data)
    return hashlib.sha256(data).hexdigest()


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes the path's name once all of it is on the disk, and goes if anything fails.

    Args:
        path: The file; its folder is made if it is missing. What a killed process leaves beside it is a file
            whose name begins with a dot and ends in `TEMPORARY`.

    Yields:
        The new file, to be written and sought in.

    Raises:
        StoreError: The folder or the file cannot be written, with the path and what to do.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced(path) as temporary, temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise refused(error, path, "written") from error


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A name for a file that takes the path's own at the end of the block, and goes if anything fails.

    Args:
        path: The file; its folder is there.

    Yields:
        A path beside it that no file has.

    Raises:
        OSError: The file was not made, or cannot be renamed.
    """
    temporary = path.with_name(f".{path.name}.{uuid4().hex[:12]}{TEMPORARY}")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def tidy(folder: Path) -> None:
    """Remove what killed processes left half written; what cannot be removed now stays.

    Args:
        folder: A folder in which nobody else writes now; it need not exist.
    """
    for path in folder.glob(f".*{TEMPORARY}"):
        with suppress(OSError):
            path.unlink()


def sync_folder(folder: Path) -> None:
    """Make new names last; some network file systems cannot, and then the files are whole all the same."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
