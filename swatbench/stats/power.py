"""What a comparison could have found: the smallest difference, and the seeds that would settle it.

A difference that is "not decided" may be absent or out of reach; these numbers say what was in reach. They
count a difference as found where the two-sided test rejects 0 on the side on which the truth lies.
"""

import math
from bisect import bisect_left
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import root_scalar
from scipy.special import bdtr
from scipy.stats import binom
from statsmodels.stats.power import TTestPower

from swatbench.stats.accuracy import NO_SPREAD_POINTS

_FAR = 1e3
"""Differences of more standard deviations than this are found by any two seeds."""
_TAIL = 1e-7
"""Numbers of discordant images that are together less likely than this are left out."""


def detectable_on_images(
    discordance: float, images: int, *, power: float = 0.8, alpha: float = 0.05
) -> float:
    """Find the smallest true difference of two checkpoints that the exact McNemar test finds.

    Of the images on which one side alone is right, a true difference says what share the arm wins. Their
    number is binomial, and so is the number won of them, so the power is a sum and no approximation. Where
    not even winning all of them is enough, the discordance is raised to the difference, below which it
    cannot lie.

    Args:
        discordance: Share of images on which one side alone is right, inside [0, 1].
        images: Test images.
        power: How often the difference is to be found, inside (0, 1).
        alpha: Level of the two-sided test, inside (0, 1).

    Returns:
        The difference in percentage points; infinity where so few images can find none.

    Raises:
        ValueError: The discordance, the images, the power or alpha lies outside.

    Example:
        >>> round(detectable_on_images(0.1, 10_000), 2)
        0.89
    """
    _check(power, alpha)
    if not 0 <= discordance <= 1 or images < 1:
        raise ValueError(f"a discordance of {discordance} on {images} images")

    def excess(difference: float) -> float:
        return _mcnemar_power(difference, max(discordance, difference), images, alpha) - power

    if excess(1.0) < 0:
        return math.inf
    return 100 * float(root_scalar(excess, bracket=(0.0, 1.0)).root)


def detectable_across_seeds(
    spread_points: float | None, seeds: int, *, power: float = 0.8, alpha: float = 0.05
) -> float | None:
    """Find the smallest true mean difference that the paired t test finds with so many seeds.

    Args:
        spread_points: Standard deviation of the seeds' differences, in percentage points.
        seeds: Pairs.
        power: How often the difference is to be found, inside (0, 1).
        alpha: Level of the two-sided test, inside (0, 1).

    Returns:
        The difference in percentage points; None with fewer than two seeds, or without a spread.

    Raises:
        ValueError: The power or alpha lies outside.

    Example:
        >>> round(detectable_across_seeds(1.0, 6), 2), round(detectable_across_seeds(1.0, 3), 2)
        (1.43, 3.26)
    """
    _check(power, alpha)
    if spread_points is None or spread_points < NO_SPREAD_POINTS or seeds < 2:
        return None
    reaches = _t_power(seeds, alpha)
    # statsmodels' own solver stops at wrong values for two seeds.
    solved = root_scalar(lambda effect: reaches(effect) - power, bracket=(0.0, _FAR))
    return spread_points * float(solved.root)


def seeds_to_settle(
    points: float, spread_points: float | None, *, power: float = 0.8, alpha: float = 0.05, most: int = 1000
) -> int | None:
    """Find how many seeds in all would find a true difference as large as the one seen.

    The difference and the spread that were seen are estimates; from few seeds the answer is a rough one.

    Args:
        points: Mean difference over seeds, in percentage points.
        spread_points: Standard deviation of the seeds' differences, in percentage points.
        power: How often the difference is to be found, inside (0, 1).
        alpha: Level of the two-sided test, inside (0, 1).
        most: Largest number of seeds that is an answer, at least 2.

    Returns:
        The smallest number of seeds, at least 2; None where `most` are too few, or without a spread.

    Raises:
        ValueError: The power, alpha or `most` lies outside.

    Example:
        >>> seeds_to_settle(1.0, 1.0), seeds_to_settle(0.1, 1.0), seeds_to_settle(0.01, 1.0)
        (10, 787, None)
    """
    _check(power, alpha)
    if most < 2:
        raise ValueError(f"most must be at least 2, not {most}")
    if spread_points is None or spread_points < NO_SPREAD_POINTS:
        return None
    effect = min(abs(points) / spread_points, _FAR)
    numbers = range(2, most + 1)
    place = bisect_left(numbers, True, key=lambda seeds: _t_power(seeds, alpha)(effect) >= power)
    return numbers[place] if place < len(numbers) else None


def _t_power(seeds: int, alpha: float) -> Callable[[float], float]:
    """Power of the paired t test with so many seeds, by the difference in standard deviations."""

    # One side of the two-sided test: the other, far tail of the noncentral t is nan for some values.
    def power(effect: float) -> float:
        return float(TTestPower().power(effect, seeds, alpha / 2, alternative="larger"))

    return power


def _mcnemar_power(difference: float, discordance: float, images: int, alpha: float) -> float:
    """Power of the exact two-sided McNemar test for a true difference, as shares of the images."""
    if discordance == 0:
        return 0.0
    discordant, chances, allowed = _decisions(discordance, images, alpha)
    lost = (1 - difference / discordance) / 2
    return float(chances @ np.where(allowed < 0, 0.0, bdtr(allowed, discordant, lost)))


@lru_cache(maxsize=16)
def _decisions(discordance: float, images: int, alpha: float) -> tuple[NDArray[Any], ...]:
    """How many images may be discordant, how likely that is, and how many of them may be lost.

    Returns:
        Three arrays of one length: the numbers of discordant images, their probabilities, and the most
        images that the arm may lose of them and still be called better, -1 where none suffices.
    """
    least, most = binom.ppf((_TAIL, 1 - _TAIL), images, discordance).astype(int)
    discordant = np.arange(least, most + 1)
    allowed = binom.ppf(alpha / 2, discordant, 0.5)
    allowed -= binom.cdf(allowed, discordant, 0.5) > alpha / 2
    return discordant, binom.pmf(discordant, images, discordance), allowed


def _check(power: float, alpha: float) -> None:
    for name, share in (("power", power), ("alpha", alpha)):
        if not 0 < share < 1:
            raise ValueError(f"{name} must lie between 0 and 1, not {share}")
