"""Sections → points of a plot: an arm's mean accuracy and what it costs."""

from collections.abc import Sequence
from dataclasses import dataclass

from swatbench.report.comparison import PairRuns
from swatbench.report.section import Section, cost_mismatch
from swatbench.stats.frontier import frontier


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One arm of one pair.

    Attributes:
        pair: Name of the pair.
        arm: Arm.
        is_reference: Whether the others are compared with it.
        compared: Whether it was compared with its reference, so that an arrow may lead to it.
        top1_percent: Mean accuracy over seeds.
        lowest_percent: The lowest seed's.
        highest_percent: The highest seed's.
        seeds: Seeds.
        params: Parameters.
        macs: Multiply-accumulates an image, or None where cost was not measured on this model.
        latency_s: Median time of a forward pass divided by the images in it, or None.
    """

    pair: str
    arm: str
    is_reference: bool
    compared: bool
    top1_percent: float
    lowest_percent: float
    highest_percent: float
    seeds: int
    params: float
    macs: float | None
    latency_s: float | None


def points(section: Section) -> tuple[Point, ...]:
    """A point for every arm that was trained; the reference of a pair comes first."""
    compared = {(item.pair, item.arm) for item in section.comparisons if item.accuracy}
    return tuple(
        _point(runs, arm, compared=(runs.pair, arm) in compared)
        for runs in section.pairs
        for arm in runs.arms
        if runs.runs(arm)
    )


def unbeaten(found: Sequence[Point]) -> tuple[Point, ...]:
    """Points that no other point beats in both accuracy and MACs."""
    counted = [(point, point.macs) for point in found if point.macs is not None]
    kept = frontier([macs for _, macs in counted], [point.top1_percent for point, _ in counted])
    return tuple(counted[index][0] for index in kept)


def _point(runs: PairRuns, arm: str, *, compared: bool) -> Point:
    trained = list(runs.runs(arm).values())
    percents = [run.result.top1_percent for run in trained]
    # A cost that was taken of another model would put the point in the wrong place.
    cost = None if cost_mismatch(runs, arm) else runs.cost(arm)
    batch = runs.measured.result.batch_size if runs.measured else 1
    return Point(
        pair=runs.pair,
        arm=arm,
        is_reference=arm == runs.reference,
        compared=compared,
        top1_percent=sum(percents) / len(percents),
        lowest_percent=min(percents),
        highest_percent=max(percents),
        seeds=len(percents),
        params=trained[0].result.params,
        macs=cost.macs if cost else None,
        latency_s=cost.inference_s.p50 / batch if cost else None,
    )
