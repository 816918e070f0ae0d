"""Same accuracy within a margin: two one-sided tests, across seeds and across images.

"Not different" is no evidence of "the same": few seeds find no difference either. Here the burden is turned
round. The hypothesis to refute is a difference as large as the margin, which has to be set before the results
are seen.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm
from statsmodels.stats.weightstats import DescrStatsW, ttost_paired

from swatbench.stats.accuracy import NO_SPREAD_POINTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Equivalence:
    """Whether arm and reference are the same within a margin.

    Attributes:
        margin_points: Largest difference that counts as the same, in percentage points.
        low: Lower end of the interval of arm minus reference at 1 - 2 alpha, in percentage points.
        high: Upper end.
        p: The larger p of the two one-sided tests, against a difference of -margin and of +margin.
        same: p is below alpha, which is to say that the interval lies inside the margin.
    """

    margin_points: float
    low: float
    high: float
    p: float
    same: bool


def same_within(
    reference_percent: ArrayLike, arm_percent: ArrayLike, margin_points: float, *, alpha: float = 0.05
) -> Equivalence | None:
    """Ask whether the arm is as accurate as the reference when training is repeated.

    Args:
        reference_percent: Accuracy of the reference for each seed, in percent, shape (seeds,).
        arm_percent: Accuracy of the arm for the same seeds, in percent, shape (seeds,).
        margin_points: Largest difference that counts as the same, in percentage points, above 0.
        alpha: How often a difference of just the margin may be called the same, inside (0, 0.5).

    Returns:
        The answer, or None with fewer than two seeds and where every seed gave the very same difference.

    Raises:
        ValueError: The shapes differ, or the margin or alpha lies outside.

    Example:
        >>> result = same_within([50.0, 52.0, 51.0], [50.1, 51.9, 51.1], 1.0)
        >>> result.same, round(result.low, 2), round(result.high, 2)
        (True, -0.16, 0.23)
    """
    _check(margin_points, alpha)
    reference, arm = np.asarray(reference_percent, dtype=float), np.asarray(arm_percent, dtype=float)
    if reference.shape != arm.shape or reference.ndim != 1:
        raise ValueError(f"expected two equal rows of accuracies, not {reference.shape} and {arm.shape}")
    if arm.size < 2 or (arm - reference).std(ddof=1) < NO_SPREAD_POINTS:
        return None
    p = float(ttost_paired(arm, reference, -margin_points, margin_points)[0])
    low, high = DescrStatsW(arm - reference).tconfint_mean(2 * alpha)
    return Equivalence(margin_points=margin_points, low=float(low), high=float(high), p=p, same=p < alpha)


def checkpoints_same_within(
    reference_correct: ArrayLike, arm_correct: ArrayLike, margin_points: float, *, alpha: float = 0.05
) -> Equivalence:
    """Ask whether these checkpoints are equally accurate on images like these.

    An image's difference is its mean over seeds. With hundreds of images their mean is normal, but where
    almost no image tells the sides apart, its spread in the sample says too little of the population's. So
    the variance is taken to be no smaller than that which a difference of just the margin brings, m (1 - m),
    and the interval is widened by one image on either side. With both, a difference of just the margin is
    called the same in at most alpha of all tries, however few images differ
    (`tests/stats/test_equivalence.py`).

    Args:
        reference_correct: Whether the reference is right, shape (seeds, images).
        arm_correct: Whether the arm is right on the same images, shape (seeds, images).
        margin_points: Largest difference that counts as the same, in percentage points, above 0, below 100.
        alpha: How often a difference of just the margin may be called the same, inside (0, 0.5).

    Raises:
        ValueError: The shapes differ, are not two-dimensional, or are empty, or the margin or alpha lies
            outside.
    """
    _check(margin_points, alpha)
    reference, arm = np.asarray(reference_correct, dtype=bool), np.asarray(arm_correct, dtype=bool)
    if reference.shape != arm.shape or reference.ndim != 2 or not arm.size:
        raise ValueError(f"expected two equal (seeds, images) tables, not {reference.shape} and {arm.shape}")
    images, margin = arm.shape[1], margin_points / 100
    by_image = arm.mean(axis=0) - reference.mean(axis=0)
    share = float(by_image.mean())
    error = (max(float(by_image.var()), margin * (1 - margin)) / images) ** 0.5
    half_width = float(norm.isf(alpha)) * error + 1 / images
    p = float(norm.sf((margin - abs(share) - 1 / images) / error))
    return Equivalence(
        margin_points=margin_points,
        low=100 * (share - half_width),
        high=100 * (share + half_width),
        p=p,
        same=p < alpha,
    )


def _check(margin_points: float, alpha: float) -> None:
    if not 0 < margin_points < 100:
        raise ValueError(f"a margin lies between 0 and 100 points, not at {margin_points}")
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha must lie between 0 and 0.5, not {alpha}")
