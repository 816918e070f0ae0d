"""Simulated answers of models to images, and the intervals and tests that are made of them.

A model answers an image rightly when a sum is above 0: the model's own level, how easy the image is, how easy
it is for the arm, and noise. With the standard deviations below, some 23 % of the images tell two arms apart
(in `results/cifar10` 24 % to 32 %). Where levels of seeds vary by 0.1, the seeds' differences vary by 2.4
points (there 0.7 to 1.7).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t
from statistics_tally import Errors, count

from swatbench.stats.accuracy import across_images, wilson
from swatbench.stats.equivalence import checkpoints_same_within
from swatbench.stats.two_level import seeds_and_images

IMAGE_SD, ARM_SD, NOISE_SD = 2.0, 0.6, 1.0
LEVEL = -0.6
BOOTSTRAPS = 1_000
BOOTSTRAPPED = 4
"""Only so many-th part of the runs goes to the bootstrap of seeds and images, which takes long."""

Answers = NDArray[np.bool_]
Ends = tuple[float, float]


def answers(
    rng: np.random.Generator, reference: NDArray[np.float64], arm: NDArray[np.float64], images: int
) -> tuple[Answers, Answers]:
    """Answers of both arms, of models with the given levels, each of shape (seeds, images)."""
    easy = rng.normal(0, IMAGE_SD, images)
    both = [
        levels[:, None]
        + easy
        + rng.normal(0, ARM_SD, images)
        + rng.normal(0, NOISE_SD, (levels.size, images))
        for levels in (reference, arm)
    ]
    return both[0] > 0, both[1] > 0


def accuracy(level: float | NDArray[np.float64], seed_sd: float = 0.0) -> NDArray[np.float64]:
    """Share of all images that a model of this level answers rightly, over all seeds."""
    return np.asarray(norm.cdf(np.asarray(level) / _spread(seed_sd)))


def level_for(share: float) -> float:
    """Level of a model that answers this share of all images rightly."""
    return float(norm.ppf(share)) * _spread(0.0)


def one_accuracy(rng: np.random.Generator, runs: int, alpha: float, *, images: int, share: float) -> Errors:
    """Wilson's interval of one model's accuracy."""
    ends = [wilson(int(k), images, confidence=1 - alpha) for k in rng.binomial(images, share, runs)]
    return {"Wilson interval": count([not low <= 100 * share <= high for low, high in ends])}


def checkpoints(
    rng: np.random.Generator, runs: int, alpha: float, *, seeds: int, images: int, gain: float = 0.0
) -> Errors:
    """The same checkpoints on new images: bootstrap over images, and McNemar's test where nothing differs."""
    missed, called = [], []
    reference, arm = np.full(seeds, LEVEL), np.full(seeds, LEVEL + gain)
    truth = 100 * float(accuracy(LEVEL + gain) - accuracy(LEVEL))
    for number in range(runs):
        both = answers(rng, reference, arm, images)
        result = across_images(*both, seed=number, confidence=1 - alpha)
        missed.append(not result.low <= truth <= result.high)
        called.append(result.mcnemar_p[0] <= alpha)
    return {"bootstrap over images": count(missed)} | ({} if gain else {"exact McNemar test": count(called)})


def same_on_images(
    rng: np.random.Generator, runs: int, alpha: float, *, seeds: int, images: int, margin_points: float
) -> Errors:
    """Checkpoints whose true difference is just the margin are called the same."""
    reference = np.full(seeds, LEVEL)
    arm = np.full(seeds, level_for(float(accuracy(LEVEL)) - margin_points / 100))
    called = [
        checkpoints_same_within(*answers(rng, reference, arm, images), margin_points, alpha=alpha).same
        for _ in range(runs)
    ]
    return {"same within a margin, on images": count(called)}


def crossed(
    rng: np.random.Generator,
    runs: int,
    alpha: float,
    *,
    seeds: int,
    images: int,
    seed_sd: float,
    alternatives: bool = True,
) -> Errors:
    """New seeds on new images: our interval, and two that are usual where `alternatives` are asked for."""
    level = LEVEL + 0.4
    truth = float(accuracy(level, seed_sd) - accuracy(LEVEL, seed_sd))
    missed: dict[str, list[bool]] = {"seeds × images": []}
    for number in range(runs):
        both = answers(rng, rng.normal(LEVEL, seed_sd, seeds), rng.normal(level, seed_sd, seeds), images)
        result = seeds_and_images(*both, confidence=1 - alpha)
        if result is None:
            continue
        missed["seeds × images"].append(not result.low <= 100 * truth <= result.high)
        if not alternatives:
            continue
        difference = np.subtract(both[1], both[0], dtype=np.int8)
        ends = {"Satterthwaite (as Hillis)": satterthwaite(difference, alpha)}
        if number % BOOTSTRAPPED == 0:
            ends["bootstrap of seeds, then images"] = pigeonhole(rng, difference, alpha)
        for name, (low, high) in ends.items():
            missed.setdefault(name, []).append(not low <= truth <= high)
    return {name: count(each) for name, each in missed.items()}


def satterthwaite(difference: NDArray[np.int8], alpha: float) -> Ends:
    """Crossed random effects with one Student's t, whose degrees of freedom are estimated.

    Source: S. L. Hillis, Statistics in Medicine 26 (2007), 596-619.
    """
    seeds, images = difference.shape
    mean = float(difference.mean())
    by_seed, by_image = difference.mean(axis=1), difference.mean(axis=0)
    of_seeds, of_images = images * by_seed.var(ddof=1), seeds * by_image.var(ddof=1)
    total = difference.var() * difference.size
    freedom = (seeds - 1) * (images - 1)
    left = (total - of_seeds * (seeds - 1) - of_images * (images - 1)) / freedom
    combined = max(of_seeds + of_images - left, of_seeds, of_images)
    shares = of_seeds**2 / (seeds - 1) + of_images**2 / (images - 1) + left**2 / freedom
    half = float(t.ppf(1 - alpha / 2, combined**2 / shares)) * (combined / difference.size) ** 0.5
    return mean - half, mean + half


def pigeonhole(rng: np.random.Generator, difference: NDArray[np.int8], alpha: float) -> Ends:
    """Percentiles of means over seeds drawn again and images drawn again.

    Images with equal columns are drawn together, as one multinomial.

    Source: A. B. Owen, Annals of Applied Statistics 1 (2007), 386-411.
    """
    seeds, images = difference.shape
    columns, counts = np.unique(difference, axis=1, return_counts=True)
    drawn = rng.multinomial(images, counts / images, size=BOOTSTRAPS) @ columns.T.astype(float)
    weights = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=BOOTSTRAPS)
    means = (drawn * weights).sum(axis=1) / difference.size
    low, high = np.quantile(means, (alpha / 2, 1 - alpha / 2))
    return float(low), float(high)


def _spread(seed_sd: float) -> float:
    return float(np.hypot.reduce([IMAGE_SD, ARM_SD, NOISE_SD, seed_sd]))
