"""Chapters and tables → the files of a report."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from swatbench.report.chapters import Chapter, anchor
from swatbench.report.export import csv_text, escape_markdown, markdown_text
from swatbench.report.groups import Grouped
from swatbench.report.side_by_side import side_by_side
from swatbench.report.table import Table
from swatbench.report.tex import tex_size, tex_text
from swatbench.report.tex_text import escape_tex
from swatbench.store.atomic import tidy, write_bytes_atomic
from swatbench.store.lock import alone
from swatbench.store.refusal import refused
from swatbench.visible import visible

_WRITTEN = {"tables": (".csv", ".tex"), "figures": (".svg", ".png", ".pdf")}
_TEMPLATES = {
    "report.md": "report.md.jinja",
    "report.tex": "report.tex.jinja",
    "index.html": "page.html.jinja",
}
"""File → its template; the page comes last, so that it never leads to files that are not there yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that a report says.

    Attributes:
        head: What is said of the whole of it.
        chapters: One a machine.
        groups: Tables of all machines, in the page's groups.
        damaged: Files that could not be read.
    """

    head: Mapping[str, str]
    chapters: tuple[Chapter, ...]
    groups: tuple[Grouped, ...]
    damaged: Table

    @property
    def tables(self) -> tuple[Table, ...]:
        """Every table."""
        return (*(table for one in self.groups for table in (*one.tables, *one.folded)), self.damaged)


def write(folder: Path, report: Report) -> None:
    """Write every file of a report, and remove those of an earlier one that it does not have.

    Args:
        folder: Where to; it is made.
        report: What is said.

    Raises:
        StoreError: A file cannot be written.
    """
    put(folder, _contents(report))


def put(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files that belong together, and remove those of an earlier report that are not among them.

    Args:
        folder: Where to; it is made.
        contents: Name of a file → its content; the page comes last.

    Raises:
        StoreError: A file cannot be written.
    """
    # Another report may be written here: neither may remove what the other's page leads to.
    with alone(folder, strictly=False) as certain:
        for place in (folder, *(folder / name for name in _WRITTEN)) if certain else ():
            tidy(place)
        for name, content in contents.items():
            write_bytes_atomic(folder / name, content)
        _remove_stale(folder, contents)


def _contents(report: Report) -> dict[str, bytes]:
    texts: dict[str, Callable[[], str]] = {
        # The longest first, so that no process waits for another at the end.
        **{name: partial(_render, template, report) for name, template in reversed(_TEMPLATES.items())},
        **{f"tables/{table.name}.csv": partial(csv_text, table) for table in report.tables},
        **{f"tables/{table.name}.tex": partial(tex_text, table) for table in report.tables},
    }
    made = dict(zip(texts, map(str.encode, side_by_side([*texts.values()])), strict=True))
    pages = {name: made.pop(name) for name in _TEMPLATES}
    contents = made
    for drawing in (drawing for chapter in report.chapters for drawing in chapter.figures):
        contents[f"figures/{drawing.name}.svg"] = drawing.svg.encode()
        contents[f"figures/{drawing.name}.png"] = drawing.png
        contents[f"figures/{drawing.name}.pdf"] = drawing.pdf
    return contents | pages


def _remove_stale(folder: Path, written: Collection[str]) -> None:
    for name, endings in _WRITTEN.items():
        for path in (folder / name).glob("*"):
            if path.suffix in endings and f"{name}/{path.name}" not in written:
                _remove(path)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise refused(error, path, "removed") from error


def _render(template: str, report: Report) -> str:
    page = template.startswith("page")
    environment = Environment(
        loader=PackageLoader("swatbench", "report"),
        autoescape=template.startswith("page"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        # The others pass all text from records through filters of their own.
        finalize=_shown if page else None,
    )
    if template.startswith("report.tex"):
        # Braces mean something else in LaTeX.
        environment = environment.overlay("<%", "%>", "<<", ">>", "<#", "#>")
    environment.filters |= {
        "anchor": anchor,
        "md": escape_markdown,
        "svg": lambda drawing: Markup(drawing.inline()),  # noqa: S704
        "tex": escape_tex,
    }
    return environment.get_template(template).render(
        head=report.head,
        chapters=report.chapters,
        groups=report.groups,
        damaged=report.damaged,
        markdown_text=markdown_text,
        tex_size=tex_size,
        **{name: Markup(_text(f"page.{name}")) for name in ("css", "js")},  # noqa: S704
    )


def _shown(value: Any) -> Any:
    """What the page's template puts out: of text from records, nothing that cannot be seen."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _text(name: str) -> str:
    return files("swatbench.report").joinpath(name).read_text(encoding="utf-8")
