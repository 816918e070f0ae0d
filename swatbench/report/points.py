"""Sections → points of a plot: an arm's accuracy, and what it costs."""

from collections.abc import Mapping
from dataclasses import dataclass

from swatbench.report.alike import Setting, trained_in
from swatbench.report.comparison import PairRuns
from swatbench.report.published import Published, published_for
from swatbench.report.section import Section, cost_mismatch
from swatbench.report.selection import Measured, Trained
from swatbench.store.cost import ArmCost
from swatbench.store.files import Stored

PUBLISHED: Setting = {"accuracy": "published"}
"""Setting of accuracies that were not measured here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One arm of one pair.

    Attributes:
        pair: Name of the pair.
        arm: Arm.
        is_reference: Whether the others are compared with it.
        compared: Whether it was compared with its reference, so that an arrow may lead to it.
        percent: Mean score over seeds, or the published one.
        lowest_percent: The lowest seed's.
        highest_percent: The highest seed's.
        seeds: Seeds; 0 where the score is published.
        params: Parameters.
        measured: Measurement of its cost, or None where there is none of this very model.
        trained: How it was trained and tested.
        records: Records that it rests on.
    """

    pair: str
    arm: str
    is_reference: bool
    compared: bool
    percent: float
    lowest_percent: float
    highest_percent: float
    seeds: int
    params: float
    measured: Measured | None
    trained: Setting
    records: tuple[Stored, ...] = ()

    @property
    def cost(self) -> ArmCost | None:
        """What it costs, where that was measured."""
        return self.measured.cost(self.arm) if self.measured else None

    @property
    def name(self) -> str:
        """Pair and arm."""
        return f"{self.pair} {self.arm}"


def points(section: Section) -> tuple[Point, ...]:
    """A point for every arm that was trained; the reference of a pair comes first."""
    compared = {(item.pair, item.arm) for item in section.comparisons if item.accuracy}
    return tuple(
        _point(runs, arm, [*trained.values()], compared=(runs.pair, arm) in compared)
        for runs in section.pairs
        for arm in runs.arms
        if (trained := runs.runs(arm))
    )


def published_points(section: Section) -> tuple[Point, ...]:
    """Where a section trained nothing, published accuracies with the cost that was measured here.

    Only arms that are published have them; the reference comes first.
    """
    if any(runs.trained for runs in section.pairs):
        return ()
    known = {
        (point.pair, point.arm): point
        for point in published_for((runs.pair for runs in section.pairs), section.metric)
    }
    return tuple(
        point
        for runs in section.pairs
        for arm in runs.arms
        if (point := _published_point(runs, arm, known)) is not None
    )


def _point(runs: PairRuns, arm: str, trained: list[Trained], *, compared: bool) -> Point:
    percents = [run.result.score_percent for run in trained]
    # A cost that was taken of another model would put the point in the wrong place.
    measured = runs.measured if cost_mismatch(runs, arm) is None else None
    return Point(
        pair=runs.pair,
        arm=arm,
        is_reference=arm == runs.reference,
        compared=compared,
        percent=sum(percents) / len(percents),
        lowest_percent=min(percents),
        highest_percent=max(percents),
        seeds=len(percents),
        params=trained[0].result.params,
        measured=measured,
        trained=trained_in(trained[0]),
        records=tuple(run.stored for run in trained),
    )


def _published_point(runs: PairRuns, arm: str, known: Mapping[tuple[str, str], Published]) -> Point | None:
    found, cost = known.get((runs.pair, arm)), runs.cost(arm)
    if found is None or cost is None or runs.measured is None:
        return None
    return Point(
        pair=runs.pair,
        arm=arm,
        is_reference=arm == runs.reference,
        compared=arm != runs.reference,
        percent=found.score_percent,
        lowest_percent=found.score_percent,
        highest_percent=found.score_percent,
        seeds=0,
        params=cost.params,
        measured=runs.measured,
        trained=PUBLISHED,
        records=(runs.measured.stored,),
    )
