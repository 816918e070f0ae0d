"""The files of a cell: written atomically, read with their digests checked.

Layout: `results/<suite>/<machine>/<cell id>/{record.json, curve.jsonl, predictions.npz, samples.npz, ...}`;
see `record.py` for what each holds.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from swatbench.errors import StoreError
from swatbench.regular_file import read_regular
from swatbench.store.arrays import read_arrays, write_arrays
from swatbench.store.atomic import write_bytes_atomic
from swatbench.store.cost import ModuleCost, Spent
from swatbench.store.record import CurvePoint, Record
from swatbench.store.refusal import damaged, refused
from swatbench.store.rows import read_rows
from swatbench.store.upgrade import NewerRecordError, upgrade

__all__ = [
    "BREAKDOWN",
    "CURVE",
    "MASKS",
    "MODULES",
    "PREDICTIONS",
    "PREDICTIONS_RAW",
    "RECORD",
    "SAFE",
    "SAMPLES",
    "Listing",
    "Stored",
    "cell_folder",
    "finished_record",
    "packed_record",
    "read_record",
    "read_suite",
    "write_arrays",
    "write_record",
]

RECORD = "record.json"
CURVE = "curve.jsonl"
PREDICTIONS = "predictions.npz"
PREDICTIONS_RAW = "predictions-raw.npz"
MASKS = "masks.npz"
SAMPLES = "samples.npz"
MODULES = "modules.jsonl"
BREAKDOWN = "breakdown.jsonl"

SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}\Z")
"""Names that may be a folder's; no other is looked for or made."""


def cell_folder(results: Path, suite: str, machine: str, cell_id: str) -> Path:
    """The folder of a cell, which need not exist.

    Args:
        results: Root of all results.
        suite: Name of the suite.
        machine: Name of the machine (`provenance.machine_slug`).
        cell_id: Name of the cell.

    Raises:
        ValueError: A name is no safe folder name.
    """
    for name in (suite, machine, cell_id):
        if not SAFE.match(name):
            raise ValueError(f"{name!r} is no folder name: letters, digits, '.', '_' and '-' only")
    return results / suite / machine / cell_id


def write_record(folder: Path, record: Record) -> Path:
    """Write a cell's record; the other files of the cell come first, so that a record stands for all of them.

    Args:
        folder: The cell's folder.
        record: The record.

    Returns:
        The file that was written.

    Raises:
        StoreError: The file cannot be written.
        ValueError: A number is not finite.
    """
    write_bytes_atomic(folder / RECORD, packed_record(record))
    return folder / RECORD


