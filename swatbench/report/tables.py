"""Sections → the tables of accuracy."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from swatbench.report import words
from swatbench.report.accuracy import Accuracy
from swatbench.report.comparison import Comparison, PairRuns
from swatbench.report.section import Section
from swatbench.report.selection import Trained
from swatbench.report.table import Column, Table, make_table
from swatbench.report.weights import told
from swatbench.stats.accuracy import FEW_SEEDS, SeedDifference, wilson
from swatbench.store.files import Stored

Link = Callable[[Stored], str]
"""Record → its address, relative to the report."""
Row = dict[str, Any]

WHO = (Column(name="pair", title="Pair"), Column(name="arm", title="Arm"))
"""The first columns of every table about arms."""


def accuracy_table(sections: Sequence[Section], link: Link) -> Table:
    """Top-1 and top-5 accuracy of every training run."""
    rows = [
        _accuracy_row(section, runs, run, link)
        for section in sections
        for runs in section.pairs
        for run in runs.trained
    ]
    columns = (
        *WHO,
        Column(name="seed", title="Seed", numeric=True),
        Column(name="top1_percent", title="Top-1 %", show=words.decimal, numeric=True, link="record"),
        Column(name="interval", title="95 % CI", shown_only=True),
        Column(name="top5_percent", title="Top-5 %", show=words.decimal, numeric=True, link="record"),
        Column(name="test_loss", title="Test loss, nats", show=nats, numeric=True, link="record"),
        Column(name="test_images", title="Test images", show=words.whole, numeric=True),
        Column(name="params", title="Parameters", show=words.whole, numeric=True),
        Column(name="epochs", title="Epochs", show=words.whole, numeric=True),
    )
    note = "One row a training run. The interval is Wilson's, over test images; it knows nothing of seeds."
    note = _with_weights(note, sections)
    extra = ("weights", "low_percent", "high_percent", "correct", "images_seen", "record")
    return make_table("accuracy", "Accuracy of each run", note, columns, rows, extra=extra)


def means_table(sections: Sequence[Section]) -> Table:
    """Mean accuracy over seeds of every arm."""
    rows = [
        _mean_row(section.machine, runs, arm)
        for section in sections
        for runs in section.pairs
        for arm in runs.arms
        if runs.runs(arm)
    ]
    columns = (
        *WHO,
        Column(name="seeds", title="Seeds", show=words.whole, numeric=True),
        Column(name="top1_percent", title="Mean top-1 %", show=words.decimal, numeric=True),
        Column(name="interval", title="95 % CI", shown_only=True),
        Column(name="lowest_percent", title="Lowest seed %", show=words.decimal, numeric=True),
        Column(name="highest_percent", title="Highest seed %", show=words.decimal, numeric=True),
    )
    note = (
        "The interval is Wilson's for the mean accuracy on these images. Every seed sees the same images, so "
        "more seeds do not narrow it."
    )
    note = _with_weights(note, sections)
    extra = ("low_percent", "high_percent", "test_images")
    return make_table("means", "Mean accuracy", note, columns, rows, extra=extra)


def differences_table(sections: Sequence[Section]) -> Table:
    """Differences in top-1 accuracy between each arm and its reference."""
    rows = [
        {"machine": section.machine, **who(item), **accuracy_in_row(item.accuracy)}
        for section in sections
        for item in section.comparisons
        if item.accuracy
    ]
    columns, extra = difference_columns(rows)
    note = (
        "Two questions: do these checkpoints differ on these images, and does the difference hold when "
        "training is repeated with other seeds? An interval that holds 0 leaves its question not decided."
    )
    note = _with_weights(note, sections)
    return make_table("differences", "Differences in accuracy", note, columns, rows, extra=extra)


def difference_columns(rows: Sequence[Row]) -> tuple[tuple[Column, ...], tuple[str, ...]]:
    """Columns that tell a difference in accuracy, and those that only the CSV file has.

    Args:
        rows: Rows of `accuracy_in_row`.
    """
    columns = (
        *WHO,
        Column(name="reference", title="Against"),
        Column(name="points", title="Top-1, points", show=words.signed, numeric=True),
        Column(name="image_interval", title="These images: 95 % CI", shown_only=True),
        Column(name="image_verdict", title="These images"),
        Column(name="mcnemar", title="McNemar p, each seed", shown_only=True),
        Column(name="seeds", title="Seeds", show=words.whole, numeric=True),
        Column(name="seed_interval", title="Across seeds: 95 % CI", shown_only=True),
        Column(name="seed_verdict", title="Across seeds"),
        Column(name="seed_p", title="Sign-flip p", show=words.probability, numeric=True),
        Column(name="smallest_p", title="Smallest p possible", show=words.probability, numeric=True),
    )
    if any(row["unlike"] for row in rows):
        columns = (*columns, Column(name="unlike", title="Made alike?", show=_unlike, prose=True))
    extra = ("images", "image_low", "image_high", "seed_low", "seed_high", "compared_seeds", "mcnemar_p")
    return columns, (*extra, "unlike")


def _with_weights(note: str, sections: Sequence[Section]) -> str:
    said = told(runs for section in sections for runs in section.pairs)
    return f"{note} {said}".rstrip()


def _unlike(remarks: str) -> str:
    return remarks or "same versions"


def _seed_verdict(seeds: SeedDifference) -> str:
    if not seeds.decided:
        return "not decided"
    return "decided if normal" if seeds.seeds < FEW_SEEDS else "decided"


def nats(value: float) -> str:
    """A loss, to three places."""
    return words.decimal(value, 3)


def _accuracy_row(section: Section, runs: PairRuns, run: Trained, link: Link) -> Row:
    low, high = wilson(run.result.correct, run.result.test_images)
    names = ("top1_percent", "top5_percent", "test_loss", "test_images", "params", "correct", "images_seen")
    return {
        "machine": section.machine,
        "pair": runs.pair,
        "arm": run.cell.arm,
        "seed": run.cell.seed,
        "interval": words.between(low, high),
        "low_percent": low,
        "high_percent": high,
        "epochs": run.cell.recipe.total_epochs,
        "weights": run.result.weights,
        "record": link(run.stored),
        **{name: getattr(run.result, name) for name in names},
    }


def _mean_row(machine: str, runs: PairRuns, arm: str) -> Row:
    results = [run.result for run in runs.runs(arm).values()]
    images = min(result.test_images for result in results)
    percents = [result.top1_percent for result in results]
    low, high = wilson(min(float(np.mean(percents)) / 100, 1.0) * images, images)
    return {
        "machine": machine,
        "pair": runs.pair,
        "arm": arm,
        "seeds": len(results),
        "top1_percent": float(np.mean(percents)),
        "interval": words.between(low, high),
        "low_percent": low,
        "high_percent": high,
        "lowest_percent": min(percents),
        "highest_percent": max(percents),
        "test_images": images,
    }


def accuracy_in_row(accuracy: Accuracy) -> Row:
    """The columns that tell how an arm's accuracy differs from its reference's."""
    seeds, images = accuracy.seeds, accuracy.images
    return {
        "points": seeds.points,
        "seeds": seeds.seeds,
        "seed_low": seeds.low,
        "seed_high": seeds.high,
        "seed_interval": words.between(seeds.low, seeds.high),
        "seed_verdict": _seed_verdict(seeds),
        "seed_p": seeds.p,
        "smallest_p": seeds.smallest_p,
        "unlike": "; ".join(accuracy.unlike),
        "compared_seeds": " ".join(map(str, accuracy.compared)),
        "image_verdict": "not compared" if images is None else "decided" if images.decided else "not decided",
        "images": images.images if images else None,
        "image_low": images.low if images else None,
        "image_high": images.high if images else None,
        "image_interval": words.between(images.low, images.high) if images else words.NOTHING,
        "mcnemar_p": " ".join(map(str, images.mcnemar_p)) if images else None,
        "mcnemar": "; ".join(map(words.probability, images.mcnemar_p)) if images else words.NOTHING,
    }


def who(item: Comparison) -> Row:
    """The columns that name a comparison."""
    return {"pair": item.pair, "arm": item.arm, "reference": item.reference}
