"""Sections → the tables of bookkeeping: cells, failures, refusals, what is left out, environments."""

from collections.abc import Iterator, Sequence
from typing import Any

from swatbench.report import words
from swatbench.report.frontiers import unlike_points
from swatbench.report.section import Section
from swatbench.report.table import Column, Table, make_table
from swatbench.report.tables import Link, Row
from swatbench.store.files import Stored
from swatbench.store.record import Environment, Record


def cells_table(sections: Sequence[Section], link: Link) -> Table:
    """Every readable cell and what became of it."""
    rows = [
        _cell_row(section.machine, stored, fate, link)
        for section in sections
        for stored, fate in (
            *((stored, "reported") for stored in section.reported),
            *((stored, "failed") for stored in section.failed),
            *((item.stored, "left out") for item in section.left_out),
        )
    ]
    columns = (
        Column(name="cell", title="Cell", link="record"),
        Column(name="kind", title="Kind"),
        Column(name="fate", title="In this report"),
        Column(name="started_at", title="Started", show=words.moment),
        Column(name="duration_s", title="Took", show=words.duration, numeric=True),
        Column(name="resumed", title="Resumed", show=words.whole, numeric=True),
        Column(name="swatbench", title="swatbench"),
        Column(name="git_commit", title="Commit"),
    )
    note = "Each name links to the record, which holds the resolved cell, the environment and the result."
    return make_table("cells", "Cells", note, columns, rows, extra=("digest", "git_dirty", "record"))


def failures_table(sections: Sequence[Section], link: Link) -> Table:
    """Cells without a result, and why."""
    rows = [
        {
            "machine": section.machine,
            "cell": stored.record.cell_id,
            "error": stored.record.failure.error if stored.record.failure else None,
            "message": stored.record.failure.message if stored.record.failure else None,
            "where": stored.record.failure.where if stored.record.failure else None,
            "record": link(stored),
        }
        for section in sections
        for stored in section.failed
    ]
    columns = (
        Column(name="cell", title="Cell", link="record"),
        Column(name="error", title="Error"),
        Column(name="message", title="Message", prose=True),
        Column(name="where", title="Where", prose=True),
    )
    return make_table("failures", "Failures", "Cells without a result.", columns, rows, extra=("record",))


def refusals_table(sections: Sequence[Section]) -> Table:
    """Rows that were not compared, and why."""
    rows = [
        {
            "machine": section.machine,
            "pair": item.pair,
            "arm": item.arm,
            "seed": item.seed,
            "what": item.what,
            "why": item.why,
        }
        for section in sections
        for item in (*section.refusals, *unlike_points(section))
    ]
    columns = (
        Column(name="pair", title="Pair"),
        Column(name="arm", title="Arm"),
        Column(name="seed", title="Seed", numeric=True),
        Column(name="what", title="What"),
        Column(name="why", title="Why not", prose=True),
    )
    note = (
        "Two runs are compared only when they were asked the same but for the arm, and drew the same images, "
        "augmentation and initial values. Versions, commits and the number of processes may differ: the "
        "comparison then says so."
    )
    return make_table("not_compared", "Not compared", note, columns, rows)


def left_out_table(sections: Sequence[Section], link: Link) -> Table:
    """Records on which nothing rests, and why."""
    rows = [
        {
            "machine": section.machine,
            "cell": item.stored.record.cell_id,
            "status": item.stored.record.status,
            "started_at": item.stored.record.started_at,
            "why": item.why,
            "record": link(item.stored),
        }
        for section in sections
        for item in section.left_out
    ]
    columns = (
        Column(name="cell", title="Cell", link="record"),
        Column(name="status", title="Status"),
        Column(name="started_at", title="Started", show=words.moment),
        Column(name="why", title="Why", prose=True),
    )
    note = "Records that lie beside the others and on which nothing in this report rests."
    return make_table("left_out", "Left out", note, columns, rows, extra=("record",))


def damaged_table(damaged: Sequence[tuple[str, str]]) -> Table:
    """Files that could not be read.

    Args:
        damaged: Address of each file, relative to the report, and what is wrong with it.
    """
    rows = [{"machine": None, "file": file, "why": why} for file, why in damaged]
    columns = (
        Column(name="file", title="File", prose=True),
        Column(name="why", title="What is wrong", prose=True),
    )
    return make_table("damaged", "Damaged records", "Files that were skipped.", columns, rows)


def environments_table(sections: Sequence[Section]) -> Table:
    """Where and with what code the records were made."""
    rows = [row for section in sections for row in _environment_rows(section)]
    columns = (
        Column(name="environment", title="Environment", numeric=True),
        Column(name="cells", title="Cells", show=words.whole, numeric=True),
        Column(name="item", title="Item"),
        Column(name="value", title="Value", prose=True),
    )
    note = "Cells that were made alike share an environment; more than one means that something changed."
    return make_table("environment", "Environment", note, columns, rows)


def _cell_row(machine: str, stored: Stored, fate: str, link: Link) -> Row:
    record = stored.record
    return {
        "machine": machine,
        "cell": record.cell_id,
        "kind": record.cell.get("kind"),
        "fate": fate,
        "started_at": record.started_at,
        "duration_s": record.duration_s,
        "resumed": record.resumed,
        "swatbench": record.environment.swatbench,
        "git_commit": _commit(record),
        "git_dirty": record.environment.git_dirty,
        "digest": record.digest,
        "record": link(stored),
    }


def _commit(record: Record) -> str | None:
    commit, dirty = record.environment.git_commit, record.environment.git_dirty
    return f"{commit[:10]}{' + changes' if dirty else ''}" if commit else None


def _environment_rows(section: Section) -> Iterator[dict[str, Any]]:
    counts: dict[str, tuple[Environment, int]] = {}
    for stored in (*section.reported, *section.failed):
        key = stored.record.environment.model_dump_json()
        counts[key] = (stored.record.environment, counts.get(key, (None, 0))[1] + 1)
    for number, (environment, cells) in enumerate(counts.values(), start=1):
        for item, value in _items(environment):
            yield {
                "machine": section.machine,
                "environment": number,
                "cells": cells,
                "item": item,
                "value": value,
            }


def _items(environment: Environment) -> Iterator[tuple[str, str]]:
    yield "processor", environment.processor
    yield "cores", words.whole(environment.cores)
    yield "memory", words.size(environment.memory_bytes)
    yield "accelerator", environment.accelerator or "none"
    yield "system", environment.system
    yield "Python", environment.python
    yield "swatbench", environment.swatbench
    changes = ", with uncommitted changes" if environment.git_dirty else ""
    yield "commit", f"{environment.git_commit or 'unknown'}{changes}"
    yield from sorted(environment.packages.items())
