"""Differences in mean IoU between checkpoints, from the pixels of each class in each image.

Mean IoU is no mean over images: pixels are added up over all of them before anything is divided. So images
are resampled, with all their pixels, and never pixels. There is no McNemar's test of masks, since an image
is not simply right or wrong.

Letters: K classes, I and U, pixels of a class's intersection and union.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
"""Bootstrap resamples of the test images."""

_AT_ONCE = 2_000_000
"""Most weights of images that are held at a time, 16 MB."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MaskCounts:
    """Pixels of one arm's predictions, for each seed, image and class; pixels without a label are left out.

    Attributes:
        intersection: Pixels of the class that are found, shape (seeds, images, K).
        predicted: Pixels predicted to be of the class.
        labelled: Pixels of the class, the same for every seed.
    """

    intersection: NDArray[np.integer]
    predicted: NDArray[np.integer]
    labelled: NDArray[np.integer]

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            ValueError: The shapes differ, are not three-dimensional, or are empty, or no pixel has a label.
        """
        shapes = {self.intersection.shape, self.predicted.shape, self.labelled.shape}
        if len(shapes) > 1 or self.labelled.ndim != 3 or not self.labelled.size:
            told = " and ".join(map(str, sorted(shapes)))
            raise ValueError(f"expected three equal (seeds, images, classes) tables, not {told}")
        if not self.labelled.any(axis=(1, 2)).all():
            raise ValueError("no pixel has a label")

    @property
    def union(self) -> NDArray[np.int64]:
        """Pixels that are of the class or predicted to be, shape (seeds, images, K)."""
        found, predicted, labelled = (
            table.astype(np.int64) for table in (self.intersection, self.predicted, self.labelled)
        )
        return labelled + predicted - found


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskDifference:
    """Arm minus reference for these checkpoints in mean IoU, each test image one pair.

    Attributes:
        points: Mean difference over seeds in percentage points.
        low: Lower end of the paired bootstrap interval over images.
        high: Upper end.
        images: Test images.
        seeds: Checkpoints of each arm.
        decided: The interval excludes 0.
    """

    points: float
    low: float
    high: float
    images: int
    seeds: int
    decided: bool


def across_mask_images(
    reference: MaskCounts, arm: MaskCounts, *, seed: int = 0, confidence: float = 0.95
) -> MaskDifference:
    """Ask whether these checkpoints differ in mean IoU on images like these.

    The images are resampled, each with the pixels of both arms and of all seeds, and the mean IoU of each
    checkpoint is computed anew; a class that is in no mask and no prediction of a resample is left out of it.

    Args:
        reference: The reference's pixels.
        arm: The arm's pixels of the same images.
        seed: Seed of the bootstrap.
        confidence: Coverage of the interval.

    Raises:
        ValueError: The shapes differ, or the masks do.
    """
    if not np.array_equal(reference.labelled, arm.labelled):
        shapes = f"{reference.labelled.shape} and {arm.labelled.shape}"
        raise ValueError(f"the two arms were not tested on the same masks, of shapes {shapes}")
    seeds, images, _ = arm.labelled.shape
    pixels = np.stack([_pixels(reference), _pixels(arm)], axis=1)
    points = 100 * _differences(np.ones((1, images)), pixels)
    drawn = 100 * _resampled(pixels, np.random.default_rng(seed))
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, (tail, 1 - tail))
    return MaskDifference(
        points=float(points[0]),
        low=float(low),
        high=float(high),
        images=images,
        seeds=seeds,
        decided=not low <= 0 <= high,
    )


def influence_values(counts: MaskCounts) -> Floats:
    """Values of images, shape (seeds, images), whose mean is a seed's mean IoU, as a share.

    An image's value is mIoU + n / K' × the sum over classes of (I_i - IoU U_i) / U: mean IoU made linear in
    each image's pixels, over the K' classes that are in some mask or some prediction of the seed's n images.
    So their variance over images is that of the mean IoU, as far as that is linear, and what is made for
    means over images can be used, as `two_level.seeds_and_images`.

    Args:
        counts: The pixels.

    Example:
        >>> found, predicted, labelled = (np.array([[[pixels]]]) for pixels in (4, 5, 7))
        >>> influence_values(MaskCounts(intersection=found, predicted=predicted, labelled=labelled)).tolist()
        [[0.5]]
    """
    union = counts.union
    whole = union.sum(axis=1, keepdims=True)
    there = whole > 0
    share = np.divide(
        counts.intersection.sum(axis=1, keepdims=True), whole, out=np.zeros(whole.shape), where=there
    )
    classes = there.sum(axis=2)
    surplus = (counts.intersection - share * union) / np.where(there, whole, 1)
    mean = share.sum(axis=2) / classes
    return mean + union.shape[1] / classes * surplus.sum(axis=2)


def _pixels(counts: MaskCounts) -> Floats:
    """Intersections and unions of each image, shape (images, 2, seeds, K)."""
    return np.stack([counts.intersection, counts.union]).transpose(2, 0, 1, 3).astype(np.float64)


def _resampled(pixels: Floats, rng: np.random.Generator) -> Floats:
    """Differences of resamples, a block of them at a time."""
    images = len(pixels)
    block = max(1, _AT_ONCE // max(images, pixels[0].size))
    drawn = []
    for first in range(0, RESAMPLES, block):
        rows = min(block, RESAMPLES - first)
        # How often each image is drawn: one multinomial a row, counted from single draws, which is faster.
        index = rng.integers(images, size=(rows, images)) + images * np.arange(rows)[:, None]
        times = np.bincount(index.ravel(), minlength=rows * images).reshape(rows, images)
        drawn.append(_differences(times.astype(np.float64), pixels))
    return np.concatenate(drawn)


def _differences(times: Floats, pixels: Floats) -> Floats:
    """Mean IoU of the arm less that of the reference, as a share, mean over seeds.

    Args:
        times: How often each image counts, shape (resamples, images).
        pixels: Shape (images, 2 arms, intersection and union, seeds, K).
    """
    summed = (times @ pixels.reshape(len(pixels), -1)).reshape(len(times), *pixels.shape[1:])
    found, whole = summed[:, :, 0], summed[:, :, 1]
    there = whole > 0
    shares = np.divide(found, whole, out=np.zeros_like(whole), where=there)
    # A resample of images without any label has no class; its arms are equal.
    classes = np.maximum(there.sum(axis=-1), 1)
    reference, arm = np.moveaxis(shares.sum(axis=-1) / classes, 1, 0)
    return (arm - reference).mean(axis=-1)
