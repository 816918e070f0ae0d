"""A disk that fails: every change below a folder is counted, and from a chosen one on something goes wrong.

Changes are what a disk can refuse: a file or folder made, bytes written or made to last, a name given or
taken away, a time set. They are caught where Python hands them to the system.
"""

import errno
import io
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

_TEMPORARY = re.compile(r"\.[0-9a-f]{12}\.tmp$")

Fault = Callable[["Disk"], None]
"""What happens at a change; it raises an error or returns."""


class Disk:
    """Counts the changes below a folder.

    Args:
        root: The folder.
        at: Number of the first change that meets the fault, from 0; None for none.
        fault: What happens then.
    """

    def __init__(self, root: Path, *, at: int | None = None, fault: Fault | None = None) -> None:
        self.root, self.changes = root, list[str]()
        self._at, self._fault = at, fault

    @property
    def is_first(self) -> bool:
        """Whether this is the first change that meets the fault."""
        return len(self.changes) - 1 == self._at

    def change(self, what: str, path: Any) -> None:
        """Note a change, and fail where it is time."""
        place = Path(os.path.abspath(os.fsdecode(path)))  # noqa: PTH100 (links are left as they are)
        if not place.is_relative_to(self.root):
            return
        # Temporary files are named anew each time.
        self.changes.append(f"{what} {_TEMPORARY.sub('', place.name)}")
        if self._at is not None and self._fault is not None and len(self.changes) > self._at:
            self._fault(self)


def full(_: Disk) -> None:
    """The disk is full from now on."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def full_once(disk: Disk) -> None:
    """There is no space at one change, and then again."""
    if disk.is_first:
        full(disk)


def read_only(_: Disk) -> None:
    """The disk was mounted anew, only to be read."""
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def deleted(disk: Disk) -> None:
    """Somebody removes all results before the change, which then goes its way."""
    if disk.is_first:
        shutil.rmtree(disk.root, ignore_errors=True)


FAULTS: dict[str, Fault] = {
    "full": full,
    "full_once": full_once,
    "read_only": read_only,
    "deleted": deleted,
}


@contextmanager
def failing(disk: Disk) -> Iterator[Disk]:
    """Let all changes of this process below the disk's folder go by it, for the time of the block."""
    opened, made = io.open, os.open

    class Raw(io.FileIO):
        def write(self, data: Any, /) -> int:
            disk.change("write", self.name)
            return super().write(data)

    def open_(file: Any, mode: str = "r", buffering: int = -1, *more: Any, **named: Any) -> Any:
        if isinstance(file, int) or mode.replace("b", "") not in ("x", "w", "a"):
            return opened(file, mode, buffering, *more, **named)
        disk.change("open", file)
        raw = Raw(file, mode)
        if buffering == 0:
            return raw
        buffered = io.BufferedWriter(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding="utf-8")

    def make(path: Any, flags: int, *more: Any, **named: Any) -> int:
        if flags & os.O_CREAT and not os.path.exists(path):  # noqa: PTH110
            disk.change("open", path)
        return made(path, flags, *more, **named)

    def sync(descriptor: int) -> None:
        # What is tested is what a process finds after another, which needs no waiting for a disk.
        disk.change("sync", os.readlink(f"/proc/self/fd/{descriptor}"))  # noqa: PTH115

    with (
        patch.object(io, "open", open_),
        patch.object(os, "open", make),
        patch.object(os, "fsync", sync),
        patch.object(os, "replace", _noted(disk, "rename", os.replace, 1)),
        patch.object(os, "link", _noted(disk, "link", os.link, 1)),
        patch.object(os, "mkdir", _noted(disk, "mkdir", os.mkdir, 0)),
        patch.object(os, "utime", _noted(disk, "touch", os.utime, 0)),
        patch.object(os, "unlink", _noted(disk, "remove", os.unlink, 0, only=read_only)),
    ):
        yield disk


def _noted(disk: Disk, what: str, call: Callable[..., Any], place: int, only: Fault | None = None) -> Any:
    def noted(*arguments: Any, **named: Any) -> Any:
        if only is None or disk._fault is only:
            disk.change(what, arguments[place])
        return call(*arguments, **named)

    return noted
