"""Tar shards as webdataset keeps them: for each image two members, `<key>.jpg` and `<key>.cls`.

Before anything is trained the headers of all members are read, and the labels, which are a few bytes each.
"""

import logging
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from timm.data import create_dataset

from swatbench.data.expected import Expected, listed
from swatbench.data.files import ImageFiles, Listing, digest_of
from swatbench.errors import DataError

IMAGE_SUFFIXES = frozenset({"jpg", "png", "webp"})
"""Suffixes under which timm's reader looks for the image."""
MOST_LABEL_BYTES = 1_000
"""Most bytes of a label, which is a number."""
AGAIN = "Get these shards again."


class DamagedShardError(ValueError):
    """A shard cannot be read as images with labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """What the headers of one shard tell.

    Attributes:
        keys: Name of every image, without its suffix.
        sizes: Size of every image file in bytes.
        labels: Label of every image.
        ends: Whether the mark is there that closes a tar file.
    """

    keys: tuple[str, ...]
    sizes: tuple[int, ...]
    labels: tuple[int, ...]
    ends: bool


def list_split(source: str, root: Path, expected: Expected) -> Listing:
    """List one split.

    Args:
        source: `wds/<any name>`.
        root: Folder of the shards and their `_info.json`.
        expected: What there must be; its name is a split of `_info.json`, or a pattern as
            `train-{0000..0003}.tar|1000`.

    Raises:
        DataError: webdataset, the split or a shard is missing, or a shard is damaged.
    """
    if find_spec("webdataset") is None:
        raise DataError("Sources wds/ need the package webdataset.", fix="pip install 'swatbench[data]'")
    if not root.is_dir():
        raise expected.refusal("the folder is missing", where=str(root), fix="Correct data.root.")
    info = _split_info(source, root, expected)
    shards = _shards(root, info.filenames, expected)
    files = _files(source, root, shards, expected)
    return Listing(
        files=files,
        labels=np.array([label for shard in shards.values() for label in shard.labels], dtype=np.int64),
        classes=(),
        where=str(root),
        hint=_hint(shards, info),
    )


def _split_info(source: str, root: Path, expected: Expected) -> Any:
    """What timm makes of the split's name: its shards, and how many images it is said to have."""
    try:
        info = _open(source, root, expected.name, images=expected.images).reader.split_info
    except (RuntimeError, ValueError, LookupError, TypeError, AttributeError) as error:
        why = f"no such split can be made out ({error})"
        fix = "Write a split of _info.json, or a pattern as train-{0000..0003}.tar|1000."
        raise expected.refusal(why, where=str(root / "_info.json"), fix=fix) from error
    if info.alt_label:
        why = f"its labels are in JSON ({info.alt_label}), not in .cls members"
        raise expected.refusal(why, where=str(root), fix="Write the shards with .cls members.")
    if info.num_samples not in (0, expected.images):
        why = f"the split is said to have {info.num_samples} images"
        raise expected.refusal(why, where=str(root), fix="Correct the count in the suite, or the split's.")
    return info


def _open(source: str, root: Path, split: str, *, images: int, training: bool = False, **options: Any) -> Any:
    # webdataset would run what follows `pipe:` at the beginning of a name.
    stream: Any = create_dataset(
        source, root=str(root.absolute()), split=split, is_training=training, num_samples=images, **options
    )
    if not training:
        # Left alone, timm deals out the shards of a test among processes, and makes up what is uneven.
        stream.reader.dist_rank, stream.reader.dist_num_replicas = 0, 1
    return stream


def _shards(root: Path, names: list[str], expected: Expected) -> dict[str, Shard]:
    missing = [name for name in names if not (root / name).is_file()]
    if missing or not names:
        why = f"{len(missing)} of {len(names)} shards are missing ({listed(missing)})"
        raise expected.refusal(why, where=str(root), fix=AGAIN)
    found, damaged = {}, []
    for name in names:
        try:
            found[name] = _shard(root / name)
        except DamagedShardError as error:
            damaged.append(f"{name}: {error}")
    if damaged:
        why = f"{len(damaged)} of {len(names)} shards are cut short or damaged ({listed(damaged)})"
        raise expected.refusal(why, where=str(root), fix=AGAIN)
    return found


def _shard(path: Path) -> Shard:
    about = path.stat()
    return read_shard(path, about.st_size, about.st_mtime_ns)


