import itertools

import numpy as np
import pytest

from swatbench.stats.frontier import frontier


def beaten(i: int, cost, accuracy) -> bool:
    return any(
        cost[j] <= cost[i] and accuracy[j] >= accuracy[i] and (cost[j], accuracy[j]) != (cost[i], accuracy[i])
        for j in range(len(cost))
    )


@pytest.mark.parametrize("seed", range(20))
def test_agrees_with_the_definition(seed):
    rng = np.random.default_rng(seed)
    cost, accuracy = rng.integers(0, 6, 12).tolist(), rng.integers(0, 6, 12).tolist()
    expected = {i for i in range(12) if not beaten(i, cost, accuracy)}
    found = frontier(cost, accuracy)
    assert set(found) == expected
    assert [cost[i] for i in found] == sorted(cost[i] for i in found)


def test_order_of_points_does_not_matter():
    points = [(1.0, 3.0), (2.0, 2.0), (2.0, 4.0), (3.0, 4.0)]
    for order in itertools.permutations(points):
        kept = frontier([c for c, _ in order], [a for _, a in order])
        assert [order[i] for i in kept] == [(1.0, 3.0), (2.0, 4.0)]


def test_empty_and_unequal():
    assert frontier([], []) == ()
    with pytest.raises(ValueError, match="2 costs and 1 accuracies"):
        frontier([1.0, 2.0], [1.0])
