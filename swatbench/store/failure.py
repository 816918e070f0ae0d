"""A failure as a record keeps it: what went wrong and where, with nothing that names the machine's owner."""

import re
import traceback
from pathlib import Path

from swatbench.errors import SwatbenchError
from swatbench.store.record import Failure

MAX_CHARACTERS = 4_000
"""Longest message kept; torch's own can hold whole stack traces."""

_PACKAGE = Path(__file__).parents[1]
_ABSOLUTE = re.compile(r"(?<![\w:/.…~*])/(?:[^\s/'\"`,;:()<>\[\]]+/)+([^\s/'\"`,;:()<>\[\]]*)")


def failure(error: BaseException) -> Failure:
    """The record of an exception.

    Args:
        error: What was raised; a `SwatbenchError` brings its own place, of any other the innermost line of
            swatbench on the way is taken.
    """
    if isinstance(error, SwatbenchError):
        message = f"{error.what} {error.fix}" if error.fix else error.what
        where = error.where
    else:
        message, where = str(error), None
    return Failure(
        error=type(error).__name__,
        message=without_folders(message)[:MAX_CHARACTERS],
        where=without_folders(where) if where else _line(error),
    )


def without_folders(text: str) -> str:
    """The text with every absolute path cut to its last part, since folders name users and machines.

    >>> without_folders("cannot open '/home/ada/data/test_batch'")
    "cannot open '…/test_batch'"
    """
    return _ABSOLUTE.sub(r"…/\1", text)


def _line(error: BaseException) -> str | None:
    """The innermost line of swatbench that the exception passed, as `swatbench/<file>:<line> in <name>`."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename)
        if file.is_relative_to(_PACKAGE):
            return f"{file.relative_to(_PACKAGE.parent).as_posix()}:{frame.lineno} in {frame.name}"
    return None
