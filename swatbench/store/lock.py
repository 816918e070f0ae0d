"""One run of a suite on a machine's folder at a time."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from swatbench.errors import StoreError
from swatbench.store.refusal import refused

LOCK = ".lock"


@contextmanager
def only_run(machine: Path) -> Iterator[None]:
    """Hold a machine's folder for one run; the kernel lets go when the holder ends, however it ends.

    Args:
        machine: Folder of the machine, `results/<suite>/<machine>`; it is made if it is not there.

    Raises:
        StoreError: Another run holds it, or the folder cannot be written.
    """
    path = machine / LOCK
    try:
        machine.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    except OSError as error:
        raise refused(error, path, "written") from error
    with file:
        try:
            _hold(file)
        except OSError as error:
            raise StoreError(
                "Another run of this suite is under way here.",
                where=str(machine),
                fix="Wait until it ends, or end it; or choose another --results.",
            ) from error
        yield


def _hold(file: IO[str], *, tries: int = 5, pause_s: float = 0.1) -> None:
    """Take the lock; whoever only looks at it, as `swatbench status`, holds it for a moment."""
    for left in range(tries - 1, -1, -1):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if not left:
                raise
            time.sleep(pause_s)
        else:
            return
