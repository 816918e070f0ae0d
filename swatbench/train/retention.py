"""Which checkpoints of a run are on the disk, and which of them it goes on from.

    newest.ckpt       the last state
    previous.ckpt     the one before it
    epoch-0030.ckpt   the state after epoch 30, for good
    best.ckpt         the state with the best score so far: top-1 accuracy, in segmentation mean IoU
    incoming.ckpt     a state that is whole and about to become the newest

A save writes `incoming` and then renames: newest to previous, incoming to newest. Whenever it is killed, the
next save or load takes the renaming up where it stopped, so no whole state is lost.

A file whose SHA-256 is not the stated one is damaged, and no other is. Whatever else keeps a state from being
used, as a disk that does not answer, is an error: a run that began anew would write over whole states.
"""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from swatbench.errors import CheckpointError, StoreError
from swatbench.store.atomic import TEMPORARY, replaced, sync_folder
from swatbench.store.leftovers import LAST
from swatbench.store.record import CurvePoint
from swatbench.store.refusal import refused
from swatbench.train.checkpoint import (
    REMEDY,
    Checkpoint,
    DamagedCheckpointError,
    read_checkpoint,
    require_digest,
    write_checkpoint,
)

NEWEST, PREVIOUS, INCOMING = LAST
BEST = "best.ckpt"
_MISSING = "There is no such file."


class Retention:
    """The checkpoints of one run in their folder, of which one process alone writes and reads.

    Attributes:
        folder: Where they are.
    """

    def __init__(self, folder: Path, *, keep_every_epochs: int | None, keep_best: bool) -> None:
        """Say which states are kept beside the last two.

        Args:
            folder: The folder; it is made by the first save.
            keep_every_epochs: Keep the state after every so many epochs; None for none.
            keep_best: Keep the state with the best top-1 accuracy on the test split, in segmentation with the
                best mean IoU: that of the weights' moving average where the curve has one. Among equals the
                oldest is kept.
        """
        self.folder = folder
        self._keep_every_epochs = keep_every_epochs
        self._keep_best = keep_best
        self._newest_is_damaged = False

    def save(self, checkpoint: Checkpoint, *, epoch_done: bool) -> None:
        """Write a state as the newest one, and keep it for good where that is asked for.

        Args:
            checkpoint: The state.
            epoch_done: Whether it is the state at the end of an epoch; only such states are kept for good.

        Raises:
            StoreError: It cannot be written; the states from before are left as they were.
        """
        try:
            self._tidy()
            write_checkpoint(self.folder / INCOMING, checkpoint)
            self._rotate()
            if epoch_done:
                self._keep(checkpoint)
        except OSError as error:
            raise self._refused(error, "written") from error

    def load(self, digest: str, on_note: Callable[[str], None]) -> Checkpoint | None:
        """Read the newest state, or the one before it where that is damaged or missing.

        Args:
            digest: Digest of the cell that is to be trained.
            on_note: Told in a sentence which file cannot be used, why, and what is used instead.

        Returns:
            The state, in the memory of the processor; None where there are no files.

        Raises:
            CheckpointError: There are files, and all are damaged; or the state belongs to another cell, or
                another version wrote it.
            StoreError: The folder or a file cannot be read.
        """
        try:
            self._tidy()
            found = self._read(digest, on_note)
            if found is not None and not found.losses and self._newest_is_whole():
                # A run that was killed between a save's renaming and its keeping left that undone.
                self._keep(found)
        except OSError as error:
            raise self._refused(error, "read") from error
        return found

    def clear(self) -> None:
        """Remove the newest state and the one before it, as of a run that is finished; kept ones stay.

        Raises:
            StoreError: A file cannot be removed.
        """
        try:
            self._tidy()
            for name in (PREVIOUS, NEWEST):
                (self.folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise self._refused(error, "removed") from error
        with suppress(OSError):
            self.folder.rmdir()

    def _tidy(self) -> None:
        """Remove what a killed process left half written, and end the renaming that it began."""
        for path in self.folder.glob(f".*{TEMPORARY}"):
            path.unlink(missing_ok=True)
        self._rotate()

    def _rotate(self) -> None:
        incoming, newest = self.folder / INCOMING, self.folder / NEWEST
        if not _is_there(incoming):
            return
        if self._newest_is_whole():
            newest.replace(self.folder / PREVIOUS)
        incoming.replace(newest)
        self._newest_is_damaged = False
        sync_folder(self.folder)

    def _newest_is_whole(self) -> bool:
        return _is_there(self.folder / NEWEST) and not self._newest_is_damaged

    def _read(self, digest: str, on_note: Callable[[str], None]) -> Checkpoint | None:
        newest, previous = self.folder / NEWEST, self.folder / PREVIOUS
        found, why = _attempt(newest, digest)
        self._newest_is_damaged = why is not None
        if found is not None:
            return found
        found, why_previous = _attempt(previous, digest)
        if found is not None:
            on_note(f"{newest}: {why or _MISSING} {PREVIOUS}, of step {found.step}, is used instead.")
        elif why or why_previous:
            raise _none_is_whole(self.folder, why or _MISSING, why_previous or _MISSING)
        return found

    def _keep(self, checkpoint: Checkpoint) -> None:
        """Give the newest state, of an epoch's end, the names under which it is kept for good."""
        newest, epoch = self.folder / NEWEST, len(checkpoint.curve)
        if self._keep_every_epochs is not None and epoch and epoch % self._keep_every_epochs == 0:
            _link(newest, self.folder / f"epoch-{epoch:04d}.ckpt")
        if self._keep_best and _is_best(checkpoint.curve):
            _link(newest, self.folder / BEST)

    def _refused(self, error: OSError, verb: str) -> StoreError:
        return refused(error, Path(error.filename or self.folder), verb)


def _attempt(path: Path, digest: str) -> tuple[Checkpoint | None, str | None]:
    """The cell's state in a file, or None and how it is damaged; two times None where there is no file."""
    try:
        found = read_checkpoint(path)
    except DamagedCheckpointError as error:
        return None, error.what
    if found is not None:
        require_digest(found, digest, path=path)
    return found, None


def _none_is_whole(folder: Path, why_newest: str, why_previous: str) -> CheckpointError:
    what = f"No checkpoint is whole. {NEWEST}: {why_newest} {PREVIOUS}: {why_previous}"
    return CheckpointError(what, where=str(folder), fix=REMEDY)


def _is_there(path: Path) -> bool:
    """Whether there is such a file; `Path.exists` may say no where the disk only does not answer."""
    try:
        path.stat()
    except FileNotFoundError:
        return False
    return True


def _is_best(curve: tuple[CurvePoint, ...]) -> bool:
    """Whether the last epoch's score is above that of every epoch before it."""
    *before, last = (_tested(point) for point in curve) if curve else (None,)
    return last is not None and all(score is None or score < last for score in before)


def _tested(point: CurvePoint) -> float | None:
    scores = point.ema_miou_percent, point.miou_percent, point.ema_top1_percent, point.top1_percent
    return next((score for score in scores if score is not None), None)


def _link(path: Path, name: Path) -> None:
    """Give a file a second name in one step, or copy it where the file system has no hard links."""
    if name.exists() and name.samefile(path):
        return
    with replaced(name) as temporary:
        try:
            os.link(path, temporary)
        except OSError:
            _copy(path, temporary)


def _copy(path: Path, name: Path) -> None:
    with path.open("rb") as source, name.open("wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
        target.flush()
        os.fsync(target.fileno())
