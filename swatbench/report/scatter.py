"""Points → plots of accuracy against cost, an arrow from reference to arm, as in the paper's figure 1."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, NullFormatter

from swatbench.report import words
from swatbench.report.canvas import INK, MARKERS, MUTED, PAPER, Drawing, Shade, colour_key, dot, draw, look_of
from swatbench.report.points import Point
from swatbench.report.published import Published, published_for
from swatbench.report.weights import Weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A cost to plot accuracy against.

    Attributes:
        name: End of the file's name.
        label: Label of the axis.
        unit: Unit of its ticks, with a prefix as needed.
        noun: Its name in a sentence.
        value: Point → its place on the axis, or None.
        published: Published point → its place, or None for costs that the paper does not give.
    """

    name: str
    label: str
    unit: str
    noun: str
    value: Callable[[Point], float | None]
    published: Callable[[Published], float] | None


AXES = (
    Axis(
        name="macs",
        label="MACs an image",
        unit="",
        noun="MACs",
        value=lambda point: point.macs,
        published=lambda point: point.macs,
    ),
    Axis(
        name="params",
        label="Parameters",
        unit="",
        noun="parameters",
        value=lambda point: point.params,
        published=lambda point: point.params,
    ),
    Axis(
        name="latency",
        label="Forward pass, time an image (median)",
        unit="s",
        noun="latency",
        value=lambda point: point.latency_s,
        published=None,
    ),
)
"""What accuracy is plotted against."""

_WIDE = 20
"""Ratio of the largest cost to the smallest above which a linear axis would crowd the small ones."""


def scatter(
    axis: Axis, found: Sequence[Point], shades: dict[str, Shade], suffix: str, *, weights: Weights
) -> Drawing | None:
    """Draw accuracy against one cost, or nothing where no point has that cost.

    Args:
        axis: The cost.
        found: Points, the reference of a pair first.
        shades: Pair → its look.
        suffix: End of the file's name.
        weights: Which weights the accuracies are of.
    """
    shown = [(x, point) for point in found if (x := axis.value(point)) is not None]
    if not shown:
        return None
    paper = _paper(axis, [point.pair for _, point in shown])
    places = [x for x, _ in shown] + [x for x, _ in paper]
    wide = min(places) > 0 and max(places) / min(places) > _WIDE

    def paint(axes: Axes) -> None:
        _paint_published(axes, paper)
        _paint_points(axes, shown, shades)
        if wide:
            axes.set_xscale("log")
        axes.set_xlabel(axis.label)
        axes.xaxis.set_major_formatter(EngFormatter(unit=axis.unit))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_ylabel(f"Top-1 accuracy{weights.short}, %")
        axes.margins(0.12)

    logarithmic = " The axis of cost is logarithmic." if wide else ""
    grey = " Grey: published (ImageNet-1k)." if paper else ""
    return draw(
        f"accuracy_{axis.name}{suffix}",
        paint,
        legend=_legend([point for _, point in shown], shades, with_published=bool(paper)),
        title=f"Accuracy against {axis.noun}.",
        caption="Mean over seeds; bars span the lowest and the highest seed. "
        f"An arrow leads from a reference (open) to each arm compared with it (filled).{grey}{logarithmic} "
        f"{weights.told}",
        alt=f"Top-1 accuracy against {axis.noun}: " + "; ".join(_spoken(x, point) for x, point in shown),
    )


def _paper(axis: Axis, pairs: Sequence[str]) -> list[tuple[float, Published]]:
    if axis.published is None:
        return []
    return [(axis.published(point), point) for point in published_for(pairs)]


def _legend(shown: Sequence[Point], shades: dict[str, Shade], *, with_published: bool) -> list[Line2D]:
    entries = colour_key({point.pair: shades[point.pair] for point in shown})
    others = _others(shown)
    for arm, reference in dict.fromkeys((point.arm, point.is_reference) for point in shown):
        entries.append(Line2D([], [], label=arm, **_look(others, arm, INK, reference=reference)))
    if with_published:
        entries.append(Line2D([], [], label="published", **_look([], "", MUTED, reference=True)))
    return entries


def _others(shown: Sequence[Point]) -> list[str]:
    return list(dict.fromkeys(point.arm for point in shown if not point.is_reference))


def _look(others: Sequence[str], arm: str, shade: str, *, reference: bool) -> dict[str, Any]:
    return {
        "marker": MARKERS[look_of(others, arm, len(MARKERS), reference=reference)],
        "color": shade,
        "linestyle": "none",
        "markerfacecolor": PAPER if reference else shade,
        "markeredgewidth": 1.6,
        "markersize": 6.5,
    }


def _paint_points(axes: Axes, shown: Sequence[tuple[float, Point]], shades: dict[str, Shade]) -> None:
    others = _others([point for _, point in shown])
    references = {point.pair: (x, point.top1_percent) for x, point in shown if point.is_reference}
    for x, point in shown:
        shade, y = shades[point.pair], point.top1_percent
        if point.compared and point.pair in references:
            _arrow(axes, references[point.pair], (x, y), shade.colour)
        spread = [[y - point.lowest_percent], [point.highest_percent - y]] if point.seeds > 1 else None
        look = _look(others, point.arm, shade.colour, reference=point.is_reference)
        axes.errorbar(x, y, yerr=spread, capsize=3, zorder=3, **look)
        dot(axes, x, y, shade)


def _paint_published(axes: Axes, paper: Sequence[tuple[float, Published]]) -> None:
    starts: dict[str, tuple[float, float]] = {}
    for x, point in paper:
        end = (x, point.top1_percent)
        if point.pair in starts:
            _arrow(axes, starts[point.pair], end, MUTED)
        axes.plot(*end, **_look([point.arm], point.arm, MUTED, reference=point.pair not in starts))
        starts.setdefault(point.pair, end)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], shade: str) -> None:
    style = {"arrowstyle": "-|>", "color": shade, "linewidth": 1.3, "shrinkA": 6, "shrinkB": 6}
    axes.annotate("", xy=end, xytext=start, arrowprops=style)


def _spoken(x: float, point: Point) -> str:
    percent = words.decimal(point.top1_percent)
    return f"{point.pair} {point.arm} {percent} % and {words.quantity(x) if x >= 1 else words.duration(x)}"
