"""A local folder that Hugging Face's `datasets` opens: parquet files, or a folder for each class."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from threading import RLock
from types import ModuleType
from typing import Any

import numpy as np
from timm.data import create_dataset

from swatbench.data.expected import Expected
from swatbench.data.files import ImageFiles, Listing, Pictures, digest_of
from swatbench.errors import DataError, first_line


def list_split(name: str, expected: Expected, *, cache: str | None) -> Listing:
    """List one split.

    Args:
        name: The folder, relative to the working folder; nothing is downloaded.
        expected: What there must be; its name may be a slice, as `train[:90%]`.
        cache: Folder in which `datasets` keeps its copy; its own if None.

    Raises:
        DataError: `datasets` or the folder is missing, or it cannot open the split.
    """
    if not Path(name).is_dir():
        fix = "Download it first, and write hfds/<its folder, from the working folder>."
        raise expected.refusal("the folder is missing, and nothing is downloaded", where=name, fix=fix)
    reader = _reader(name, expected, cache=cache)
    labels = _labels(reader, expected, where=name)
    names, sizes = _names_and_sizes(reader)
    empty = sum(size == 0 for size in sizes)
    if empty:
        why = f"{empty} of the {len(sizes)} images are empty or missing"
        raise expected.refusal(why, where=name, fix="Get the data again.")
    files = ImageFiles(
        name=expected.name,
        images=len(reader),
        digest=digest_of((str(name) for name in names), sizes, labels.tolist()),
        labels=labels,
        streamed=False,
        opener=lambda **_: Pictures(reader, name=expected.name),
        filenames=names.__getitem__,
    )
    return Listing(files=files, labels=labels, classes=tuple(reader.class_to_idx), where=name)


def _reader(name: str, expected: Expected, *, cache: str | None) -> Any:
    if find_spec("datasets") is None:
        raise DataError("Sources hfds/ need the package datasets.", fix="pip install 'swatbench[data]'")
    import datasets  # noqa: PLC0415  (takes a second, and is an extra)
    import pyarrow as pa  # noqa: PLC0415
    from datasets.exceptions import DatasetsError  # noqa: PLC0415

    with _quiet(datasets):
        try:
            # ./ keeps names like `parquet` from being taken for those of builders.
            dataset: Any = create_dataset(f"hfds/./{name}", root=cache, split=expected.name)
        except (
            DatasetsError,
            pa.ArrowException,
            OSError,
            ValueError,
            LookupError,
        ) as error:
            # The cause says what is wrong, where `datasets` only says that something is.
            reason = first_line(error.__cause__ or error).rstrip(".")
            why = f"it cannot be opened ({reason})"
            fix = "Correct the name of the split, or get the data again. Columns are `image` and `label`."
            raise expected.refusal(why, where=name, fix=fix) from error
    return dataset.reader


@contextmanager
def _quiet(datasets: ModuleType) -> Iterator[None]:
    """Keep bars and messages of `datasets` from the terminal: what is wrong becomes one error."""
    from tqdm import tqdm  # noqa: PLC0415  (comes with datasets)

    # Even a bar that is not shown makes a lock for processes, which a process that is ended leaves behind.
    tqdm.set_lock(RLock())
    level, bars = datasets.logging.get_verbosity(), datasets.is_progress_bar_enabled()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    datasets.disable_progress_bar()
    try:
        yield
    finally:
        datasets.logging.set_verbosity(level)
        if bars:
            datasets.enable_progress_bar()


def _labels(reader: Any, expected: Expected, *, where: str) -> np.ndarray:
    labels = np.asarray(reader.dataset.select_columns(reader.label_key)[:][reader.label_key])
    if not np.issubdtype(labels.dtype, np.integer):
        why = f"its labels are no whole numbers, but {labels.dtype}"
        raise expected.refusal(
            why, where=where, fix="Use a split whose `label` says the class of every image."
        )
    return labels.astype(np.int64)


def _names_and_sizes(reader: Any) -> tuple[list[str | None], list[int]]:
    """Last part of each image's name, and its size in bytes, without reading the images."""
    from pyarrow import compute  # noqa: PLC0415

    arrow: Any = compute
    column = reader.dataset.data.column(reader.image_key)
    paths = arrow.struct_field(column, "path").to_pylist()
    lengths = arrow.binary_length(arrow.struct_field(column, "bytes")).to_pylist()
    sizes = [_size(*row) for row in zip(lengths, paths, strict=True)]
    return [None if path is None else Path(path).name for path in paths], sizes


def _size(length: int | None, path: str | None) -> int:
    """Size of an image that is inside the table, or in a file of its own; 0 if it is in neither."""
    if length is not None:
        return length
    return Path(path).stat().st_size if path and Path(path).is_file() else 0
