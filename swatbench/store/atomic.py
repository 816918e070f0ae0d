"""Files written whole or not at all: a reader, or a power cut, never meets half of one."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from swatbench.store.refusal import refused


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
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, data)
    except OSError as error:
        raise refused(error, path, "written") from error
    return hashlib.sha256(data).hexdigest()


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{uuid4().hex[:12]}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the new name last; some network file systems cannot, and then the file is whole all the same."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
