"""Training curves → lines: one of each seed, or where an arm has very many, their mean and its band."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

from swatbench.errors import SwatbenchError
from swatbench.report import words
from swatbench.report.section import Section
from swatbench.store.record import CurvePoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One run's curve.

    Attributes:
        pair: Name of the pair.
        arm: Arm.
        seed: Seed.
        is_reference: Whether the arm is the reference of its pair.
        points: Epochs, in order.
    """

    pair: str
    arm: str
    seed: int
    is_reference: bool
    points: tuple[CurvePoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveLine:
    """One quantity of one run, or its mean over many runs of an arm.

    Attributes:
        pair: Name of the pair.
        arm: Arm.
        is_reference: Whether the arm is the reference of its pair.
        whose: The seed, or how many there are, in words.
        places: Epoch → value.
        spans: Epoch → the lowest and the highest value, of a mean.
        thin: Whether it is of a moving average.
    """

    pair: str
    arm: str
    is_reference: bool
    whose: str
    places: dict[int, float]
    spans: dict[int, tuple[float, float]] = field(default_factory=dict)
    thin: bool


MOST_LINES = 12
"""Most seeds of an arm that are drawn one by one; of more, their mean and the band that holds them."""


def curves(section: Section) -> tuple[Curve, ...]:
    """Read the curves of all reported runs; one that is missing or damaged leaves the others standing."""
    return tuple(_curves(section))


def lines_of(found: Sequence[Curve], name: str, *, thin: bool = False) -> list[CurveLine]:
    """The lines of one quantity, arm by arm; none of runs that do not have it.

    Args:
        found: Curves.
        name: A field of `CurvePoint`.
        thin: Whether it is of a moving average.
    """
    arms: dict[tuple[str, str], list[CurveLine]] = {}
    for curve in found:
        line = _line(curve, name, thin=thin)
        if line.places:
            arms.setdefault((curve.pair, curve.arm), []).append(line)
    return [
        line for seeds in arms.values() for line in (seeds if len(seeds) <= MOST_LINES else [_mean(seeds)])
    ]


def _line(curve: Curve, name: str, *, thin: bool) -> CurveLine:
    values = ((point.epoch, getattr(point, name)) for point in curve.points)
    return CurveLine(
        pair=curve.pair,
        arm=curve.arm,
        is_reference=curve.is_reference,
        whose=f"seed {curve.seed}",
        places={epoch: value for epoch, value in values if value is not None},
        thin=thin,
    )


def _mean(seeds: Sequence[CurveLine]) -> CurveLine:
    """The mean of an arm's lines at each epoch that any of them has, and how far they lie apart."""
    values: dict[int, list[float]] = {}
    for line in seeds:
        for epoch, value in line.places.items():
            values.setdefault(epoch, []).append(value)
    return replace(
        seeds[0],
        whose=f"mean of {words.count(len(seeds), 'seed')}",
        places={epoch: fmean(values[epoch]) for epoch in sorted(values)},
        spans={epoch: (min(values[epoch]), max(values[epoch])) for epoch in sorted(values)},
    )


def _curves(section: Section) -> Iterator[Curve]:
    for runs in section.pairs:
        for run in runs.trained:
            arm, seed = run.cell.arm, run.cell.seed
            try:
                found = run.stored.curve()
            except (SwatbenchError, OSError, ValueError):
                continue
            yield Curve(pair=runs.pair, arm=arm, seed=seed, is_reference=arm == runs.reference, points=found)
