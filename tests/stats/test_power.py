import math

import numpy as np
import pytest
from scipy.stats import binom, nct, norm, t

from swatbench.stats.power import detectable_across_seeds, detectable_on_images, seeds_to_settle


def power_of_t(effect: float, seeds: int, alpha: float) -> float:
    """By the noncentral t, on the side of the truth."""
    return float(nct.sf(t.isf(alpha / 2, seeds - 1), seeds - 1, effect * math.sqrt(seeds)))


@pytest.mark.parametrize("seeds", [2, 3, 4, 6, 20, 200])
@pytest.mark.parametrize(("power", "alpha"), [(0.8, 0.05), (0.9, 0.05), (0.5, 0.01)])
def test_the_detectable_difference_has_the_power(seeds, power, alpha):
    points = detectable_across_seeds(0.7, seeds, power=power, alpha=alpha)
    assert power_of_t(points / 0.7, seeds, alpha) == pytest.approx(power, abs=1e-6)


def test_spread_scales_what_is_detectable_and_must_be_known():
    assert detectable_across_seeds(2.0, 5) == pytest.approx(2 * detectable_across_seeds(1.0, 5))
    assert detectable_across_seeds(1.0, 1) is None
    assert detectable_across_seeds(None, 3) is None
    assert detectable_across_seeds(0.0, 3) is None


@pytest.mark.parametrize("effect", [30.0, 10.0, 4.0, 3.0, 2.0, 1.0, 0.5, 0.2, 0.1])
@pytest.mark.parametrize("power", [0.5, 0.8, 0.95])
def test_it_is_the_smallest_number_of_seeds(effect, power):
    seeds = seeds_to_settle(-effect, 1.0, power=power, most=2000)
    assert power_of_t(effect, seeds, 0.05) >= power
    assert seeds == 2 or power_of_t(effect, seeds - 1, 0.05) < power


def test_what_no_number_of_seeds_settles():
    assert seeds_to_settle(0.0, 1.0) is None
    assert seeds_to_settle(0.1, 1.0, most=786) is None
    assert seeds_to_settle(0.1, 1.0, most=787) == 787
    assert seeds_to_settle(1.0, None) is None
    assert seeds_to_settle(1.0, 0.0) is None
    assert seeds_to_settle(50.0, 1e-8) == 2


@pytest.mark.parametrize("images", [400, 10_000])
@pytest.mark.parametrize("discordance", [0.05, 0.3])
def test_images_agree_with_the_usual_approximation(discordance, images):
    # The sum of the quantiles times the error of a difference; the exact test asks for a little more.
    rough = 100 * (norm.ppf(0.975) + norm.ppf(0.8)) * math.sqrt(discordance / images)
    assert rough < detectable_on_images(discordance, images) < rough * 1.25


def test_mcnemar_finds_it_with_the_stated_power():
    images, discordance, runs = 500, 0.2, 2000
    points = detectable_on_images(discordance, images, power=0.8)
    rng = np.random.default_rng(0)
    discordant = rng.binomial(images, discordance, runs)
    won = rng.binomial(discordant, (1 + points / 100 / discordance) / 2)
    # Twice the chance of at most the images lost, on the side of the truth alone.
    found = np.mean(2 * binom.cdf(discordant - won, discordant, 0.5) <= 0.05)
    # Three standard errors of a rate of 0.8 in 2,000 runs are 0.027.
    assert found == pytest.approx(0.8, abs=0.027)


def test_where_few_images_differ_the_difference_cannot_be_smaller_than_six_of_them():
    # The exact test needs six images, all won: P(at least 6) = 0.8 asks for 7.9 on average.
    assert detectable_on_images(0.0, 10_000) == pytest.approx(100 * 7.906 / 10_000, rel=0.01)
    assert detectable_on_images(0.0001, 10_000) == pytest.approx(100 * 7.906 / 10_000, rel=0.01)
    assert detectable_on_images(0.5, 5) == math.inf


def test_more_images_power_and_level_move_it_as_they_must():
    base = detectable_on_images(0.2, 1000)
    assert detectable_on_images(0.2, 4000) < base
    assert detectable_on_images(0.2, 1000, power=0.9) > base
    assert detectable_on_images(0.2, 1000, alpha=0.01) > base
    assert detectable_on_images(0.1, 1000) < base


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda: detectable_on_images(1.1, 10), "1.1"),
        (lambda: detectable_on_images(0.1, 0), "0 images"),
        (lambda: detectable_across_seeds(1.0, 3, power=1.0), "power"),
        (lambda: seeds_to_settle(1.0, 1.0, alpha=5), "alpha"),
        (lambda: seeds_to_settle(1.0, 1.0, most=1), "most"),
    ],
)
def test_what_cannot_be_is_refused(call, names):
    with pytest.raises(ValueError, match=names):
        call()
