"""One worker's share of tar shards, read from end to end by timm's reader."""

import io
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from swatbench.data.decode import UNREADABLE, opened, to_rgb
from swatbench.data.files import ImageFiles, undecodable
from swatbench.data.tars import IMAGE_SUFFIXES

Sample = dict[str, Any]
"""What webdataset reads of an image: its name, its shard, and its members."""
_DAMAGE: Final = (*UNREADABLE, tarfile.TarError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Which of the shards a worker reads, and in what order.

    Attributes:
        worker: Number of the worker over all processes.
        workers: Workers of all processes.
        shard_seed: Seed of the order of shards, the same for all workers.
        image_seed: Seed of the order of this worker's images.
        first: Number of the first image that is decoded.
        every: Only every so many-th image from there on is decoded.
        passed: Of these, so many at the beginning are given as they were read, not decoded.
    """

    worker: int = 0
    workers: int = 1
    shard_seed: int = 0
    image_seed: int = 0
    first: int = 0
    every: int = 1
    passed: int = 0


def reader_of(files: ImageFiles) -> Any:
    """What timm reads the shards by."""
    dataset: Any = files.open(training=True)
    return dataset.reader


def shard_count(files: ImageFiles) -> int:
    """How many shards there are."""
    return len(reader_of(files).split_info.filenames)


def read_share(
    files: ImageFiles, share: Share, *, training: bool, batch_size: int = 1
) -> Iterator[tuple[Any, int]]:
    """Images and labels of a worker's share, from the beginning; no label but -1 where nothing is decoded.

    timm's reader logs and leaves out what it cannot decode; here that is an error, since all that
    follow would move up.

    Args:
        files: The split.
        share: What to read of it.
        training: Whether shards and images are shuffled; such a share does not end before it has given its
            part of the split.
        batch_size: That part is rounded up to a multiple of so many images.

    Raises:
        DataError: A shard or an image in it cannot be read.
    """
    dataset: Any = files.open(training=training, seed=share.shard_seed, batch_size=batch_size)
    reader = dataset.reader
    reader.common_seed, reader.worker_seed = share.shard_seed, share.image_seed
    # What timm would take from torch's workers and processes, where a share is to depend on itself alone.
    reader.worker_info = share
    reader.num_workers, reader.worker_id = share.workers, share.worker
    reader.dist_num_replicas, reader.dist_rank = 1, 0
    reader._lazy_init()  # noqa: SLF001 (the stages are made there and nowhere else)
    last = _watch(reader.ds.pipeline, share)
    try:
        yield from reader
    except _DAMAGE as error:
        why = error.args[0] if error.args else type(error).__name__  # webdataset adds files to args
        raise undecodable(f"Image {last() or 'after image 0'} of {files.name}", why, where=None) from error


def _watch(stages: list[Any], share: Share) -> Callable[[], str]:
    """Let errors through a pipeline, keep what is asked for, and return what names the last sample."""
    reading, decoding = (place for place, stage in enumerate(stages) if "handler" in getattr(stage, "kw", {}))
    stages[reading] = _read_shards
    stages[decoding].kw["handler"] = _raise
    stages[decoding].args = (_later(_decoded, share.passed),)
    seen = [""]

    def note(samples: Iterator[Sample]) -> Iterator[Sample]:
        for sample in islice(samples, share.first, None, share.every):
            shard = str(sample["__url__"]).rpartition("/")[2]
            seen[0] = f"{sample['__key__']} in {shard}"
            yield sample

    stages.insert(decoding, note)
    return lambda: seen[0]


def _decoded(sample: Sample) -> Sample:
    """An image and its label, as timm's own stage gives them; but decoded as all others are here."""
    content = next(sample[suffix] for suffix in IMAGE_SUFFIXES if suffix in sample)
    with opened(io.BytesIO(content)) as picture:
        return {"jpg": to_rgb(picture), "target": int(sample["cls"]), "json": None}


def _later(decode: Callable[[Sample], Sample], passed: int) -> Callable[[Sample], Sample]:
    """Decode what comes after so many samples, also where the shards are read more than once."""
    left = iter(range(passed))
    return lambda sample: decode(sample) if next(left, None) is None else {**sample, "target": -1}


def _read_shards(urls: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Samples of the shards, as webdataset's own stage gives them; but files are closed."""
    from webdataset import tariterators  # noqa: PLC0415  (an extra)

    members = tariterators.tar_file_expander(_closing(tariterators.url_opener(urls)))
    yield from tariterators.group_by_keys(members)


def _closing(shards: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for shard in shards:
        with shard["stream"]:
            yield shard


def _raise(error: Exception) -> bool:
    raise error
