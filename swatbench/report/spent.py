"""Where the time of two arms goes, side by side: operators of one part, and what they add to a step."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import TypeAlias

from swatbench.report import words
from swatbench.report.modules import part_rank
from swatbench.spec.cost import Protocol
from swatbench.store.cost import Spent

LEAST_PERCENT = 0.5
"""Smallest difference, in % of the reference's step, that is told by itself."""

NAMED = 5
"""Most differences that a sentence names."""

_PLACES: Mapping[str, str] = {"head": "in the head", "other": "elsewhere"}
"""Part → where it is, in a sentence; else the part's name stands after `in`."""
_OPTIMIZER = "optimizer"
OPTIMIZER_STEP = "the optimizer's step"

EVERYTHING_ELSE = "everything else"
WHOLE_STEP = "whole step"
TIMED_STEP = "timed step"
TO_TIMED = "profiled / timed"

Operator: TypeAlias = tuple[str, str, str | None, str | None]
"""Part, operator, place and phase; the last two are None where they are summed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignedTime:
    """Time of one operator in one part of two arms, or a sum of such times.

    Attributes:
        part: Part of the model; `EVERYTHING_ELSE` or `WHOLE_STEP` for a sum.
        operator: Operator in plain words; empty for a sum.
        path: Place of the module that called it; None where places are summed.
        phase: `forward`, `backward` or `optimizer`; None where phases are summed.
        reference_s: Seconds of its own in one step of the reference.
        own_s: The same of the arm.
        step_s: Seconds of the reference's whole step.
    """

    part: str
    operator: str
    path: str | None = None
    phase: str | None = None
    reference_s: float
    own_s: float
    step_s: float

    @property
    def difference_s(self) -> float:
        """What the arm adds, in seconds."""
        return self.own_s - self.reference_s

    @property
    def difference_percent(self) -> float:
        """What the arm adds, in % of the reference's whole step."""
        return 100 * self.difference_s / self.step_s


def largest(rows: Sequence[AlignedTime], timed_percent: float | None) -> str:
    """The largest differences in words, and what all of them come to.

    Args:
        rows: Rows of `aligned`, at least one.
        timed_percent: What the arm adds to the reference's timed step, where that is known.
    """
    large = [row for row in rows if abs(row.difference_percent) >= LEAST_PERCENT]
    least = words.decimal(LEAST_PERCENT)
    named = ", ".join(map(_difference, large[:NAMED]))
    others = [row for row in rows if row not in large[:NAMED]]
    rest = f"all others {_sum_percent(others)}, " if others else ""
    first = f"{named}; {rest}" if large else f"no operator differs by {least} % or more, "
    beside = "" if timed_percent is None else f" (timed: {signed_percent(timed_percent)})"
    return f"{first}in all {_sum_percent(rows)}{beside}"


def signed_percent(percent: float) -> str:
    """A difference in %, with its sign.

    Example:
        >>> signed_percent(38.2), signed_percent(-0.42)
        ('+38 %', '−0.4 %')
    """
    return f"{words.signed(percent, 0 if abs(percent) >= 10 else 1)} %"


def duration(seconds: float) -> str:
    """Time of an operator; one that an arm lacks has none at all.

    Example:
        >>> duration(0.0), duration(0.0076)
        ('0', '7.60 ms')
    """
    return words.duration(seconds) if seconds else "0"


def rows_of(spent: Iterable[Spent], *, arm: str, protocol: Protocol) -> tuple[Spent, ...]:
    """The rows of one arm and protocol."""
    return tuple(row for row in spent if row.arm == arm and row.protocol == protocol)


def step_s(spent: Iterable[Spent]) -> float:
    """Seconds of the whole step that these rows make up."""
    return fsum(row.self_s for row in spent)


def seconds_by_part(spent: Sequence[Spent]) -> dict[str, float]:
    """Part → its seconds in one step, in the order in which parts are told."""
    parts = sorted(dict.fromkeys(row.part for row in spent), key=part_rank)
    return {part: step_s(row for row in spent if row.part == part) for part in parts}


def aligned(
    reference: Sequence[Spent], own: Sequence[Spent], *, finer: bool = False
) -> tuple[AlignedTime, ...]:
    """Lay the times of two arms side by side, the largest difference first.

    Args:
        reference: Rows of the reference, of one protocol.
        own: Rows of the arm, of the same protocol.
        finer: Whether places, and forward, backward and optimizer, are kept apart.

    Raises:
        ValueError: The reference's step took no time.
    """
    whole_s = step_s(reference)
    if not whole_s > 0:
        raise ValueError("the reference's step took no time")
    sides = [seconds_by_operator(rows, finer=finer) for rows in (reference, own)]
    found = [
        AlignedTime(
            part=part,
            operator=operator,
            path=path,
            phase=phase,
            reference_s=sides[0].get((part, operator, path, phase), 0.0),
            own_s=sides[1].get((part, operator, path, phase), 0.0),
            step_s=whole_s,
        )
        for part, operator, path, phase in dict.fromkeys([*sides[0], *sides[1]])
    ]
    return tuple(sorted(found, key=lambda item: -abs(item.difference_s)))


def told(rows: Sequence[AlignedTime]) -> tuple[AlignedTime, ...]:
    """Rows whose difference is large enough to be told; then the sum of the others, if there are any.

    Args:
        rows: Rows of `aligned`, at least one.
    """
    large = [row for row in rows if abs(row.difference_percent) >= LEAST_PERCENT]
    rest = [row for row in rows if abs(row.difference_percent) < LEAST_PERCENT]
    return (*large, *([summed(rest, EVERYTHING_ELSE)] if rest else []))


def summed(rows: Sequence[AlignedTime], name: str) -> AlignedTime:
    """Several rows as one.

    Args:
        rows: At least one row.
        name: What the sum is called.
    """
    return AlignedTime(
        part=name,
        operator="",
        reference_s=fsum(row.reference_s for row in rows),
        own_s=fsum(row.own_s for row in rows),
        step_s=rows[0].step_s,
    )


def seconds_by_operator(spent: Sequence[Spent], *, finer: bool = False) -> dict[Operator, float]:
    """Part, operator, place and phase → seconds in one step.

    Args:
        spent: Rows of one arm and protocol.
        finer: Whether places and phases are kept apart; else both are None.
    """
    found: dict[Operator, list[float]] = {}
    for row in spent:
        path, phase = (row.path, row.phase) if finer else (None, None)
        key = (row.part, row.operator, path, phase)
        found.setdefault(key, []).append(row.self_s)
    return {key: fsum(seconds) for key, seconds in found.items()}


def _sum_percent(rows: Sequence[AlignedTime]) -> str:
    return signed_percent(summed(rows, WHOLE_STEP).difference_percent)


def _difference(row: AlignedTime) -> str:
    place = _PLACES.get(row.part, f"in {row.part}")
    # No module calls the optimizer, so it has no place.
    own = row.operator == _OPTIMIZER and row.part == "other"
    return f"{OPTIMIZER_STEP if own else f'{row.operator} {place}'} {signed_percent(row.difference_percent)}"
