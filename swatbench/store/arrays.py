"""Arrays in one `.npz` file whose bytes depend on the arrays alone, not on the time of writing."""

import io
import struct
import zipfile
from collections.abc import Collection, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from swatbench.regular_file import read_regular
from swatbench.store.archives import require_stored
from swatbench.store.atomic import write_bytes_atomic
from swatbench.store.refusal import damaged, refused

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The first moment that a zip file can name."""

_ENDING = ".npy"
_USUAL = b"\x93NUMPY\x01\x00"
"""How an array begins whose header is of version 1."""
_LENGTH = slice(8, 10)
"""Bytes that tell the length of what follows of such a header."""

_DAMAGE = (
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    SyntaxError,
    struct.error,
    zipfile.BadZipFile,
)
"""What numpy and zipfile raise on bytes that are no archive of arrays."""


def write_arrays(folder: Path, name: str, arrays: Mapping[str, np.ndarray]) -> str:
    """Write arrays to `folder/name`.

    Args:
        folder: The cell's folder.
        name: Name of the file, ending in `.npz`.
        arrays: Name → array of any shape; a name may contain `/`.

    Returns:
        SHA-256 of the file; equal arrays give equal digests.

    Raises:
        StoreError: The file cannot be written.
        ValueError: An array holds Python objects.
    """
    return write_bytes_atomic(folder / name, packed(arrays))


def packed(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The bytes of a file that holds these arrays.

    Args:
        arrays: Name → array of any shape; a name may contain `/`.

    Raises:
        ValueError: An array holds Python objects.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for key in sorted(arrays):
            info = zipfile.ZipInfo(f"{key}{_ENDING}", date_time=_EPOCH)
            with archive.open(info, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(arrays[key]), allow_pickle=False)
    return buffer.getvalue()


def read_arrays(path: Path, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """Read what `write_arrays` wrote; the arrays cannot be written to.

    Args:
        path: The file.
        names: Names of the arrays that are wanted; all where None.

    Raises:
        StoreError: The file is missing or damaged, holds Python objects, or lacks an array that is wanted.
    """
    try:
        content = read_regular(path)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            require_stored(archive, size_bytes=len(content))
            wanted = [name.removesuffix(_ENDING) for name in archive.namelist()] if names is None else names
            return {name: _array(archive.read(f"{name}{_ENDING}")) for name in wanted}
    except OSError as error:
        raise refused(error, path, "read") from error
    except _DAMAGE as error:
        raise damaged(path, str(error)) from error


def _array(content: bytes) -> np.ndarray:
    """The array of one member of the archive, without a copy where its header is of the usual version."""
    if content[: len(_USUAL)] != _USUAL:
        return np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    start = _LENGTH.stop + int.from_bytes(content[_LENGTH], "little")
    shape, column_major, dtype = _header(content[:start])
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    values = np.frombuffer(content, dtype, offset=start)
    return values.reshape(shape, order="F" if column_major else "C")


@lru_cache(maxsize=256)
def _header(content: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns come first, and type; kept, as many files share what numpy parses slowly."""
    file = io.BytesIO(content)
    np.lib.format.read_magic(file)
    return np.lib.format.read_array_header_1_0(file)
