"""The Pareto frontier of cost and accuracy: the points that no other point beats on both."""

from collections.abc import Sequence


def frontier(cost: Sequence[float], accuracy: Sequence[float]) -> tuple[int, ...]:
    """Find the points that no other point beats.

    A point is beaten when another costs no more and is at least as accurate, and differs in one of the two.
    Equal points stand or fall together.

    Args:
        cost: Cost of each point in any unit, lower is better, shape (points,).
        accuracy: Accuracy of each point, higher is better, shape (points,).

    Returns:
        Indices of the points on the frontier, by rising cost.

    Raises:
        ValueError: The lengths differ.

    Example:
        >>> frontier([1.0, 2.0, 3.0, 4.0], [50.0, 60.0, 55.0, 70.0])
        (0, 1, 3)
    """
    if len(cost) != len(accuracy):
        raise ValueError(f"{len(cost)} costs and {len(accuracy)} accuracies")
    kept: list[int] = []
    for index in sorted(range(len(cost)), key=lambda i: (cost[i], -accuracy[i])):
        best = kept[-1] if kept else None
        same = best is not None and (cost[best], accuracy[best]) == (cost[index], accuracy[index])
        if best is None or same or accuracy[index] > accuracy[best]:
            kept.append(index)
    return tuple(kept)
