"""Comparisons → a plot of ratios of time, each with its interval and its A/A floor."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from swatbench.report import words
from swatbench.report.canvas import INK, PAPER, RULE, Drawing, Shade, colour_key, dot, draw, short, tip
from swatbench.report.comparison import Comparison
from swatbench.report.conditions import CALLS
from swatbench.report.section import Section
from swatbench.spec.cost import Protocol
from swatbench.stats.ratios import Ratio


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One row of the plot.

    Attributes:
        pair: Name of the pair.
        arm: Arm.
        what: What was timed.
        ratio: Time as a multiple of the reference's.
    """

    pair: str
    arm: str
    what: str
    ratio: Ratio


def time_ratios(section: Section, shades: dict[str, Shade], suffix: str) -> Drawing | None:
    """Draw every paired ratio of time, or nothing without one.

    Args:
        section: The machine's section.
        shades: Pair → its look.
        suffix: End of the file's name.
    """
    rows = [row for item in section.comparisons for row in _timings(item)]
    if not rows:
        return None
    spoken = "; ".join(f"{row.pair} {row.arm} {row.what} {words.factor(row.ratio.ratio)}" for row in rows)
    return draw(
        f"time_ratio{suffix}",
        lambda axes: _paint(axes, rows, shades),
        legend=[
            *colour_key({row.pair: shades[row.pair] for row in rows}),
            Line2D([], [], color=RULE, linewidth=8, label="A/A floor"),
        ],
        title="Time as a multiple of the reference's.",
        caption="Median of paired ratios with its 95 % interval, where rounds suffice; filled where it can "
        "be told from 1. The grey band is what a second copy of the reference gave.",
        alt=f"Ratios of time: {spoken}",
        height_in=1.0 + 0.42 * len(rows),
    )


def _timings(item: Comparison) -> Iterator[Timing]:
    if item.cost is None:
        return
    ratios: dict[Protocol, Ratio | None] = {"inference": item.cost.inference, "training": item.cost.training}
    for protocol, ratio in ratios.items():
        if ratio is not None:
            yield Timing(pair=item.pair, arm=item.arm, what=CALLS[protocol], ratio=ratio)


def _paint(axes: Axes, rows: Sequence[Timing], shades: dict[str, Shade]) -> None:
    for place, row in enumerate(rows):
        ratio, shade = row.ratio, shades[row.pair]
        axes.fill_betweenx([place - 0.38, place + 0.38], 1 / ratio.floor, ratio.floor, color=RULE, lw=0)
        # Without rounds enough no interval is one.
        spread = [[max(0.0, ratio.ratio - ratio.low)], [max(0.0, ratio.high - ratio.ratio)]]
        whiskers = spread if ratio.enough else None
        inside = shade.colour if ratio.distinguishable else PAPER
        look = {"fmt": "o", "color": shade.colour, "markerfacecolor": inside, "capsize": 3}
        tip(axes.errorbar(ratio.ratio, place, xerr=whiskers, **look), _told(row))
        dot(axes, ratio.ratio, place, shade)
    axes.axvline(1.0, color=INK, linewidth=0.9)
    axes.set_yticks(range(len(rows)), [f"{short(row.pair)}, {short(row.arm)}\n{row.what}" for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("Time as a multiple of the reference's")
    axes.grid(visible=False, axis="y")


def _told(row: Timing) -> str:
    ratio = row.ratio
    interval = f"95 % CI {words.factors(ratio.low, ratio.high)}" if ratio.enough else "no interval"
    verdict = "" if ratio.distinguishable else ", not distinguishable from 1"
    return (
        f"{row.pair}, {row.arm}, {row.what}\n{words.factor(ratio.ratio)} × the reference's time{verdict}\n"
        f"{interval}, {words.count(ratio.rounds, 'round')}; A/A floor {words.factor(ratio.floor)}"
    )
