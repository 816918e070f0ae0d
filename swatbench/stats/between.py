"""Ratios of time of two sessions, compared: has an arm become dearer beside its reference?

Two sessions share no round, so their times are never compared. Each gives a paired ratio of arm to reference,
and the two ratios are. A ratio is off by more than its rounds show: every copy of a model lies elsewhere in
memory, and the twin, which is a copy of the reference, tells how much equal work may differ for that reason
alone. Two sessions hold two such twins, so the spread among copies is estimated from two numbers, and
Student's t with two degrees of freedom says what that is worth.

Model, for each session: log of a median time = log of the work + offset of the copy + noise of the rounds,
with offsets independent, normal, and as widely spread in one session as in the other. The arm is set against
the mean (of logs) of reference and twin, so that the change between sessions holds offsets of variance 3 τ²,
and each twin less its reference one of 2 τ², independent of that change. `tests/stats/test_between.py` shows
how often this errs.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import bootstrap, t

RESAMPLES = 5_000
"""Bootstrap resamples of the rounds of both sessions."""

_BATCH = 500
_COPIES = 3.0
"""Variance that offsets of copies give the change, in units of one copy's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Times of one session, by rounds: entries at one place were timed in the same round.

    Attributes:
        arm_s: Seconds per call of the arm, shape (rounds,).
        reference_s: Seconds per call of the reference, shape (rounds,).
        twin_s: Seconds per call of a second copy of the reference, shape (rounds,).
    """

    arm_s: ArrayLike
    reference_s: ArrayLike
    twin_s: ArrayLike


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioChange:
    """How the ratio of an arm to its reference changed from one session to another.

    Attributes:
        before: Ratio in the first session: median over rounds of arm to the geometric mean of both copies of
            the reference.
        after: The same in the second.
        change: `after` divided by `before`; 1 means unchanged.
        low: Lower end of the interval of the change; None with too few rounds.
        high: Upper end, likewise.
        confidence: Coverage that the interval aims at.
        rounds: Rounds of the two sessions.
        floors: A/A floor of each, a factor of at least 1: exp(|log|) of the median of twin / reference.
        distinguishable: There is an interval and it excludes 1.
    """

    before: float
    after: float
    change: float
    low: float | None
    high: float | None
    confidence: float
    rounds: tuple[int, int]
    floors: tuple[float, float]
    distinguishable: bool


def ratio_of_ratios(
    before: Session, after: Session, *, seed: int = 0, confidence: float = 0.95
) -> RatioChange:
    """Compare the paired ratios of two sessions.

    The half-width of the interval is the root of the sum of two squares: that of a percentile bootstrap, in
    which the rounds of each session are drawn on their own, and that of Student's t for the offsets of
    copies. At 95 % it is wider than the product of both floors, so a change that these could feign is never
    called one.

    Args:
        before: The first session.
        after: The second.
        seed: Seed of the bootstrap; equal inputs give equal intervals.
        confidence: Coverage of the interval, inside (0, 1).

    Raises:
        ValueError: The rounds of a session differ in number, there is none, a time is not positive and
            finite, or the confidence lies outside.

    Example:
        >>> times = [1.0, 1.1, 0.9, 1.0, 1.2, 1.0]
        >>> once = Session(arm_s=times, reference_s=times, twin_s=times)
        >>> twice = Session(arm_s=[2 * t for t in times], reference_s=times, twin_s=times)
        >>> found = ratio_of_ratios(once, twice)
        >>> round(found.change, 9), found.distinguishable
        (2.0, True)
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, not {confidence}")
    (old, old_twin), (new, new_twin) = _logs(before), _logs(after)
    middles = float(np.median(old)), float(np.median(new))
    floors = float(np.median(old_twin)), float(np.median(new_twin))
    change = middles[1] - middles[0]
    # An exact interval of a median needs so many rounds; with fewer a bootstrap would pretend to one.
    enough = 2 * 0.5 ** min(old.size, new.size) <= 1 - confidence
    low, high = _interval(old, new, change, floors, seed, confidence) if enough else (None, None)
    return RatioChange(
        before=math.exp(middles[0]),
        after=math.exp(middles[1]),
        change=math.exp(change),
        low=None if low is None else math.exp(low),
        high=None if high is None else math.exp(high),
        confidence=confidence,
        rounds=(old.size, new.size),
        floors=(math.exp(abs(floors[0])), math.exp(abs(floors[1]))),
        distinguishable=low is not None and high is not None and not low <= 0 <= high,
    )


def _interval(
    old: NDArray[np.float64],
    new: NDArray[np.float64],
    change: float,
    floors: tuple[float, float],
    seed: int,
    confidence: float,
) -> tuple[float, float]:
    """Ends of the interval of the change of log-ratios."""
    found = bootstrap(
        (old, new),
        lambda old, new, axis: np.median(new, axis=axis) - np.median(old, axis=axis),
        n_resamples=RESAMPLES,
        batch=_BATCH,
        vectorized=True,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    copies = _copies_half_width(floors, confidence)
    return change - math.hypot(change - found.low, copies), change + math.hypot(found.high - change, copies)


def _copies_half_width(floors: tuple[float, float], confidence: float) -> float:
    """What the offsets of copies may add to the change, from the median log of twin to reference of each."""
    # The square of each has expectation 2 τ², so the sum of both estimates 4 τ².
    spread = math.sqrt((floors[0] ** 2 + floors[1] ** 2) / 4)
    return float(t.ppf((1 + confidence) / 2, df=2)) * math.sqrt(_COPIES) * spread


def _logs(session: Session) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Log of arm to the mean of both copies, and of twin to reference, each of shape (rounds,)."""
    named = {"arm": session.arm_s, "reference": session.reference_s, "twin": session.twin_s}
    arm, reference, twin = (_log_times(name, values) for name, values in named.items())
    if not arm.size == reference.size == twin.size:
        raise ValueError(f"rounds differ: arm {arm.size}, reference {reference.size}, twin {twin.size}")
    return arm - (reference + twin) / 2, twin - reference


def _log_times(name: str, values: ArrayLike) -> NDArray[np.float64]:
    times = np.asarray(values, dtype=np.float64)
    if times.ndim != 1 or times.size == 0:
        raise ValueError(f"{name} must be a row of at least one time, not of shape {times.shape}")
    if not (np.isfinite(times).all() and (times > 0).all()):
        raise ValueError(f"{name} holds a time that is not positive and finite: {times.min()} s")
    return np.log(times)
