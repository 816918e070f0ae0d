"""Simulated accuracies of seeds, families of tests, and times, with the intervals and tests made of them."""

import gc
from math import log

import numpy as np
from scipy.stats import ttest_1samp
from statistics_tally import Errors, count

from swatbench.stats.accuracy import across_seeds
from swatbench.stats.equivalence import same_within
from swatbench.stats.multiplicity import holm
from swatbench.stats.power import detectable_across_seeds
from swatbench.stats.quantiles import quantile_interval
from swatbench.stats.ratios import paired_ratio

LOAD_SD, NOISE_SD = 0.3, 0.01


def across(rng: np.random.Generator, runs: int, alpha: float, *, seeds: int, skewed: bool = False) -> Errors:
    """Seeds that do not differ on average: paired t, and sign flips where seeds are enough for them."""
    missed, called = [], []
    for _ in range(runs):
        # An exponential less its mean is far from normal and far from symmetrical.
        difference = rng.exponential(size=seeds) - 1 if skewed else rng.normal(size=seeds)
        result = across_seeds(np.zeros(seeds), difference, confidence=1 - alpha)
        assert result.low is not None
        assert result.high is not None
        missed.append(not result.low <= 0 <= result.high)
        called.append(result.p <= alpha)
    flips = {"sign flips": count(called)} if 2 / 2**seeds <= alpha else {}
    return {"paired t": count(missed)} | flips


def same_across(rng: np.random.Generator, runs: int, alpha: float, *, seeds: int) -> Errors:
    """Arms whose true difference is just the margin are called the same."""
    margin = 5.0
    called = []
    for _ in range(runs):
        result = same_within(np.zeros(seeds), rng.normal(margin, 1.0, seeds), margin, alpha=alpha)
        called.append(result is not None and result.same)
    return {"same within a margin, across seeds": count(called)}


def family(
    rng: np.random.Generator, runs: int, alpha: float, *, equal: int, different: int, shared: float
) -> Errors:
    """Some arms that do not differ, and some that do: one or more of the former are called different.

    All share a part of their spread, as arms do that are compared with one reference.
    """
    seeds = 6
    own = rng.normal(0, (1 - shared) ** 0.5, (runs, equal + different, seeds))
    own += rng.normal(0, shared**0.5, (runs, 1, seeds))
    own[:, equal:] += 10
    p = np.asarray(ttest_1samp(own, 0, axis=2))[1]
    # statsmodels collects garbage at every correction; what is frozen need not be looked at.
    gc.freeze()
    corrected = np.array([holm(row.tolist()) for row in p])
    gc.unfreeze()
    return {
        "Holm, any of the family": count((corrected[:, :equal] <= alpha).any(axis=1)),
        "no correction, any of the family": count((p[:, :equal] <= alpha).any(axis=1)),
    }


def quantile(rng: np.random.Generator, runs: int, alpha: float, *, n: int, q: float) -> Errors:
    """A quantile of skewed times."""
    truth = -log(1 - q)
    missed = []
    for _ in range(runs):
        result = quantile_interval(rng.exponential(size=n), q, confidence=1 - alpha)
        below = result.low is not None and result.low > truth
        missed.append(below or (result.high is not None and result.high < truth))
    return {"quantile by order statistics": count(missed)}


def ratio(rng: np.random.Generator, runs: int, alpha: float, *, rounds: int, heavy: bool = False) -> Errors:
    """Three calls of equal work, timed in rounds that share their load."""
    missed, called = [], []
    for number in range(runs):
        noise = rng.standard_t(3, (3, rounds)) if heavy else rng.normal(size=(3, rounds))
        times = np.exp(LOAD_SD * rng.normal(size=rounds) + NOISE_SD * noise)
        result = paired_ratio(*times, seed=number, confidence=1 - alpha)
        missed.append(not result.low <= 1 <= result.high)
        called.append(result.distinguishable)
    return {"median of paired ratios": count(missed), "ratio called different": count(called)}


def overlooked(rng: np.random.Generator, runs: int, alpha: float, *, seeds: int) -> Errors:
    """The difference that is said to be detectable with a power of 1 - alpha is not found."""
    points = detectable_across_seeds(1.0, seeds, power=1 - alpha)
    assert points is not None
    t_statistic, p = np.asarray(ttest_1samp(rng.normal(points, 1.0, (runs, seeds)), 0, axis=1))
    return {"detectable difference overlooked": count((p > 0.05) | (t_statistic < 0))}
