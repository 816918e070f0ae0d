"""Weights in a file: read without running anything in it, and fitted to a model whole or not at all.

`.safetensors` is the better format: it holds tensors and nothing else. Of torch's own files nothing but
tensors is read, and what would run code is refused. Floating-point numbers of any usual precision become the
model's own; integers do not become parameters.
"""

import argparse
import pickle
import re
import struct
import tarfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.models import clean_state_dict
from torch import Tensor, nn
from torch.serialization import safe_globals

from swatbench.errors import CheckpointError, first_line
from swatbench.store.archives import require_plain_archive

PRECISIONS: Final = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
"""Precisions that become the model's own; those of 8 bits mean nothing without their scales."""
NAMED: Final = 3
"""Tensors that a message names; the rest are counted."""
SAFE = ".safetensors"
PREFER = "Get the file again, or write its tensors as .safetensors."
"""What to do about a file that cannot be read."""
OTHER_FORM: Final = (".npz", ".npy", ".h5", ".onnx", ".pkl", ".gguf", ".msgpack")
"""Endings of files that hold weights in other ways."""

_WRAPPED: Final = ("state_dict", "model")
"""Keys under which training scripts keep a state dict."""
_MEANINGS: Final[Mapping[str, str]] = {
    "legacy .tar format": "it is of torch's old .tar form, which cannot be read safely",
    "TorchScript": "it is a program (TorchScript) and no weights",
    "PytorchStreamReader": "it is cut short or damaged",
    "Attempted to read a PyTorch file with version": "another version of torch wrote it",
    "allocate memory": "it states more numbers than memory can hold",
}
"""Part of what torch says → what it means."""
_UNUSABLE = (
    OSError,
    RuntimeError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    EOFError,
    MemoryError,
    ImportError,
    SafetensorError,
    pickle.UnpicklingError,
    tarfile.TarError,
    struct.error,
)
"""What torch, safetensors and timm raise on bytes that are no weights."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by their names, in CPU memory.

    What wraps a state dict (`state_dict`, `model`) and the prefixes of wrapped models are taken off.

    Args:
        path: A `.safetensors` file, or one that `torch.save` wrote.

    Raises:
        CheckpointError: There is no such file, or it is cut short, damaged, of another form or larger than it
            should be, or holds something else than tensors; nothing in it was run.
    """
    with _refusing(path):
        if path.suffix in OTHER_FORM:
            raise ValueError(f"they are read from .safetensors files or torch's own, not from {path.suffix}")
        return _tensors(load_file(path) if path.suffix == SAFE else _load(path))


def fit_weights(
    model: nn.Module,
    state: Mapping[str, Tensor],
    *,
    where: str,
    of: str,
    on_note: Callable[[str], object] = lambda note: None,  # noqa: ARG005
) -> None:
    """Give a model all of its tensors, or refuse them and leave it as it was.

    Args:
        model: The model.
        state: Its tensors.
        where: Where they came from, for errors.
        of: What the model is, in words.
        on_note: Told of numbers that were converted.

    Raises:
        CheckpointError: Tensors are missing, too many, of other shapes, of other types or not finite.
    """
    own = model.state_dict()
    wrong = _differences(own, state)
    if wrong:
        raise CheckpointError(f"These are no weights of {of}: {wrong}.", where=where, fix=_advice(state))
    require_finite({name: state[name].to(own[name].dtype) for name in own}, where=where)
    model.load_state_dict(dict(state))
    note_conversions(own, state, on_note)


def note_conversions(
    own: Mapping[str, Tensor], state: Mapping[str, Tensor], on_note: Callable[[str], object]
) -> None:
    """Say of which precisions some tensors are that a model keeps in its own."""
    converted = sorted({_short(state[name]) for name in own if state[name].dtype != own[name].dtype})
    if converted:
        on_note(f"Weights in {' and '.join(converted)} were converted to float32.")


def of_other_types(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> list[str]:
    """Tensors that do not become a model's, each with its type: integers for floating point, say."""
    shared = (name for name in own if name in state)
    return [f"{name} {_short(state[name])}" for name in shared if not _becomes(state[name], own[name])]


def require_finite(state: Mapping[str, Tensor], *, where: str) -> None:
    """Refuse tensors that hold NaN or infinity.

    Raises:
        CheckpointError: Some do; a few are named.
    """
    bad = [name for name, value in state.items() if value.is_floating_point() and not value.isfinite().all()]
    if bad:
        raise CheckpointError(
            f"{told(bad)} of these weights hold NaN or infinity as float32.",
            where=where,
            fix="The training that wrote them diverged; take an earlier checkpoint.",
        )


def told(names: list[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"


def _load(path: Path) -> Any:
    with path.open("rb") as file:
        require_plain_archive(file)
    # timm's own checkpoints hold their arguments, which are plain values.
    with warnings.catch_warnings(), safe_globals([argparse.Namespace]):
        warnings.simplefilter("ignore")  # about pickles that are refused in the next moment
        return torch.load(path, map_location="cpu", weights_only=True)


def _differences(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str:
    shared = [name for name in own if name in state]
    clauses = {
        "they lack": [name for name in own if name not in state],
        "they hold besides": [name for name in state if name not in own],
        "other shapes have": [
            f"{name} {tuple(state[name].shape)} for {tuple(own[name].shape)}"
            for name in shared
            if state[name].shape != own[name].shape
        ],
        "other types have": of_other_types(own, state),
    }
    return "; ".join(f"{clause} {told(names)}" for clause, names in clauses.items() if names)


def _becomes(given: Tensor, own: Tensor) -> bool:
    return given.dtype in PRECISIONS if own.is_floating_point() else given.dtype == own.dtype


def _short(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")


def _advice(state: Mapping[str, Tensor]) -> str:
    fix = "Name the model that they are of, or weights of this one."
    return fix if state else f"The file holds no tensor. {fix}"


def _tensors(found: Any) -> dict[str, Tensor]:
    """A state dict of plain tensors; anything else in it is refused by name."""
    state = next((found[key] for key in _WRAPPED if isinstance(found, Mapping) and key in found), found)
    if not isinstance(state, Mapping):
        raise TypeError(f"they hold a {type(state).__name__} and no state dict")
    other = [str(name)[:60] for name, value in state.items() if not (isinstance(name, str) and _plain(value))]
    if other:
        raise TypeError(f"of their entries {told(other)} are no plain tensors")
    return {name: value.detach() for name, value in clean_state_dict(dict(state)).items()}


def _plain(value: Any) -> bool:
    """Whether a value is a dense tensor in memory; sparse, quantized and empty-shelled ones are none."""
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
    )


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Turn whatever a bad file brings about into one sentence."""
    try:
        yield
    except FileNotFoundError as error:
        fix = "Correct the path; of a trained cell, delete its record.json and run the suite again."
        raise CheckpointError("The weights are not there.", where=str(path), fix=fix) from error
    except _UNUSABLE as error:
        raise CheckpointError(
            f"These weights cannot be read: {_reason(error)}.", where=str(path), fix=PREFER
        ) from error


def _reason(error: Exception) -> str:
    """What is wrong in our words: torch's are long, and advise to trust the file."""
    said = str(error)
    asked = re.search(r"GLOBAL:? ?`?([\w.]{1,80})", said)
    if isinstance(error, pickle.UnpicklingError):
        if asked:
            return f"it is a pickle that asks for {asked[1]}, and nothing in it was run"
        return "it is no file of tensors, or is damaged"
    known = (words for mark, words in _MEANINGS.items() if mark in said)
    return next(known, first_line(error)[:300].rstrip(".: "))
