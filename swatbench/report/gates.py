"""Sections → verdicts on limits that a user sets, for a program that must say yes or no (no files, no clock).

A limit is met where the whole interval lies inside it and broken where the whole interval lies outside. Where
the interval holds the limit, or there is none, it is not decided: that is no yes. Counts are exact. Memory is
one measurement; what repeated ones may differ by stands in for its interval, and the line says so.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from swatbench.errors import SuiteError
from swatbench.report.gate_values import GAIN, NAMES, Found, limited, values_of
from swatbench.report.section import Section
from swatbench.spec.catalog import suggest

Verdict = Literal["met", "broken", "not decided", "nothing to judge"]

_GATE = re.compile(
    r"(?:(?P<pair>[^:=\s]+):)?(?:(?P<arm>[^:=\s]+):)?(?P<name>[^:=\s]+)=(?P<limit>[^:=\s]+)\Z", re.ASCII
)
_COST = re.compile(r"-cost-[0-9a-f]{10}\Z")
_NAMED = 3
FORM = "Write NAME=VALUE, PAIR:NAME=VALUE or PAIR:ARM:NAME=VALUE, as swin_t:swat:max_latency_ratio=1.10."


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """A limit.

    Attributes:
        text: As the user gave it.
        name: What is limited.
        limit: A ratio, or points; what is above a `max_` is broken, and what is below a `min_`.
        pair: The pair that it is for, or None for all.
        arm: The arm that it is for, or None for all.
    """

    text: str
    name: str
    limit: float
    pair: str | None = None
    arm: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What one gate says of one comparison.

    Attributes:
        gate: The gate.
        machine: Name of the machine's folder.
        pair: Name of the pair; None where the gate found nothing at all.
        arm: The arm, likewise.
        found: The value that was judged, or None where there is none.
        verdict: `met`, `broken`, `not decided`, or `nothing to judge`, which is a failure too.
        why: What the verdict rests on, or what is missing.
    """

    gate: Gate
    machine: str
    pair: str | None
    arm: str | None
    found: Found | None
    verdict: Verdict
    why: str


def parse_gate(text: str) -> Gate:
    """Read a gate as it is given on the command line.

    Raises:
        SuiteError: It has another form, its name is unknown (the nearest names are given), or its value is no
            finite number, or no ratio above 0.

    Example:
        >>> gate = parse_gate("swin_t:swat:max_latency_ratio=1.10")
        >>> gate.pair, gate.arm, gate.name, gate.limit
        ('swin_t', 'swat', 'max_latency_ratio', 1.1)
    """
    parts = _GATE.match(text.strip())
    if parts is None:
        raise SuiteError("this is no gate.", where=f"--gate {text}", fix=FORM)
    if parts["name"] not in NAMES:
        raise SuiteError(
            f"no gate is called {parts['name']!r}.", where=f"--gate {text}", fix=suggest(parts["name"], NAMES)
        )
    return Gate(
        text=text.strip(), name=parts["name"], limit=_limit(text, parts), pair=parts["pair"], arm=parts["arm"]
    )


def judge(
    gates: Sequence[Gate], sections: Sequence[Section], waiting: Mapping[str, Sequence[str]] | None = None
) -> tuple[Judgement, ...]:
    """Judge every comparison that a gate is for, machine by machine.

    Args:
        gates: The limits.
        sections: What the report shows.
        waiting: Machine → names of cells that were asked for and have no readable record; a gate that may be
            for one of them has nothing to judge there.
    """
    asked = waiting or {}
    return tuple(
        judgement
        for gate in gates
        for judgement in (
            [
                item
                for section in sections
                for item in _in_section(gate, section, asked.get(section.machine, ()))
            ]
            or [_nothing(gate, "any machine", None, None, "no machine has a record")]
        )
    )


def passes(judgements: Sequence[Judgement], *, undecided: bool) -> bool:
    """Whether all limits are kept.

    Args:
        judgements: What was judged.
        undecided: Whether one that is not decided lets the others pass.
    """
    good = ("met", "not decided") if undecided else ("met",)
    return all(item.verdict in good for item in judgements)


def line(item: Judgement) -> str:
    """One judgement in a line, effect and interval first."""
    name = " ".join(filter(None, (item.pair, item.arm)))
    if item.found is None:
        return (
            f"{item.verdict}: {item.gate.text}, {', '.join(filter(None, (name, item.machine)))}: {item.why}"
        )
    against = f"{name} against {item.found.reference} on {item.machine}"
    return f"{item.found.effect}: {item.verdict}, {item.gate.text}; {against}; {item.why}"


