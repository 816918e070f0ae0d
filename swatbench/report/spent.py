"""Where the time of two arms goes, side by side: operators of one part, and what they add to a step."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import fsum

from swatbench.report.modules import part_rank
from swatbench.spec.cost import Protocol
from swatbench.store.cost import Spent

LEAST_PERCENT = 0.5
"""Smallest difference, in % of the reference's step, that is told by itself."""

EVERYTHING_ELSE = "everything else"
WHOLE_STEP = "whole step"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignedTime:
    """Time of one operator in one part of two arms, or a sum of such times.

    Attributes:
        part: Part of the model; `EVERYTHING_ELSE` or `WHOLE_STEP` for a sum.
        operator: Operator in plain words; empty for a sum.
        phase: `forward`, `backward` or `optimizer`; None where phases are summed.
        reference_s: Seconds of its own in one step of the reference.
        own_s: The same of the arm.
        step_s: Seconds of the reference's whole step.
    """

    part: str
    operator: str
    phase: str | None
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
    reference: Sequence[Spent], own: Sequence[Spent], *, with_phases: bool = False
) -> tuple[AlignedTime, ...]:
    """Lay the times of two arms side by side, the largest difference first.

    Args:
        reference: Rows of the reference, of one protocol.
        own: Rows of the arm, of the same protocol.
        with_phases: Whether forward, backward and optimizer are kept apart.

    Raises:
        ValueError: The reference's step took no time.
    """
    whole_s = step_s(reference)
    if not whole_s > 0:
        raise ValueError("the reference's step took no time")
    sides = [seconds_by_operator(rows, with_phases=with_phases) for rows in (reference, own)]
    found = [
        AlignedTime(
            part=part,
            operator=operator,
            phase=phase,
            reference_s=sides[0].get((part, operator, phase), 0.0),
            own_s=sides[1].get((part, operator, phase), 0.0),
            step_s=whole_s,
        )
        for part, operator, phase in dict.fromkeys([*sides[0], *sides[1]])
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
        phase=None,
        reference_s=fsum(row.reference_s for row in rows),
        own_s=fsum(row.own_s for row in rows),
        step_s=rows[0].step_s,
    )


def seconds_by_operator(
    spent: Sequence[Spent], *, with_phases: bool = False
) -> dict[tuple[str, str, str | None], float]:
    """Part, operator and phase → seconds in one step.

    Args:
        spent: Rows of one arm and protocol.
        with_phases: Whether forward, backward and optimizer are kept apart; else the phase is None.
    """
    found: dict[tuple[str, str, str | None], list[float]] = {}
    for row in spent:
        key = (row.part, row.operator, row.phase if with_phases else None)
        found.setdefault(key, []).append(row.self_s)
    return {key: fsum(seconds) for key, seconds in found.items()}
