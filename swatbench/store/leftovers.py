"""What a killed process leaves behind, and what takes it away."""

from contextlib import closing, suppress
from pathlib import Path

from swatbench.errors import StoreError
from swatbench.store.atomic import tidy
from swatbench.store.lock import LOCK, take

CHECKPOINTS = "checkpoints"
"""Folder of the states of a training run, in its cell's."""
LAST = ("newest.ckpt", "previous.ckpt", "incoming.ckpt")
"""States that are there for a run to go on from; the others in their folder are kept for good."""


def sweep_finished(cell: Path) -> None:
    """Remove the last states of a finished cell whose process was killed between its record and that.

    Args:
        cell: The folder of a cell that has its record; while a run has it, nothing is touched.
    """
    folder = cell / CHECKPOINTS
    with suppress(OSError, StoreError):
        claim = take(cell / LOCK) if folder.is_dir() else None
        if claim is not None:
            with closing(claim):
                _clear(folder)


def _clear(folder: Path) -> None:
    tidy(folder)
    for name in LAST:
        (folder / name).unlink(missing_ok=True)
    folder.rmdir()
