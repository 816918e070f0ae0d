"""Sections → the two questions of accuracy, a table each: across seeds, and on these images."""

from collections.abc import Iterator, Sequence

from swatbench.report import words
from swatbench.report.accuracy import Accuracy
from swatbench.report.comparison import Comparison
from swatbench.report.families import Adjusted, seed_verdict
from swatbench.report.image_rows import IMAGE_EXTRA, image_columns, image_note, image_rows
from swatbench.report.metric import Metric, shared_metric
from swatbench.report.record_links import records_of
from swatbench.report.section import Section
from swatbench.report.table import Column, Table, make_table
from swatbench.report.tables import MOST_LINKED, WHO, Link, Row, who, with_weights
from swatbench.report.weights import KINDS
from swatbench.stats.accuracy import ImageDifference
from swatbench.stats.miou import MaskDifference


def across_seeds_table(sections: Sequence[Section], link: Link) -> Table:
    """Whether the method helps when training is repeated: each seed is a pair."""
    rows = [
        {"machine": section.machine, **who(item), **_seed_row(item.accuracy, adjusted)}
        | {"records": records_of(section, item, link)}
        for section in sections
        for item, adjusted in _compared(section)
        if item.accuracy
    ]
    shown = _seed_columns(rows, shared_metric(sections))
    columns = (*WHO, *shown, Column(name="records", title="Records", links=True))
    note = (
        "Does the difference hold when training is repeated? Each seed is a pair. The first interval is "
        "Student's, on these test images; the second lets seeds and images vary at once. Holm corrects the p "
        "values for all comparisons of the table; what an interval decides alone and Holm does not is not "
        "decided. n seeds allow no exact p below 2 / 2ⁿ."
    )
    title = "Does it help when training is repeated?"
    return make_table("across_seeds", title, with_weights(note, sections), columns, rows, extra=_SEED_EXTRA)


def these_images_table(sections: Sequence[Section], link: Link) -> Table:
    """Whether the trained checkpoints differ on images like these: each image is a pair."""
    rows = [
        {"machine": section.machine, **who(item), **row}
        for section in sections
        for item, adjusted in _compared(section)
        if item.accuracy and item.accuracy.images
        for row in image_rows(section, item, item.accuracy, adjusted, link)
    ]
    metric = shared_metric(sections)
    note = with_weights(image_note(metric), sections)
    title = "Do these checkpoints differ on these images?"
    extra = IMAGE_EXTRA[metric.task]
    return make_table("these_images", title, note, image_columns(metric), rows, extra=extra)


def further_table(sections: Sequence[Section], link: Link) -> Table:
    """The two questions on further test sets, by the weights that the accuracy on the test split is of."""
    rows = [
        {
            "machine": section.machine,
            **{name: getattr(item, name) for name in ("pair", "arm", "reference", "test", "weights")},
            **_seed_row(item.accuracy, adjusted),
            **_all_images(item.accuracy.images),
            "records": tuple((text, link(stored)) for text, stored in item.records[: 2 * MOST_LINKED]),
        }
        for section in sections
        for item, adjusted in zip(section.further, section.further_adjusted, strict=True)
        if adjusted
    ]
    columns = (
        *WHO,
        Column(name="test", title="Test set"),
        Column(name="weights", title="Weights", show=lambda kind: KINDS.get(kind, kind)),
        *_seed_columns(rows, shared_metric(sections)),
        Column(name="image_interval", title="These images: 95 % CI", shown_only=True),
        Column(name="image_verdict", title="These images"),
        Column(name="records", title="Records", links=True),
    )
    note = (
        "Like the two tables of the test split, on further test sets, by the weights that the accuracy on "
        "the test split is of. Holm corrects for all comparisons of this table."
    )
    extra = (*_SEED_EXTRA, "images", "image_low", "image_high")
    title = "Differences on further test sets"
    return make_table("further_differences", title, note, columns, rows, extra=extra)


_SEED_EXTRA = (
    "low",
    "high",
    "both_low",
    "both_high",
    "spread_points",
    "compared_seeds",
    "comparisons",
    "unlike",
)
"""What of the question across seeds only the CSV file holds."""


def _seed_columns(rows: Sequence[Row], metric: Metric) -> tuple[Column, ...]:
    columns = (
        Column(name="reference", title="Against"),
        Column(name="seeds", title="Seeds", show=words.whole, numeric=True),
        Column(name="points", title=f"{metric.title}, points", show=words.signed, numeric=True),
        Column(name="interval", title="95 % CI", shown_only=True),
        Column(name="both_interval", title="95 % CI, new images too", shown_only=True),
        Column(name="verdict", title="Verdict"),
        Column(name="t_p", title="p (t)", show=words.probability, numeric=True),
        Column(name="holm_t_p", title="Holm's p (t)", show=words.probability, numeric=True),
        Column(name="sign_flip_p", title="p (sign flips)", show=words.probability, numeric=True),
        Column(name="holm_sign_flip_p", title="Holm's p (sign flips)", show=words.probability, numeric=True),
        Column(name="smallest_p", title="Least p of sign flips", show=words.probability, numeric=True),
    )
    if any(row["unlike"] for row in rows):
        columns = (*columns, Column(name="unlike", title="Made alike?", show=_unlike, prose=True))
    return columns


def _compared(section: Section) -> Iterator[tuple[Comparison, Adjusted]]:
    for item, adjusted in zip(section.comparisons, section.adjusted, strict=True):
        if adjusted:
            yield item, adjusted


def _seed_row(accuracy: Accuracy, adjusted: Adjusted) -> Row:
    seeds, both = accuracy.seeds, accuracy.both
    return {
        "seeds": seeds.seeds,
        "points": seeds.points,
        "low": seeds.low,
        "high": seeds.high,
        "interval": words.between(seeds.low, seeds.high),
        "both_low": both.low if both else None,
        "both_high": both.high if both else None,
        "both_interval": words.between(both.low, both.high) if both else words.NOTHING,
        "verdict": seed_verdict(seeds, adjusted),
        "t_p": seeds.t_p,
        "holm_t_p": adjusted.t_p,
        "sign_flip_p": seeds.p if seeds.seeds > 1 else None,
        "holm_sign_flip_p": adjusted.sign_flip_p,
        "smallest_p": seeds.smallest_p,
        "spread_points": seeds.spread_points,
        "compared_seeds": " ".join(map(str, accuracy.compared)),
        "comparisons": adjusted.comparisons,
        "unlike": "; ".join(accuracy.unlike),
    }


def _all_images(images: ImageDifference | MaskDifference | None) -> Row:
    if images is None:
        return {"image_interval": words.NOTHING, "image_verdict": "not compared"}
    return {
        "images": images.images,
        "image_low": images.low,
        "image_high": images.high,
        "image_interval": words.between(images.low, images.high),
        "image_verdict": "decided" if images.decided else "not decided",
    }


def _unlike(remarks: str) -> str:
    return remarks or "same versions"
