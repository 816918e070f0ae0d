"""Files from elsewhere, opened only where they are files: a pipe would be waited for, a device never end."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_regular(path: Path) -> BinaryIO:
    """Open a file to read it; a link to one will do.

    Args:
        path: The file.

    Raises:
        OSError: It is not there, not open to us, a folder, a pipe, a socket or a device.
    """
    # Or opening a pipe would wait for somebody to write to it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    refusal = _refusal(os.fstat(descriptor).st_mode, path)
    if refusal is not None:
        os.close(descriptor)
        raise refusal
    return os.fdopen(descriptor, "rb")


def read_regular(path: Path) -> bytes:
    """All bytes of a file; see `open_regular`."""
    with open_regular(path) as file:
        return file.read()


def _refusal(mode: int, path: Path) -> OSError | None:
    if stat.S_ISDIR(mode):
        return IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if stat.S_ISREG(mode):
        return None
    return OSError(errno.EINVAL, "it is a pipe or a device, and no file", str(path))
