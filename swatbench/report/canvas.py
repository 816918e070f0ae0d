"""The paper that figures are drawn on: style, hover texts, and files that are equal for equal input.

A figure is 5 inches wide, so that its text stays readable on a page 390 pixels wide.
"""

import html
import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.container import Container
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.lines import Line2D

from swatbench.report.palette import INK, MUTED, PAPER, RULE, SERIES, Shade, colours
from swatbench.visible import visible, visible_lines

__all__ = [
    "INK",
    "LINES",
    "MARKERS",
    "MUTED",
    "PAPER",
    "RULE",
    "SERIES",
    "Drawing",
    "Shade",
    "colour_key",
    "colours",
    "dot",
    "dots_along",
    "draw",
    "look_of",
    "plain",
    "short",
    "tip",
]

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

_LONGEST = 26
"""Letters of a name on a figure."""
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
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    # TrueType, which every program that edits or checks PDF reads.
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "swatbench",
    "text.color": INK,
    # Names of pairs and arms come from records, and a dollar in one is no formula.
    "text.parse_math": False,
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
_TIP = "tip:"
_TIPPED = re.compile(rf'<g id="{_TIP}([0-9a-f]*)">')
_CONTROL = re.compile(r"[^\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 does not hold, and control characters beside."""


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
        pdf: The file's bytes.
    """

    name: str
    title: str
    caption: str
    alt: str
    svg: str
    png: bytes
    pdf: bytes

    @property
    def tipped(self) -> bool:
        """Whether some of it has hover texts."""
        return 'class="tip"' in self.svg

    def inline(self) -> str:
        """The SVG for a page: no prologue, the page's colours, names that clash with no other figure's."""
        body = self.svg[self.svg.index("<svg") :]
        # A page says the title in the caption; inside the drawing it would be a hover text of all of it.
        body = re.sub(r"<title>.*?</title>", "", body, count=1, flags=re.DOTALL)
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
    """Draw one figure and render it as SVG, PNG and PDF.

    Args:
        name: Name of its files.
        paint: Draws on the axes.
        legend: Entries of the legend, which stands below the axes.
        title: Caption's first words.
        caption: How to read it.
        alt: What it shows, for those who do not see it.
        height_in: Height in inches, without the legend.
    """
    for entry in legend:
        entry.set_label(short(str(entry.get_label())))
    columns = 3 if max((len(str(entry.get_label())) for entry in legend), default=0) < 18 else 2
    height_in += 0.18 * math.ceil(len(legend) / columns)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(5.0, height_in), layout="constrained")
        paint(figure.add_subplot())
        if legend:
            figure.legend(handles=legend, loc="outside lower center", ncols=min(len(legend), columns))
        # Where everything stands follows once, for all three files; `savefig` would work it out for each.
        layout = figure.get_layout_engine()
        assert layout is not None
        layout.execute(figure)
        figure.set_layout_engine("none")
        files = {"svg": _svg(figure, title), "pdf": _pdf(figure, title), "png": _png(figure)}
        return Drawing(name=name, title=title, caption=caption, alt=alt, **files)


def tip(artist: Artist | Container, text: str) -> None:
    """Give something drawn a text that a page shows when it is pointed at, focused or tapped.

    In the SVG it becomes a group that can be focused, with the text as its title. Other files do without.

    Args:
        artist: What is drawn; of the bars of an error, or of a row of bars, the first part is it.
        text: Names on the first line, values with units on those below.
    """
    own = artist[0] if isinstance(artist, Container) else artist
    # The writer of SVG puts this name around what it draws, and `_with_tip` makes the text of it.
    own.set_gid(f"{_TIP}{_CONTROL.sub(' ', text).encode().hex()}")


def short(name: str) -> str:
    """A name on a figure, cut where it would push the drawing aside.

    Example:
        >>> short("deit_ti"), short("a name that somebody gave to a pair")
        ('deit_ti', 'a name that somebody gave…')
    """
    name = plain(name)
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1].rstrip()}…"


def plain(text: str) -> str:
    """A text from elsewhere, of letters that the figures' font has; the others become question marks.

    Example:
        >>> plain("sky \N{CJK UNIFIED IDEOGRAPH-5929}"), plain("Stra\N{LATIN SMALL LETTER SHARP S}e")
        ('sky ?', 'Straße')
    """
    font = get_font(findfont(_STYLE["font.family"]))
    return "".join(letter if font.get_char_index(ord(letter)) else "?" for letter in visible(text))


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


def _svg(figure: Figure, title: str) -> str:
    out = io.StringIO()
    FigureCanvasSVG(figure).print_svg(out, metadata={"Title": title, "Date": None, "Creator": None})
    # Trailing blanks come from the writer and trip diffs.
    text = "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"
    return visible_lines(_TIPPED.sub(_with_tip, text))


def _with_tip(found: re.Match[str]) -> str:
    text = html.escape(bytes.fromhex(found[1]).decode()).replace("\n", "&#10;")
    return f'<g class="tip" tabindex="0" role="img" aria-label="{text}"><title>{text}</title>'


def _pdf(figure: Figure, title: str) -> bytes:
    out = io.BytesIO()
    said = {"Title": title, "Creator": None, "Producer": None, "CreationDate": None}
    FigureCanvasPdf(figure).print_pdf(out, metadata=said)
    return out.getvalue()


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.set_dpi(200)
    figure.set_facecolor(PAPER)
    FigureCanvasAgg(figure).print_png(out, metadata={"Software": None})
    return out.getvalue()
