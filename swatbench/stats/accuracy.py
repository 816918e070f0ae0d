"""Differences in accuracy: one question across seeds, another across images, never mixed.

Across seeds: does the method help when training is repeated? Each seed is one pair.
Across images: do these trained checkpoints differ on images like these? Each test image is one pair.
The first needs several seeds; the second is answered by any number of them, but says nothing of a new seed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import permutation_test, t
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

RESAMPLES = 10_000
"""Bootstrap resamples of the test images; also the most sign flips tried, all of them up to 13 seeds."""

FEW_SEEDS = 5
"""With fewer seeds than this, an interval that excludes 0 leans on the differences being normal."""


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
    """

    points: float
    low: float | None
    high: float | None
    p: float
    smallest_p: float
    seeds: int
    decided: bool


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
    """

    points: float
    low: float
    high: float
    mcnemar_p: tuple[float, ...]
    images: int
    seeds: int
    decided: bool


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
    interval = _t_interval(difference, confidence)
    low, high = interval or (None, None)
    return SeedDifference(
        points=float(difference.mean()),
        low=low,
        high=high,
        p=_sign_flip_p(difference),
        smallest_p=min(1.0, 2 / 2**difference.size),
        seeds=difference.size,
        decided=interval is not None and not interval[0] <= 0 <= interval[1],
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
    return ImageDifference(
        points=float(total.mean() / seeds * 100),
        low=float(low),
        high=float(high),
        mcnemar_p=tuple(_mcnemar_p(*pair) for pair in zip(reference, arm, strict=True)),
        images=images,
        seeds=seeds,
        decided=not low <= 0 <= high,
    )


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


def _t_interval(difference: NDArray[np.float64], confidence: float) -> tuple[float, float] | None:
    if difference.size < 2:
        return None
    error = difference.std(ddof=1) / np.sqrt(difference.size)
    # Differences of accuracies carry rounding of about 1e-14 points; that is no spread.
    if error < 1e-9:
        return None
    low, high = t.interval(confidence, difference.size - 1, loc=difference.mean(), scale=error)
    return float(low), float(high)


def _sign_flip_p(difference: NDArray[np.float64]) -> float:
    if difference.size < 2:
        return 1.0
    result = permutation_test(
        (difference, np.zeros_like(difference)),
        lambda arm, reference, axis: np.mean(arm - reference, axis=axis),
        permutation_type="samples",
        n_resamples=RESAMPLES,
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    return float(result.pvalue)


def _mcnemar_p(reference: NDArray[np.bool_], arm: NDArray[np.bool_]) -> float:
    both, neither = int((reference & arm).sum()), int((~reference & ~arm).sum())
    table = [[both, int((reference & ~arm).sum())], [int((~reference & arm).sum()), neither]]
    return float(vars(mcnemar(table, exact=True))["pvalue"])
