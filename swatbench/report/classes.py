"""Sections → the table of accuracy by class: what an arm gains and loses against its reference."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from swatbench.report import words
from swatbench.report.accuracy import on_test_split
from swatbench.report.comparison import Comparison, PairRuns
from swatbench.report.metric import shared_metric
from swatbench.report.section import Section
from swatbench.report.selection import Trained
from swatbench.report.table import Column, Table, make_table
from swatbench.report.tables import WHO, Row, who

ALL_SHOWN = 20
"""Most classes that are all shown; of more, the largest gains and the largest losses."""

_EXTREMES = ALL_SHOWN // 2


def classes_table(sections: Sequence[Section]) -> Table:
    """Accuracy of each class on the test split, or its IoU, mean over the seeds that are compared."""
    groups = [group for section in sections for group in _groups(section)]
    metric = shared_metric(sections)
    columns = (
        *WHO,
        Column(name="reference", title="Against"),
        Column(name="class", title="Class", numeric=True),
        Column(name="name", title="Name"),
        Column(
            name="reference_percent",
            title=f"Reference, {metric.by_class} %",
            show=words.decimal,
            numeric=True,
        ),
        Column(name="arm_percent", title=f"Arm, {metric.by_class} %", show=words.decimal, numeric=True),
        Column(name="points", title="Difference, points", show=words.signed, numeric=True),
        Column(name="seeds", title="Seeds", show=words.whole, numeric=True),
    )
    note = (
        "The test split by class; means over the seeds that are compared. A class has "
        "few images and many are looked at, so the extremes are partly chance: there is no interval here."
    )
    if metric.of_masks:
        note = f"IoU of each class, of all images' pixels together. {note}"
    if any(len(group) > ALL_SHOWN for group in groups):
        note += f" Shown are the {_EXTREMES} largest gains and losses; the CSV file has every class."
    rows = [row for group in groups for row in _shown(group)]
    names = ("machine", *(column.name for column in columns))
    finer = (names, [row for group in groups for row in group])
    return make_table("per_class", "Per class", note, columns, rows, finer=finer)


def _groups(section: Section) -> Iterator[list[Row]]:
    pairs = {runs.pair: runs for runs in section.pairs}
    for item in section.comparisons:
        rows = list(_class_rows(pairs[item.pair], item))
        if rows:
            yield [{"machine": section.machine, **row} for row in rows]


def _class_rows(runs: PairRuns, item: Comparison) -> Iterator[Row]:
    if item.accuracy is None:
        return
    seeds = item.accuracy.compared
    sides = [runs.runs(arm) for arm in (item.reference, item.arm)]
    ours, theirs = (_percents(side, seeds) for side in sides)
    if ours is None or theirs is None or ours.shape != theirs.shape:
        return
    names = sides[1][seeds[0]].result.classes
    for label, (reference, arm) in enumerate(zip(ours, theirs, strict=True)):
        if not np.isnan(reference + arm):
            yield {
                **who(item),
                "class": label,
                "name": names[label] if label < len(names) else None,
                "reference_percent": float(reference),
                "arm_percent": float(arm),
                "points": float(arm - reference),
                "seeds": len(seeds),
            }


def _percents(runs: Mapping[int, Trained], seeds: Sequence[int]) -> np.ndarray | None:
    """Mean over seeds of each class's accuracy, float64 (classes,), or None where it is not known.

    A class without images is NaN.
    """
    found = [_by_class(runs[seed]) for seed in seeds]
    if not found[0] or len({len(percents) for percents in found}) > 1:
        return None
    return np.mean(np.asarray(found, dtype=float), axis=0)


def _by_class(run: Trained) -> tuple[float | None, ...]:
    return on_test_split(run.result)[0].per_class_percent


def _shown(group: list[Row]) -> list[Row]:
    if len(group) <= ALL_SHOWN:
        return group
    ranked = sorted(group, key=lambda row: -row["points"])
    return [*ranked[:_EXTREMES], *ranked[-_EXTREMES:]]
