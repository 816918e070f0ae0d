"""Where the models of a report are not those of the catalogue, so that no one takes them for the paper's."""

from collections.abc import Iterator, Mapping
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


def _rows(runs: PairRuns) -> Iterator[Mapping[str, Any]]:
    yield from (run.cell.pair.model_dump() for run in runs.trained)
    if runs.measured is not None:
        yield runs.measured.cell.pair.model_dump()


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
