"""Simulated pixels of segmenters, and the intervals of a difference in mean IoU that are made of them.

An image holds each class with a probability of its own, and where it does, some thousand pixels of it. A
model finds a share of them: the class's own share, better or worse by the model's level, by how easy the
image is for all models, how easy it is for the arm, and by noise. The pixels that it does not find it gives
to the other classes at random. All draws are uniform but the levels of seeds, which are normal, so the true
mean IoU is known from means alone.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from statistics_tally import Errors, count

from swatbench.stats.miou import MaskCounts, across_mask_images, influence_values
from swatbench.stats.two_level import seeds_and_images

COMMON = (0.9, 0.7, 0.5, 0.3, 0.2)
"""Probability that an image holds a class."""
RARE = (0.9, 0.5, 0.02, 0.02, 0.02)
"""The same where most classes are in few images."""
FOUND = (0.65, 0.6, 0.55, 0.5, 0.45)
"""Share of a class's pixels that a model of level 0 finds; with all that is added, it stays below 1."""
PIXELS = 4_000.0
"""Mean number of pixels of a class where it is there; it is drawn between 0 and twice as many."""
IMAGE_WIDTH, ARM_WIDTH, NOISE_WIDTH = 0.1, 0.05, 0.1
"""Half the width of what is drawn for images, for images and arms, and for each class of each seed there."""
LEVELS = 10_000
"""Levels of seeds over which the true mean IoU is averaged."""

Floats = NDArray[np.float64]
Present = tuple[float, ...]


def pixels(
    rng: np.random.Generator, reference: Floats, arm: Floats, images: int, present: Present = COMMON
) -> list[MaskCounts]:
    """Pixels of both arms, of models with the given levels, each of shape (seeds, images, classes)."""
    shape = (images, len(present))
    labelled = np.rint(rng.uniform(0, 2 * PIXELS, shape) * (rng.random(shape) < present)).astype(np.int64)
    easy = rng.uniform(-IMAGE_WIDTH, IMAGE_WIDTH, (images, 1))
    return [_of_arm(rng, levels, labelled, easy) for levels in (reference, arm)]


def mean_iou(level: float, seed_sd: float = 0.0, present: Present = COMMON) -> float:
    """Mean IoU on all images of models of this level, over all seeds, as a share."""
    there = np.array(present) * PIXELS
    levels = level + seed_sd * norm.ppf((np.arange(LEVELS) + 0.5) / LEVELS)
    found = there * (np.array(FOUND) + levels[:, None])
    missed = there - found
    wrong = (missed.sum(axis=1, keepdims=True) - missed) / (len(present) - 1)
    return float((found / (there + wrong)).mean())


def _of_arm(
    rng: np.random.Generator, levels: Floats, labelled: NDArray[np.int64], easy: Floats
) -> MaskCounts:
    images, classes = labelled.shape
    own = rng.uniform(-ARM_WIDTH, ARM_WIDTH, (images, 1))
    noise = rng.uniform(-NOISE_WIDTH, NOISE_WIDTH, (levels.size, images, classes))
    share = FOUND + levels[:, None, None] + easy + own + noise
    found = np.rint(labelled * share.clip(0, 1)).astype(np.int64)
    missed = labelled - found
    # Each missed pixel goes to one of the other classes.
    others = np.where(np.eye(classes, dtype=bool), 0.0, 1 / (classes - 1))
    wrong = rng.multinomial(missed, others).sum(axis=2)
    return MaskCounts(
        intersection=found,
        predicted=found + wrong,
        labelled=np.broadcast_to(labelled, found.shape),
    )


def masks(
    rng: np.random.Generator,
    runs: int,
    alpha: float,
    *,
    seeds: int,
    images: int,
    gain: float = 0.0,
    present: Present = COMMON,
) -> Errors:
    """The same checkpoints on new images: bootstrap over images."""
    levels = np.zeros(seeds), np.full(seeds, gain)
    truth = 100 * (mean_iou(gain, present=present) - mean_iou(0.0, present=present))
    missed = []
    for number in range(runs):
        both = pixels(rng, *levels, images, present)
        result = across_mask_images(*both, seed=number, confidence=1 - alpha)
        missed.append(not result.low <= truth <= result.high)
    return {"bootstrap over images, mIoU": count(missed)}


def crossed_masks(
    rng: np.random.Generator,
    runs: int,
    alpha: float,
    *,
    seeds: int,
    images: int,
    seed_sd: float,
    gain: float = 0.03,
    present: Present = COMMON,
) -> Errors:
    """New seeds on new images: the interval of seeds and images, of mean IoU made linear in images."""
    truth = 100 * (mean_iou(gain, seed_sd, present) - mean_iou(0.0, seed_sd, present))
    missed = []
    for _ in range(runs):
        levels = rng.normal(0.0, seed_sd, seeds), rng.normal(gain, seed_sd, seeds)
        values = map(influence_values, pixels(rng, *levels, images, present))
        result = seeds_and_images(*values, confidence=1 - alpha)
        if result is not None:
            missed.append(not result.low <= truth <= result.high)
    return {"seeds × images, mIoU": count(missed)}
