"""Sections → where the time goes: what each operator adds to the reference's step, as table and sentences."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from swatbench.report import words
from swatbench.report.breakdown_figure import breakdown_bars
from swatbench.report.conditions import CALLS, condition_columns, filled, setting_of
from swatbench.report.profiled import (
    MOST_SLOWED,
    MOST_UNLIKE,
    PROFILER_NOTE,
    Pairing,
    Profiled,
    pairings,
    timed_percent,
    times,
)
from swatbench.report.section import Section
from swatbench.report.spent import (
    EVERYTHING_ELSE,
    LEAST_PERCENT,
    TIMED_STEP,
    WHOLE_STEP,
    AlignedTime,
    aligned,
    duration,
    largest,
    seconds_by_operator,
    seconds_by_part,
    summed,
    told,
)
from swatbench.report.table import Column, Table, absent, make_table
from swatbench.report.tables import WHO, Link, Row

__all__ = ["PROFILER_NOTE", "breakdown_bars", "breakdown_table", "difference_sentences"]


def breakdown_table(sections: Sequence[Section], link: Link) -> Table:
    """What each operator of each part adds to the reference's step; of a model alone, its parts.

    Args:
        sections: Sections of the report.
        link: Record → its address.
    """
    found = [
        ({**_name(section.machine, pairing, link), **_timed(pairing)}, pairing)
        for section in sections
        for runs in section.pairs
        for measured in runs.conditions
        for pairing in pairings(measured)
    ]
    shown = [{**name, **row} for name, pairing in found for row in _shown(pairing)]
    every = [{**name, **row} for name, pairing in found for row in _every(pairing)]
    finer = ((*_NAMES, *_FACTS, *_TIMED, "record"), every)
    extra = ("condition", "protocol", "phase", *_TIMED, "record")
    note = _note(dict.fromkeys(setting_of(pairing.measured.result) for _, pairing in found))
    return make_table(
        "breakdown", "Where the time goes", note, _columns(shown), shown, extra=extra, finer=finer
    )


def difference_sentences(section: Section) -> tuple[str, ...]:
    """Say for each arm and protocol which operators make its step longer or shorter.

    By what it was measured is not said in each: `PROFILER_NOTE` stands once above them.
    """
    found = [pairing for runs in section.pairs if runs.measured for pairing in pairings(runs.measured)]
    return tuple(f"{pairing.subject}: {said}" for pairing in found if (said := _said(pairing)))


_NAMES = ("machine", "pair", "arm", "reference", "condition", "protocol")
_FACTS = ("part", "operator", "path", "phase", "reference_s", "own_s", "difference_s", "difference_percent")
_TIMED = (
    "reference_timed_s",
    "own_timed_s",
    "reference_profiled_per_timed",
    "own_profiled_per_timed",
    "timed_percent",
    "disturbed",
)


def _columns(rows: Sequence[Row]) -> tuple[Column, ...]:
    sides = {name: partial(_to_timed, name=f"{name}_profiled_per_timed") for name in ("reference", "own")}
    further = (
        Column(name="operator", title="Operator"),
        Column(name="reference_s", title="Reference", show=duration, numeric=True, remark=sides["reference"]),
        Column(name="own_s", title="Arm", show=duration, numeric=True, link="record", remark=sides["own"]),
        Column(name="share_percent", title="% of its own step", show=words.decimal, numeric=True),
        Column(name="difference_s", title="Difference", show=_signed_duration, numeric=True),
        Column(
            name="difference_percent",
            title="% of the step",
            show=words.signed,
            numeric=True,
            remark=_timed_remark,
        ),
        Column(name="disturbed", title="Profile"),
    )
    return (
        *WHO,
        *filled((Column(name="reference", title="Against"),), rows),
        *condition_columns(rows),
        Column(name="call", title="Call", shown_only=True),
        Column(name="part", title="Part"),
        *filled(further, rows),
    )


def _to_timed(row: Mapping[str, Any], *, name: str) -> str:
    factor = row[name]
    return "" if row["part"] != WHOLE_STEP or absent(factor) else f"{times(factor)} × the timed"


def _timed_remark(row: Mapping[str, Any]) -> str:
    percent = row["timed_percent"]
    return "" if row["part"] != WHOLE_STEP or absent(percent) else f"timed: {words.signed(percent)}"


def _note(settings: Iterable[str]) -> str:
    listed = "; ".join(settings)
    said = f" Measured at {listed}." if listed else ""
    return (
        f"Time of each operator's own in one call. {PROFILER_NOTE} Differences are in % of the reference's "
        f"whole step; those below {words.decimal(LEAST_PERCENT)} % are summed up as “{EVERYTHING_ELSE}”. A "
        f"profiled step of more than {words.decimal(MOST_SLOWED, 0)} times the timed one is marked as "
        f"disturbed, and on a CPU so are two whose multiples are more than {words.decimal(MOST_UNLIKE)} "
        "times apart. The CSV file has every operator at every place, with forward, backward and optimizer "
        "apart."
        f"{said}"
    )


def _signed_duration(seconds: float) -> str:
    sign = "" if seconds == 0 else "+" if seconds > 0 else words.MINUS
    return f"{sign}{duration(abs(seconds))}"


def _name(machine: str, pairing: Pairing, link: Link) -> Row:
    return {
        "machine": machine,
        "pair": pairing.measured.pair,
        "arm": pairing.own.arm,
        "reference": pairing.reference.arm if pairing.reference else None,
        "condition": pairing.measured.condition,
        "protocol": pairing.protocol,
        "call": CALLS[pairing.protocol],
        "record": link(pairing.measured.stored),
    }


def _timed(pairing: Pairing) -> Row:
    reference, own = pairing.reference, pairing.own
    return {
        "reference_timed_s": reference.timed_s if reference else None,
        "own_timed_s": own.timed_s,
        "reference_profiled_per_timed": reference.to_timed if reference else None,
        "own_profiled_per_timed": own.to_timed,
        "timed_percent": timed_percent(reference, own) if reference else None,
        "disturbed": "disturbed, not read" if pairing.disturbance else "",
    }


def _row(item: AlignedTime) -> Row:
    return {name: getattr(item, name) for name in _FACTS}


def _shown(pairing: Pairing) -> Iterator[Row]:
    if pairing.reference is None:
        yield from _parts(pairing.own)
        return
    rows = aligned(pairing.reference.rows, pairing.own.rows)
    steps = _timed_step(pairing.reference, pairing.own)
    yield from map(_row, (*told(rows), summed(rows, WHOLE_STEP), *steps))


def _parts(own: Profiled) -> Iterator[Row]:
    """The parts of a model that was measured alone."""
    for part, seconds in {**seconds_by_part(own.rows), WHOLE_STEP: own.step_s}.items():
        yield {"part": part, "own_s": seconds, "share_percent": 100 * seconds / own.step_s}
    if own.timed_s is not None:
        yield {"part": TIMED_STEP, "own_s": own.timed_s}


def _timed_step(reference: Profiled, own: Profiled) -> Iterator[AlignedTime]:
    if reference.timed_s and own.timed_s is not None:
        yield AlignedTime(
            part=TIMED_STEP,
            operator="",
            reference_s=reference.timed_s,
            own_s=own.timed_s,
            step_s=reference.timed_s,
        )


def _every(pairing: Pairing) -> Iterator[Row]:
    if pairing.reference is not None:
        yield from map(_row, aligned(pairing.reference.rows, pairing.own.rows, finer=True))
        return
    for key, seconds in seconds_by_operator(pairing.own.rows, finer=True).items():
        yield {**dict(zip(("part", "operator", "path", "phase"), key, strict=True)), "own_s": seconds}


def _said(pairing: Pairing) -> str:
    """What an arm adds to its reference; of a model that was measured alone, whether it was disturbed."""
    reference, own = pairing.reference, pairing.own
    if reference is None or pairing.disturbance:
        return pairing.disturbance
    differences = largest(aligned(reference.rows, own.rows), timed_percent(reference, own))
    return f"{differences} of the {reference.arm}'s step"