def as_json(item: Judgement) -> dict[str, Any]:
    """One judgement as JSON values; ratios are plain numbers, points are percentage points."""
    found = item.found
    return {
        "gate": item.gate.text,
        "name": item.gate.name,
        "limit": item.gate.limit,
        "machine": item.machine,
        "pair": item.pair,
        "arm": item.arm,
        "reference": found and found.reference,
        "value": found and found.value,
        "low": found and found.low,
        "high": found and found.high,
        "floor": found and found.floor,
        "verdict": item.verdict,
        "why": item.why,
    }


def _limit(text: str, parts: re.Match[str]) -> float:
    try:
        limit = float(parts["limit"])
    except ValueError:
        limit = float("nan")
    ratio = parts["name"].endswith("_ratio")
    if limit != limit or abs(limit) == float("inf") or (ratio and limit <= 0):  # noqa: PLR0124
        wanted = "a ratio above 0, as 1.10" if ratio else "a number of points, as 0.5"
        raise SuiteError(f"{parts['limit']!r} is not {wanted}.", where=f"--gate {text}", fix=FORM)
    return limit


def _in_section(gate: Gate, section: Section, waiting: Sequence[str]) -> Iterator[Judgement]:
    keys = [key for key in _keys(section) if _is_for(gate, *key)]
    for pair, arm in keys:
        values = values_of(section, pair, arm, gate.name)
        for found in values:
            verdict, why = _verdict(gate, found)
            yield Judgement(
                gate=gate, machine=section.machine, pair=pair, arm=arm, found=found, verdict=verdict, why=why
            )
        if not values:
            yield _nothing(
                gate, section.machine, pair, arm, f"{limited(section, gate.name)} was not compared here"
            )
    if not keys:
        yield _nothing(gate, section.machine, gate.pair, gate.arm, "no comparison that it is for")
    failed = [stored.record.cell_id for stored in section.failed]
    for cells, what in ((failed, "failed"), (waiting, "were asked for and have no readable record")):
        missing = [cell for cell in cells if _may_be_for(gate, cell)]
        if missing:
            more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
            why = f"cells {what}: {', '.join(missing[:_NAMED])}{more}"
            yield _nothing(gate, section.machine, gate.pair, gate.arm, why)


def _keys(section: Section) -> Sequence[tuple[str, str]]:
    """Every pair and arm that a gate could be for: compared, or with a record beside its reference's."""
    compared = [(item.pair, item.arm) for item in section.comparisons]
    recorded = [(runs.pair, arm) for runs in section.pairs for arm in runs.arms if arm != runs.reference]
    return list(dict.fromkeys((*compared, *recorded)))


def _is_for(gate: Gate, pair: str, arm: str) -> bool:
    return gate.pair in (None, pair) and gate.arm in (None, arm)


def _may_be_for(gate: Gate, cell: str) -> bool:
    """Whether a gate may be for a cell of this name, which begins with the pair (`spec.cells`)."""
    if gate.pair is not None and not cell.startswith(f"{gate.pair}-"):
        return False
    if gate.name == GAIN:
        return _COST.search(cell) is None and "-on-" not in cell
    return _COST.search(cell) is not None


def _nothing(gate: Gate, machine: str, pair: str | None, arm: str | None, why: str) -> Judgement:
    return Judgement(
        gate=gate, machine=machine, pair=pair, arm=arm, found=None, verdict="nothing to judge", why=why
    )


def _verdict(gate: Gate, found: Found) -> tuple[Verdict, str]:
    if found.doubt:
        return "not decided", found.doubt
    if found.floor is not None and gate.limit / found.floor <= found.value <= gate.limit * found.floor:
        return "not decided", f"nearer to the limit than equal work to itself; {found.rests_on}"
    low, high = (found.value if end is None else end for end in (found.low, found.high))
    if gate.name.startswith("max_"):
        inside, outside = high <= gate.limit, low > gate.limit
    else:
        inside, outside = low >= gate.limit, high < gate.limit
    if inside or outside:
        return "met" if inside else "broken", found.rests_on
    return "not decided", f"the interval holds the limit; {found.rests_on}"
