"""What a killed process leaves behind, and what takes it away."""

from contextlib import suppress
from pathlib import Path

from swatbench.store.atomic import TEMPORARY

CHECKPOINTS = "checkpoints"
"""Folder of the states of a training run, in its cell's."""
LAST = ("newest.ckpt", "previous.ckpt", "incoming.ckpt")
"""States that are there for a run to go on from; the others in their folder are kept for good."""


def sweep(cell: Path) -> None:
    """Remove the files of a cell that were half written when their process was killed.

    To be called by whoever alone runs the cell. What cannot be removed stays: it is in nobody's way.

    Args:
        cell: The cell's folder, which need not exist.
    """
    for path in cell.glob(f".*{TEMPORARY}"):
        with suppress(OSError):
            path.unlink()


def sweep_finished(cell: Path) -> None:
    """Remove the last states of a finished cell whose process was killed between its record and that.

    Args:
        cell: The folder of a cell that has its record.
    """
    folder = cell / CHECKPOINTS
    if not folder.is_dir():
        return
    with suppress(OSError):
        for path in (*(folder / name for name in LAST), *folder.glob(f".*{TEMPORARY}")):
            path.unlink(missing_ok=True)
        folder.rmdir()
