"""A comparison on one set of images → rows: all seeds together, then each pair of checkpoints.

Of classification each pair of checkpoints has McNemar's test; of masks it has the bootstrap's interval.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from swatbench.report import words
from swatbench.report.accuracy import Accuracy
from swatbench.report.comparison import Comparison
from swatbench.report.families import ALPHA, Adjusted
from swatbench.report.metric import Metric, Task
from swatbench.report.record_links import records_of
from swatbench.report.section import Section
from swatbench.report.table import Column
from swatbench.report.tables import WHO, Link, Row
from swatbench.stats.accuracy import ImageDifference

_OF_IMAGES = (
    "Do these trained models differ on images like these? Each image is a pair, so a row says nothing of a "
    "new seed. The row “all” takes the seeds together; its interval is a bootstrap over images."
)
_BY_MCNEMAR = (
    "The others are single checkpoints, by McNemar's exact test, with Holm's correction for all of them."
)
_BY_COUNTS = (
    "The others are single checkpoints, each with the same bootstrap. A resample draws whole images and "
    "takes the mean IoU of all their pixels anew. A mask is not right or wrong as a whole, so there is no "
    "McNemar's test and no p value here, and nothing is corrected for the number of rows: of twenty rows "
    "without any difference one would be decided by chance."
)
_RIGHT = (
    Column(name="won", title="Only the arm right", show=words.whole, numeric=True),
    Column(name="lost", title="Only the reference right", show=words.whole, numeric=True),
)
_MCNEMAR = (
    Column(name="mcnemar_p", title="p (McNemar)", show=words.probability, numeric=True),
    Column(name="holm_mcnemar_p", title="Holm's p", show=words.probability, numeric=True),
)
"""Columns of classification, where each image is answered rightly or not."""


IMAGE_EXTRA: Mapping[Task, tuple[str, ...]] = MappingProxyType(
    {"classification": ("low", "high", "image_tests"), "segmentation": ("low", "high")}
)
"""What only the CSV file holds."""


def image_note(metric: Metric) -> str:
    """How to read the table."""
    return f"{_OF_IMAGES} {_BY_COUNTS if metric.of_masks else _BY_MCNEMAR}"


def image_columns(metric: Metric) -> tuple[Column, ...]:
    """The columns of the table."""
    return (
        *WHO,
        Column(name="reference", title="Against"),
        Column(name="seed", title="Seed", numeric=True),
        Column(name="points", title=f"{metric.title}, points", show=words.signed, numeric=True),
        Column(name="interval", title="95 % CI", shown_only=True),
        *(() if metric.of_masks else _RIGHT),
        Column(name="images", title="Images", show=words.whole, numeric=True),
        Column(name="verdict", title="Verdict"),
        *(() if metric.of_masks else _MCNEMAR),
        Column(name="records", title="Records", links=True),
    )


def image_rows(
    section: Section, item: Comparison, accuracy: Accuracy, adjusted: Adjusted, link: Link
) -> Iterator[Row]:
    """The rows of one comparison.

    Args:
        section: The machine's section.
        item: The comparison.
        accuracy: Its difference in accuracy.
        adjusted: Its corrected p values.
        link: Record → its address.
    """
    images = accuracy.images
    if images is not None and images.seeds > 1:
        yield {
            "seed": "all",
            "points": images.points,
            "low": images.low,
            "high": images.high,
            "interval": words.between(images.low, images.high),
            "images": images.images,
            "verdict": "decided" if images.decided else "not decided",
            "records": records_of(section, item, link),
        }
    if isinstance(images, ImageDifference):
        yield from _answer_rows(section, item, images, adjusted, link)
    else:
        yield from _mask_rows(section, item, accuracy, link)


def _mask_rows(section: Section, item: Comparison, accuracy: Accuracy, link: Link) -> Iterator[Row]:
    for seed, own in zip(accuracy.compared, accuracy.each_seed, strict=True):
        yield {
            "seed": str(seed),
            "points": own.points,
            "low": own.low,
            "high": own.high,
            "interval": words.between(own.low, own.high),
            "images": own.images,
            "verdict": "decided" if own.decided else "not decided",
            "records": records_of(section, item, link, seed=seed),
        }


def _answer_rows(
    section: Section, item: Comparison, images: ImageDifference, adjusted: Adjusted, link: Link
) -> Iterator[Row]:
    assert item.accuracy is not None
    counted = zip(item.accuracy.compared, images.won, images.lost, images.mcnemar_p, strict=True)
    for (seed, won, lost, p), holm_p in zip(counted, adjusted.mcnemar_p, strict=True):
        yield {
            "seed": str(seed),
            "points": 100 * (won - lost) / images.images,
            "interval": words.between(images.low, images.high) if images.seeds == 1 else words.NOTHING,
            "low": images.low if images.seeds == 1 else None,
            "high": images.high if images.seeds == 1 else None,
            "won": won,
            "lost": lost,
            "images": images.images,
            "verdict": _image_verdict(p, holm_p, adjusted.image_tests),
            "mcnemar_p": p,
            "holm_mcnemar_p": holm_p,
            "image_tests": adjusted.image_tests,
            "records": records_of(section, item, link, seed=seed),
        }


def _image_verdict(p: float, holm_p: float | None, tests: int) -> str:
    if p >= ALPHA:
        return "not decided"
    return "decided" if holm_p is not None and holm_p < ALPHA else f"not decided among {tests} tests"
