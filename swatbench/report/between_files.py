"""A comparison of two sides → one JSON object, and files: `compare.md` with its tables as CSV and LaTeX."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from swatbench.report import words
from swatbench.report.between import Between
from swatbench.report.between_sides import Side
from swatbench.report.between_tables import between_tables, count_verdict, time_verdict
from swatbench.report.between_words import between_sentences
from swatbench.report.export import csv_text, escape_markdown, markdown_text
from swatbench.report.tex import tex_text
from swatbench.store.atomic import write_bytes_atomic
from swatbench.store.refusal import refuse_links

PAGE = "compare.md"


def between_json(found: Between) -> dict[str, Any]:
    """Everything that a comparison found, with raw values; SI units stand in the names of keys."""
    return {
        "sides": {name: _side(side) for name, side in found.sides},
        "facts": [{**asdict(fact), "differs": fact.differs} for fact in found.facts],
        "accuracy": [asdict(item) for item in found.accuracy],
        "counts": [{**asdict(item), "verdict": count_verdict(item)} for item in found.costs.counts],
        "times": [{**asdict(item), "verdict": time_verdict(item.change)} for item in found.costs.times],
        "memory": [asdict(item) for item in found.costs.memories],
        "not_compared": [asdict(item) for item in found.refused],
        "one_side": [asdict(item) for item in found.one_sided],
        "sentences": list(between_sentences(found)),
    }


def write_between(found: Between, folder: Path) -> Path:
    """Write a comparison as Markdown, and its tables as CSV and LaTeX.

    Args:
        found: The comparison.
        folder: Where to; it is made, and files of an earlier comparison are replaced.

    Returns:
        The Markdown file.

    Raises:
        StoreError: A file cannot be written.
    """
    refuse_links(folder / "tables")
    for table in between_tables(found):
        write_bytes_atomic(folder / "tables" / f"{table.name}.csv", csv_text(table).encode())
        write_bytes_atomic(folder / "tables" / f"{table.name}.tex", tex_text(table).encode())
    page = folder / PAGE
    write_bytes_atomic(page, markdown_of(found).encode())
    return page


def markdown_of(found: Between) -> str:
    """A comparison in Markdown: sentences first, then tables, then what was not compared."""
    heads = " and ".join(f"{name}, {side.suite} on {side.machine}" for name, side in found.sides)
    parts = [f"# What changed from A to B: {escape_markdown(heads)}"]
    parts += [f"- {escape_markdown(said)}" for said in between_sentences(found)]
    for table in between_tables(found):
        if len(table.frame):
            parts += ["", f"## {table.title}", "", escape_markdown(table.note), "", markdown_text(table)]
    return "\n".join(("\n".join(parts[:1]), "", *parts[1:], ""))


def _side(side: Side) -> dict[str, Any]:
    return {
        "suite": side.suite,
        "machine": side.machine,
        "finished": [stored.record.cell_id for stored in side.chosen.found.stored],
        "failed": {
            stored.record.cell_id: stored.record.failure.message if stored.record.failure else words.NOTHING
            for stored in side.chosen.failed
        },
        "left_out": [item.stored.record.cell_id for item in side.chosen.left_out],
        "damaged": dict(side.damaged),
    }
