"""Differences in accuracy: one question across seeds, another across images, never mixed.

Across seeds: does the method help when training is repeated? Each seed is one pair.
Across images: do these trained checkpoints differ on images like these? Each test image is one pair.
The first needs several seeds; the second is answered by any number of them, but says nothing of a new seed.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import permutation_test, ttest_1samp
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

RESAMPLES = 10_000
"""Bootstrap resamples of the test images; also the most sign flips tried, all of them up to 13 seeds."""

MOST_EXACT = 13
"""Seeds up to which all sign flips are tried."""

FEW_SEEDS = 5
"""With fewer seeds than this, an interval that excludes 0 leans on the differences being normal."""

NO_SPREAD_POINTS = 1e-9
"""A standard deviation below this is no spread: differences of accuracies carry about 1e-14 of rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedDifference:
    """Arm minus reference, each seed one pair.

    Attributes:
        points: Mean difference in percentage points.
        low: Lower end of the paired t interval; None with one seed, and where every seed gave the very same
            difference, since neither shows how seeds vary.
        high: Upper end, or None alike.
        p: Two-sided p of the sign-flip permutation test of the mean difference.
        smallest_p: Smallest p that this many seeds can give, 2 / 2^seeds.
        seeds: Pairs.
        decided: There is an interval and it excludes 0.
        t_p: Two-sided p of the paired t test, below 0.05 where a 95 % interval excludes 0; None where there
            is no interval.
        spread_points: Standard deviation of the seeds' differences in percentage points, with seeds - 1 in
            the denominator; None with one seed.
    """

    points: float
    low: float | None
    high: float | None
    p: float
    smallest_p: float
    seeds: int
    decided: bool
    t_p: float | None
    spread_points: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageDifference:
    """Arm minus reference for these checkpoints, each test image one pair.

    Attributes:
        points: Mean difference over images and seeds in percentage points.
        low: Lower end of the paired bootstrap interval over images.
        high: Upper end.
        mcnemar_p: For each seed, the exact two-sided p of McNemar's test.
        images: Test images.
        seeds: Checkpoints of each arm.
        decided: The interval excludes 0.
        won: For each seed, images that only the arm answers rightly.
        lost: For each seed, images that only the reference answers rightly.
        discordance: Share of images on which one side alone is right, mean over seeds, between 0 and 1.
    """

    points: float
    low: float
    high: float
    mcnemar_p: tuple[float, ...]
    images: int
    seeds: int
    decided: bool
    won: tuple[int, ...]
    lost: tuple[int, ...]
    discordance: float


def across_seeds(
    reference_percent: ArrayLike, arm_percent: ArrayLike, *, confidence: float = 0.95
) -> SeedDifference:
    """Ask whether the arm's advantage holds across seeds.

    Args:
        reference_percent: Accuracy of the reference for each seed, in percent, shape (seeds,).
        arm_percent: Accuracy of the arm for the same seeds, in percent, shape (seeds,).
        confidence: Coverage of the interval.

    Raises:
        ValueError: The shapes differ, or there is no seed.

    Example:
        >>> result = across_seeds([50.0, 52.0], [53.0, 57.0])
        >>> result.points, result.p, result.smallest_p, result.decided
        (4.0, 0.5, 0.5, False)
    """
    reference, arm = np.asarray(reference_percent, dtype=float), np.asarray(arm_percent, dtype=float)
    if reference.shape != arm.shape or reference.ndim != 1 or not arm.size:
        raise ValueError(f"expected two equal rows of accuracies, not {reference.shape} and {arm.shape}")
    difference = arm - reference
    low, high, t_p = _t_test(difference, confidence) or (None, None, None)
    return SeedDifference(
        points=float(difference.mean()),
        low=low,
        high=high,
        p=_sign_flip_p(difference),
        smallest_p=min(1.0, 2 / 2**difference.size),
        seeds=difference.size,
        decided=low is not None and high is not None and not low <= 0 <= high,
        t_p=t_p,
        spread_points=float(difference.std(ddof=1)) if difference.size > 1 else None,
    )


