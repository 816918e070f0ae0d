"""Sections → the table of training runs: how long each took, and how much of that it waited for images."""

from collections.abc import Mapping, Sequence
from typing import Any

from swatbench.report import words
from swatbench.report.section import Section
from swatbench.report.selection import Trained
from swatbench.report.table import Column, Table, make_table
from swatbench.report.tables import WHO, Link, Row

SLOW_LOADING = 0.1
"""Share of the training time spent waiting for images above which a word is said."""


def training_table(sections: Sequence[Section], link: Link) -> Table:
    """How long every training run took, and what part of that it waited for images."""
    rows = [
        {"machine": section.machine, "pair": runs.pair, "arm": run.cell.arm, **_row(run, link)}
        for section in sections
        for runs in section.pairs
        for run in runs.trained
    ]
    columns = (
        *WHO,
        Column(name="seed", title="Seed", numeric=True),
        Column(name="processes", title="Processes", show=words.whole, numeric=True),
        Column(name="train_s", title="Training took", show=words.duration, numeric=True, link="record"),
        Column(name="data_share", title="Waiting for images", show=_share, numeric=True, remark=_slow),
        Column(name="images_per_s", title="Images/s", show=words.whole, numeric=True),
        Column(name="images_seen", title="Images seen", show=words.whole, numeric=True),
        Column(name="resumed", title="Resumed", show=words.whole, numeric=True),
    )
    note = (
        "Wall time of training with everything that it waited for. Cells may have run side by side, so it is "
        "no measure of cost; the tables of cost are. “Slow loading” marks runs that waited for images for "
        "more than 10 % of their time."
    )
    extra = ("data_s", "record")
    return make_table("training", "Training of each run", note, columns, rows, extra=extra)


def _row(run: Trained, link: Link) -> Row:
    result = run.result
    # A record of layout 1 does not say how long was waited, and 0 would be a claim.
    waited = result.data_s if "data_s" in result.model_fields_set else None
    took = result.train_s
    return {
        "seed": run.cell.seed,
        "processes": result.processes,
        "train_s": took,
        "data_s": waited,
        "data_share": waited / took if took > 0 and waited is not None else None,
        "images_per_s": result.images_seen / took if took > 0 else None,
        "images_seen": result.images_seen,
        "resumed": run.stored.record.resumed,
        "record": link(run.stored),
    }


def _share(value: float) -> str:
    return f"{words.decimal(100 * value)} %"


def _slow(row: Mapping[str, Any]) -> str:
    return "slow loading" if row["data_share"] > SLOW_LOADING else ""
