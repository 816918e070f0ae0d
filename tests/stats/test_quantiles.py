from math import ceil, log, sqrt

import numpy as np
import pytest
from scipy.stats import binom

from swatbench.stats.quantiles import quantile_interval


@pytest.mark.parametrize(("q", "n"), [(0.5, 40), (0.95, 120), (0.1, 60)])
def test_the_interval_covers_the_quantile_of_a_skewed_population(q, n):
    rng = np.random.default_rng(0)
    true = -log(1 - q)
    intervals = [quantile_interval(rng.exponential(size=n), q) for _ in range(200)]
    below = sum(i.low > true for i in intervals) / 200
    above = sum(i.high < true for i in intervals) / 200
    # Each end errs in at most 2.5 %; beyond 2.5 % + 3 * sqrt(.025 * .975 / 200) = 4.4 % it does not.
    most = 0.025 + 3 * sqrt(0.025 * 0.975 / 200)
    assert below < most
    assert above < most


def test_the_interval_is_no_wider_than_it_must_be():
    n, q = 60, 0.5
    interval = quantile_interval(np.arange(1.0, n + 1), q)
    # The k-th value lies above the median with probability P(fewer than k of n lie below it).
    k = int(interval.low)
    assert binom.cdf(k - 1, n, q) <= 0.025 < binom.cdf(k, n, q)
    assert interval.high == n + 1 - k


@pytest.mark.parametrize("q", [0.5, 0.75, 0.95, 0.99])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_an_end_exists_from_the_number_of_samples_on_that_it_needs(q, confidence):
    needed = ceil(log((1 - confidence) / 2) / log(q))
    enough, few = (quantile_interval(np.arange(n), q, confidence=confidence) for n in (needed, needed - 1))
    assert enough.high == needed - 1
    assert few.high is None
    mirrored, fewer = (
        quantile_interval(np.arange(n), 1 - q, confidence=confidence) for n in (needed, needed - 1)
    )
    assert mirrored.low == 0
    assert fewer.low is None


def test_p99_of_sixty_samples_has_no_upper_end():
    interval = quantile_interval(np.arange(60), 0.99)
    assert interval.n == 60
    assert interval.value == pytest.approx(0.99 * 59)
    assert interval.low is not None
    assert interval.low <= interval.value
    assert interval.high is None


def test_order_does_not_matter_and_a_single_value_has_no_interval():
    values = np.random.default_rng(1).permutation(101)
    assert quantile_interval(values, 0.3) == quantile_interval(np.sort(values), 0.3)
    alone = quantile_interval([2.0], 0.5)
    assert (alone.value, alone.low, alone.high, alone.n) == (2.0, None, None, 1)


@pytest.mark.parametrize(
    ("seconds", "changes", "names"),
    [
        ([], {}, "at least one"),
        ([[1.0]], {}, r"\(1, 1\)"),
        ([1.0, float("nan"), float("inf")], {}, "2 of 3"),
        ([1.0], {"q": 1.0}, "q must"),
        ([1.0], {"confidence": 95}, "95"),
    ],
)
def test_what_cannot_be_is_refused(seconds, changes, names):
    with pytest.raises(ValueError, match=names):
        quantile_interval(seconds, **{"q": 0.5, **changes})
