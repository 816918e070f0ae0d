"""Points → plots of accuracy against cost, an arrow from reference to arm, as in the paper's figure 1."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, NullFormatter

from swatbench.report import words
from swatbench.report.alike import Alike
from swatbench.report.axes import Axis, Placed, placed, unbeaten
from swatbench.report.canvas import (
    INK,
    MARKERS,
    MUTED,
    PAPER,
    Drawing,
    Shade,
    colour_key,
    dot,
    draw,
    look_of,
    tip,
)
from swatbench.report.logarithmic import log_ticks
from swatbench.report.metric import TOP1, Metric
from swatbench.report.points import PUBLISHED, Point
from swatbench.report.published import MARK, Published, footnotes, notes_of, published_for
from swatbench.report.published_places import grey_of_masks, other_input, published_places, same_input
from swatbench.report.segmenting import heads_in_words
from swatbench.report.weights import Weights

_WIDE = 20
"""Ratio of the largest cost to the smallest above which a linear axis would crowd the small ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plot:
    """What one figure shows.

    Attributes:
        axis: The cost.
        shown: Points that were trained and measured alike.
        best: Those of them that no other beats.
        paper: Published points of the same pairs.
        shades: Pair → its look.
        ours: Whether the accuracies were measured here.
        metric: What the arms are compared by.
        elsewhere: Why published points are missing that there are, or an empty text.
    """

    axis: Axis
    shown: tuple[Placed, ...]
    best: tuple[Placed, ...]
    paper: tuple[tuple[float, Published], ...]
    shades: dict[str, Shade]
    ours: bool
    metric: Metric
    elsewhere: str = ""

    @property
    def wide(self) -> bool:
        """Whether the axis of cost is logarithmic."""
        places = self.places
        return min(places) > 0 and max(places) / min(places) > _WIDE

    @property
    def of_params(self) -> bool:
        """Whether the cost is a model's parameters."""
        return self.axis.name == "params"

    @property
    def places(self) -> list[float]:
        """Everything that lies along the axis of cost."""
        return [x for x, _ in (*self.shown, *self.paper)]


def scatters(
    axis: Axis,
    found: Sequence[Point],
    shades: dict[str, Shade],
    suffix: str,
    *,
    weights: Weights,
    metric: Metric = TOP1,
) -> tuple[Callable[[], Drawing], ...]:
    """What draws accuracy against one cost: a figure for each group of points that were made alike.

    Args:
        axis: The cost.
        found: Points, the reference of a pair first.
        shades: Pair → its look.
        suffix: End of the files' names.
        weights: Which weights the accuracies are of.
        metric: What the arms are compared by.
    """
    return tuple(
        partial(
            _scatter, axis, group, f"{'' if index == 1 else f'_{index}'}{suffix}", shades, weights, metric
        )
        for index, group in enumerate(placed(axis, found), start=1)
    )


def _scatter(
    axis: Axis,
    group: Alike[Placed],
    suffix: str,
    shades: dict[str, Shade],
    weights: Weights,
    metric: Metric,
) -> Drawing:
    ours = any(point.trained is not PUBLISHED for _, point in group.items)
    paper = published_places(axis, [point.pair for _, point in group.items], metric)
    shown = [] if metric.of_masks and not same_input([point for _, point in group.items], paper) else paper
    plot = _Plot(
        axis=axis,
        shown=group.items,
        best=unbeaten(axis, group.items),
        paper=tuple(shown),
        shades=shades,
        ours=ours,
        metric=metric,
        elsewhere=other_input(paper) if paper and not shown else "",
    )
    accuracy = f"{metric.axis}{weights.short}, %"
    accuracy = accuracy if ours else f"Published {metric.axis[0].lower()}{metric.axis[1:]}, %"
    noun = metric.noun if metric.of_masks else metric.noun.capitalize()

    def paint(axes: Axes) -> None:
        _paint_frontier(axes, plot)
        _paint_published(axes, plot)
        _paint_points(axes, plot)
        axes.xaxis.set_major_formatter(EngFormatter(unit=axis.unit))
        axes.xaxis.set_minor_formatter(NullFormatter())
        if plot.wide:
            axes.set_xscale("log")
            log_ticks(axes.xaxis, plot.places, axis.unit)
        axes.set_xlabel(axis.label(group.setting))
        axes.set_ylabel(accuracy)
        axes.margins(0.12)

    return draw(
        f"accuracy_{axis.name}{suffix}",
        paint,
        legend=_legend(plot),
        title=f"{noun if ours else f'Published {metric.noun}'} against {axis.noun}.",
        caption=" ".join(filter(None, _caption(plot, group.unlike, weights))),
        alt=f"{accuracy} against {axis.noun}: " + "; ".join(_spoken(axis, item) for item in plot.shown),
    )


