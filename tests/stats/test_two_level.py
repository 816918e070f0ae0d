from math import sqrt

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.stats import norm, t
from statsmodels.formula.api import ols

from swatbench.stats.accuracy import across_seeds
from swatbench.stats.two_level import seeds_and_images


def answers(seeds: int, images: int, *, seed: int, seed_sd: float = 0.1):
    rng = np.random.default_rng(seed)
    image = rng.normal(0, 2, images)
    return tuple(
        middle + rng.normal(0, seed_sd, (seeds, 1)) + image + rng.normal(0, 1, (seeds, images)) > 0
        for middle in (0.0, 0.3)
    )


def test_the_parts_are_those_of_an_analysis_of_variance():
    reference, arm = answers(4, 30, seed=0, seed_sd=0.5)
    difference = arm.astype(float) - reference
    seed, image = np.indices(difference.shape)
    data = pd.DataFrame({"d": difference.ravel(), "seed": seed.ravel(), "image": image.ravel()})
    table = sm.stats.anova_lm(ols("d ~ C(seed) + C(image)", data).fit())
    of_seeds, of_images, left = table["mean_sq"]
    squared = t.ppf(0.975, 3) ** 2 * of_seeds + t.ppf(0.975, 29) ** 2 * max(of_images - left, 0)
    half = 100 * sqrt(squared / difference.size)
    result = seeds_and_images(reference, arm)
    assert result.points == pytest.approx(100 * difference.mean())
    assert (result.low, result.high) == pytest.approx((result.points - half, result.points + half))
    assert (result.seeds, result.images, result.degrees_of_freedom) == (4, 30, 3)


def test_p_is_where_the_interval_touches_zero():
    reference, arm = answers(3, 400, seed=1)
    p = seeds_and_images(reference, arm).p
    touching = seeds_and_images(reference, arm, confidence=1 - p)
    assert touching.low == pytest.approx(0, abs=1e-8)
    assert 0 < p < 1


def test_it_is_wider_than_either_question_alone():
    reference, arm = answers(5, 2000, seed=2)
    both = seeds_and_images(reference, arm)
    seeds = across_seeds(100 * reference.mean(axis=1), 100 * arm.mean(axis=1))
    half = (both.high - both.low) / 2
    by_image = (arm.mean(axis=0) - reference.mean(axis=0)).std(ddof=1)
    assert half > (seeds.high - seeds.low) / 2
    # Of the images' own variance the part that new seeds would bring again is counted with the seeds.
    assert half > norm.ppf(0.975) * 100 * by_image / sqrt(2000) * 0.8
    assert both.points == pytest.approx(seeds.points)


def test_without_an_effect_of_images_it_is_the_paired_t_test():
    # Every image is won by one seed and lost by none, so the images' mean square is 0.
    reference = np.zeros((3, 60), dtype=bool)
    arm = np.zeros((3, 60), dtype=bool)
    for seed, (first, last) in enumerate([(0, 10), (10, 30), (30, 60)]):
        arm[seed, first:last] = True
    both = seeds_and_images(reference, arm)
    seeds = across_seeds(100 * reference.mean(axis=1), 100 * arm.mean(axis=1))
    assert (both.low, both.high, both.p) == pytest.approx((seeds.low, seeds.high, seeds.t_p))


def test_no_spread_of_seeds_no_interval():
    reference, arm = answers(1, 50, seed=3)
    assert seeds_and_images(reference, arm) is None
    assert seeds_and_images(np.repeat(reference, 3, axis=0), np.repeat(arm, 3, axis=0)) is None
    assert seeds_and_images([[True], [False]], [[False], [False]]) is None


def test_a_mean_of_nothing_and_a_sure_difference():
    reference, arm = np.zeros((2, 40), dtype=bool), np.zeros((2, 40), dtype=bool)
    arm[0, :3] = reference[1, :3] = True
    assert seeds_and_images(reference, arm).p == 1.0
    sure = np.ones((50, 40), dtype=bool)
    sure[0, 0] = False
    assert 0 < seeds_and_images(np.zeros_like(sure), sure).p < 1e-50


def test_numbers_give_what_right_and_wrong_answers_give():
    reference, arm = answers(4, 200, seed=4)
    exact, numbers = seeds_and_images(reference, arm), seeds_and_images(1.0 * reference, 1.0 * arm)
    assert vars_of(numbers) == pytest.approx(vars_of(exact), rel=1e-9)


def test_numbers_may_be_of_any_size_and_their_mean_of_any_height():
    reference, arm = np.random.default_rng(5).normal(0, 3, (2, 3, 50))
    plain, lifted = seeds_and_images(reference, arm), seeds_and_images(reference, arm + 1e4)
    width = plain.high - plain.low
    assert lifted.points == pytest.approx(plain.points + 1e6)
    assert lifted.high - lifted.low == pytest.approx(width, rel=1e-6)
    small = seeds_and_images(1e-4 * reference, 1e-4 * arm)
    assert small.high - small.low == pytest.approx(1e-4 * width)
    assert small.p == pytest.approx(plain.p)


def test_numbers_of_seeds_without_spread_give_no_interval():
    image = np.random.default_rng(6).normal(0, 1, 70)
    shuffled = np.stack([np.random.default_rng(seed).permutation(image) for seed in range(3)])
    assert seeds_and_images(np.zeros((3, 70)), shuffled) is None


def vars_of(result):
    return [getattr(result, name) for name in type(result).__slots__]


@pytest.mark.parametrize(
    ("reference", "arm", "confidence", "names"),
    [
        ([[True, False]], [[True]], 0.95, r"\(1, 2\) and \(1, 1\)"),
        ([True], [True], 0.95, r"\(1,\)"),
        ([[], []], [[], []], 0.95, r"\(2, 0\)"),
        ([[True]], [[True]], 95, "95"),
        ([[0.5, np.nan]], [[1.0, 1.0]], 0.95, "not finite"),
    ],
)
def test_what_cannot_be_is_refused(reference, arm, confidence, names):
    with pytest.raises(ValueError, match=names):
        seeds_and_images(reference, arm, confidence=confidence)
