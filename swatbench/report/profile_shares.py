"""Shares of a profile: where the time goes, and which part of a model has its parameters and MACs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import fsum
from typing import TypeAlias, get_args

from swatbench.report import words
from swatbench.report.conditions import CALLS
from swatbench.report.modules import WHOLE_MODEL, part_rank
from swatbench.report.profile_table import ProfileTable, arms_of
from swatbench.report.selection import Measured
from swatbench.report.spent import EVERYTHING_ELSE, WHOLE_STEP, rows_of, seconds_by_operator
from swatbench.spec.cost import Protocol
from swatbench.store.cost import ModuleCost, Spent

SHOWN = 12
"""Most rows that a table of times shows; the others are summed up."""

Seconds: TypeAlias = tuple[float, ...]
"""Seconds of each arm, the reference first."""


def breakdown_tables(measured: Measured) -> Iterator[ProfileTable]:
    """Where the time goes in each protocol, by part and operator, the longest first."""
    spent = measured.stored.breakdown()
    arms = [cost.arm for cost in arms_of(measured)]
    for protocol in get_args(Protocol):
        found = seconds_by_arm(spent, arms, protocol)
        if found:
            yield _breakdown_table(found, arms, protocol)


def modules_table(measured: Measured) -> ProfileTable | None:
    """Parameters and MACs of each part of the model, where they were counted by module."""
    modules = measured.stored.modules()
    if not modules:
        return None
    arms = [cost.arm for cost in arms_of(measured)]
    parts = sorted(dict.fromkeys(row.part for row in modules), key=part_rank)
    names = [f"{what}, {arm}" if len(arms) > 1 else what for what in ("parameters", "MACs") for arm in arms]
    return ProfileTable(
        title="Modules by part: parameters, and MACs of one image's forward pass",
        columns=("part", *names),
        rows=tuple(_part_row(part, modules, arms) for part in (*parts, WHOLE_MODEL)),
    )


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
    found = {(part, operator): _each(sides, (part, operator, None)) for part, operator, _ in keys}
    return dict(sorted(found.items(), key=lambda item: -max(item[1])))


def _each(
    sides: Sequence[Mapping[tuple[str, str, str | None], float]], key: tuple[str, str, None]
) -> Seconds:
    return tuple(side.get(key, 0.0) for side in sides)


def _breakdown_table(
    found: Mapping[tuple[str, str], Seconds], arms: Sequence[str], protocol: Protocol
) -> ProfileTable:
    shown, rest = list(found.items())[:SHOWN], list(found.values())[SHOWN:]
    whole = _summed(found.values())
    sums = [((EVERYTHING_ELSE, ""), _summed(rest))] if rest else []
    rows = [*shown, *sums, ((WHOLE_STEP, ""), whole)]
    further = {1: "share of the step", 2: f"difference, % of {arms[0]}'s step"}.get(len(arms))
    return ProfileTable(
        title=f"Where the time of a {CALLS[protocol]} goes, by torch.profiler; it slows short operators, so "
        "believe\nshares, not times",
        columns=("part", "operator", *arms, *((further,) if further else ())),
        rows=tuple((*name, *map(_duration, seconds), *_further(seconds, whole)) for name, seconds in rows),
    )


def _summed(rows: Iterable[Seconds]) -> Seconds:
    return tuple(fsum(column) for column in zip(*rows, strict=True))


def _duration(seconds: float) -> str:
    return words.duration(seconds) if seconds else "0"


def _further(seconds: Seconds, whole: Seconds) -> tuple[str, ...]:
    """Of one arm its share, of two their difference, in % of the first one's step; nothing of more."""
    first, *others = seconds
    if len(others) > 1:
        return ()
    if not whole[0] > 0:
        return (words.NOTHING,)
    show = words.signed if others else words.decimal
    return (f"{show(100 * ((others[0] - first) if others else first) / whole[0])} %",)


def _part_row(part: str, modules: Sequence[ModuleCost], arms: Sequence[str]) -> tuple[str, ...]:
    inside = [row for row in modules if part in (row.part, WHOLE_MODEL)]
    params = [sum(row.params for row in inside if row.arm == arm) for arm in arms]
    macs = [sum(row.macs for row in inside if row.arm == arm) for arm in arms]
    return (part, *map(words.whole, params), *map(words.whole, macs))
