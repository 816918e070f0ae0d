"""Locks that the kernel lets go when their last holder ends, however it ends.

A lock is a file that stays where it is; held is what keeps it open. A child process can be handed a lock: it
is free only once both have ended, so that nobody takes over what an orphan still writes.

Over NFS these are locks of the server, seen by all hosts, unless the file system is mounted with `nolock` or
`local_lock`; then every host sees its own alone.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from multiprocessing import reduction
from pathlib import Path
from typing import Any

from swatbench.errors import StoreError
from swatbench.regular_file import open_regular
from swatbench.store.refusal import refused

LOCK = ".lock"
"""Name of the file in whatever folder is locked."""

_TRIES, _PAUSE_S = 20, 0.005
"""Whoever only looks at a lock holds it for a moment, shared with others who look."""
_PLAIN = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
"""No link is followed to a file elsewhere, and no pipe is waited for."""


class NoLocksError(StoreError):
    """The file system does not lock files."""


class Held:
    """A lock, held until it is closed here and in every process that it was handed to.

    It is handed on as an argument of a process that `multiprocessing` starts.

    Args:
        descriptor: The open file.
        path: The file.
    """

    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor: int | None = descriptor
        self._path = path

    def require_there(self) -> None:
        """See that the file is still in its place, and so all that was written beside it.

        Raises:
            StoreError: Somebody removed it, most likely with its folder.
        """
        assert self._descriptor is not None
        try:
            there = os.path.samestat(os.fstat(self._descriptor), self._path.stat())
        except OSError:
            there = False
        if not there:
            raise StoreError(
                "The folder was removed while a run had it.",
                where=str(self._path.parent),
                fix="See who removed it, and run again.",
            )

    def close(self) -> None:
        """Let go; a second time does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __reduce__(self) -> tuple[Any, ...]:
        return _handed, (reduction.DupFd(self._descriptor), self._path)  # type: ignore[attr-defined]


def take(path: Path, *, shared: bool = False) -> Held | None:
    """Take a lock that nobody holds, or nobody but those who share it.

    Args:
        path: The file; it is made if it is not there, and its folder too.
        shared: Whether others may hold it at the same time, who share it too.

    Returns:
        The lock; None where another has it.

    Raises:
        StoreError: The file cannot be written, or the file system does not lock files.
    """
    descriptor = _open(path)
    try:
        for _ in range(_TRIES):
            if _locked(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, path):
                return Held(descriptor, path)
            if shared or not _locked(descriptor, fcntl.LOCK_SH, path):
                break
            # Nobody has it alone: whoever shares it may only be looking.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            time.sleep(_PAUSE_S)
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


@contextmanager
def alone(folder: Path, *, strictly: bool = True) -> Iterator[bool]:
    """Be the only one in a folder for the time of the block; others wait.

    Args:
        folder: The folder; it is made if it is not there.
        strictly: Whether to raise an error where the file system does not lock files, or to go on.

    Yields:
        Whether it is certain that nobody else is here.

    Raises:
        StoreError: The folder cannot be written, or the file system does not lock files.
    """
    path = folder / LOCK
    descriptor = _open(path)
    try:
        certain = False
        with nullcontext() if strictly else suppress(NoLocksError):
            certain = _locked(descriptor, fcntl.LOCK_EX, path, wait=True)
        yield certain
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Whether somebody holds a lock alone; the file is not made.

    Args:
        path: The file.
    """
    try:
        with open_regular(path) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            # To be written, as network file systems lock nothing else for one holder alone.
            return os.open(path, os.O_RDWR | os.O_CREAT | _PLAIN, 0o666)
        except PermissionError:  # It may be another user's, in a folder that both may write.
            return os.open(path, os.O_RDONLY | _PLAIN)
    except OSError as error:
        raise refused(error, path, "written") from error


def _locked(descriptor: int, kind: int, path: Path, *, wait: bool = False) -> bool:
    try:
        fcntl.flock(descriptor, kind if wait else kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise NoLocksError(
            f"This file system does not lock files ({error.strerror or error}), so that two runs could do "
            "one cell at once.",
            where=str(path.parent),
            fix="Mount it with locks, or choose another --results.",
        ) from error
    return True


def _handed(duplicate: Any, path: Path) -> Held:
    descriptor: int = duplicate.detach()
    os.set_inheritable(descriptor, False)
    held = Held(descriptor, path)
    # What this process forks, as processes that read images, may outlive it for a while.
    os.register_at_fork(after_in_child=held.close)
    return held
