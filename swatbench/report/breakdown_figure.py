"""One section → stacked bars of where the time of every arm goes, part by part."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from swatbench.report import words
from swatbench.report.canvas import INK, PAPER, RULE, SERIES, Drawing, Shade, draw
from swatbench.report.comparison import PairRuns
from swatbench.report.conditions import CALLS
from swatbench.report.modules import part_rank
from swatbench.report.section import Section
from swatbench.report.spent import rows_of, seconds_by_part, step_s
from swatbench.spec.cost import Protocol
from swatbench.store.cost import Spent

_COLOURS = (SERIES[2], SERIES[6], SERIES[1], SERIES[5], SERIES[7], SERIES[3], RULE, INK)
"""One colour for each of `PARTS`, and the last for parts that are none of them.

Chosen so that with each of the three kinds of colour blindness (simulated after Machado et al. 2009)
neighbours differ by at least 36 in CIELAB, and any two by at least 11.
"""
_LABELLED_PERCENT = 9.0
"""Smallest segment, in % of the reference's step, that has room for its number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One arm in one protocol.

    Attributes:
        pair: Name of the pair.
        arm: Arm.
        protocol: `inference` or `training`.
        percents: Part → its time in % of the reference's whole step, in the order in which parts are told.
    """

    pair: str
    arm: str
    protocol: Protocol
    percents: Mapping[str, float]


def breakdown_bars(section: Section, shades: Mapping[str, Shade], suffix: str) -> Drawing | None:
    """Draw where the time of every arm goes, or nothing where nobody profiled.

    Args:
        section: The machine's section.
        shades: Pair → its look. Colours tell parts here; of the pairs this gives the order alone.
        suffix: End of the file's name.
    """
    pairs = {runs.pair: runs for runs in section.pairs}
    bars = [bar for pair in shades if pair in pairs for bar in _bars(pairs[pair])]
    if not bars:
        return None
    parts = sorted(dict.fromkeys(part for bar in bars for part in bar.percents), key=part_rank)
    return draw(
        f"breakdown{suffix}",
        lambda axes: _paint(axes, bars, parts),
        legend=[_key(part) for part in parts],
        title="Where the time goes.",
        caption="Time of each part in one call, in % of the reference's whole call, by torch.profiler, one "
        "process per arm. The profiler slows short operators, so shares, not times, are to be believed.",
        alt="Shares of time: " + "; ".join(map(_spoken, bars)),
        height_in=0.9 + 0.42 * len(bars),
    )


def _bars(runs: PairRuns) -> Iterator[Bar]:
    if runs.measured is None:
        return
    result, spent = runs.measured.result, runs.measured.stored.breakdown()
    arms = sorted((cost.arm for cost in result.arms), key=lambda arm: arm != result.reference)
    for protocol in get_args(Protocol):
        rows = {arm: rows_of(spent, arm=arm, protocol=protocol) for arm in arms}
        whole_s = step_s(rows[result.reference])
        if whole_s > 0:
            yield from (_bar(runs.pair, arm, protocol, rows[arm], whole_s) for arm in arms if rows[arm])


def _bar(pair: str, arm: str, protocol: Protocol, rows: Sequence[Spent], whole_s: float) -> Bar:
    percents = {part: 100 * seconds / whole_s for part, seconds in seconds_by_part(rows).items()}
    return Bar(pair=pair, arm=arm, protocol=protocol, percents=percents)


def _colour(part: str) -> str:
    return _COLOURS[min(part_rank(part), len(_COLOURS) - 1)]


def _key(part: str) -> Line2D:
    return Line2D([], [], color=_colour(part), linewidth=6, label=part)


def _paint(axes: Axes, bars: Sequence[Bar], parts: Sequence[str]) -> None:
    for place, bar in enumerate(bars):
        left = 0.0
        for part in parts:
            percent, colour = bar.percents.get(part, 0.0), _colour(part)
            axes.barh(place, percent, left=left, height=0.66, color=colour, edgecolor=PAPER, linewidth=0.6)
            if percent >= _LABELLED_PERCENT:
                ink = INK if colour == RULE else PAPER
                number = words.decimal(percent, 0)
                axes.text(left + percent / 2, place, number, color=ink, ha="center", va="center")
            left += percent
    axes.set_yticks(range(len(bars)), [f"{bar.pair}, {bar.arm}\n{CALLS[bar.protocol]}" for bar in bars])
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.set_xlabel("Time, % of the reference's call")
    axes.grid(visible=False, axis="y")


def _spoken(bar: Bar) -> str:
    shares = ", ".join(f"{part} {words.decimal(percent, 0)} %" for part, percent in bar.percents.items())
    return f"{bar.pair} {bar.arm} {CALLS[bar.protocol]}: {shares}"
