"""Ratios of two sessions: exact cases, and how often the interval errs where copies of a model differ."""

import math

import numpy as np
import pytest
from scipy.stats import binom

from swatbench.stats.between import Session, ratio_of_ratios

EXPERIMENTS = 150


def session(rng, rounds, *, copies, noise, ratio=1.4):
    """Times of one session whose three copies are off by `copies`, and each sample by `noise` (of logs)."""
    load = np.exp(rng.normal(0, 0.1, rounds))
    offset = rng.normal(0, copies, 3)
    arm, reference, twin = (load * np.exp(o + rng.normal(0, noise, rounds)) for o in offset)
    return Session(arm_s=ratio * arm, reference_s=reference, twin_s=twin)


def rate(rounds, *, copies, noise, change=1.0, seed=0):
    """Share of experiments that tell two sessions apart, and of those whose interval holds the change."""
    rng = np.random.default_rng((seed, rounds))
    found = [
        ratio_of_ratios(
            session(rng, rounds, copies=copies, noise=noise),
            session(rng, rounds, copies=copies, noise=noise, ratio=1.4 * change),
        )
        for _ in range(EXPERIMENTS)
    ]
    told = sum(item.distinguishable for item in found)
    covered = sum(item.low <= change <= item.high for item in found)
    return told / EXPERIMENTS, covered / EXPERIMENTS


@pytest.mark.parametrize(
    ("rounds", "copies", "noise"),
    [(6, 0.0, 0.02), (6, 0.1, 0.001), (15, 0.005, 0.02), (15, 0.02, 0.02)],
)
def test_equal_ratios_are_called_different_in_no_more_than_five_of_a_hundred(rounds, copies, noise):
    told, _ = rate(rounds, copies=copies, noise=noise)
    # What 5 % gives in so many experiments, exceeded by chance once in a thousand tests.
    assert told <= binom.ppf(0.999, EXPERIMENTS, 0.05) / EXPERIMENTS


@pytest.mark.parametrize(("rounds", "copies", "noise"), [(15, 0.02, 0.02), (6, 0.1, 0.001)])
def test_the_interval_holds_the_true_change(rounds, copies, noise):
    _, covered = rate(rounds, copies=copies, noise=noise, change=1.3, seed=1)
    assert covered >= binom.ppf(0.001, EXPERIMENTS, 0.95) / EXPERIMENTS


def test_a_change_of_a_fifth_is_found_where_copies_are_alike():
    told, _ = rate(15, copies=0.005, noise=0.02, change=1.2)
    assert told > 0.95


def test_the_change_is_that_of_the_ratios_whatever_the_machines():
    rounds = np.linspace(1.0, 1.2, 8)
    slow = Session(arm_s=3.0 * rounds, reference_s=2.0 * rounds, twin_s=2.0 * rounds)
    fast = Session(arm_s=0.33 * rounds[:7], reference_s=0.2 * rounds[:7], twin_s=0.2 * rounds[:7])
    found = ratio_of_ratios(slow, fast)
    assert found.before == pytest.approx(1.5)
    assert found.after == pytest.approx(1.65)
    assert found.change == pytest.approx(1.1)
    assert found.rounds == (8, 7)
    assert found.distinguishable


def test_twins_that_differ_hide_a_change_that_they_could_feign():
    times = np.full(20, 1.0)
    plain = Session(arm_s=times, reference_s=times, twin_s=times)
    # The arm is 4 % dearer, and so is the copy of the reference.
    floored = Session(arm_s=1.04 * times, reference_s=times, twin_s=1.04 * times)
    found = ratio_of_ratios(plain, floored)
    assert found.floors == pytest.approx((1.0, 1.04))
    assert not found.distinguishable
    # At 95 % the interval reaches at least as far as both floors together.
    assert math.log(found.high / found.change) > math.log(1.04)


def test_turning_the_sessions_round_turns_the_interval_round():
    rng = np.random.default_rng(3)
    one = session(rng, 30, copies=0.01, noise=0.02)
    other = session(rng, 30, copies=0.01, noise=0.02)
    there, back = ratio_of_ratios(one, other), ratio_of_ratios(other, one)
    assert there.change == pytest.approx(1 / back.change)
    # The bootstrap draws other rounds, so the ends agree as far as its resamples tell.
    assert there.low == pytest.approx(1 / back.high, rel=2e-3)


def test_five_rounds_give_no_interval():
    times = np.full(5, 1.0)
    few = Session(arm_s=2 * times, reference_s=times, twin_s=times)
    many = Session(arm_s=np.full(30, 9.0), reference_s=np.full(30, 1.0), twin_s=np.full(30, 1.0))
    found = ratio_of_ratios(few, many)
    assert (found.low, found.high, found.distinguishable) == (None, None, False)
    assert found.change == pytest.approx(4.5)


@pytest.mark.parametrize(
    ("arm", "confidence", "words"),
    [
        ([1.0, 2.0], 0.95, "rounds differ"),
        ([], 0.95, "at least one time"),
        ([1.0, 0.0, 1.0], 0.95, "not positive and finite"),
        ([1.0, 1.0, 1.0], 1.0, "confidence"),
    ],
)
def test_numbers_that_disagree_are_named(arm, confidence, words):
    right = Session(arm_s=[1.0] * 3, reference_s=[1.0] * 3, twin_s=[1.0] * 3)
    wrong = Session(arm_s=arm, reference_s=[1.0] * 3, twin_s=[1.0] * 3)
    with pytest.raises(ValueError, match=words):
        ratio_of_ratios(right, wrong, confidence=confidence)
