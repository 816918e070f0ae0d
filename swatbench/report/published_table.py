"""Sections → the paper's numbers beside what was counted and trained here."""

from collections.abc import Sequence

from swatbench.report import words
from swatbench.report.comparison import PairRuns
from swatbench.report.conditions import input_of
from swatbench.report.mask_columns import head_of_row
from swatbench.report.metric import shared_metric
from swatbench.report.published import Published, notes_of, published_for
from swatbench.report.section import Section
from swatbench.report.segmenting import head_in_words
from swatbench.report.table import Column, Table, make_table
from swatbench.report.tables import WHO, Link, Row


def published_table(sections: Sequence[Section], link: Link) -> Table:
    """Published accuracy or mIoU, MACs and parameters of the pairs of a report, beside its own."""
    metric = shared_metric(sections)
    rows = [
        {"machine": section.machine, **_row(runs, point, link)}
        for section in sections
        for runs in section.pairs
        for point in published_for([runs.pair], metric)
        if point.arm in runs.arms
    ]
    columns = (
        *WHO,
        Column(
            name=f"published_{metric.column}",
            title=f"{metric.title} %, published",
            show=words.decimal,
            numeric=True,
        ),
        Column(name=metric.column, title=f"{metric.title} %, here", show=words.decimal, numeric=True),
        *(_SIZES if metric.of_masks else ()),
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
    if metric.of_masks:
        note = _OF_MASKS
    return make_table("published", "Published numbers", note, columns, rows, extra=("record",))


_SIZES = (
    Column(name="head", title="Head, here", show=head_in_words),
    Column(name="published_input", title="Input, published"),
    Column(name="input", title="Input, here"),
)
_OF_MASKS = (
    "Published are UPerNet's numbers on ADE20K's validation images, as the cited papers print them, tested "
    "at one scale where the note says so; their MACs are for 512 × 2048 pixels, and are set against ours "
    "only where ours were counted for as many. Values of mIoU here are of the suite's own images and recipe, "
    "and are not to be compared with them unless those are the same. One MAC is counted as said at the foot."
)


def _row(runs: PairRuns, point: Published, link: Link) -> Row:
    cost, trained = runs.cost(point.arm), [*runs.runs(point.arm).values()]
    percents = [run.result.score_percent for run in trained]
    params = cost.params if cost else trained[0].result.params if trained else None
    source = runs.measured.stored if runs.measured else trained[0].stored if trained else None
    # The published classifiers were counted at the size that their pairs have, which a suite may change.
    alike = not runs.metric.of_masks or (runs.measured and input_of(runs.measured.result) == point.input)
    return {
        "pair": runs.pair,
        "arm": point.arm,
        f"published_{runs.metric.column}": point.score_percent,
        runs.metric.column: sum(percents) / len(percents) if percents else None,
        "published_input": point.input or None,
        "input": input_of(runs.measured.result) if cost and runs.measured else None,
        **head_of_row(source.record.cell if source else {}),
        "published_macs": point.macs,
        "macs": cost.macs if cost else None,
        "macs_ratio": cost.macs / point.macs if cost and point.macs and alike else None,
        "published_params": point.params,
        "params": params,
        "params_ratio": params / point.params if params and point.params else None,
        "source": point.source,
        "note": "; ".join(notes_of(point, params=True)),
        "record": link(source) if source else None,
    }
