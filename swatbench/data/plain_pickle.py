"""Pickles of plain values, read without running or trusting anything in them.

Python's C unpickler reserves tens of gigabytes for one wrong bit, and numpy can be brought to crash by what a
pickle tells it about an array. So this reads with the unpickler written in Python, calls nothing that a file
names, and keeps what it says about an array as it stands until `PlainArray.to_numpy` has checked it.
"""

import io
import struct
from collections.abc import Callable, Mapping
from pickle import UnpicklingError, _Unpickler
from types import MappingProxyType
from typing import Any

import numpy as np


class PlainArray:
    """What a pickle says about a numpy array, unchecked."""

    def __init__(self, *_: object) -> None:
        self._state: object = None

    def __setstate__(self, state: object) -> None:
        self._state = state

    def to_numpy(self) -> np.ndarray | None:
        """The array, where it is one of uint8 in C order and complete; otherwise None."""
        match self._state:
            case (1, tuple(shape), PlainType(code="u1" | "|u1"), False | 0, str() | bytes() as raw):
                data = raw.encode("latin1") if isinstance(raw, str) else raw
            case _:
                return None
        if any(type(n) is not int or n < 0 for n in shape) or np.prod(shape, dtype=object) != len(data):
            return None
        return np.frombuffer(bytearray(data), dtype=np.uint8).reshape(shape)


class PlainType:
    """What a pickle says about the type of an array's numbers: its code and nothing else."""

    def __init__(self, code: object = None, *_: object) -> None:
        self.code = code

    def __setstate__(self, state: object) -> None:
        """Byte order and fields, of which a uint8 has none."""


def load_plain(content: bytes) -> object:
    """Read a pickle of dicts, lists, tuples, text, bytes, numbers and uint8 arrays.

    Args:
        content: The whole file, of protocol 0 to 4, by Python 2 or 3. Python 2's byte strings become str.

    Returns:
        The value, with a `PlainArray` in place of each array.

    Raises:
        ValueError: The content is no whole pickle of such values.
    """
    try:
        return _Plain(io.BytesIO(content), encoding="latin1").load()
    except _DAMAGE as error:
        raise ValueError(str(error) or type(error).__name__) from error


class _Encode:
    """Stands in for codecs.encode, which Python 3 names in old protocols to hold bytes.

    An object without attributes, since a pickle may set those of whatever it names.
    """

    __slots__ = ()

    def __call__(self, text: str, encoding: str) -> bytes:
        if encoding != "latin1":
            raise UnpicklingError(f"the encoding {encoding!r} is not expected")
        return text.encode("latin1")


_STAND_INS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "numpy.core.multiarray._reconstruct": PlainArray,
        "numpy._core.multiarray._reconstruct": PlainArray,
        "numpy.ndarray": PlainArray,
        "numpy.dtype": PlainType,
        "_codecs.encode": _Encode(),
    }
)


class _Plain(_Unpickler):
    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        if f"{module}.{name}" not in _STAND_INS:
            raise UnpicklingError(f"it asks to call {module}.{name}")
        return _STAND_INS[f"{module}.{name}"]


# What the unpickler is known to raise on bytes that are no whole pickle.
_DAMAGE = (
    UnpicklingError,
    struct.error,
    EOFError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,
    MemoryError,
    RecursionError,
    AssertionError,
    NotImplementedError,
)
