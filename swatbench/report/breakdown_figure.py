"""One section → stacked bars of where the time of every arm goes, part by part."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from swatbench.report import words
from swatbench.report.canvas import INK, PAPER, RULE, SERIES, Drawing, Shade, draw, short, tip
from swatbench.report.comparison import PairRuns
from swatbench.report.conditions import CALLS
from swatbench.report.modules import part_rank
from swatbench.report.profiled import Profiled, pairings
from swatbench.report.section import Section
from swatbench.report.spent import seconds_by_part
from swatbench.spec.cost import Protocol

_COLOURS = (SERIES[0], SERIES[7], SERIES[3], SERIES[1], SERIES[4], SERIES[2], RULE, INK)
"""One colour for each of `PARTS`, and the last for parts that are none of them."""
_FAINT = (SERIES[1], SERIES[2])
"""Those of them on which small numbers could not be read in both schemes of the page; they carry none."""
_LABELLED = 0.055
"""Smallest segment, as a share of the longest bar, that has room for its number."""


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
        caption="Time of each part in one call, in % of the reference's whole call, by torch.profiler. "
        "Profiles that were disturbed are left out.",
        alt="Shares of time: " + "; ".join(map(_spoken, bars)),
        height_in=0.9 + 0.42 * len(bars),
    )


def _bars(runs: PairRuns) -> Iterator[Bar]:
    """The arms of each protocol whose profiles may be read, the reference first."""
    found = (
        [pairing for pairing in pairings(runs.measured) if not pairing.disturbance] if runs.measured else []
    )
    for protocol in get_args(Protocol):
        read = [pairing for pairing in found if pairing.protocol == protocol]
        first = [pairing.reference for pairing in read[:1] if pairing.reference]
        sides = [*first, *(pairing.own for pairing in read)]
        yield from (_bar(runs.pair, side, protocol, sides[0].step_s) for side in sides)


def _bar(pair: str, side: Profiled, protocol: Protocol, whole_s: float) -> Bar:
    percents = {part: 100 * seconds / whole_s for part, seconds in seconds_by_part(side.rows).items()}
    return Bar(pair=pair, arm=side.arm, protocol=protocol, percents=percents)


def _colour(part: str) -> str:
    return _COLOURS[min(part_rank(part), len(_COLOURS) - 1)]


def _key(part: str) -> Line2D:
    return Line2D([], [], color=_colour(part), linewidth=6, label=part)


def _paint(axes: Axes, bars: Sequence[Bar], parts: Sequence[str]) -> None:
    least = _LABELLED * max(sum(bar.percents.values()) for bar in bars)
    for place, bar in enumerate(bars):
        left = 0.0
        for part in parts:
            percent, colour = bar.percents.get(part, 0.0), _colour(part)
            look = {"height": 0.66, "color": colour, "edgecolor": PAPER, "linewidth": 0.6}
            tip(axes.barh(place, percent, left=left, **look), _told(bar, part, percent))
            if percent >= least and colour not in _FAINT:
                ink = INK if colour == RULE else PAPER
                number = words.decimal(percent, 0)
                axes.text(left + percent / 2, place, number, color=ink, ha="center", va="center")
            left += percent
    axes.set_yticks(range(len(bars)), [_beside(bar) for bar in bars])
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.set_xlabel("Time, % of the reference's call")
    axes.grid(visible=False, axis="y")


def _beside(bar: Bar) -> str:
    return f"{short(bar.pair)}, {short(bar.arm)}\n{CALLS[bar.protocol]}"


def _spoken(bar: Bar) -> str:
    shares = ", ".join(f"{part} {words.decimal(percent, 0)} %" for part, percent in bar.percents.items())
    return f"{bar.pair} {bar.arm} {CALLS[bar.protocol]}: {shares}"


def _told(bar: Bar, part: str, percent: float) -> str:
    return (
        f"{bar.pair}, {bar.arm}, {CALLS[bar.protocol]}\n"
        f"{part}: {words.decimal(percent)} % of the reference's call"
    )
