"""Training curves → plots of loss and test accuracy by epoch."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from swatbench.report import words
from swatbench.report.canvas import INK, LINES, Drawing, colour_key, dots_along, draw, look_of, tip
from swatbench.report.curve_lines import MOST_LINES, Curve, CurveLine, lines_of
from swatbench.report.metric import TOP1, Metric
from swatbench.report.palette import Shade

_BAND_ALPHA = 0.15
"""How much of its colour a band covers, so that those of several arms can be told where they overlap."""

_THICK, _THIN = 1.3, 0.6
"""Widths of lines in points."""
_MOST_TIPS = 300
"""Points of all lines that have a hover text; of more, so many are spread over them evenly."""


def accuracy_curves(
    found: Sequence[Curve], shades: dict[str, Shade], suffix: str, metric: Metric = TOP1
) -> Drawing | None:
    """Draw test accuracy by epoch, or mIoU, or nothing where it was not measured.

    Args:
        found: Curves.
        shades: Pair → its look.
        suffix: End of the file's name.
        metric: What was measured.
    """
    raw = lines_of(found, metric.column)
    averaged = lines_of(found, metric.averaged, thin=True)
    remark = " It is that of the weights themselves (raw)"
    return _draw(
        f"curves_accuracy{suffix}",
        [*raw, *averaged],
        shades,
        label=f"{metric.title} on test images, %",
        show=lambda percent: f"{words.decimal(percent)} % {metric.name}",
        title=f"Test {metric.noun} while training.",
        remark=f"{remark}; thinner lines are their moving average's (EMA)." if averaged else f"{remark}.",
    )


def loss_curves(found: Sequence[Curve], shades: dict[str, Shade], suffix: str) -> Drawing | None:
    """Draw training loss by epoch, or nothing without curves.

    Args:
        found: Curves.
        shades: Pair → its look.
        suffix: End of the file's name.
    """
    return _draw(
        f"curves_loss{suffix}",
        lines_of(found, "loss"),
        shades,
        label="Training loss, nats",
        show=lambda loss: f"training loss {words.decimal(loss, 3)} nats",
        title="Training loss.",
        remark=" The loss is an epoch's mean, with augmentation and label smoothing.",
    )


def _draw(
    name: str,
    lines: Sequence[CurveLine],
    shades: dict[str, Shade],
    *,
    label: str,
    show: Callable[[float], str],
    title: str,
    remark: str,
) -> Drawing | None:
    if not lines:
        return None
    others = list(dict.fromkeys(line.arm for line in lines if not line.is_reference))

    def paint(axes: Axes) -> None:
        for line in lines:
            _paint_line(axes, line, shades[line.pair], _style(others, line))
        _tip_points(axes, lines, show)
        axes.set_xlabel("Epoch")
        axes.set_ylabel(label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if len({epoch for line in lines for epoch in line.places}) == 1:
            axes.set_xticks(list(lines[0].places))

    return draw(
        name,
        paint,
        legend=_legend(lines, others, shades),
        title=title,
        caption=f"{_told(lines)}; the reference is dashed, a pair keeps its colour.{remark}",
        alt=f"{title} {'; '.join(map(_spoken, lines))}",
    )


def _paint_line(axes: Axes, line: CurveLine, shade: Shade, style: Mapping[str, Any]) -> None:
    look = {**style, **dots_along(shade, len(line.places))}
    axes.plot(*zip(*line.places.items(), strict=True), color=shade.colour, **look)
    if line.spans:
        _paint_band(axes, line.spans, shade)


def _paint_band(axes: Axes, spans: Mapping[int, tuple[float, float]], shade: Shade) -> None:
    low, high = zip(*spans.values(), strict=True)
    # A band over one epoch has no width.
    width = _THICK if len(spans) == 1 else 0
    axes.fill_between([*spans], low, high, color=shade.colour, alpha=_BAND_ALPHA, linewidth=width)


def _tip_points(axes: Axes, lines: Sequence[CurveLine], show: Callable[[float], str]) -> None:
    """Lay an unseen marker with a hover text on points of the lines, which are too thin to be pointed at."""
    places = [(line, epoch, value) for line in lines for epoch, value in line.places.items()]
    for line, epoch, value in places[:: math.ceil(len(places) / _MOST_TIPS)]:
        (unseen,) = axes.plot(epoch, value, marker="o", markersize=8, alpha=0, color=INK)
        tip(unseen, f"{_named(line)}\n{_value(line, epoch, show)} after epoch {epoch}")


def _named(line: CurveLine) -> str:
    return f"{line.pair}, {line.arm}, {line.whose}{', EMA' if line.thin else ''}"


def _value(line: CurveLine, epoch: int, show: Callable[[float], str]) -> str:
    value = show(line.places[epoch])
    if epoch not in line.spans:
        return value
    low, high = map(show, line.spans[epoch])
    return f"{value} ({low} to {high})"


def _told(lines: Sequence[CurveLine]) -> str:
    """What a line is."""
    means = [bool(line.spans) for line in lines]
    if not any(means):
        return "One line a seed"
    mean = "the mean over seeds, and a band spans the lowest and the highest seed"
    return (
        f"A line is {mean}"
        if all(means)
        else f"One line a seed; of more than {MOST_LINES} seeds it is {mean}"
    )


def _style(others: Sequence[str], line: CurveLine) -> dict[str, Any]:
    style = LINES[look_of(others, line.arm, len(LINES), reference=line.is_reference)]
    return {"linestyle": style, "lw": _THIN if line.thin else _THICK}


def _legend(lines: Sequence[CurveLine], others: Sequence[str], shades: dict[str, Shade]) -> list[Line2D]:
    arms = {line.arm: line for line in reversed(lines) if not line.thin}
    average = [Line2D([], [], color=INK, lw=_THIN, label="EMA")] if any(line.thin for line in lines) else []
    return [
        *colour_key({line.pair: shades[line.pair] for line in lines}),
        *(
            Line2D([], [], color=INK, label=arm, **_style(others, arms[arm]))
            for arm in dict.fromkeys(line.arm for line in lines if not line.thin)
        ),
        *average,
    ]


def _spoken(line: CurveLine) -> str:
    last = max(line.places)
    kind = " EMA" if line.thin else ""
    span = f" ({' to '.join(map(words.factor, line.spans[last]))})" if line.spans else ""
    value = f"{words.factor(line.places[last])}{span}"
    return f"{line.pair} {line.arm} {line.whose}{kind} {value} after epoch {last}"