def _caption(plot: _Plot, unlike: str, weights: Weights) -> Iterable[str]:
    if plot.ours:
        yield "Mean over seeds; bars span the lowest and the highest seed."
        yield "An arrow leads from a reference (open) to each arm compared with it (filled)."
    else:
        whose = "those of the cited papers" if plot.metric.of_masks else "the paper's"
        yield f"{plot.metric.plural} are {whose}, for {plot.metric.images}; nothing was trained here."
        yield "Costs are ours."
    if len(plot.best) > 1:
        yield "The dotted line bounds what no other point beats in both; it takes no interval into account."
    if plot.axis.more_is_better:
        yield "Here the right is the better side."
    if plot.paper:
        yield (
            f"Grey: published ({plot.metric.images})."
            if not plot.metric.of_masks
            else grey_of_masks(plot.paper)
        )
    yield plot.elsewhere
    yield _heads(plot)
    if plot.wide:
        yield "The axis of cost is logarithmic."
    if unlike:
        yield f"Not in one figure with the others, since they were not made alike: {unlike}."
    yield weights.told if plot.ours else ""
    if plot.paper or not plot.ours:
        points = published_for({point.pair for _, point in plot.shown}, plot.metric)
        yield footnotes(points, params=plot.of_params)


def _heads(plot: _Plot) -> str:
    """By which head the models segment; an empty text for classifiers."""
    stored = (record for _, point in plot.shown for record in point.records)
    return heads_in_words(one.record.cell for one in stored)


def _legend(plot: _Plot) -> list[Line2D]:
    found = [point for _, point in plot.shown]
    entries = colour_key({point.pair: plot.shades[point.pair] for point in found})
    others = _others(plot.shown)
    for arm, reference in dict.fromkeys((point.arm, point.is_reference) for point in found):
        entries.append(Line2D([], [], label=arm, **_look(others, arm, INK, reference=reference)))
    if plot.paper:
        entries.append(Line2D([], [], label="published", **_look([], "", MUTED, reference=True)))
    if len(plot.best) > 1:
        entries.append(Line2D([], [], label="frontier", **_FRONTIER))
    return entries


_FRONTIER: dict[str, Any] = {
    "color": MUTED,
    "linewidth": 1.1,
    "linestyle": (0, (1, 1.5)),
    "drawstyle": "steps-post",
}


def _others(shown: Sequence[Placed]) -> list[str]:
    return list(dict.fromkeys(point.arm for _, point in shown if not point.is_reference))


def _look(others: Sequence[str], arm: str, shade: str, *, reference: bool) -> dict[str, Any]:
    return {
        "marker": MARKERS[look_of(others, arm, len(MARKERS), reference=reference)],
        "color": shade,
        "linestyle": "none",
        "markerfacecolor": PAPER if reference else shade,
        "markeredgewidth": 1.6,
        "markersize": 6.5,
    }


def _paint_frontier(axes: Axes, plot: _Plot) -> None:
    if len(plot.best) > 1:
        places = [x for x, _ in plot.best]
        axes.plot(places, [point.percent for _, point in plot.best], zorder=1, **_FRONTIER)


def _paint_points(axes: Axes, plot: _Plot) -> None:
    others = _others(plot.shown)
    references = {point.pair: (x, point.percent) for x, point in plot.shown if point.is_reference}
    for x, point in plot.shown:
        shade, y = plot.shades[point.pair], point.percent
        if point.compared and point.pair in references:
            _arrow(axes, references[point.pair], (x, y), shade.colour)
        look = _look(others, point.arm, shade.colour, reference=point.is_reference)
        (drawn,) = axes.plot(x, y, zorder=3, **look)
        tip(drawn, _told(plot.axis, x, point))
        dot(axes, x, y, shade)
    _paint_spreads(axes, plot)


def _paint_spreads(axes: Axes, plot: _Plot) -> None:
    """The bars from the lowest to the highest seed, all of them one thing to draw."""
    several = [(x, point) for x, point in plot.shown if point.seeds > 1]
    if several:
        axes.vlines(
            [x for x, _ in several],
            [point.lowest_percent for _, point in several],
            [point.highest_percent for _, point in several],
            colors=[plot.shades[point.pair].colour for _, point in several],
            linewidth=1.6,
            zorder=2,
        )


def _paint_published(axes: Axes, plot: _Plot) -> None:
    starts: dict[str, tuple[float, float]] = {}
    for x, point in plot.paper:
        end = (x, point.score_percent)
        if point.pair in starts:
            _arrow(axes, starts[point.pair], end, MUTED)
        look = _look([point.arm], point.arm, MUTED, reference=point.pair not in starts)
        (drawn,) = axes.plot(*end, **look)
        values = f"{words.decimal(point.score_percent)} %\n{plot.axis.show(x)}"
        tip(drawn, f"{point.pair} {point.arm}, published\n{values}")
        if notes_of(point, params=plot.of_params):
            axes.annotate(MARK, end, xytext=(4, 4), textcoords="offset points", color=MUTED)
        starts.setdefault(point.pair, end)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], shade: str) -> None:
    style = {"arrowstyle": "-|>", "color": shade, "linewidth": 1.3, "shrinkA": 6, "shrinkB": 6}
    # It lies between two markers, which make room for it.
    axes.annotate("", xy=end, xytext=start, arrowprops=style).set_in_layout(False)


def _told(axis: Axis, x: float, point: Point) -> str:
    percent = words.decimal(point.percent)
    if not point.seeds:
        return f"{point.name}\n{percent} % (published)\n{axis.show(x)} (measured here)"
    spread = words.between(point.lowest_percent, point.highest_percent)
    seeds = f"mean of {point.seeds} seeds, {spread} %" if point.seeds > 1 else "1 seed"
    return f"{point.name}\n{percent} % ({seeds})\n{axis.show(x)}"


def _spoken(axis: Axis, item: Placed) -> str:
    x, point = item
    return f"{point.name} {words.decimal(point.percent)} % and {axis.show(x)}"
