import numpy as np
import pytest

from swatbench.stats.ratios import paired_ratio


def timings(effect: float, *, seed: int, rounds: int = 40, noise: float = 0.01):
    """Three rows of times that share each round's load, as interleaved calls do."""
    rng = np.random.default_rng(seed)
    load = np.exp(rng.normal(0, 0.3, rounds))
    arm, reference, twin = (load * np.exp(rng.normal(0, noise, rounds)) for _ in range(3))
    return effect * arm, reference, twin


def test_median_of_ratios_is_not_the_ratio_of_medians():
    arm, reference = [2.0, 3.0, 10.0, 8.0, 3.0, 9.0, 8.0], [1.0, 2.0, 10.0, 4.0, 1.5, 6.0, 2.0]
    result = paired_ratio(arm, reference, reference)
    # Ratios: 2, 1.5, 1, 2, 2, 1.5, 4; their median is 2. Medians: 8 / 2 = 4.
    assert result.ratio == pytest.approx(2.0)
    assert result.rounds == 7
    assert result.floor == 1.0
    assert result.low == pytest.approx(1.5)


def test_interval_agrees_with_order_statistics():
    arm, reference, twin = timings(1.2, seed=3, rounds=61)
    ratios = np.sort(arm / reference)
    result = paired_ratio(arm, reference, twin)
    # Exact 95 % interval of a median of 61: the 23rd and 39th values (binomial quantiles).
    assert ratios[20] <= result.low <= ratios[25]
    assert ratios[35] <= result.high <= ratios[40]


@pytest.mark.parametrize("departure", [0.9, 1 / 0.9])
def test_an_effect_below_what_the_twin_showed_is_not_believed(departure):
    rng = np.random.default_rng(0)
    reference = np.ones(31)
    twin = departure * np.exp(rng.normal(0, 0.02, 31))
    result = paired_ratio(1.05 * reference, reference, twin)
    assert result.floor == pytest.approx(max(np.median(twin), 1 / np.median(twin)))
    assert result.low > 1
    assert not result.distinguishable, "5 % lies under a floor of 10 %"


def test_an_arm_must_differ_from_both_copies_in_the_same_direction():
    rng = np.random.default_rng(0)
    reference = np.ones(31)
    arm = 1.05 * np.exp(rng.normal(0, 0.01, 31))
    beside_equal = paired_ratio(arm, reference, np.exp(rng.normal(0, 0.01, 31)))
    # In the middle the copies differ by 2 %, but half of the rounds say that the arm is faster than the twin.
    unsteady = np.array([0.8] * 15 + [1.02] + [1.25] * 15)
    beside_unsteady = paired_ratio(arm, reference, unsteady)
    assert beside_equal.distinguishable
    assert beside_unsteady.ratio > beside_unsteady.floor
    assert (beside_unsteady.low, beside_unsteady.high) == (beside_equal.low, beside_equal.high)
    assert not beside_unsteady.distinguishable


def test_equal_arms_are_rarely_told_apart_and_three_percent_is_found():
    equal = [paired_ratio(*timings(1.0, seed=s), seed=s).distinguishable for s in range(60)]
    slower = [paired_ratio(*timings(1.03, seed=s), seed=s) for s in range(60)]
    assert sum(equal) <= 5
    assert sum(r.distinguishable for r in slower) >= 57


def test_a_wider_confidence_gives_a_wider_interval():
    narrow, wide = (paired_ratio(*timings(1.1, seed=1), confidence=c) for c in (0.5, 0.99))
    assert wide.low < narrow.low <= narrow.high < wide.high


@pytest.mark.parametrize(("rounds", "enough"), [(1, False), (5, False), (6, True)])
def test_too_few_rounds_decide_nothing(rounds, enough):
    result = paired_ratio([2.0] * rounds, [1.0] * rounds, [1.0] * rounds)
    assert result.ratio == pytest.approx(2.0)
    assert result.enough is enough
    assert result.distinguishable is enough


def test_drift_is_flagged_and_noise_is_not():
    arm, reference, twin = timings(1.2, seed=5)
    steady = paired_ratio(arm, reference, twin)
    climbing = paired_ratio(arm * np.exp(np.linspace(0, 0.2, 40)), reference, twin)
    assert not steady.drift.detected
    assert climbing.drift.detected
    assert climbing.drift.total == pytest.approx(np.exp(0.2), rel=0.02)


def test_equal_input_gives_equal_output():
    assert paired_ratio(*timings(1.1, seed=9), seed=4) == paired_ratio(*timings(1.1, seed=9), seed=4)


@pytest.mark.parametrize(
    ("arm", "reference", "twin", "names"),
    [
        ([1.0, 2.0], [1.0], [1.0], "arm 2, reference 1, twin 1"),
        ([], [], [], "at least one"),
        ([1.0, 0.0], [1.0, 1.0], [1.0, 1.0], "arm holds"),
        ([1.0], [1.0], [float("nan")], "twin holds"),
    ],
)
def test_bad_timings_are_refused(arm, reference, twin, names):
    with pytest.raises(ValueError, match=names):
        paired_ratio(arm, reference, twin)


def test_a_confidence_outside_zero_and_one_is_refused():
    with pytest.raises(ValueError, match="95"):
        paired_ratio([1.0], [1.0], [1.0], confidence=95)
