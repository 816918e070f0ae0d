"""The paper that figures are drawn on: palette, style, and files that are equal for equal input.

A figure is 5 inches wide, so that its text stays readable on a page 390 pixels wide.
"""

import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

INK, MUTED, RULE, PAPER = "#1c2129", "#7b8490", "#d5dae1", "#ffffff"
"""Text and axes, published points, grid, and the inside of open markers."""

SERIES = ("#0072b2", "#d55e00", "#008563", "#b2508c", "#946800", "#2f8ac0", "#7a4fb0", "#6d6a3c")
"""One colour a pair; told apart with the common kinds of colour blindness (after Okabe and Ito).

Pairs beyond these take the colours again with a dot (`Shade`), so 16 pairs can be told apart.
"""

MARKERS = ("o", "o", "s", "^", "D", "v", "P", "X")
"""One shape an arm; the first is the reference's, and the only one that is drawn open."""

LINES: tuple[Any, ...] = (
    "--",
    "-",
    "-.",
    ":",
    (0, (5, 1, 1, 1, 1, 1)),
    (0, (9, 2)),
    (0, (1, 4)),
    (0, (6, 2, 2, 2)),
)
"""One line style an arm; the first is the reference's."""

_DOT = {
    "marker": "o",
    "markersize": 2.6,
    "markerfacecolor": INK,
    "markeredgecolor": INK,
    "markeredgewidth": 0,
}
_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "svg.fonttype": "path",
    "svg.hashsalt": "swatbench",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}
_VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    RULE: "var(--rule)",
    PAPER: "var(--paper)",
    **{colour: f"var(--series-{index})" for index, colour in enumerate(SERIES)},
}
_ID = re.compile(r'(\bid="|url\(#|xlink:href="#)')


@dataclass(frozen=True, slots=True, kw_only=True)
class Shade:
    """How a pair is told from the others in every figure.

    Attributes:
        colour: One of `SERIES`.
        dotted: Whether its markers hold a dot and its lines carry dots.
    """

    colour: str
    dotted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A figure, drawn.

    Attributes:
        name: Name of its files.
        title: Caption's first words.
        caption: How to read it.
        alt: What it shows, for those who do not see it.
        svg: The file's text.
        png: The file's bytes.
    """

    name: str
    title: str
    caption: str
    alt: str
    svg: str
    png: bytes

    def inline(self) -> str:
        """The SVG for a page: no prologue, the page's colours, names that clash with no other figure's."""
        body = self.svg[self.svg.index("<svg") :]
        for colour, variable in _VARIABLES.items():
            body = body.replace(colour, variable)
        body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
        return _ID.sub(lambda found: f"{found[0]}{self.name}-", body)


def draw(
    name: str,
    paint: Callable[[Axes], None],
    *,
    legend: Sequence[Line2D],
    title: str,
    caption: str,
    alt: str,
    height_in: float = 3.0,
) -> Drawing:
    """Draw one figure and render it as SVG and PNG.

    Args:
        name: Name of its files.
        paint: Draws on the axes.
        legend: Entries of the legend, which stands below the axes.
        title: Caption's first words.
        caption: How to read it.
        alt: What it shows, for those who do not see it.
        height_in: Height in inches, without the legend.
    """
    columns = 3 if max(len(str(entry.get_label())) for entry in legend) < 18 else 2
    height_in += 0.18 * math.ceil(len(legend) / columns)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(5.0, height_in), layout="constrained")
        paint(figure.add_subplot())
        figure.legend(handles=legend, loc="outside lower center", ncols=min(len(legend), columns))
        return Drawing(name=name, title=title, caption=caption, alt=alt, svg=_svg(figure), png=_png(figure))


def colour_key(shades: dict[str, Shade]) -> list[Line2D]:
    """Entries of a legend that say which colour is which pair, with a dot where it has one."""
    return [
        Line2D([], [], color=shade.colour, linewidth=4, label=pair, **(_DOT if shade.dotted else {}))
        for pair, shade in shades.items()
    ]


def dot(axes: Axes, x: float, y: float, shade: Shade) -> None:
    """Put the dot of a pair that has one into its marker at (x, y)."""
    if shade.dotted:
        # A light dot would make a filled marker look like another pair's open one.
        axes.plot(x, y, marker="o", markersize=2.6, markeredgewidth=0, color=INK, zorder=4)


def dots_along(shade: Shade, epochs: int) -> dict[str, Any]:
    """What makes a line of so many points carry the dots of a pair that has them."""
    if not shade.dotted:
        return {"marker": "."} if epochs == 1 else {}
    return {**_DOT, "markersize": 3.2, "markevery": max(1, epochs // 8)}


def look_of(others: Sequence[str], arm: str, looks: int, *, reference: bool) -> int:
    """Which of a number of looks an arm has: the first is the reference's, the others share the rest."""
    return 0 if reference else 1 + others.index(arm) % (looks - 1)


def colours(pairs: Sequence[str]) -> dict[str, Shade]:
    """Pair → how it looks, the same in every figure of a report; no two of 16 pairs look alike."""
    return {
        pair: Shade(colour=SERIES[index % len(SERIES)], dotted=index // len(SERIES) % 2 == 1)
        for index, pair in enumerate(pairs)
    }


def _svg(figure: Figure) -> str:
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    # Trailing blanks come from the writer and trip diffs.
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=200, facecolor=PAPER, metadata={"Software": None})
    return out.getvalue()
