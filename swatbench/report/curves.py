"""Training curves → plots of loss and test accuracy by epoch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from swatbench.errors import SwatbenchError
from swatbench.report import words
from swatbench.report.canvas import INK, LINES, Drawing, colour_key, draw, look_of
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


def curves(section: Section) -> tuple[Curve, ...]:
    """Read the curves of all reported runs; one that is missing or damaged leaves the others standing."""
    return tuple(_curves(section))


def accuracy_curves(found: Sequence[Curve], shades: dict[str, str], suffix: str) -> Drawing | None:
    """Draw test accuracy by epoch, or nothing where it was not measured.

    Args:
        found: Curves.
        shades: Pair → colour.
        suffix: End of the file's name.
    """
    lines = [
        (curve, {point.epoch: point.top1_percent for point in curve.points if point.top1_percent is not None})
        for curve in found
    ]
    return _draw(
        f"curves_accuracy{suffix}",
        [(curve, line) for curve, line in lines if line],
        shades,
        label="Top-1 on test images, %",
        title="Test accuracy while training.",
        remark="",
    )


def loss_curves(found: Sequence[Curve], shades: dict[str, str], suffix: str) -> Drawing | None:
    """Draw training loss by epoch, or nothing without curves.

    Args:
        found: Curves.
        shades: Pair → colour.
        suffix: End of the file's name.
    """
    lines = [(curve, {point.epoch: point.loss for point in curve.points}) for curve in found]
    return _draw(
        f"curves_loss{suffix}",
        [(curve, line) for curve, line in lines if line],
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


def _draw(
    name: str,
    lines: Sequence[tuple[Curve, dict[int, float]]],
    shades: dict[str, str],
    *,
    label: str,
    title: str,
    remark: str,
) -> Drawing | None:
    if not lines:
        return None
    others = list(dict.fromkeys(curve.arm for curve, _ in lines if not curve.is_reference))

    def paint(axes: Axes) -> None:
        for curve, line in lines:
            style = LINES[look_of(others, curve.arm, len(LINES), reference=curve.is_reference)]
            marker = "." if len(line) == 1 else None
            shade = shades[curve.pair]
            axes.plot(*zip(*line.items(), strict=True), linestyle=style, color=shade, lw=1.1, marker=marker)
        axes.set_xlabel("Epoch")
        axes.set_ylabel(label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if len({epoch for _, line in lines for epoch in line}) == 1:
            axes.set_xticks(list(lines[0][1]))

    return draw(
        name,
        paint,
        legend=_legend([curve for curve, _ in lines], others, shades),
        title=title,
        caption=f"One line a seed; the reference is dashed, a pair keeps its colour.{remark}",
        alt=f"{title} {'; '.join(_spoken(curve, line) for curve, line in lines)}",
    )


def _legend(found: Sequence[Curve], others: Sequence[str], shades: dict[str, str]) -> list[Line2D]:
    arms = dict.fromkeys((curve.arm, curve.is_reference) for curve in found)
    return [
        *colour_key({curve.pair: shades[curve.pair] for curve in found}),
        *(
            Line2D(
                [],
                [],
                color=INK,
                lw=1.1,
                label=arm,
                linestyle=LINES[look_of(others, arm, len(LINES), reference=ref)],
            )
            for arm, ref in arms
        ),
    ]


def _spoken(curve: Curve, line: dict[int, float]) -> str:
    last = max(line)
    return f"{curve.pair} {curve.arm} seed {curve.seed} {words.factor(line[last])} after epoch {last}"
