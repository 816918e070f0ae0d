"""Profiled steps beside the timed ones: whether a profile may be read, and which arms are told together."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

from swatbench.report import words
from swatbench.report.conditions import CALLS
from swatbench.report.selection import Measured
from swatbench.report.spent import rows_of, step_s
from swatbench.spec.cost import Protocol
from swatbench.store.cost import ArmCost, Spent

PROFILER_NOTE = (
    "By torch.profiler, one process per arm. The profiler slows short operators, so shares, not times, are "
    "to be believed; “timed” is the step without it."
)
"""By what the times of operators were measured, and what may be believed of them."""

MOST_SLOWED = 3.0
"""How many times as long as the timed step a profiled one may last and still be read."""

MOST_UNLIKE = 1.3
"""How many times as much the profiler may slow one arm as another, if their times are to be compared: more
would hide, or feign, what SWAT costs most pairs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profiled:
    """The profiled step of one arm beside the one that was timed without a profiler.

    Attributes:
        arm: The arm.
        rows: Where the time of the profiled step goes.
        timed_s: Median time of a step on the same batch, in seconds; None where none was timed.
        has_idle: Whether the profile holds all of a step; on CUDA it is of kernels alone, without idle time.
    """

    arm: str
    rows: tuple[Spent, ...]
    timed_s: float | None
    has_idle: bool = True

    @property
    def step_s(self) -> float:
        """Seconds of the whole profiled step."""
        return step_s(self.rows)

    @property
    def to_timed(self) -> float | None:
        """The profiled step as a multiple of the timed one."""
        return self.step_s / self.timed_s if self.timed_s else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """The steps of an arm and its reference, or those of a model that was measured alone.

    Attributes:
        measured: The measurement.
        protocol: `inference` or `training`.
        reference: The reference, or None where the arm has none.
        own: The arm.
    """

    measured: Measured
    protocol: Protocol
    reference: Profiled | None
    own: Profiled

    @property
    def disturbance(self) -> str:
        """Why the profile is not to be read; empty where it may be."""
        return disturbance([side for side in (self.reference, self.own) if side])

    @property
    def subject(self) -> str:
        """Pair, arm and call."""
        return f"{self.measured.pair}, {self.own.arm}, {CALLS[self.protocol]}"


def pairings(measured: Measured) -> Iterator[Pairing]:
    """Arms that were profiled together with their reference, in each protocol; or the only arm."""
    result, spent = measured.result, measured.stored.breakdown()
    for cost in result.arms:
        alone = len(result.arms) == 1
        base = None if alone else measured.cost(result.reference)
        for protocol in get_args(Protocol) if alone or (base and base is not cost) else ():
            theirs = profiled(measured, base, protocol, spent) if base else None
            own = profiled(measured, cost, protocol, spent)
            if own.rows and (theirs or own).step_s > 0:
                yield Pairing(measured=measured, protocol=protocol, reference=theirs, own=own)


def profiled(measured: Measured, cost: ArmCost, protocol: Protocol, spent: Iterable[Spent]) -> Profiled:
    """One arm's profiled and timed step.

    Args:
        measured: The measurement.
        cost: The arm.
        protocol: `inference` or `training`.
        spent: Rows of the record.
    """
    timed = cost.seconds(protocol)
    return Profiled(
        arm=cost.arm,
        rows=rows_of(spent, arm=cost.arm, protocol=protocol),
        timed_s=timed.p50 if timed else None,
        has_idle=not measured.result.device.startswith("cuda"),
    )


def disturbance(sides: Sequence[Profiled]) -> str:
    """Why the profile of these arms is not to be read, in words; an empty text where it may be.

    Args:
        sides: Arms that are told together. On CUDA they may differ by idle time, which no profile holds.
    """
    found = [side.to_timed for side in sides if side.to_timed]
    unlike = all(side.has_idle for side in sides) and max(found, default=1) > MOST_UNLIKE * min(
        found, default=1
    )
    if not unlike and max(found, default=1) <= MOST_SLOWED:
        return ""
    told_factors = words.listed([f"{times(factor)} ×" for factor in found])
    return f"the profile was disturbed ({told_factors} the timed step), so it is not read"


def timed_percent(reference: Profiled, own: Profiled) -> float | None:
    """What an arm adds to the reference's timed step in %, where both were timed."""
    if not reference.timed_s or own.timed_s is None:
        return None
    return 100 * (own.timed_s / reference.timed_s - 1)


def times(factor: float) -> str:
    """A coarse multiple.

    Example:
        >>> times(4.23), times(19.3)
        ('4.2', '19')
    """
    return words.decimal(factor, 0 if factor >= 10 else 1)
