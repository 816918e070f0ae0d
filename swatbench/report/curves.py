"""Training curves → plots of loss and test accuracy by epoch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from swatbench.errors import SwatbenchError
from swatbench.report import words
from swatbench.report.canvas import INK, LINES, Drawing, Shade, colour_key, dots_along, draw, look_of
from swatbench.report.section import Section
from swatbench.store.record import CurvePoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One run's curve.

    Attributes:
        pair: Name of the pair.
        arm: Arm.
        seed: Seed.
        is_reference: Whether the arm is the reference of its pair.
        points: Epochs, in order.
    """

    pair: str
    arm: str
    seed: int
    is_reference: bool
    points: tuple[CurvePoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """One quantity of a curve: epoch → value; thin for that of a moving average."""

    curve: Curve
    places: dict[int, float]
    thin: bool


_THICK, _THIN = 1.3, 0.6
"""Widths of lines in points."""


def curves(section: Section) -> tuple[Curve, ...]:
    """Read the curves of all reported runs; one that is missing or damaged leaves the others standing."""
    return tuple(_curves(section))


def accuracy_curves(found: Sequence[Curve], shades: dict[str, Shade], suffix: str) -> Drawing | None:
    """Draw test accuracy by epoch, or nothing where it was not measured.

    Args:
        found: Curves.
        shades: Pair → its look.
        suffix: End of the file's name.
    """
    raw = [_line(curve, "top1_percent") for curve in found]
    averaged = [_line(curve, "ema_top1_percent", thin=True) for curve in found]
    averages = any(line.places for line in averaged)
    remark = " It is that of the weights themselves (raw)"
    return _draw(
        f"curves_accuracy{suffix}",
        [*raw, *averaged],
        shades,
        label="Top-1 on test images, %",
        title="Test accuracy while training.",
        remark=f"{remark}; thinner lines are their moving average's (EMA)." if averages else f"{remark}.",
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
        [_line(curve, "loss") for curve in found],
        shades,
        label="Training loss, nats",
        title="Training loss.",
        remark=" The loss is an epoch's mean, with augmentation and label smoothing.",
    )


def _curves(section: Section) -> Iterator[Curve]:
    for runs in section.pairs:
        for run in runs.trained:
            arm, seed = run.cell.arm, run.cell.seed
            try:
                found = run.stored.curve()
            except (SwatbenchError, OSError, ValueError):
                continue
            yield Curve(pair=runs.pair, arm=arm, seed=seed, is_reference=arm == runs.reference, points=found)


def _line(curve: Curve, name: str, *, thin: bool = False) -> _Line:
    values = ((point.epoch, getattr(point, name)) for point in curve.points)
    return _Line(
        curve=curve, thin=thin, places={epoch: value for epoch, value in values if value is not None}
    )


def _draw(
    name: str, every: Sequence[_Line], shades: dict[str, Shade], *, label: str, title: str, remark: str
) -> Drawing | None:
    lines = [line for line in every if line.places]
    if not lines:
        return None
    others = list(dict.fromkeys(line.curve.arm for line in lines if not line.curve.is_reference))

    def paint(axes: Axes) -> None:
        for line in lines:
            shade = shades[line.curve.pair]
            look = {**_style(others, line), **dots_along(shade, len(line.places))}
            axes.plot(*zip(*line.places.items(), strict=True), color=shade.colour, **look)
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
        caption=f"One line a seed; the reference is dashed, a pair keeps its colour.{remark}",
        alt=f"{title} {'; '.join(map(_spoken, lines))}",
    )


def _style(others: Sequence[str], line: _Line) -> dict[str, Any]:
    style = LINES[look_of(others, line.curve.arm, len(LINES), reference=line.curve.is_reference)]
    return {"linestyle": style, "lw": _THIN if line.thin else _THICK}


def _legend(lines: Sequence[_Line], others: Sequence[str], shades: dict[str, Shade]) -> list[Line2D]:
    arms = {line.curve.arm: line for line in reversed(lines) if not line.thin}
    average = [Line2D([], [], color=INK, lw=_THIN, label="EMA")] if any(line.thin for line in lines) else []
    return [
        *colour_key({line.curve.pair: shades[line.curve.pair] for line in lines}),
        *(
            Line2D([], [], color=INK, label=arm, **_style(others, arms[arm]))
            for arm in dict.fromkeys(line.curve.arm for line in lines if not line.thin)
        ),
        *average,
    ]


def _spoken(line: _Line) -> str:
    curve, last = line.curve, max(line.places)
    kind = " EMA" if line.thin else ""
    value = words.factor(line.places[last])
    return f"{curve.pair} {curve.arm} seed {curve.seed}{kind} {value} after epoch {last}"
