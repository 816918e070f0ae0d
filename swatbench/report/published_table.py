"""Sections → the paper's numbers beside what was counted and trained here."""

from collections.abc import Sequence

from swatbench.report import words
from swatbench.report.comparison import PairRuns
from swatbench.report.published import Published, notes_of, published_for
from swatbench.report.section import Section
from swatbench.report.table import Column, Table, make_table
from swatbench.report.tables import WHO, Link, Row


def published_table(sections: Sequence[Section], link: Link) -> Table:
    """Published accuracy, MACs and parameters of the pairs of a report, beside its own."""
    rows = [
        {"machine": section.machine, **_row(runs, point, link)}
        for section in sections
        for runs in section.pairs
        for point in published_for([runs.pair])
        if point.arm in runs.arms
    ]
    columns = (
        *WHO,
        Column(name="published_top1_percent", title="Top-1 %, published", show=words.decimal, numeric=True),
        Column(name="top1_percent", title="Top-1 %, here", show=words.decimal, numeric=True),
        Column(name="published_macs", title="MACs, published", show=words.quantity, numeric=True),
        Column(name="macs", title="MACs, here", show=words.quantity, numeric=True, link="record"),
        Column(name="macs_ratio", title="Here / published", show=words.factor, numeric=True),
        Column(name="published_params", title="Parameters, published", show=words.quantity, numeric=True),
        Column(name="params", title="Parameters, here", show=words.quantity, numeric=True, link="record"),
        Column(name="params_ratio", title="Here / published", show=words.factor, numeric=True),
        Column(name="source", title="Published in"),
        Column(name="note", title="Note", prose=True),
    )
    note = (
        "The paper's numbers are for ImageNet-1k at 224 × 224 pixels, read from its figure and rounded as "
        "there (to 0.02 points, 0.005 G and 0.02 M); accuracies here are of the suite's own images and "
        "recipe, and are not to be compared with them unless those are the same. One MAC is counted as said "
        "at the foot."
    )
    return make_table("published", "Published numbers", note, columns, rows, extra=("record",))


def _row(runs: PairRuns, point: Published, link: Link) -> Row:
    cost, trained = runs.cost(point.arm), [*runs.runs(point.arm).values()]
    percents = [run.result.top1_percent for run in trained]
    params = cost.params if cost else trained[0].result.params if trained else None
    source = runs.measured.stored if runs.measured else trained[0].stored if trained else None
    return {
        "pair": runs.pair,
        "arm": point.arm,
        "published_top1_percent": point.top1_percent,
        "top1_percent": sum(percents) / len(percents) if percents else None,
        "published_macs": point.macs,
        "macs": cost.macs if cost else None,
        "macs_ratio": cost.macs / point.macs if cost else None,
        "published_params": point.params,
        "params": params,
        "params_ratio": params / point.params if params else None,
        "source": point.source,
        "note": "; ".join(notes_of(point, params=True)),
        "record": link(source) if source else None,
    }
