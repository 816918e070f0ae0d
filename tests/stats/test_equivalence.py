from math import sqrt

import numpy as np
import pytest
from scipy.stats import norm, poisson, t

from swatbench.stats.equivalence import checkpoints_same_within, same_within


def test_two_one_sided_tests_by_hand():
    difference = np.array([0.4, -0.1, 0.3, 0.2])
    error = difference.std(ddof=1) / 2
    result = same_within(np.zeros(4), difference, 0.5)
    # The mean is 0.2, so the margin above it is the nearer one.
    assert result.p == pytest.approx(t.sf((0.5 - 0.2) / error, 3))
    # 2.353363 is the 95 % point of Student's t with three degrees of freedom.
    assert (result.low, result.high) == pytest.approx((0.2 - 2.353363 * error, 0.2 + 2.353363 * error))
    assert result.margin_points == 0.5
    assert result.same
    assert not same_within(np.zeros(4), difference, 0.45).same


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
def test_the_same_means_that_the_interval_lies_inside_the_margin(alpha):
    rng = np.random.default_rng(0)
    results = [same_within(np.zeros(5), rng.normal(0.3, 0.5, 5), 1.0, alpha=alpha) for _ in range(100)]
    assert [r.same for r in results] == [min(r.low, -r.high) > -1 for r in results]
    assert {r.same for r in results} == {True, False}


@pytest.mark.parametrize(("reference", "arm"), [([50.0], [50.0]), ([50.0, 52.1], [50.0, 52.1]), ([], [])])
def test_no_spread_no_answer(reference, arm):
    assert same_within(reference, arm, 1.0) is None


def test_few_noisy_seeds_are_not_the_same():
    assert not same_within([50.0, 52.0], [50.5, 51.5], 1.0).same


def test_checkpoints_by_hand():
    # 30 images won, 10 lost of 1000.
    reference = np.r_[np.zeros(30), np.ones(10), np.ones(960)].astype(bool)[None]
    arm = np.r_[np.ones(30), np.zeros(10), np.ones(960)].astype(bool)[None]
    error = sqrt((0.04 - 0.02**2) / 1000)
    result = checkpoints_same_within(reference, arm, 3.5)
    half = 1.644854 * error + 1 / 1000
    assert (result.low, result.high) == pytest.approx((2 - 100 * half, 2 + 100 * half))
    assert result.p == pytest.approx(norm.sf((0.035 - 0.02 - 0.001) / error))
    assert result.same
    assert not checkpoints_same_within(reference, arm, 3.0).same


def test_identical_answers_to_few_images_prove_little():
    correct = np.ones((3, 200), dtype=bool)
    assert not checkpoints_same_within(correct, correct, 1.0).same
    assert checkpoints_same_within(correct, correct, 5.0).same


def test_a_repeated_checkpoint_is_no_new_evidence():
    rng = np.random.default_rng(0)
    reference, arm = rng.random((2, 1, 500)) < 0.5
    once = checkpoints_same_within(reference, arm, 5.0)
    assert checkpoints_same_within(np.repeat(reference, 3, axis=0), np.repeat(arm, 3, axis=0), 5.0) == once


@pytest.mark.parametrize(
    ("net_lost", "won_share"), [(4, 0.0), (4, 0.2), (6, 0.2), (6, 1.0), (12, 0.0), (12, 0.2), (30, 0.1)]
)
def test_a_difference_of_the_margin_is_rarely_called_the_same(net_lost, won_share):
    # Won and lost images are Poisson where few of many differ, so the rate is a sum and needs no simulation.
    images, margin = 1000, 100 * net_lost / 1000
    lost, won = (1 + won_share) * net_lost, won_share * net_lost
    rate = 0.0
    for w in range(int(won + 6 * sqrt(won)) + 1):
        for x in range(int(lost + 6 * sqrt(lost)) + 1):
            arm, reference = np.zeros((2, 1, images), dtype=bool)
            arm[0, :w] = reference[0, w : w + x] = True
            if checkpoints_same_within(reference, arm, margin).same:
                rate += poisson.pmf(w, won) * poisson.pmf(x, lost)
    assert rate <= 0.05


@pytest.mark.parametrize("margin", [0.0, -1.0, 100.0])
def test_a_margin_that_is_none_is_refused(margin):
    with pytest.raises(ValueError, match=str(margin)):
        same_within([1.0, 2.0], [1.0, 3.0], margin)
    with pytest.raises(ValueError, match=str(margin)):
        checkpoints_same_within([[True]], [[True]], margin)


def test_unpaired_input_and_a_wide_alpha_are_refused():
    with pytest.raises(ValueError, match=r"\(2,\) and \(3,\)"):
        same_within([1.0, 2.0], [1.0, 2.0, 3.0], 1.0)
    with pytest.raises(ValueError, match=r"\(1, 1\) and \(1, 2\)"):
        checkpoints_same_within([[True]], [[True, False]], 1.0)
    with pytest.raises(ValueError, match="alpha"):
        same_within([1.0, 2.0], [1.0, 3.0], 1.0, alpha=0.5)
