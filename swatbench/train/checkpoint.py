"""The state of a training run after a whole step, in one file that is written at once or not at all.

A file is one line, the SHA-256 in hex of all that follows, and then what `torch.save` wrote. So a file that
was cut short or changed is known before anything in it is used, and told from one that the disk does not give
now and from one that another version wrote. The state goes to the disk tensor by tensor and is hashed on its
way: no second copy of a large model is ever held.
"""

import hashlib
import pickle
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader, FileIO
from pathlib import Path
from typing import Any, BinaryIO

import torch

from swatbench.errors import CheckpointError
from swatbench.out_of_memory import out_of_memory
from swatbench.store.archives import require_plain_archive
from swatbench.store.atomic import replacing
from swatbench.store.record import CurvePoint
from swatbench.store.refusal import refused

REMEDY = "Delete the folder to train this cell from the start."
"""What a user can do about checkpoints of which none can be used."""
_OTHER_VERSION = "Go on with that version, or delete the folder to train this cell from the start."
_HEX = 64


class DamagedCheckpointError(CheckpointError):
    """A checkpoint is cut short or changed: its SHA-256 is not the one that it states."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Everything that the next step depends on; the schedule and all randomness follow from its number.

    Attributes:
        digest: Digest of the cell.
        resumed: How often the run has been continued.
        curve: One point for each epoch done.
        step: Optimizer steps done in the run; the last of them may lie inside an epoch.
        losses: Mean loss of each step of the unfinished epoch.
        compute_s: Wall time of the unfinished epoch's steps so far, in seconds.
        data_s: Wall time spent waiting for its batches so far, in seconds.
        model: The model's `state_dict`.
        optimizer: The optimizer's `state_dict`.
        ema: `state_dict` of the weights' moving average; None where there is none.
        scaler: `state_dict` of the loss scaler; None where there is none.
    """

    digest: str
    resumed: int
    curve: tuple[CurvePoint, ...]
    step: int
    losses: tuple[float, ...]
    compute_s: float
    data_s: float
    model: dict[str, Any]
    optimizer: dict[str, Any]
    ema: dict[str, Any] | None
    scaler: dict[str, Any] | None


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint in place of the last one; whenever this is stopped, one of them is whole.

    Args:
        path: The file; its folder is made if need be.
        checkpoint: The state, on any device.

    Raises:
        StoreError: The file cannot be written, as when the disk is full; the last one is left as it was.
    """
    with replacing(path) as file:
        file.write(b"0" * _HEX + b"\n")
        payload = _Hashing(file)
        _save(checkpoint, payload)
        file.seek(0)
        file.write(payload.sha256.hexdigest().encode())


def read_checkpoint(path: Path) -> Checkpoint | None:
    """Read a checkpoint into the memory of the processor.

    Args:
        path: The file.

    Returns:
        The state, or None where there is no such file.

    Raises:
        DamagedCheckpointError: The file is cut short or changed.
        CheckpointError: The file is whole, but another version of swatbench or torch wrote it.
        StoreError: The disk does not give the file, which may well be whole.
    """
    try:
        with _reading(path) as file:
            _check_whole(file, path)
            return _load(file)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise refused(error, path, "read") from error
    except _FOREIGN as error:
        if out_of_memory(error):
            raise
        raise _foreign(path, error) from error


def require_digest(checkpoint: Checkpoint, digest: str, *, path: Path) -> None:
    """Refuse a checkpoint of another cell.

    Args:
        checkpoint: The state.
        digest: Digest of the cell that is to be trained.
        path: Where the state came from, for the message.

    Raises:
        CheckpointError: It belongs to another cell.
    """
    if checkpoint.digest != digest:
        what = f"The checkpoint belongs to cell {checkpoint.digest[:10]}, not to {digest[:10]}."
        raise CheckpointError(what, where=str(path), fix=REMEDY)


class _Hashing:
    """A file that hashes what is written, and remembers why it could not be: torch tells only that."""

    def __init__(self, file: BinaryIO) -> None:
        self.sha256 = hashlib.sha256()
        self.error: OSError | None = None
        self._file = file

    def write(self, data: bytes) -> int:
        try:
            written = self._file.write(data)
        except OSError as error:
            self.error = error
            raise
        self.sha256.update(data)
        return written

    def flush(self) -> None:
        self._file.flush()


class _Remembering(FileIO):
    """A file that remembers why it could not be read: torch may tell something else."""

    error: OSError | None = None

    def readinto(self, buffer: Any, /) -> int:
        try:
            return super().readinto(buffer)
        except OSError as error:
            self.error = error
            raise


@contextmanager
def _reading(path: Path) -> Iterator[BufferedReader]:
    """An open file; where the disk fails, that is the error, whatever was made of it."""
    disk = _Remembering(path)
    buffered: BufferedReader = BufferedReader(disk)
    with buffered:
        try:
            yield buffered
        finally:
            if disk.error is not None:
                raise refused(disk.error, path, "read") from disk.error


def _save(checkpoint: Checkpoint, file: _Hashing) -> None:
    state = {name: getattr(checkpoint, name) for name in Checkpoint.__slots__}
    state["curve"] = [point.model_dump() for point in checkpoint.curve]
    try:
        torch.save(state, file)  # pyright: ignore[reportArgumentType]  (it needs write and flush alone)
    except RuntimeError as error:
        if file.error is None:
            raise
        raise file.error from error


def _check_whole(file: BufferedReader, path: Path) -> None:
    stated = file.read(_HEX + 1)
    if stated != hashlib.file_digest(file, "sha256").hexdigest().encode() + b"\n":
        what = "The checkpoint is cut short or changed: its SHA-256 is not the stated one."
        raise DamagedCheckpointError(what, where=str(path), fix=REMEDY)


def _load(file: BufferedReader) -> Checkpoint:
    require_plain_archive(file)
    file.seek(_HEX + 1)
    # Everything is loaded to CPU memory; load_state_dict copies it to where the parameters are.
    state = torch.load(file, map_location="cpu", weights_only=True)
    curve = tuple(CurvePoint.model_validate(point) for point in state.pop("curve"))
    return Checkpoint(**state, curve=curve)


# What torch.load and pydantic raise on a file that is whole but of another kind.
_FOREIGN = (
    pickle.UnpicklingError,
    struct.error,
    EOFError,
    RuntimeError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
)


def _foreign(path: Path, error: Exception) -> CheckpointError:
    kind = type(error).__name__
    what = f"The checkpoint is whole, but another version of swatbench or torch wrote it ({kind})."
    return CheckpointError(what, where=str(path), fix=_OTHER_VERSION)
