"""The errors of files that cannot be written, read or understood, each with what to do."""

import errno
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from swatbench.errors import StoreError

_PERMISSION = "Choose another results folder, or change its permissions."
_IN_THE_WAY = "A file lies where a folder is needed: move it away."
_DISK = "See to the disk and run again; what is there stays as it is."
_REMEDIES: Mapping[int, str] = MappingProxyType(
    {
        errno.ENOSPC: "Free some space and run again; finished cells are kept.",
        errno.EFBIG: "Raise the limit on files' sizes (ulimit -f) and run again; finished cells are kept.",
        errno.EDQUOT: "Free some of your quota and run again; finished cells are kept.",
        errno.EROFS: "The disk is read-only: choose another results folder.",
        errno.EACCES: _PERMISSION,
        errno.EPERM: _PERMISSION,
        errno.ENOTDIR: _IN_THE_WAY,
        errno.EEXIST: _IN_THE_WAY,
        errno.EISDIR: "A folder lies where a file is needed: move it away.",
        errno.EIO: _DISK,
        errno.ESTALE: _DISK,
        errno.ENOENT: "Its folder is gone: see who removed it, and run again.",
        errno.ELOOP: "A link lies where a file is needed: move it away.",
        errno.ENAMETOOLONG: "Choose a results folder with a shorter path.",
    }
)


def refused(error: OSError, path: Path, verb: str) -> StoreError:
    """The error for a file that the operating system refused.

    Args:
        error: What the operating system said.
        path: The file.
        verb: What was tried, as in "the file cannot be <verb>".
    """
    reason = error.strerror or str(error) or type(error).__name__
    fix = _REMEDIES.get(error.errno or 0)
    return StoreError(f"The file cannot be {verb}: {reason}.", where=str(path), fix=fix)


def make_folder(path: Path) -> None:
    """Make a folder that something will be written to, so that a wrong one is told before work is done.

    Raises:
        StoreError: It cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise refused(error, path, "made") from error


def refuse_links(*paths: Path) -> None:
    """Refuse to write into folders that are links, which lead who knows where.

    The roots of results and of reports may be links, since a user names them; what is below them may come
    from somebody else.

    Raises:
        StoreError: One of them is a link.
    """
    for path in paths:
        if path.is_symlink():
            raise StoreError(
                "This is a link, and below the roots nothing is written through one.",
                where=str(path),
                fix="Remove it; to write elsewhere, name the place by --results or --reports.",
            )


def damaged(path: Path, reason: str) -> StoreError:
    """The error for a file that can be read but not understood."""
    return StoreError(f"The file is damaged: {reason}.", where=str(path), fix="Run its cell again.")
