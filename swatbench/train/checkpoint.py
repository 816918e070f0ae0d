"""The state of a training run after a whole epoch, in one file that is written at once or not at all.

A file is one line, the SHA-256 in hex of all that follows, and then what `torch.save` wrote. So a file that
was cut short or changed is known before anything in it is used.
"""

import hashlib
import io
import pickle
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from swatbench.errors import CheckpointError
from swatbench.store.atomic import write_bytes_atomic
from swatbench.store.record import CurvePoint

_REMEDY = "Delete the file to train this cell from the start."


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Everything that the next epoch depends on; the schedule and all randomness follow from the epoch.

    Attributes:
        digest: Digest of the cell.
        resumed: How often the run has been continued.
        curve: One point for each epoch done.
        model: The model's `state_dict`.
        optimizer: The optimizer's `state_dict`.
    """

    digest: str
    resumed: int
    curve: tuple[CurvePoint, ...]
    model: dict[str, Any]
    optimizer: dict[str, Any]


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint in place of the last one; whenever this is stopped, one of them is whole.

    Args:
        path: The file; its folder is made if need be.
        checkpoint: The state.

    Raises:
        StoreError: The file cannot be written.
    """
    payload = _pack(checkpoint)
    write_bytes_atomic(path, hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload)


def read_checkpoint(path: Path) -> Checkpoint | None:
    """Read a checkpoint.

    Args:
        path: The file.

    Returns:
        The state, or None where there is no such file.

    Raises:
        CheckpointError: The file is damaged.
    """
    try:
        stated, _, payload = path.read_bytes().partition(b"\n")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _damaged(path, f"cannot be read ({error.strerror})") from error
    if stated != hashlib.sha256(payload).hexdigest().encode():
        raise _damaged(path, "is cut short or changed: its SHA-256 is not the stated one")
    try:
        return _unpack(payload)
    except _FOREIGN as error:
        raise _damaged(path, f"was written by another version ({type(error).__name__})") from error


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
        raise CheckpointError(what, where=str(path), fix=_REMEDY)


def _pack(checkpoint: Checkpoint) -> bytes:
    state = {
        "digest": checkpoint.digest,
        "resumed": checkpoint.resumed,
        "curve": [point.model_dump() for point in checkpoint.curve],
        "model": checkpoint.model,
        "optimizer": checkpoint.optimizer,
    }
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def _unpack(payload: bytes) -> Checkpoint:
    # Everything is loaded to CPU memory; load_state_dict copies it to where the parameters are.
    state = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
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


def _damaged(path: Path, why: str) -> CheckpointError:
    return CheckpointError(f"The checkpoint {why}.", where=str(path), fix=_REMEDY)
