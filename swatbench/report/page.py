"""`results/<suite>/` → `reports/<suite>/`: the page, its Markdown twin, tables and figures.

What was measured is read from the records alone. Beside them are read: what each machine's last run asked
for (`asked.json`, which tells the cells to show and describes the suite), the paper's numbers
(`published.csv`), and the catalogue, for the order of pairs and arms. Where all of these are equal, so are
the report's bytes.
"""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from swatbench.report import words
from swatbench.report.breakdowns import PROFILER_NOTE, breakdown_table, difference_sentences
from swatbench.report.canvas import Drawing
from swatbench.report.classes import classes_table
from swatbench.report.costs import cost_table, ratios_table
from swatbench.report.departures import departures
from swatbench.report.energies import energies_table, why_no_energy
from swatbench.report.evaluations import evaluations_table, further_table
from swatbench.report.export import csv_text, escape_markdown, markdown_text, tex_text
from swatbench.report.figures import figures
from swatbench.report.latencies import latencies_table
from swatbench.report.ledger import (
    cells_table,
    damaged_table,
    environments_table,
    failures_table,
    left_out_table,
    refusals_table,
)
from swatbench.report.memories import memories_table
from swatbench.report.modules import modules_table
from swatbench.report.points import points, unbeaten
from swatbench.report.recipes import recipes_table
from swatbench.report.rooflines import rooflines_table
from swatbench.report.section import Section, sections
from swatbench.report.selection import WellFormed, parse
from swatbench.report.sentences import MAC, Sentence, claims, measured_in_words, setting_in_words, tally
from swatbench.report.states import states_table
from swatbench.report.table import Table
from swatbench.report.tables import accuracy_table, differences_table, means_table
from swatbench.report.throughputs import throughputs_table
from swatbench.report.training import training_table
from swatbench.report.weights import told
from swatbench.store.asked import Asked, read_asked
from swatbench.store.atomic import write_bytes_atomic
from swatbench.store.files import Listing, Stored, read_suite

