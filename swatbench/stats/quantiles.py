"""Quantiles of timings with intervals that assume no distribution, from order statistics."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import quantile_test


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantileInterval:
    """A quantile of a sample and what is known of that of its population.

    Attributes:
        value: The sample's quantile, interpolated linearly, in the sample's unit.
        low: Lower end of the interval, a value of the sample; None where the sample is too small for one.
        high: Upper end, likewise.
        n: Values in the sample.
    """

    value: float
    low: float | None
    high: float | None
    n: int


def quantile_interval(seconds: ArrayLike, q: float, *, confidence: float = 0.95) -> QuantileInterval:
    """Estimate a quantile, with an interval whose ends are values of the sample (order statistics).

    The interval covers the population's quantile with at least the confidence, whatever the distribution, if
    the values are independent; each end errs with a probability of at most (1 - confidence) / 2. An upper
    end exists from n >= log((1 - confidence) / 2) / log(q) values on, a lower end from
    n >= log((1 - confidence) / 2) / log(1 - q): at 95 % both do from 6 values on for the median, from 72 for
    p95 and from 368 for p99. An end that does not exist is None.

    Args:
        seconds: The sample, shape (n,), in any order.
        q: Which quantile, inside (0, 1).
        confidence: Coverage of the interval, inside (0, 1).

    Raises:
        ValueError: q or the confidence lies outside, there is no value, or one is not finite.

    Source: W. J. Conover, Practical Nonparametric Statistics, as in scipy.stats.quantile_test.

    Example:
        >>> quantile_interval([5.0, 1.0, 4.0, 2.0, 3.0, 6.0], 0.5)
        QuantileInterval(value=3.5, low=1.0, high=6.0, n=6)
        >>> quantile_interval([5.0, 1.0, 4.0, 2.0, 3.0, 6.0], 0.95)
        QuantileInterval(value=5.75, low=4.0, high=None, n=6)
    """
    for name, share in (("q", q), ("confidence", confidence)):
        if not 0 < share < 1:
            raise ValueError(f"{name} must lie between 0 and 1, not {share}")
    values = _finite(seconds)
    value = float(np.quantile(values, q))
    ordered = np.sort(values)
    low, high = (None if rank is None else float(ordered[rank]) for rank in _ends(values.size, q, confidence))
    return QuantileInterval(value=value, low=low, high=high, n=values.size)


@lru_cache(maxsize=1024)
def _ends(n: int, q: float, confidence: float) -> tuple[int | None, int | None]:
    """Ranks, from 0, of the values that are the ends; they are those of any sample of this size."""
    # The value that quantile_test tests against, by default 0, has no part in its interval.
    interval = quantile_test(np.arange(n), p=q).confidence_interval(confidence)
    low, high = (None if math.isnan(end) else round(end) for end in (interval.low, interval.high))
    return low, high


def _finite(seconds: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(seconds, dtype=np.float64)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"a quantile needs a row of at least one value, not shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(values))} of {values.size} values are not finite")
    return values
