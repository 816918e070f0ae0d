"""Where the models of a report are not those of the catalogue, so that no one takes them for the paper's."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from swatbench.report.comparison import PairRuns
from swatbench.report.section import Section
from swatbench.spec.catalog import PAIRS


def departures(section: Section) -> tuple[str, ...]:
    """Name each pair and setting that differs from the catalogue's row, with both values.

    Args:
        section: What is reported of one machine.
    """
    found = (change for runs in section.pairs for row in _rows(runs) for change in _changes(runs.pair, row))
    return tuple(dict.fromkeys(found))


def _rows(runs: PairRuns) -> Sequence[Mapping[str, Any]]:
    """The catalogue's rows of a pair's records, each once."""
    rows: list[Mapping[str, Any]] = []
    for item in (*runs.trained, *runs.conditions[:1]):
        row = item.stored.record.cell["pair"]
        if row not in rows:
            rows.append(row)
    return rows


def _changes(pair: str, row: Mapping[str, Any]) -> Iterator[str]:
    known = PAIRS.get(pair)
    if known is None:
        yield f"{pair} (not in the catalogue)"
        return
    own = known.as_dict()
    for key in (key for key in own if key in row):
        if row[key] != own[key]:
            yield f"{pair} with {key} {_said(row[key])} ({_said(own[key])} in the catalogue)"


def _said(value: object) -> str:
    return "by the paper's rule" if value is None else str(value)
