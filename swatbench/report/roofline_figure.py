"""Sections → the roofline: rate achieved against intensity, under what the machine does at best."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from swatbench.report import words
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
from swatbench.report.conditions import CALLS
from swatbench.report.logarithmic import log_ticks
from swatbench.report.rooflines import Roof, percent, roofs
from swatbench.report.section import Section
from swatbench.spec.cost import Protocol
from swatbench.store.cost import Peaks

_STYLES: Mapping[Protocol, str] = {"inference": "-", "training": ":"}
"""Line from a reference to its arm."""
_SIZES: Mapping[Protocol, float] = {"inference": 5.0, "training": 8.0}
"""Size of a marker in points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mark:
    """One call of one arm."""

    pair: str
    arm: str
    is_reference: bool
    roof: Roof

    @property
    def place(self) -> tuple[float, float]:
        return self.roof.intensity, self.roof.flops_per_s


def roofline(section: Section, shades: dict[str, Shade], suffix: str) -> Drawing | None:
    """Draw every call whose work, traffic and time are known, or nothing without one.

    Args:
        section: The machine's section.
        shades: Pair → its look.
        suffix: End of the file's name.
    """
    marks = list(_marks(section))
    if not marks:
        return None
    return draw(
        f"roofline{suffix}",
        lambda axes: _paint(axes, marks, shades),
        legend=_legend(marks, shades),
        title="Roofline.",
        caption="FLOP/s achieved against FLOPs for each byte moved; grey lines are what the machine does at "
        "best, measured beside each pair: copying on the slope, a matrix product on the level. A line leads "
        "from a reference (open) to its arm. Both axes are logarithmic.",
        alt=f"Roofline: {'; '.join(map(_spoken, marks))}",
        height_in=3.4,
    )


def _marks(section: Section) -> Iterator[_Mark]:
    for runs in section.pairs:
        for arm in runs.arms:
            cost = runs.cost(arm)
            if cost is not None and runs.measured is not None:
                for roof in roofs(cost, runs.measured.result):
                    yield _Mark(pair=runs.pair, arm=arm, is_reference=arm == runs.reference, roof=roof)


def _paint(axes: Axes, marks: Sequence[_Mark], shades: dict[str, Shade]) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    x = [mark.roof.intensity for mark in marks]
    for peaks in dict.fromkeys(mark.roof.peaks for mark in marks):
        _paint_roof(axes, peaks, (min(x) / 2, max(x) * 2))
    starts = {(mark.pair, mark.roof.protocol): mark.place for mark in marks if mark.is_reference}
    # Large markers first, so that they hide no small one.
    for mark in sorted(marks, key=lambda mark: -_SIZES[mark.roof.protocol]):
        shade, protocol = shades[mark.pair], mark.roof.protocol
        start = starts.get((mark.pair, protocol))
        if start and not mark.is_reference:
            line = zip(start, mark.place, strict=True)
            axes.plot(*line, color=shade.colour, linestyle=_STYLES[protocol], linewidth=1.3, zorder=2)
        (marker,) = axes.plot(*mark.place, **_look(marks, mark, shade.colour), zorder=3)
        tip(marker, _told(mark))
        dot(axes, *mark.place, shade)
    axes.set_xlabel("Arithmetic intensity, FLOP/byte")
    axes.set_ylabel("FLOP/s")
    log_ticks(axes.xaxis, x)
    log_ticks(axes.yaxis, [mark.roof.flops_per_s for mark in marks])


def _paint_roof(axes: Axes, peaks: Peaks, ends: tuple[float, float]) -> None:
    ridge = peaks.flops_per_s / peaks.bytes_per_s
    x = sorted({*ends, min(max(ridge, ends[0]), ends[1])})
    axes.plot(x, [min(peaks.flops_per_s, peaks.bytes_per_s * at) for at in x], color=MUTED, linewidth=0.9)


def _look(marks: Sequence[_Mark], mark: _Mark, colour: str) -> dict[str, Any]:
    others = list(dict.fromkeys(mark.arm for mark in marks if not mark.is_reference))
    return {
        "marker": MARKERS[look_of(others, mark.arm, len(MARKERS), reference=mark.is_reference)],
        "color": colour,
        "linestyle": "none",
        "markerfacecolor": PAPER if mark.is_reference else colour,
        "markeredgewidth": 1.4,
        "markersize": _SIZES[mark.roof.protocol],
    }


def _legend(marks: Sequence[_Mark], shades: dict[str, Shade]) -> list[Line2D]:
    arms = {mark.arm: mark for mark in reversed(marks)}
    protocols: dict[Protocol, None] = dict.fromkeys(mark.roof.protocol for mark in marks)
    return [
        *colour_key({mark.pair: shades[mark.pair] for mark in marks}),
        *(Line2D([], [], label=arm, **_look(marks, arms[arm], INK)) for arm in reversed(arms)),
        *(Line2D([], [], label=CALLS[protocol], **_line(protocol)) for protocol in protocols),
        Line2D([], [], color=MUTED, linewidth=0.9, label="best rates"),
    ]


def _line(protocol: Protocol) -> dict[str, Any]:
    """A line with the marker of a protocol's size."""
    size = {"marker": "o", "markersize": _SIZES[protocol]}
    return {"color": INK, "linestyle": _STYLES[protocol], "linewidth": 1.3, **size}


def _spoken(mark: _Mark) -> str:
    roof = mark.roof
    return (
        f"{mark.pair} {mark.arm} {CALLS[roof.protocol]} {words.in_unit(roof.flops_per_s, 'FLOP/s')} at "
        f"{words.factor(roof.intensity)} FLOP/byte, {percent(roof.share)} of what is attainable"
    )


def _told(mark: _Mark) -> str:
    roof = mark.roof
    return (
        f"{mark.pair}, {mark.arm}, {CALLS[roof.protocol]}\n{words.in_unit(roof.flops_per_s, 'FLOP/s')} at "
        f"{words.factor(roof.intensity)} FLOP/byte\n{percent(roof.share)} of what is attainable"
    )
