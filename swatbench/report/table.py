"""A table: tidy values for files, and how each column is shown to a reader."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from swatbench.report.words import NOTHING, whole

MOST_SHOWN = 200
"""Rows of one machine that a table shows; its CSV file holds all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """How one column is shown.

    Attributes:
        name: Column of the frame.
        title: Head of the column.
        show: Value → text; never called for a missing value.
        numeric: Whether it is set flush right and sorted by number.
        link: Column that holds the address which the cell links to, or None; an absent value links nowhere.
        prose: Whether its text is long and may be broken into lines.
        shown_only: Words made from other columns; the CSV file does without it.
        remark: Row → words in brackets after the value, or an empty text.
        links: Whether the value is a tuple of (text, address), shown as links.
    """

    name: str
    title: str
    show: Callable[[Any], str] = str
    numeric: bool = False
    link: str | None = None
    prose: bool = False
    shown_only: bool = False
    remark: Callable[[dict[Any, Any]], str] | None = None
    links: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CellView:
    """One cell as it is shown.

    Attributes:
        text: What is read.
        key: What the column is sorted by.
        link: Address, or None.
        numeric: Whether it is set flush right.
        prose: Whether it may be broken into lines.
        links: Texts and addresses of several links, shown instead of the text.
    """

    text: str
    key: str
    link: str | None
    numeric: bool
    prose: bool
    links: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Tidy values and their presentation.

    Attributes:
        name: Name of its files.
        title: Heading.
        note: How to read it, in a sentence or two.
        columns: Columns that are shown, in order; the frame may hold more.
        frame: Raw values in SI units, one row a fact; the column `machine` tells the section.
        finer: What the CSV file holds where the page shows means or a choice of it, else None.
    """

    name: str
    title: str
    note: str
    columns: tuple[Column, ...]
    frame: pd.DataFrame
    finer: pd.DataFrame | None = None

    @property
    def facts(self) -> pd.DataFrame:
        """What the CSV file holds: no columns that are words about others."""
        if self.finer is not None:
            return self.finer
        return self.frame.drop(columns=[column.name for column in self.columns if column.shown_only])

    def count(self, machine: str | None = None) -> int:
        """Rows of one machine or of all, shown or not."""
        return len(self._of(machine))

    def machines(self) -> list[str]:
        """Machine of each row that `views` gives of all machines."""
        return self._shown(None)["machine"].tolist()

    def rest(self, machine: str | None = None) -> str:
        """What to say where rows are not shown, or an empty text."""
        shown, count = len(self._shown(machine)), self.count(machine)
        return f"{whole(shown)} of {whole(count)} rows; all are in the CSV file." if shown < count else ""

    def views(self, machine: str | None = None) -> list[list[CellView]]:
        """The first `MOST_SHOWN` rows as shown, of one machine or of each."""
        frame = self._shown(machine)
        rows = (
            dict(zip(frame.columns, values, strict=True))
            for values in frame.itertuples(index=False, name=None)
        )
        return [[_view(column, row) for column in self.columns] for row in rows]

    def _of(self, machine: str | None) -> pd.DataFrame:
        return self.frame if machine is None else self.frame.loc[self.frame["machine"] == machine]

    def _shown(self, machine: str | None) -> pd.DataFrame:
        frame = self._of(machine)
        return frame.loc[frame.groupby("machine", dropna=False).cumcount() < MOST_SHOWN]


def make_table(
    name: str,
    title: str,
    note: str,
    columns: tuple[Column, ...],
    rows: list[dict[str, Any]],
    *,
    extra: tuple[str, ...] = (),
    finer: tuple[tuple[str, ...], list[dict[str, Any]]] | None = None,
) -> Table:
    """Build a table from rows; its files also hold the columns named in `extra` and `machine`.

    Args:
        name: Name of its files.
        title: Heading.
        note: How to read it.
        columns: Columns that are shown.
        rows: Values of each row.
        extra: Further columns of the CSV file.
        finer: Columns and rows of the CSV file, where it holds more than is shown.
    """
    hidden = [key for key in ("machine", *extra) if key not in {column.name for column in columns}]
    names = list(dict.fromkeys([*hidden[:1], *(column.name for column in columns), *hidden[1:]]))
    # Objects keep whole numbers whole beside missing values.
    frame = pd.DataFrame(rows, columns=pd.Index(names), dtype=object)
    whole = pd.DataFrame(finer[1], columns=pd.Index(finer[0]), dtype=object) if finer else None
    return Table(name=name, title=title, note=note, columns=columns, frame=frame, finer=whole)


def absent(value: object) -> bool:
    """Whether a table has no value there: None, or the not-a-number that pandas makes of it."""
    return value is None or value != value  # noqa: PLR0124


def _view(column: Column, row: dict[Any, Any]) -> CellView:
    value = row[column.name]
    missing = absent(value) or (column.links and not value)
    links = tuple(value) if column.links and not missing else ()
    remark = column.remark(row) if column.remark and not missing else ""
    text = NOTHING if missing else " ".join(said for said, _ in links) or column.show(value)
    return CellView(
        text=f"{text} ({remark})" if remark else text,
        key="" if missing else str(len(links) or value),
        link=row[column.link] if column.link and not missing else None,
        numeric=column.numeric,
        prose=column.prose,
        links=links,
    )
