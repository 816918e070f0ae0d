"""Sections → where the time goes: what each operator adds to the reference's step, as table and sentences."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from swatbench.report import words
from swatbench.report.breakdown_figure import breakdown_bars
from swatbench.report.conditions import CALLS, condition_columns, setting_of
from swatbench.report.section import Section
from swatbench.report.selection import Measured
from swatbench.report.spent import (
    EVERYTHING_ELSE,
    LEAST_PERCENT,
    WHOLE_STEP,
    AlignedTime,
    aligned,
    rows_of,
    step_s,
    summed,
    told,
)
from swatbench.report.table import Column, Table, make_table
from swatbench.report.tables import WHO, Link, Row
from swatbench.spec.cost import Protocol
from swatbench.store.cost import Spent

__all__ = ["breakdown_bars", "breakdown_table", "difference_sentences"]

BY_PROFILER = (
    "by torch.profiler, one process per arm; the profiler slows short operators, so shares, not times, are "
    "to be believed"
)
"""By what it was measured, and what may be believed of it."""

NAMED = 5
"""Most differences that a sentence names."""

_PLACES: Mapping[str, str] = {"head": "in the head", "other": "elsewhere"}
"""Part → where it is, in a sentence; else the part's name stands after `in`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """The profiled steps of an arm and its reference.

    Attributes:
        measured: The measurement.
        arm: The arm.
        protocol: `inference` or `training`.
        reference_rows: Where the reference's time goes.
        own_rows: Where the arm's time goes.
    """

    measured: Measured
    arm: str
    protocol: Protocol
    reference_rows: tuple[Spent, ...]
    own_rows: tuple[Spent, ...]

    @property
    def reference(self) -> str:
        """The arm that it is compared with."""
        return self.measured.result.reference


def pairings(measured: Measured) -> Iterator[Pairing]:
    """Arms that were profiled together with their reference, in each protocol."""
    reference, spent = measured.result.reference, measured.stored.breakdown()
    for arm in (cost.arm for cost in measured.result.arms if cost.arm != reference):
        for protocol in get_args(Protocol):
            theirs = rows_of(spent, arm=reference, protocol=protocol)
            own = rows_of(spent, arm=arm, protocol=protocol)
            if own and step_s(theirs) > 0:
                yield Pairing(
                    measured=measured, arm=arm, protocol=protocol, reference_rows=theirs, own_rows=own
                )


def breakdown_table(sections: Sequence[Section], link: Link) -> Table:
    """What each operator of each part adds to the reference's step.

    Args:
        sections: Sections of the report.
        link: Record → its address.
    """
    found = [
        (_name(section.machine, pairing, link), pairing)
        for section in sections
        for runs in section.pairs
        for measured in runs.conditions
        for pairing in pairings(measured)
    ]
    shown = [{**name, **_row(item)} for name, pairing in found for item in _shown(pairing)]
    every = [
        {**name, **_row(item)}
        for name, pairing in found
        for item in aligned(pairing.reference_rows, pairing.own_rows, with_phases=True)
    ]
    title = "Where the time goes"
    finer = ((*_NAMES, *_FACTS, "record"), every)
    extra = ("condition", "protocol", "phase", "record")
    note = _note(dict.fromkeys(setting_of(pairing.measured.result) for _, pairing in found))
    return make_table("breakdown", title, note, _columns(shown), shown, extra=extra, finer=finer)


def difference_sentences(section: Section) -> tuple[str, ...]:
    """Say for each arm and protocol which operators make its step longer or shorter."""
    measured = (runs.measured for runs in section.pairs if runs.measured)
    return tuple(_sentence(pairing) for one in measured for pairing in pairings(one))


_NAMES = ("machine", "pair", "arm", "reference", "condition", "protocol")
_FACTS = ("part", "operator", "phase", "reference_s", "own_s", "difference_s", "difference_percent")


def _columns(rows: Sequence[Row]) -> tuple[Column, ...]:
    return (
        *WHO,
        Column(name="reference", title="Against"),
        *condition_columns(rows),
        Column(name="call", title="Call", shown_only=True),
        Column(name="part", title="Part"),
        Column(name="operator", title="Operator"),
        Column(name="reference_s", title="Reference", show=_duration, numeric=True),
        Column(name="own_s", title="Arm", show=_duration, numeric=True, link="record"),
        Column(name="difference_s", title="Difference", show=_signed_duration, numeric=True),
        Column(name="difference_percent", title="% of the step", show=words.signed, numeric=True),
    )


def _note(settings: Iterable[str]) -> str:
    listed = "; ".join(settings)
    said = f" Measured at {listed}." if listed else ""
    return (
        f"Time of each operator's own in one call, {BY_PROFILER}. Differences are in % of the reference's "
        f"whole step; those below {words.decimal(LEAST_PERCENT)} % are summed up as “{EVERYTHING_ELSE}”. "
        "The CSV file has every operator, with forward, backward and optimizer apart."
        f"{said}"
    )


def _duration(seconds: float) -> str:
    return words.duration(seconds) if seconds else "0"


def _signed_duration(seconds: float) -> str:
    sign = "" if seconds == 0 else "+" if seconds > 0 else words.MINUS
    return f"{sign}{_duration(abs(seconds))}"


def _name(machine: str, pairing: Pairing, link: Link) -> Row:
    return {
        "machine": machine,
        "pair": pairing.measured.pair,
        "arm": pairing.arm,
        "reference": pairing.reference,
        "condition": pairing.measured.condition,
        "protocol": pairing.protocol,
        "call": CALLS[pairing.protocol],
        "record": link(pairing.measured.stored),
    }


def _row(item: AlignedTime) -> Row:
    return {name: getattr(item, name) for name in _FACTS}


def _shown(pairing: Pairing) -> tuple[AlignedTime, ...]:
    rows = aligned(pairing.reference_rows, pairing.own_rows)
    return (*told(rows), summed(rows, WHOLE_STEP))


def _sentence(pairing: Pairing) -> str:
    rows = aligned(pairing.reference_rows, pairing.own_rows)
    large = [row for row in rows if abs(row.difference_percent) >= LEAST_PERCENT]
    named = "; ".join(filter(None, (", ".join(map(_difference, large[:NAMED])), _rest(rows, large))))
    subject = f"{pairing.measured.pair}, {pairing.arm}, {CALLS[pairing.protocol]}"
    return f"{subject}: {named} of the {pairing.reference}'s step ({BY_PROFILER})"


def _rest(rows: Sequence[AlignedTime], large: Sequence[AlignedTime]) -> str:
    """What the differences that are not named come to, and all of them together."""
    whole = f"in all {_percent(summed(rows, WHOLE_STEP))}"
    if not large:
        return f"no operator differs by {words.decimal(LEAST_PERCENT)} % or more, {whole}"
    others = [row for row in rows if row not in large[:NAMED]]
    rest = f"all others {_percent(summed(others, EVERYTHING_ELSE))}, " if others else ""
    return f"{rest}{whole}"


def _difference(row: AlignedTime) -> str:
    return f"{row.operator} {_PLACES.get(row.part, f'in {row.part}')} {_percent(row)}"


def _percent(row: AlignedTime) -> str:
    percent = row.difference_percent
    return f"{words.signed(percent, 0 if abs(percent) >= 10 else 1)} %"