_WRITTEN = {"tables": (".csv", ".tex"), "figures": (".svg", ".png")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """One machine's part of the page.

    Attributes:
        machine: Name of the machine's folder.
        sentences: What each comparison says.
        setting: What the cost in the sentences was taken at, or an empty text.
        silence: Why there is no sentence, where there is none.
        weights: Which weights the accuracies are of, or an empty text.
        departures: Settings of pairs that are not the catalogue's, or an empty text.
        frontier: Arms that no other beats in both accuracy and MACs, or an empty text.
        spent: Where an arm spends its time otherwise than its reference.
        energy: Why no energy was measured, or an empty text.
        figures: Drawings.
    """

    machine: str
    sentences: tuple[Sentence, ...]
    setting: str
    silence: str
    weights: str
    departures: str
    frontier: str
    spent: tuple[str, ...]
    energy: str
    figures: tuple[Drawing, ...]


def render(results: Path, reports: Path, suite: str) -> Path:
    """Write the report of one suite.

    Args:
        results: Root of all results.
        reports: Root of all reports; `reports/<suite>/` is made, and files of an earlier report replaced.
        suite: Name of the suite.

    Returns:
        The page, `reports/<suite>/index.html`.

    Raises:
        StoreError: The suite has no results, or the report cannot be written.
    """
    listing = read_suite(results, suite)
    parsed = parse(listing.finished)
    asked = asked_of(results / suite)
    found = sections(parsed, listing.failed, asked)
    folder = reports / suite
    tables = _tables(found, _damaged(listing, parsed, folder), folder)
    chapters = tuple(_chapter(section, alone=len(found) == 1) for section in found)
    head = _head(suite, asked, found, len(listing.damaged) + len(parsed.malformed))
    _write(folder, tables, chapters, head)
    return folder / "index.html"


def asked_of(folder: Path) -> dict[str, Asked]:
    """Machine → what its last run asked for, where a file says so.

    Args:
        folder: Folder of a suite's results.
    """
    machines = sorted(path for path in folder.iterdir() if path.is_dir())
    found = ((machine.name, read_asked(machine)) for machine in machines)
    return {name: asked for name, asked in found if asked is not None}


def _tables(found: Sequence[Section], damaged: Sequence[tuple[str, str]], folder: Path) -> tuple[Table, ...]:
    def link(stored: Stored) -> str:
        return _relative(stored.folder / "record.json", folder)

    return (
        means_table(found),
        differences_table(found),
        further_table(found),
        classes_table(found),
        evaluations_table(found, link),
        ratios_table(found),
        throughputs_table(found, link),
        cost_table(found, link),
        latencies_table(found, link),
        memories_table(found, link),
        rooflines_table(found, link),
        energies_table(found, link),
        modules_table(found, link),
        breakdown_table(found, link),
        accuracy_table(found, link),
        training_table(found, link),
        recipes_table(found),
        refusals_table(found),
        failures_table(found, link),
        left_out_table(found, link),
        cells_table(found, link),
        states_table(found, link),
        environments_table(found),
        damaged_table(damaged),
    )


def _chapter(section: Section, *, alone: bool) -> Chapter:
    best = [f"{point.pair} {point.arm}" for point in unbeaten(points(section))]
    return Chapter(
        machine=section.machine,
        sentences=claims(section),
        setting=setting_in_words(section),
        silence=_silence(section),
        weights=told(section.pairs),
        departures=words.listed([*departures(section)]),
        frontier=words.listed(best) if len(best) > 1 else "",
        spent=difference_sentences(section),
        energy=why_no_energy(section),
        figures=figures(section, "" if alone else f"-{section.machine}"),
    )


def _silence(section: Section) -> str:
    if section.reported:
        return "No two arms of a pair could be compared."
    return "No cell that is asked for has finished." if section.left_out else "No cell has finished."


def _head(suite: str, asked: Mapping[str, Asked], found: Sequence[Section], damaged: int) -> dict[str, str]:
    shown = [stored for section in found for stored in (*section.reported, *section.failed)]
    dates = [stored.record.started_at for stored in shown]
    reported = [measured for section in found for runs in section.pairs for measured in runs.conditions]
    return {
        "suite": suite,
        # Machines may have been asked at different times, when the suite said different things.
        "description": " ".join(dict.fromkeys(item.description for item in asked.values())).strip(),
        "machines": words.listed([section.machine for section in found]) or words.NOTHING,
        "newest": words.moment(max(dates)) if dates else words.NOTHING,
        "tally": tally(found, damaged),
        "mac": MAC,
        "profiler": PROFILER_NOTE,
        "measured": measured_in_words(reported) or "Cost was not measured.",
    }


def _damaged(listing: Listing, parsed: WellFormed, folder: Path) -> list[tuple[str, str]]:
    return [(_relative(path, folder), why) for path, why in (*listing.damaged, *parsed.malformed)]


def _relative(path: Path, folder: Path) -> str:
    # A report and its results may lie side by side, which Path.relative_to cannot express.
    return quote(Path(os.path.relpath(path, folder)).as_posix())


def _write(folder: Path, tables: Sequence[Table], chapters: Sequence[Chapter], head: dict[str, str]) -> None:
    contents: dict[str, bytes] = {}
    for table in tables:
        contents[f"tables/{table.name}.csv"] = csv_text(table).encode()
        contents[f"tables/{table.name}.tex"] = tex_text(table).encode()
    for drawing in (drawing for chapter in chapters for drawing in chapter.figures):
        contents[f"figures/{drawing.name}.svg"] = drawing.svg.encode()
        contents[f"figures/{drawing.name}.png"] = drawing.png
    contents["report.md"] = _render("report.md.jinja", tables, chapters, head).encode()
    contents["index.html"] = _render("page.html.jinja", tables, chapters, head).encode()
    for name, content in contents.items():
        write_bytes_atomic(folder / name, content)
    _remove_stale(folder, contents)


def _remove_stale(folder: Path, written: Collection[str]) -> None:
    """Remove tables and figures of an earlier report that this one no longer has."""
    for name, endings in _WRITTEN.items():
        for path in (folder / name).glob("*"):
            if path.suffix in endings and f"{name}/{path.name}" not in written:
                path.unlink()


def _render(template: str, tables: Sequence[Table], chapters: Sequence[Chapter], head: dict[str, str]) -> str:
    environment = Environment(
        loader=PackageLoader("swatbench", "report"),
        autoescape=template.startswith("page"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"md": escape_markdown, "svg": lambda drawing: Markup(drawing.inline())}  # noqa: S704
    return environment.get_template(template).render(
        head=head,
        chapters=chapters,
        tables=[table for table in tables if table.name != "damaged"],
        damaged=next(table for table in tables if table.name == "damaged"),
        markdown_text=markdown_text,
        **{name: Markup(_text(f"page.{name}")) for name in ("css", "js")},  # noqa: S704
    )


def _text(name: str) -> str:
    return files("swatbench.report").joinpath(name).read_text(encoding="utf-8")