@cache
def read_shard(path: Path, size_bytes: int, changed_ns: int) -> Shard:  # noqa: ARG001
    """Read the headers of one shard, and its labels.

    Args:
        path: The shard.
        size_bytes: Its size; a file of another size is read anew.
        changed_ns: Time of its last change, likewise.

    Raises:
        DamagedShardError: It is no tar file, ends too early, or holds something else than images with labels.
    """
    try:
        with tarfile.open(path, "r:") as shard:
            members = list(_members(shard))
            file: Any = shard.fileobj
            file.seek(shard.offset)
            rest = file.read(tarfile.BLOCKSIZE)
    except (tarfile.TarError, OSError) as error:
        raise DamagedShardError(str(error)) from error
    if rest.strip(b"\0"):
        raise DamagedShardError("no header where one should be")
    samples = [_sample(key, [*parts]) for key, parts in groupby(members, key=lambda member: member[0])]
    keys, sizes, labels = zip(*samples, strict=True) if samples else ((), (), ())
    return Shard(keys=keys, sizes=sizes, labels=labels, ends=bool(rest))


def _members(shard: Any) -> Iterator[tuple[str, str, int, bytes]]:
    """Key, suffix, size and, of labels, the content of all that webdataset takes for parts of samples."""
    from webdataset.tariterators import base_plus_ext  # noqa: PLC0415  (an extra)

    while (member := shard.next()) is not None:
        shard.members = []  # or all headers stay in memory
        key, suffix = base_plus_ext(member.name)
        if key is None or suffix is None or not member.isreg() or member.name.startswith("__"):
            continue
        if member.issparse() or (suffix == "cls" and member.size > MOST_LABEL_BYTES):
            raise DamagedShardError(f"{member.name} is sparse, or too large for a label")
        content = shard.extractfile(member).read() if suffix == "cls" else b""
        yield key, suffix.lower(), member.size, content


def _sample(key: str, parts: list[tuple[str, str, int, bytes]]) -> tuple[str, int, int]:
    """Key, size and label of one image."""
    images = [size for _, suffix, size, _ in parts if suffix in IMAGE_SUFFIXES]
    labels = [content for _, suffix, _, content in parts if suffix == "cls"]
    if len(images) != 1 or len(labels) != 1:
        raise DamagedShardError(f"{key} has {len(images)} images and {len(labels)} labels, not one of each")
    if images[0] == 0:
        raise DamagedShardError(f"the image {key} is empty")
    try:
        return key, images[0], int(labels[0])
    except ValueError as error:
        raise DamagedShardError(f"the label of {key} is no number") from error


def _files(source: str, root: Path, shards: dict[str, Shard], expected: Expected) -> ImageFiles:
    n = sum(len(shard.keys) for shard in shards.values())
    about = [(name, (root / name).stat().st_size, len(shard.keys)) for name, shard in shards.items()]
    about += [
        row for shard in shards.values() for row in zip(shard.keys, shard.sizes, shard.labels, strict=True)
    ]
    # One byte string each: a tuple of str takes three times the memory.
    names = np.array([key.rpartition("/")[2].encode() for shard in shards.values() for key in shard.keys])

    return ImageFiles(
        name=expected.name,
        images=n,
        digest=digest_of(*zip(*about, strict=True)),
        labels=None,
        streamed=True,
        opener=partial(_open, source, root, expected.name, images=n),
        filenames=lambda index: f"{names[index].decode()}.JPEG",
    )


def _hint(shards: dict[str, Shard], info: Any) -> str:
    """Which shards are not whole, to be said if images are missing."""
    said = dict(zip(info.filenames, info.shard_lengths, strict=False))
    short = [
        f"{name}: {len(shard.keys)} of {said[name]}"
        for name, shard in shards.items()
        if said.get(name, len(shard.keys)) != len(shard.keys)
    ]
    short = short or [f"{name} has no end" for name, shard in shards.items() if not shard.ends]
    return f" ({listed(short)})" if short else ""


def _is_news(record: logging.LogRecord) -> bool:
    # That there is no _info.json is none beside a pattern, and an error of ours without one.
    return not record.getMessage().startswith("Dataset info file not found")


logging.getLogger("timm.data.readers.reader_wds").addFilter(_is_news)