def across_images(
    reference_correct: ArrayLike, arm_correct: ArrayLike, *, seed: int = 0, confidence: float = 0.95
) -> ImageDifference:
    """Ask whether these checkpoints differ on images like these.

    The images are resampled with all seeds of an image kept together, so the interval is that of the mean
    over these very checkpoints. An image's difference takes few values, so a resample is one multinomial
    draw of how often each value occurs.

    Args:
        reference_correct: Whether the reference is right, shape (seeds, images).
        arm_correct: Whether the arm is right on the same images, shape (seeds, images).
        seed: Seed of the bootstrap.
        confidence: Coverage of the interval.

    Raises:
        ValueError: The shapes differ, are not two-dimensional, or are empty.
    """
    reference, arm = np.asarray(reference_correct, dtype=bool), np.asarray(arm_correct, dtype=bool)
    if reference.shape != arm.shape or reference.ndim != 2 or not arm.size:
        raise ValueError(f"expected two equal (seeds, images) tables, not {reference.shape} and {arm.shape}")
    seeds, images = arm.shape
    total = arm.sum(axis=0, dtype=np.int64) - reference.sum(axis=0, dtype=np.int64)
    values, counts = np.unique(total, return_counts=True)
    draws = np.random.default_rng(seed).multinomial(images, counts / images, size=RESAMPLES)
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws @ values / images / seeds * 100, (tail, 1 - tail))
    won, lost = (arm & ~reference).sum(axis=1).tolist(), (reference & ~arm).sum(axis=1).tolist()
    return ImageDifference(
        points=float(total.mean() / seeds * 100),
        low=float(low),
        high=float(high),
        mcnemar_p=tuple(_mcnemar_p(*counts) for counts in zip(won, lost, strict=True)),
        images=images,
        seeds=seeds,
        decided=not low <= 0 <= high,
        won=tuple(won),
        lost=tuple(lost),
        discordance=(sum(won) + sum(lost)) / (seeds * images),
    )


@lru_cache(maxsize=4096)
def wilson(correct: float, images: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's interval for one accuracy, in percent.

    Args:
        correct: Images answered rightly; a mean over seeds may be fractional.
        images: Test images.
        confidence: Coverage of the interval.

    Raises:
        ValueError: `correct` does not lie between 0 and `images`, or there is no image.

    Example:
        >>> low, high = wilson(50, 100)
        >>> round(low, 2), round(high, 2)
        (40.38, 59.62)
    """
    if images < 1 or not 0 <= correct <= images:
        raise ValueError(f"{correct} correct of {images} images")
    ends = np.asarray(proportion_confint(correct, images, alpha=1 - confidence, method="wilson"), dtype=float)
    return float(ends[0]) * 100, float(ends[1]) * 100


def _t_test(difference: NDArray[np.float64], confidence: float) -> tuple[float, float, float] | None:
    """Interval and two-sided p of Student's t for the mean, or None where the seeds show no spread."""
    if difference.size < 2 or difference.std(ddof=1) < NO_SPREAD_POINTS:
        return None
    result = ttest_1samp(difference, 0)
    low, high = result.confidence_interval(confidence)
    _, p = np.asarray(result, dtype=float).tolist()
    return float(low), float(high), p


def _sign_flip_p(difference: NDArray[np.float64]) -> float:
    if difference.size < 2:
        return 1.0
    if difference.size > MOST_EXACT:
        return _random_flips_p(difference)
    result = permutation_test(
        (difference, np.zeros_like(difference)),
        lambda arm, reference, axis: np.mean(arm - reference, axis=axis),
        permutation_type="samples",
        n_resamples=RESAMPLES,
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    return float(result.pvalue)


def _random_flips_p(difference: NDArray[np.float64]) -> float:
    """The same from random flips; scipy draws them too, one row at a time, in fifty times as long."""
    flips = np.random.default_rng(0).integers(0, 2, size=(RESAMPLES, difference.size), dtype=np.int8)
    drawn = (2 * flips - 1) @ difference
    # As scipy does: sums that differ by rounding alone are equal, and the data are one of the draws.
    total = difference.sum()
    slack = 1e-14 * max(1.0, abs(total))
    tails = np.count_nonzero(drawn >= total - slack), np.count_nonzero(drawn <= total + slack)
    return float(min(1.0, 2 * (min(tails) + 1) / (RESAMPLES + 1)))


@lru_cache(maxsize=4096)
def _mcnemar_p(won: int, lost: int) -> float:
    # Images on which both are right, or neither is, have no part in the exact test.
    return float(vars(mcnemar([[0, lost], [won, 0]], exact=True))["pvalue"])
