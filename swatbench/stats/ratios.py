"""Ratios of paired timings, with an interval, the run's own noise floor, and a check for drift.

Two calls timed in the same round share that round's state of the machine, so their ratio is steadier than
either time. A twin (a second copy of the reference, timed in the same rounds) shows what ratio the machine
gives to equal work. An arm is called different only if it differs from both copies, in the same direction,
and by more than they differ from one another (`benchmarks/timing.py` shows how often that errs).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import theilslopes

RESAMPLES = 5_000
"""Bootstrap resamples behind each interval."""
_PART = 500
_MOST_POINTS = 500
"""Points that a slope is fitted to, which takes every pair of them; of more rounds, medians of neighbours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Whether a ratio moved while it was measured.

    Attributes:
        total: Factor by which the fitted ratio changed from the first round to the last.
        detected: The Theil-Sen slope's interval excludes 0, and the total change (as a logarithm) is larger
            than half the width of the ratio's interval.
    """

    total: float
    detected: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """The median of paired ratios.

    Attributes:
        ratio: Median over rounds of arm / reference, without unit; 1 means equal, 2 means twice the time.
        low: Lower end of the bootstrap interval of that median.
        high: Upper end.
        confidence: Coverage that the interval aims at.
        rounds: Pairs behind it.
        floor: The A/A floor, a factor of at least 1: exp(|log|) of the median of twin / reference, what equal
            work gave on this machine in these rounds. Ratios between 1 / floor and floor are not believed.
        enough: Whether there are rounds enough for an interval of that confidence at all (an exact
            interval for a median needs 2 / 2^rounds <= 1 - confidence: 6 rounds for 95 %).
        distinguishable: There are rounds enough, the intervals of arm / reference and of arm / twin exclude 1
            on the same side, and the ratio lies outside the floor.
        drift: Whether the ratio moved during the measurement.
    """

    ratio: float
    low: float
    high: float
    confidence: float
    rounds: int
    floor: float
    enough: bool
    distinguishable: bool
    drift: Drift


def paired_ratio(
    arm_s: ArrayLike,
    reference_s: ArrayLike,
    twin_s: ArrayLike,
    *,
    seed: int = 0,
    confidence: float = 0.95,
) -> Ratio:
    """Compare two calls that were timed in the same rounds.

    Args:
        arm_s: Seconds per call, shape (rounds,).
        reference_s: Seconds per call of the reference in the same rounds, shape (rounds,).
        twin_s: Seconds per call of a second copy of the reference in the same rounds, shape (rounds,).
        seed: Seed of the bootstrap; equal inputs give equal intervals.
        confidence: Coverage of the interval, inside (0, 1).

    Raises:
        ValueError: The lengths differ, there is no round, or a time is not positive and finite.

    Example:
        >>> times = [1.0, 1.1, 0.9, 1.0, 1.2, 1.0]
        >>> result = paired_ratio([2 * t for t in times], times, times)
        >>> result.ratio, result.floor, result.distinguishable
        (2.0, 1.0, True)
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, not {confidence}")
    arm, reference, twin = (_times(name, x) for name, x in _named(arm_s, reference_s, twin_s))
    if not arm.size == reference.size == twin.size:
        raise ValueError(f"rounds differ: arm {arm.size}, reference {reference.size}, twin {twin.size}")
    log_ratio, log_twin = np.log(arm / reference), np.log(twin / reference)
    low, high = _median_interval(log_ratio, seed=seed, confidence=confidence)
    beside_twin = _median_interval(log_ratio - log_twin, seed=seed, confidence=confidence)
    floor = abs(float(np.median(log_twin)))
    middle = float(np.median(log_ratio))
    enough = 2 * 0.5**arm.size <= 1 - confidence
    return Ratio(
        ratio=float(np.exp(middle)),
        low=float(np.exp(low)),
        high=float(np.exp(high)),
        confidence=confidence,
        rounds=arm.size,
        floor=float(np.exp(floor)),
        enough=enough,
        distinguishable=enough and _same_side(low, high, *beside_twin) and abs(middle) > floor,
        drift=_drift(log_ratio, half_width=(high - low) / 2, confidence=confidence),
    )


def _same_side(*ends: float) -> bool:
    """Whether all ends of intervals of log-ratios lie above 0, or all below."""
    return min(ends) > 0 or max(ends) < 0


def _thinned(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Medians of so many neighbours that at most `_MOST_POINTS` are left."""
    neighbours = -(-logs.size // _MOST_POINTS)
    if neighbours == 1:
        return logs
    return np.array([np.median(some) for some in np.array_split(logs, logs.size // neighbours)])


def _named(arm_s: ArrayLike, reference_s: ArrayLike, twin_s: ArrayLike) -> tuple[tuple[str, ArrayLike], ...]:
    return ("arm", arm_s), ("reference", reference_s), ("twin", twin_s)


def _times(name: str, values: ArrayLike) -> NDArray[np.float64]:
    times = np.asarray(values, dtype=np.float64)
    if times.ndim != 1 or times.size == 0:
        raise ValueError(f"{name} must be a row of at least one time, not of shape {times.shape}")
    if not (np.isfinite(times).all() and (times > 0).all()):
        raise ValueError(f"{name} holds a time that is not positive and finite: {times.min()} s")
    return times


def _median_interval(logs: NDArray[np.float64], *, seed: int, confidence: float) -> tuple[float, float]:
    """Percentile bootstrap of the median of paired log-ratios, shape (rounds,)."""
    if logs.size == 1:
        return float(logs[0]), float(logs[0])
    medians = np.sort(logs)[_middles(logs.size, seed)].mean(axis=1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(medians, (tail, 1 - tail))
    return float(low), float(high)


@lru_cache(maxsize=16)
def _middles(rounds: int, seed: int) -> NDArray[np.int64]:
    """Ranks of the two values in the middle of each resample of so many rounds, shape (RESAMPLES, 2).

    A resample of rounds is one of ranks, so these serve every row of as many rounds.
    """
    rng = np.random.default_rng(seed)
    middle = [(rounds - 1) // 2, rounds // 2]
    # In parts, since all at once are 400 MB for 10,000 rounds.
    parts = (rng.integers(0, rounds, size=(_PART, rounds)) for _ in range(RESAMPLES // _PART))
    return np.concatenate([np.partition(ranks, middle, axis=1)[:, middle] for ranks in parts])


def _drift(logs: NDArray[np.float64], *, half_width: float, confidence: float) -> Drift:
    """Theil-Sen slope of log-ratios over rounds, shape (rounds,)."""
    if logs.size < 3:
        return Drift(total=1.0, detected=False)
    points = _thinned(logs)
    fit = theilslopes(points, np.arange(points.size), alpha=confidence)
    slope, _, low, high = np.asarray(fit, dtype=np.float64).tolist()
    total = slope * (points.size - 1)
    return Drift(total=float(np.exp(total)), detected=(low > 0 or high < 0) and abs(total) > half_width)
