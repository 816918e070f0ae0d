"""Published numbers → places in a plot, where they have one: MACs are set beside those of the same input."""

from collections.abc import Sequence

from swatbench.report import words
from swatbench.report.axes import Axis
from swatbench.report.conditions import input_of
from swatbench.report.metric import MIOU, Metric
from swatbench.report.points import Point
from swatbench.report.published import Published, published_for

Places = Sequence[tuple[float, Published]]
"""Place on the axis of cost, and what is published there."""


def published_places(axis: Axis, pairs: Sequence[str], metric: Metric) -> Places:
    """Published models of these pairs along an axis; segmenters have a place by their MACs alone.

    Args:
        axis: The cost.
        pairs: Names of pairs.
        metric: What the arms are compared by.
    """
    if axis.published is None or (metric.of_masks and axis.name != "macs"):
        return ()
    places = ((axis.published(point), point) for point in published_for(pairs, metric))
    return [(place, point) for place, point in places if place is not None]


def same_input(found: Sequence[Point], paper: Places) -> bool:
    """Whether our MACs were counted for images as large as those of the published ones."""
    ours = {input_of(point.measured.result) for point in found if point.measured}
    return ours == {point.input for _, point in paper}


def other_input(paper: Places) -> str:
    """Why published segmenters are not drawn."""
    return f"Published MACs are for {_sizes(paper)} pixels, not for ours, so they stand in the table alone."


def grey_of_masks(paper: Places) -> str:
    """What the grey points of a suite of segmentation are."""
    return f"Grey: published by the cited papers ({MIOU.images}, MACs for {_sizes(paper)} pixels)."


def _sizes(paper: Places) -> str:
    return words.listed([*dict.fromkeys(point.input for _, point in paper)])
