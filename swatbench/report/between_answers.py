"""How the accuracy of each pair and arm changed from one side to the other → a table."""

from typing import Any

from swatbench.report import words
from swatbench.report.between import Between
from swatbench.report.between_accuracy import AccuracyChange
from swatbench.report.between_ledger import shown_where_several, table_of
from swatbench.report.families import Adjusted, families, seed_verdict
from swatbench.report.metric import TOP1, Metric
from swatbench.report.table import Column, Table
from swatbench.report.tables import WHO, Row
from swatbench.stats.accuracy import ImageDifference

SAME = "same predictions"
"""Verdict on predictions that are the same to the last bit."""


def accuracy_change_table(found: Between) -> Table:
    """How the accuracy of each arm changed, by both questions, corrected as the sentences are."""
    corrected = zip(found.accuracy, families(found.accuracy), strict=True)
    rows = [_row(item, adjusted) for item, adjusted in corrected if adjusted]
    metric = next((item.accuracy.metric for item in found.accuracy), TOP1)
    columns = (
        *WHO,
        *shown_where_several(rows, "test", "Test set"),
        Column(name="seeds", title="Seeds", show=words.whole, numeric=True),
        Column(name="before_percent", title=f"A, {metric.name} %", show=_percent, numeric=True),
        Column(name="after_percent", title=f"B, {metric.name} %", show=_percent, numeric=True),
        Column(name="points", title="B − A, points", show=_points, numeric=True),
        Column(name="changed_images", title=_changed_title(metric), show=words.decimal, numeric=True),
        Column(name="image_interval", title="These images: 95 % CI", shown_only=True),
        Column(name="image_verdict", title="These images"),
        Column(name="seed_interval", title="Across seeds: 95 % CI", shown_only=True),
        Column(name="seed_verdict", title="Across seeds"),
        Column(name="t_p", title="p (t)", show=words.probability, numeric=True),
        Column(name="holm_t_p", title="Holm's p (t)", show=words.probability, numeric=True),
        *(() if metric.of_masks else (_MCNEMAR,)),
    )
    note = (
        "Means over the seeds that both sides have and whose runs were asked and drew the same. Two "
        "questions: do these checkpoints differ on these images, and would training again with other seeds "
        "show a difference? Holm corrects the p values for all rows; what an interval decides alone and Holm "
        "does not is not decided."
    )
    extra = ("test", "test_images", "same", "image_low", "image_high", "seed_low", "seed_high", "seed_p")
    extra = (*extra, "smallest_p", *(() if metric.of_masks else ("mcnemar_p",)), "compared_seeds")
    title = metric.title if metric.of_masks else "Accuracy"
    return table_of(found, "accuracy", title, note, columns, rows, extra=extra)


_MCNEMAR = Column(name="mcnemar", title="McNemar, Holm's p of each seed", shown_only=True)
"""A column of classification: an image of masks is not right or wrong."""


def _changed_title(metric: Metric) -> str:
    return "Images with other counts" if metric.of_masks else "Images answered otherwise"


def _row(item: AccuracyChange, adjusted: Adjusted) -> Row:
    seeds, images = item.accuracy.seeds, item.accuracy.images
    image_verdict = "not compared" if images is None else "decided" if images.decided else "not decided"
    return {
        "pair": item.pair,
        "arm": item.arm,
        "test": item.test,
        "seeds": seeds.seeds,
        "before_percent": item.before_percent,
        "after_percent": item.after_percent,
        "points": seeds.points,
        "changed_images": item.changed_images,
        "test_images": item.test_images,
        "same": item.same,
        "image_interval": words.NOTHING if images is None else words.between(images.low, images.high, 2),
        "image_verdict": SAME if item.same else image_verdict,
        "image_low": images and images.low,
        "image_high": images and images.high,
        "seed_interval": words.between(seeds.low, seeds.high, 2),
        "seed_verdict": SAME if item.same else seed_verdict(seeds, adjusted),
        "seed_low": seeds.low,
        "seed_high": seeds.high,
        "seed_p": seeds.p,
        "smallest_p": seeds.smallest_p,
        "compared_seeds": " ".join(map(str, item.accuracy.compared)),
        "t_p": seeds.t_p,
        "holm_t_p": adjusted.t_p,
        "mcnemar": "; ".join(map(words.probability, adjusted.mcnemar_p)) if images else words.NOTHING,
        "mcnemar_p": " ".join(map(str, images.mcnemar_p)) if isinstance(images, ImageDifference) else None,
    }


def _percent(value: Any) -> str:
    return words.decimal(value, 2)


def _points(value: Any) -> str:
    return words.signed(value, 2)