def packed_record(record: Record) -> bytes:
    """The bytes of a record's file.

    Args:
        record: The record.

    Raises:
        ValueError: A number is not finite.
    """
    # Pydantic's own JSON writes null where a number is not finite; json refuses.
    text = json.dumps(record.model_dump(), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()


def read_record(path: Path) -> Record:
    """Read a record, of the present layout or an older one.

    Args:
        path: A `record.json`.

    Raises:
        StoreError: The file is missing, damaged, or of a newer layout.
    """
    content = _read(path)
    return _at_once(content) or _step_by_step(path, content)


def _at_once(content: bytes) -> Record | None:
    """A record of the present layout, read in one pass; None for anything else, damaged or older."""
    # Pydantic takes these for numbers; inside a text they cost a second look and no more.
    if b"NaN" in content or b"Infinity" in content:
        return None
    try:
        record = Record.model_validate_json(content)
    except ValidationError:
        return None
    return record if "schema_version" in record.model_fields_set else None


def _step_by_step(path: Path, content: bytes) -> Record:
    """A record of whatever layout, brought to the present one, or what is wrong with it."""
    try:
        values = json.loads(content, parse_constant=_refuse)
        if not isinstance(values, dict):
            raise TypeError("it holds no JSON object")  # noqa: TRY301  one place tells all kinds of damage
        return Record.model_validate_json(json.dumps(upgrade(values, where=str(path))))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the record"
        raise damaged(path, f"{place}: {first['msg']}") from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise damaged(path, str(error)) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One cell as it lies on disk; raw data are read when asked for.

    Attributes:
        record: The cell's record.
        folder: The cell's folder.
    """

    record: Record
    folder: Path

    def curve(self) -> tuple[CurvePoint, ...]:
        """The training curve.

        Raises:
            StoreError: The file is missing or damaged.
        """
        return read_rows(self.folder / CURVE, CurvePoint)

    def modules(self) -> tuple[ModuleCost, ...]:
        """Parameters and MACs by module; nothing where none were kept.

        Raises:
            StoreError: The file is missing or damaged.
        """
        return read_rows(self.folder / MODULES, ModuleCost) if MODULES in self.record.files else ()

    def breakdown(self) -> tuple[Spent, ...]:
        """Where the time goes; nothing where that was not asked.

        Raises:
            StoreError: The file is missing or damaged.
        """
        return read_rows(self.folder / BREAKDOWN, Spent) if BREAKDOWN in self.record.files else ()

    def predictions(self) -> dict[str, np.ndarray]:
        """One entry a test image: label, predicted, margin, loss; of segmentation counts of pixels by class.

        Raises:
            StoreError: The file is missing or damaged.
        """
        return read_arrays(self.folder / PREDICTIONS)

    def masks(self) -> dict[str, np.ndarray]:
        """Pictures, masks and predicted masks of a few test images, or nothing where none were kept.

        Raises:
            StoreError: The file is missing or damaged.
        """
        return read_arrays(self.folder / MASKS) if MASKS in self.record.files else {}

    def samples(self) -> dict[str, np.ndarray]:
        """Seconds per call, one entry a round (`record.CostResult` names the arrays).

        Raises:
            StoreError: The file is missing or damaged.
        """
        return read_arrays(self.folder / SAMPLES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """All cells of a suite that have a record.

    Attributes:
        finished: Cells with a result.
        failed: Cells whose last run failed.
        damaged: Records that cannot be used, each with the reason.
    """

    finished: tuple[Stored, ...]
    failed: tuple[Stored, ...]
    damaged: tuple[tuple[Path, str], ...]


def read_suite(results: Path, suite: str) -> Listing:
    """List the cells of a suite on all machines, by folder; a damaged record does not hide the others.

    Args:
        results: Root of all results.
        suite: Name of the suite.

    Raises:
        StoreError: The suite has no folder of results; the nearest names are given.
    """
    root = results / suite
    if not SAFE.match(suite) or not root.is_dir():
        raise StoreError(
            f"There are no results of suite {suite!r}.", where=str(results), fix=_known(results, suite)
        )
    finished: list[Stored] = []
    failed: list[Stored] = []
    unusable: list[tuple[Path, str]] = []
    for path in sorted(root.glob(f"*/*/{RECORD}")):
        try:
            stored = Stored(record=read_record(path), folder=path.parent)
            _check_place(path.parent)
            _check_files(stored)
        except StoreError as error:
            unusable.append((path, error.what))
        else:
            (finished if stored.record.status == "finished" else failed).append(stored)
    return Listing(finished=tuple(finished), failed=tuple(failed), damaged=tuple(unusable))


def finished_record(folder: Path, digest: str) -> Record | None:
    """The record of a cell that need not run again.

    Args:
        folder: The cell's folder.
        digest: Digest of the cell as it is asked for now.

    Returns:
        The record if it is finished, has this digest, and all its files are whole; else None.

    Raises:
        NewerRecordError: A newer swatbench wrote the record; running the cell would overwrite it.
    """
    try:
        stored = Stored(record=read_record(folder / RECORD), folder=folder)
        _check_files(stored)
    except NewerRecordError:
        raise
    except StoreError:
        return None
    same = stored.record.status == "finished" and stored.record.digest == digest
    return stored.record if same else None


def _check_place(folder: Path) -> None:
    for name in (folder.parent.name, folder.name):
        if not SAFE.match(name):
            raise damaged(folder / RECORD, f"its folder's name {name!r} is none that swatbench writes")


def _check_files(stored: Stored) -> None:
    for name, digest in stored.record.files.items():
        path = stored.folder / name
        if hashlib.sha256(_read(path)).hexdigest() != digest:
            raise damaged(path, f"{name} is not the file that the record was written with")


def _read(path: Path) -> bytes:
    try:
        return read_regular(path)
    except OSError as error:
        raise refused(error, path, "read") from error


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number")


def _known(results: Path, suite: str) -> str:
    names = sorted(one.name for one in results.iterdir() if one.is_dir()) if results.is_dir() else []
    near = get_close_matches(suite, names, n=1, cutoff=0.5) or names
    return f"There are results of: {', '.join(near)}." if near else "Run the suite first (swatbench run)."
