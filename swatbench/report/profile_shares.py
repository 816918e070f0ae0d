"""Shares of a profile: where the time goes, and which part of a model has its parameters and MACs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import fsum
from textwrap import fill
from typing import TypeAlias, get_args

from swatbench.report import words
from swatbench.report.conditions import CALLS
from swatbench.report.modules import WHOLE_MODEL, part_rank
from swatbench.report.profile_table import WIDTH, ProfileTable, arms_of
from swatbench.report.profiled import PROFILER_NOTE, Profiled, disturbance, profiled, timed_percent
from swatbench.report.selection import Measured
from swatbench.report.spent import (
    EVERYTHING_ELSE,
    TIMED_STEP,
    TO_TIMED,
    WHOLE_STEP,
    duration,
    rows_of,
    seconds_by_operator,
)
from swatbench.spec.cost import Protocol
from swatbench.store.cost import ModuleCost, Spent

SHOWN = 12
"""Most rows that a table of times shows; the others are summed up."""

Seconds: TypeAlias = tuple[float, ...]
"""Seconds of each arm, the reference first."""


def breakdown_tables(measured: Measured) -> Iterator[ProfileTable]:
    """Where the time goes in each protocol, by part and operator, the longest first."""
    spent, note = measured.stored.breakdown(), PROFILER_NOTE
    for protocol in get_args(Protocol):
        sides = [profiled(measured, cost, protocol, spent) for cost in arms_of(measured)]
        found = seconds_by_arm(spent, [side.arm for side in sides], protocol)
        if found:
            yield _breakdown_table(found, sides, f"Where the time of a {CALLS[protocol]} goes", note)
            note = ""


def modules_tables(measured: Measured) -> Iterator[ProfileTable]:
    """Parameters and MACs of each part of the model, where they were counted by module."""
    modules = measured.stored.modules()
    arms = [cost.arm for cost in arms_of(measured)]
    parts = [*sorted(dict.fromkeys(row.part for row in modules), key=part_rank), WHOLE_MODEL]
    found = {part: _counts(part, modules, arms) for part in parts}
    forward = "MACs of one image's forward pass"
    if not modules:
        return
    if len(arms) == 1:
        rows = tuple((part, *params, *macs) for part, (params, macs) in found.items())
        columns = ("part", "parameters", "MACs")
        yield ProfileTable(title=f"Modules by part: parameters, and {forward}", columns=columns, rows=rows)
        return
    for index, title in enumerate(("Parameters by part", f"{forward}, by part")):
        rows = tuple((part, *counts[index]) for part, counts in found.items())
        yield ProfileTable(title=title, columns=("part", *arms), rows=rows)


def seconds_by_arm(
    spent: Sequence[Spent], arms: Sequence[str], protocol: Protocol
) -> dict[tuple[str, str], Seconds]:
    """Part and operator → seconds of each arm in one call, the longest first.

    Args:
        spent: Rows of a record.
        arms: Arms, the reference first.
        protocol: `inference` or `training`.
    """
    sides = [seconds_by_operator(rows_of(spent, arm=arm, protocol=protocol)) for arm in arms]
    keys = dict.fromkeys(key for side in sides for key in side)
    names = dict.fromkeys((part, operator) for part, operator, *_ in keys)
    found = {name: tuple(side.get((*name, None, None), 0.0) for side in sides) for name in names}
    return dict(sorted(found.items(), key=lambda item: -max(item[1])))


def _breakdown_table(
    found: Mapping[tuple[str, str], Seconds], sides: Sequence[Profiled], title: str, note: str
) -> ProfileTable:
    shown, rest = list(found.items())[:SHOWN], list(found.values())[SHOWN:]
    whole = _summed(found.values())
    sums = [((EVERYTHING_ELSE, ""), _summed(rest))] if rest else []
    why = disturbance(sides)
    lines = (f"{title}: {why}" if why else f"{title}{_percents_of(sides)}", note)
    return ProfileTable(
        title="\n".join(fill(line, WIDTH) for line in lines if line),
        columns=("part", "operator", *(side.arm for side in sides), *_HEADS.get(len(sides), ())),
        rows=(
            *((*name, *_cells(seconds, whole)) for name, seconds in (*shown, *sums)),
            *_step_rows(sides, whole),
        ),
    )


_HEADS = {1: ("share of the step",), 2: ("difference",)}
"""Number of models → head of the column after theirs."""


def _percents_of(sides: Sequence[Profiled]) -> str:
    if len(sides) == 1:
        return ""
    whose = f"differences in % of {sides[0].arm}'s step" if len(sides) == 2 else "shares of each model's step"
    return f"; {whose}"


def _summed(rows: Iterable[Seconds]) -> Seconds:
    return tuple(fsum(column) for column in zip(*rows, strict=True))


def _cells(seconds: Seconds, whole: Seconds) -> tuple[str, ...]:
    """Times of up to two models with a share or a difference; of more, the share of each in its own step."""
    shares = [_percent(part, step_s) for part, step_s in zip(seconds, whole, strict=True)]
    arms = len(seconds)
    if arms > 2:
        return tuple(shares)
    further = shares[0] if arms == 1 else _percent(seconds[1] - seconds[0], whole[0], signed=True)
    return (*map(duration, seconds), further)


def _percent(seconds: float, step_s: float, *, signed: bool = False) -> str:
    if not step_s > 0:
        return words.NOTHING
    return f"{(words.signed if signed else words.decimal)(100 * seconds / step_s)} %"


def _step_rows(sides: Sequence[Profiled], whole: Seconds) -> Iterator[tuple[str, ...]]:
    """The whole step as it was profiled and as it was timed, and the quotient of both."""
    blank = [""] * len(_HEADS.get(len(sides), ()))
    yield (WHOLE_STEP, "", *map(duration, whole), *_whole_further(sides, whole))
    if any(side.timed_s for side in sides):
        yield (TIMED_STEP, "", *(words.duration(side.timed_s) for side in sides), *blank)
        yield (TO_TIMED, "", *(words.factor(side.to_timed) for side in sides), *blank)


def _whole_further(sides: Sequence[Profiled], whole: Seconds) -> tuple[str, ...]:
    if len(sides) > 2:
        return ()
    timed = timed_percent(*sides) if len(sides) == 2 else None
    beside = "" if timed is None else f" (timed: {words.signed(timed)} %)"
    return (f"{_cells(whole, whole)[-1]}{beside}",)


def _counts(
    part: str, modules: Sequence[ModuleCost], arms: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Parameters, then MACs, of each arm."""
    inside = [row for row in modules if part in (row.part, WHOLE_MODEL)]
    own = [[row for row in inside if row.arm == arm] for arm in arms]
    params = (words.whole(sum(row.params for row in rows)) for rows in own)
    macs = (words.whole(sum(row.macs for row in rows)) for rows in own)
    return tuple(params), tuple(macs)
