"""One interval for the difference in accuracy, or in mean IoU, on new seeds and new images at once.

Every seed sees the same images, so the design is crossed. A difference is taken apart as in an analysis of
variance of seeds and images: mean squares of seeds (MS_s), of images (MS_i) and of what is left (MS_e). The
mean over S seeds and I images then has the variance (MS_s + (MS_i - MS_e)) / (S I). The first term is known
from S - 1 degrees of freedom alone, the second from about I - 1, so each is multiplied by the quantile of its
own Student's t.

Source: S. K. Banerjee, Sankhya 22 (1960), 357-358: with a quantile of its own for each part, the coverage is
never below the stated one. `docs/adr/0019-two-level-interval.md` sets it beside the usual ones.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import root_scalar
from scipy.special import stdtrit

NO_SPREAD = 1e-11
"""Seeds whose differences lie no further apart than this share do not vary: rounding alone brings 1e-16."""

_LEAST_LOG10_P = -100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoLevel:
    """Arm minus reference on new seeds and new images of the same kinds.

    Attributes:
        points: Mean difference over seeds and images in percentage points.
        low: Lower end of the interval.
        high: Upper end.
        seeds: Pairs of checkpoints.
        images: Test images, the same for every seed.
        degrees_of_freedom: Those of the part of the variance that seeds bring, seeds - 1.
        p: Two-sided p: one minus the confidence at which the interval just touches 0.
    """

    points: float
    low: float
    high: float
    seeds: int
    images: int
    degrees_of_freedom: int
    p: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """What seeds and images bring to the variance of the mean difference, in squares of shares."""

    seeds: float
    images: float
    seeds_freedom: int
    images_freedom: int

    def squared_half_width(self, tail: float) -> float:
        """Square of half the interval's width, with this probability above it."""
        # scipy.stats.t gives the same quantiles, a hundred times as slowly.
        of_seeds, of_images = stdtrit([self.seeds_freedom, self.images_freedom], tail)
        return float(of_seeds**2 * self.seeds + of_images**2 * self.images)


def seeds_and_images(
    reference_values: ArrayLike, arm_values: ArrayLike, *, confidence: float = 0.95
) -> TwoLevel | None:
    """Ask by how much the arm would differ with other seeds, tested on other images of the same kind.

    Args:
        reference_values: Whether the reference is right, or other numbers whose mean over images is a seed's
            score as a share (see `miou.influence_values`), shape (seeds, images).
        arm_values: The same of the arm on the same images, shape (seeds, images).
        confidence: Coverage that the interval has at least, inside (0, 1).

    Returns:
        The interval, or None with one seed or one image, and where every seed gave the very same difference,
        since neither shows how seeds vary.

    Raises:
        ValueError: The shapes differ, are not two-dimensional, or are empty, a number is not finite, or the
            confidence lies outside.

    Example:
        >>> reference = [[True, False, False, False], [False, True, False, False]]
        >>> arm = [[True, True, True, False], [True, True, False, False]]
        >>> result = seeds_and_images(reference, arm)
        >>> result.points, result.degrees_of_freedom
        (37.5, 1)
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, not {confidence}")
    reference, arm = np.asarray(reference_values), np.asarray(arm_values)
    if reference.shape != arm.shape or reference.ndim != 2 or not arm.size:
        raise ValueError(f"expected two equal (seeds, images) tables, not {reference.shape} and {arm.shape}")
    difference = _difference(reference, arm)
    share = float(difference.mean())
    parts = _parts(difference if difference.dtype == np.int8 else difference - share)
    if parts is None:
        return None
    half_width = parts.squared_half_width((1 - confidence) / 2) ** 0.5
    return TwoLevel(
        points=100 * share,
        low=100 * (share - half_width),
        high=100 * (share + half_width),
        seeds=difference.shape[0],
        images=difference.shape[1],
        degrees_of_freedom=parts.seeds_freedom,
        p=_p(share, parts),
    )


def _difference(reference: NDArray[Any], arm: NDArray[Any]) -> NDArray[Any]:
    """Arm minus reference: int8 of answers that are right or wrong, float64 of other numbers."""
    if reference.dtype == arm.dtype == np.bool_:
        return np.subtract(arm, reference, dtype=np.int8)
    difference = np.subtract(arm, reference, dtype=np.float64)
    if not np.isfinite(difference).all():
        raise ValueError("a number is not finite")
    return difference


def _parts(difference: NDArray[Any]) -> _Parts | None:
    """Take the variance of the mean apart.

    Args:
        difference: Differences of shape (seeds, images), int8, or float64 with a mean of 0.
    """
    seeds, images = difference.shape
    kind = np.int64 if difference.dtype == np.int8 else np.float64
    by_seed, by_image = (difference.sum(axis=axis, dtype=kind) for axis in (1, 0))
    if min(seeds, images) < 2 or np.ptp(by_seed) <= NO_SPREAD * images:
        return None
    freedom_s, freedom_i = seeds - 1, images - 1
    # Of answers whole numbers until the last division, so that equal seeds leave no rounding behind.
    total, squares = by_seed.sum().item(), np.square(difference).sum(dtype=kind).item()
    of_mean = total**2 / (seeds * images)
    of_seeds = (by_seed**2).sum().item() / images - of_mean
    of_images = (by_image**2).sum().item() / seeds - of_mean
    left = squares - of_mean - of_seeds - of_images
    mean_square_s, mean_square_i = of_seeds / freedom_s, of_images / freedom_i
    mean_square_e = left / (freedom_s * freedom_i)
    return _Parts(
        seeds=mean_square_s / (seeds * images),
        images=max(mean_square_i - mean_square_e, 0.0) / (seeds * images),
        seeds_freedom=freedom_s,
        images_freedom=freedom_i,
    )


def _p(share: float, parts: _Parts) -> float:
    if share == 0:
        return 1.0

    def beyond(log10_p: float) -> float:
        return parts.squared_half_width(10**log10_p / 2) - share**2

    # Smaller ones are all the same to a reader, and squares of their quantiles overflow.
    if beyond(_LEAST_LOG10_P) < 0:
        return 10**_LEAST_LOG10_P
    return float(10 ** root_scalar(beyond, bracket=(_LEAST_LOG10_P, 0.0)).root)
