"""Sections → the tables of tests: every test set by each kind of weights, and further sets compared."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from swatbench.report import words
from swatbench.report.accuracy import on_test_split
from swatbench.report.cell_facts import TestFacts
from swatbench.report.comparison import PairRuns
from swatbench.report.mask_columns import MASK_SCORES, SCORES_SAID
from swatbench.report.metric import Metric, shared_metric
from swatbench.report.section import Section
from swatbench.report.selection import TEST_SPLIT
from swatbench.report.table import Column, Table, make_table
from swatbench.report.tables import WHO, Link, Row, nats
from swatbench.report.weights import KINDS
from swatbench.stats.accuracy import wilson
from swatbench.store.files import Stored
from swatbench.store.record import Evaluated

_OF_CLASSES = ("top1_percent", "top5_percent", "loss", "calibration_error")
_OF_MASKS = (*(column.name for column in MASK_SCORES), "loss")
"""What is averaged over seeds."""

_NAMED = ("machine", "pair", "arm", "seed", "test")
_ORIGIN = ("labels", "among_its_classes", "weights_of", "record")
_FINER = (*_NAMED, "weights", "images", "correct", *_OF_CLASSES, *_ORIGIN)
_FINER_OF_MASKS = (*_NAMED, "inference", "weights", "images", *_OF_MASKS, *_ORIGIN)
"""Columns of the CSV file, which has a row a seed."""

_ELSEWHERE = "weights_from"


def evaluations_table(sections: Sequence[Section], link: Link) -> Table:
    """What each arm gives on each test set, by each kind of weights and way of testing; means over seeds."""
    metric = shared_metric(sections)
    finer = [row for section in sections for row in _rows(section, link)]
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in finer:
        names = ("machine", "pair", "arm", "test", "inference", "weights", "images", _ELSEWHERE)
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    rows = [_mean(group, metric) for group in groups.values()]
    origin = Column(name=_ELSEWHERE, title="Weights from", prose=True)
    columns = (
        *WHO,
        Column(name="test", title="Test set", remark=_asked_how),
        *((Column(name="inference", title="Tested by"),) if metric.of_masks else ()),
        Column(name="weights", title="Weights", show=lambda kind: KINDS.get(kind, kind)),
        *((origin,) if any(row[_ELSEWHERE] for row in rows) else ()),
        Column(name="seeds", title="Seeds", show=words.whole, numeric=True),
        Column(name="images", title="Images", show=words.whole, numeric=True),
        *(MASK_SCORES if metric.of_masks else _SCORES),
        _mean_column("loss", "Loss, nats", nats),
        *(() if metric.of_masks else (_mean_column("calibration_error", "Calibration error", nats),)),
    )
    note = (
        "Means over seeds; the CSV file has a row a seed. The test set `test` is the test split. Raw: the "
        "weights themselves; EMA: their moving average. The interval is Wilson's, over images. Calibration "
        "error is the mean distance between confidence and accuracy over 15 bins: 0 is best, 1 worst."
    )
    if metric.of_masks:
        note = f"{_WAYS} {SCORES_SAID}"
    extra = ("labels", "among_its_classes", "record")
    names = _FINER_OF_MASKS if metric.of_masks else _FINER
    return make_table("evaluations", "Evaluations", note, columns, rows, extra=extra, finer=(names, finer))


def _mean_column(name: str, title: str, show: Callable[[Any], str]) -> Column:
    return Column(name=name, title=title, show=show, numeric=True, link="record")


_SCORES = (
    _mean_column("top1_percent", "Top-1 %", words.decimal),
    Column(name="interval", title="95 % CI", shown_only=True),
    _mean_column("top5_percent", "Top-5 %", words.decimal),
)
_WAYS = (
    "Means over seeds; the CSV file has a row a seed. A model may be tested in several ways, of which the "
    "first is what arms are compared by; the table of recipes says what each of them is. Raw: the weights "
    "themselves; EMA: their moving average."
)


def _asked_how(row: Row) -> str:
    remarks = ["among its classes alone"] if row["among_its_classes"] else []
    return "; ".join([*remarks, *(["several labels an image"] if row["labels"] == "real" else [])])


def _rows(section: Section, link: Link) -> Iterator[Row]:
    for runs in section.pairs:
        for arm in runs.arms:
            for row in _arm_rows(runs, arm, link):
                yield {"machine": section.machine, "pair": runs.pair, "arm": arm, **row}


def _arm_rows(runs: PairRuns, arm: str, link: Link) -> Iterator[Row]:
    for run in runs.trained:
        if run.cell.arm == arm:
            test = TestFacts(name=TEST_SPLIT)
            own = {"seed": run.cell.seed, _ELSEWHERE: None, "weights_of": run.stored.record.digest}
            for evaluated in on_test_split(run.result):
                yield {**own, **_row(test, evaluated, run.stored, link)}
    trained = runs.trained_by_digest()
    for item in runs.tested:
        if item.cell.arm == arm:
            test = item.cell.test or TestFacts(name=TEST_SPLIT)
            own = {
                "seed": item.cell.seed,
                # Those that a user named, and no run here trained.
                _ELSEWHERE: None if item.cell.weights in trained else item.cell.weights,
                "weights_of": item.cell.weights,
            }
            for evaluated in item.result.evaluated:
                yield {**own, **_row(test, evaluated, item.stored, link)}


_OWN = ("weights", "inference", "images", "correct")


def _row(test: TestFacts, evaluated: Evaluated, stored: Stored, link: Link) -> Row:
    return {
        "test": test.name,
        "labels": test.labels,
        "among_its_classes": test.among_its_classes,
        **{name: getattr(evaluated, name) for name in (*_OWN, *_OF_CLASSES, *_OF_MASKS)},
        "record": link(stored),
    }


def _mean(group: Sequence[Row], metric: Metric) -> Row:
    averaged = _OF_MASKS if metric.of_masks else _OF_CLASSES
    means = {name: _mean_of([row[name] for row in group]) for name in averaged}
    images, top1 = group[0]["images"], means.get("top1_percent")
    low, high = wilson(min(top1 / 100, 1.0) * images, images) if top1 is not None else (None, None)
    # A mean has no record of its own, so it leads to none.
    record = group[0]["record"] if len(group) == 1 else None
    return {
        **group[0],
        **means,
        "seeds": None if group[0]["seed"] is None else len(group),
        "interval": words.between(low, high),
        "record": record,
    }


def _mean_of(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None
