from math import comb, sqrt

import numpy as np
import pytest
from scipy.stats import ttest_rel

from swatbench.stats.accuracy import across_images, across_seeds, wilson


def test_seed_interval_by_hand_and_by_scipy():
    reference, arm = np.array([44.3, 45.8, 47.1]), np.array([61.2, 61.4, 63.3])
    result = across_seeds(reference, arm)
    difference = [16.9, 15.6, 16.2]
    mean = sum(difference) / 3
    error = sqrt(sum((d - mean) ** 2 for d in difference) / 2 / 3)
    # 4.302653 is the 97.5 % point of Student's t with two degrees of freedom.
    assert result.low == pytest.approx(mean - 4.302653 * error)
    assert result.high == pytest.approx(mean + 4.302653 * error)
    assert (result.low, result.high) == pytest.approx(tuple(ttest_rel(arm, reference).confidence_interval()))
    assert result.decided
    assert result.seeds == 3
    assert result.spread_points == pytest.approx(error * sqrt(3))
    assert result.t_p == pytest.approx(ttest_rel(arm, reference).pvalue)
    assert 0 < result.t_p < 0.05


def test_sign_flips_counted_by_hand():
    # Of the 8 sign patterns of (1, 2, 4), a sum of at least 5 in size: ±7, ±5: 4 of 8.
    result = across_seeds([0, 0, 0], [-1, 2, 4])
    assert result.p == pytest.approx(4 / 8)
    assert result.smallest_p == 0.25


def test_five_seeds_never_reach_five_percent():
    result = across_seeds(np.zeros(5), [3.0, 3.1, 3.2, 3.3, 3.4])
    assert result.p == result.smallest_p == pytest.approx(0.0625)
    assert result.decided, "the t interval assumes a distribution and may decide"


@pytest.mark.parametrize(("reference", "arm"), [([50.0], [60.0]), ([50.0, 52.1], [53.0, 55.1])])
def test_no_spread_no_interval(reference, arm):
    result = across_seeds(reference, arm)
    assert (result.low, result.high, result.t_p, result.decided) == (None, None, None, False)
    assert result.spread_points == (None if len(arm) == 1 else pytest.approx(0, abs=1e-9))
    assert result.points == pytest.approx(np.mean(arm) - np.mean(reference))


def test_one_seed_has_p_one():
    assert (across_seeds([1.0], [2.0]).p, across_seeds([1.0], [2.0]).smallest_p) == (1.0, 1.0)


def test_two_noisy_seeds_decide_nothing():
    assert not across_seeds([50.0, 50.0], [52.0, 60.0]).decided


def test_image_difference_and_mcnemar_by_hand():
    # 3 images won, 9 lost, 88 alike.
    reference = np.r_[np.zeros(3), np.ones(9), np.ones(50), np.zeros(38)].astype(bool)
    arm = np.r_[np.ones(3), np.zeros(9), np.ones(50), np.zeros(38)].astype(bool)
    result = across_images(reference[None], arm[None])
    assert result.points == pytest.approx(-6.0)
    exact = 2 * sum(comb(12, k) for k in range(4)) / 2**12
    assert result.mcnemar_p == (pytest.approx(exact),)
    # Normal interval of a paired difference: sd = sqrt(discordance - difference^2).
    half = 1.96 * sqrt(0.12 - 0.06**2) / sqrt(100) * 100
    assert result.low == pytest.approx(-6 - half, abs=1.0)
    assert result.high == pytest.approx(-6 + half, abs=1.0)
    assert (result.images, result.seeds) == (100, 1)
    assert (result.won, result.lost, result.discordance) == ((3,), (9,), 0.12)


def test_images_are_counted_for_each_seed():
    reference = [[True, False, False, True], [False, False, True, True]]
    arm = [[True, True, True, False], [False, False, True, False]]
    result = across_images(reference, arm)
    assert (result.won, result.lost) == ((2, 0), (1, 1))
    assert result.discordance == (3 + 1) / 8


def test_seeds_share_their_images():
    rng = np.random.default_rng(1)
    reference = rng.random((1, 2000)) < 0.5
    arm = rng.random((1, 2000)) < 0.55
    one = across_images(reference, arm)
    twice = across_images(np.repeat(reference, 2, axis=0), np.repeat(arm, 2, axis=0))
    # The same checkpoint twice is no new evidence: the interval must not shrink.
    assert (twice.low, twice.high) == pytest.approx((one.low, one.high))
    assert len(twice.mcnemar_p) == 2


def test_identical_checkpoints_are_not_decided():
    correct = np.array([[True, False, True]])
    result = across_images(correct, correct)
    assert (result.points, result.low, result.high, result.decided) == (0.0, 0.0, 0.0, False)
    assert result.mcnemar_p == (1.0,)


def test_wilson_by_its_formula():
    z, n, k = 1.959964, 1000, 443
    p = k / n
    centre = (p + z * z / 2 / n) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / 4 / n / n)
    assert wilson(k, n) == pytest.approx((100 * (centre - half), 100 * (centre + half)))
    assert wilson(0, 10)[0] == pytest.approx(0.0, abs=1e-12)
    assert wilson(443.5, n)[0] > wilson(443, n)[0]


@pytest.mark.parametrize(("correct", "images"), [(-1, 10), (11, 10), (0, 0)])
def test_wilson_refuses_impossible_counts(correct, images):
    with pytest.raises(ValueError, match=f"{correct} correct of {images}"):
        wilson(correct, images)


def test_unpaired_input_is_refused():
    with pytest.raises(ValueError, match=r"\(2,\) and \(3,\)"):
        across_seeds([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"\(1, 2\) and \(1, 3\)"):
        across_images([[True, False]], [[True, False, True]])
    with pytest.raises(ValueError, match="equal rows"):
        across_seeds([], [])
