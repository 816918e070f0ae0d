"""Arrays in one `.npz` file whose bytes depend on the arrays alone, not on the time of writing."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from swatbench.store.atomic import write_bytes_atomic
from swatbench.store.refusal import damaged, refused

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The first moment that a zip file can name."""

_DAMAGE = (ValueError, TypeError, KeyError, EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile)
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
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for key in sorted(arrays):
            info = zipfile.ZipInfo(f"{key}.npy", date_time=_EPOCH)
            with archive.open(info, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(arrays[key]), allow_pickle=False)
    return write_bytes_atomic(folder / name, buffer.getvalue())


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read what `write_arrays` wrote.

    Raises:
        StoreError: The file is missing or damaged, or holds Python objects.
    """
    try:
        # numpy leaves a file that it opened itself open when the archive is damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except OSError as error:
        raise refused(error, path, "read") from error
    except _DAMAGE as error:
        raise damaged(path, str(error)) from error
