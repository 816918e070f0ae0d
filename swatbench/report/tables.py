"""Sections → the tables of accuracy."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from swatbench.report import words
from swatbench.report.comparison import Comparison, PairRuns
from swatbench.report.conditions import filled
from swatbench.report.mask_columns import (
    MASK_SCORES,
    MASK_SETTING,
    SCORES_SAID,
    head_of_row,
    heads_where_told,
    mask_setting,
)
from swatbench.report.metric import shared_metric
from swatbench.report.section import Section
from swatbench.report.selection import Trained
from swatbench.report.table import Column, Table, make_table
from swatbench.report.weights import told
from swatbench.stats.accuracy import wilson
from swatbench.store.files import Stored

Link = Callable[[Stored], str]
"""Record → its address, relative to the report."""
Row = dict[str, Any]

MOST_LINKED = 24
"""Seeds whose records a row of several leads to; the table of runs leads to those of all."""

Links = tuple[tuple[str, str], ...]
"""Text and address of each record that a row rests on."""

WHO = (Column(name="pair", title="Pair"), Column(name="arm", title="Arm"))
"""The first columns of every table about arms."""


def accuracy_table(sections: Sequence[Section], link: Link) -> Table:
    """Top-1 and top-5 accuracy of every training run, or in segmentation mIoU and what belongs to it."""
    if shared_metric(sections).of_masks:
        return _masks_table(sections, link)
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
    note = with_weights(note, sections)
    extra = ("weights", "low_percent", "high_percent", "correct", "images_seen", "record")
    return make_table("accuracy", "Accuracy of each run", note, columns, rows, extra=extra)


def _masks_table(sections: Sequence[Section], link: Link) -> Table:
    rows = [
        {"machine": section.machine, **_mask_row(runs, run, link)}
        for section in sections
        for runs in section.pairs
        for run in runs.trained
    ]
    counted = filled(
        (
            Column(name="iterations", title="Iterations", show=words.whole, numeric=True),
            Column(name="epochs", title="Epochs", show=words.whole, numeric=True),
        ),
        rows,
    )
    columns = (
        *WHO,
        Column(name="seed", title="Seed", numeric=True),
        *MASK_SCORES,
        Column(name="test_loss", title="Test loss, nats", show=nats, numeric=True, link="record"),
        Column(name="test_images", title="Test images", show=words.whole, numeric=True),
        Column(name="params", title="Parameters", show=words.whole, numeric=True),
        *counted[:1],
        *MASK_SETTING,
    )
    note = with_weights(f"One row a training run. {SCORES_SAID}", sections)
    extra = ("weights", "epochs", "images_seen", "record")
    return make_table("accuracy", "mIoU of each run", note, columns, rows, extra=extra)


def means_table(sections: Sequence[Section], link: Link) -> Table:
    """Mean accuracy over seeds of every arm."""
    rows = [
        _mean_row(section.machine, runs, arm, link)
        for section in sections
        for runs in section.pairs
        for arm in runs.arms
        if runs.runs(arm)
    ]
    metric = shared_metric(sections)
    columns = (
        *WHO,
        Column(name="seeds", title="Seeds", show=words.whole, numeric=True),
        Column(name=metric.column, title=f"Mean {metric.name} %", show=words.decimal, numeric=True),
        *(() if metric.of_masks else (_INTERVAL,)),
        Column(name="lowest_percent", title="Lowest seed %", show=words.decimal, numeric=True),
        Column(name="highest_percent", title="Highest seed %", show=words.decimal, numeric=True),
        *heads_where_told(rows),
        Column(name="records", title="Records", links=True),
    )
    note = (
        "The interval is Wilson's for the mean accuracy on these images. Every seed sees the same images, so "
        "more seeds do not narrow it."
    )
    if metric.of_masks:
        note = (
            "Every seed sees the same images. By how much a mean may be off is said by the differences alone."
        )
    note = with_weights(note, sections)
    extra = ("test_images",) if metric.of_masks else ("low_percent", "high_percent", "test_images")
    return make_table("means", f"Mean {metric.noun}", note, columns, rows, extra=extra)


def with_weights(note: str, sections: Sequence[Section]) -> str:
    """A table's note, followed by which weights its accuracies are of."""
    said = told(runs for section in sections for runs in section.pairs)
    return f"{note} {said}".rstrip()


def nats(value: float) -> str:
    """A loss, to three places."""
    return words.decimal(value, 3)


def _accuracy_row(section: Section, runs: PairRuns, run: Trained, link: Link) -> Row:
    assert run.result.correct is not None, "it classifies"
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


def _mask_row(runs: PairRuns, run: Trained, link: Link) -> Row:
    names = ("test_loss", "test_images", "params", "images_seen", "weights")
    return {
        "pair": runs.pair,
        "arm": run.cell.arm,
        "seed": run.cell.seed,
        "iterations": run.cell.recipe.iterations,
        "epochs": run.cell.recipe.total_epochs,
        "record": link(run.stored),
        **mask_setting(run.stored.record.cell),
        **{name: getattr(run.result, name) for name in (*names, *(item.name for item in MASK_SCORES))},
    }


_INTERVAL = Column(name="interval", title="95 % CI", shown_only=True)


def _mean_row(machine: str, runs: PairRuns, arm: str, link: Link) -> Row:
    of_arm = runs.runs(arm)
    results = [run.result for run in of_arm.values()]
    images = min(result.test_images for result in results)
    percents = [result.score_percent for result in results]
    return {
        "machine": machine,
        "pair": runs.pair,
        "arm": arm,
        "seeds": len(results),
        runs.metric.column: float(np.mean(percents)),
        **({} if runs.metric.of_masks else _wilson_row(percents, images)),
        **head_of_row(next(iter(of_arm.values())).stored.record.cell),
        "lowest_percent": min(percents),
        "highest_percent": max(percents),
        "test_images": images,
        "records": tuple((str(seed), link(run.stored)) for seed, run in [*of_arm.items()][:MOST_LINKED]),
    }


def _wilson_row(percents: Sequence[float], images: int) -> Row:
    low, high = wilson(min(float(np.mean(percents)) / 100, 1.0) * images, images)
    return {"interval": words.between(low, high), "low_percent": low, "high_percent": high}


def who(item: Comparison) -> Row:
    """The columns that name a comparison."""
    return {"pair": item.pair, "arm": item.arm, "reference": item.reference}
