"""Sections → figures: accuracy against cost, training curves, masks, time, throughput, roofline, parts."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from swatbench.report.axes import AXES
from swatbench.report.breakdowns import breakdown_bars
from swatbench.report.canvas import Drawing, colours
from swatbench.report.curve_lines import curves
from swatbench.report.curves import accuracy_curves, loss_curves
from swatbench.report.mask_pictures import mask_pictures
from swatbench.report.palette import Shade
from swatbench.report.points import points, published_points
from swatbench.report.roofline_figure import roofline
from swatbench.report.scatter import scatters
from swatbench.report.section import Section
from swatbench.report.sentences import condition_in_words
from swatbench.report.side_by_side import begun
from swatbench.report.throughputs import throughput_curves
from swatbench.report.timing import time_ratios
from swatbench.report.weights import weights_of

_OF_A_CONDITION = (
    *(f"accuracy_{name}" for name in ("latency", "throughput", "training", "memory", "energy")),
    "time_ratio",
    "throughput_",
    "roofline",
    "breakdown",
)
"""Beginnings of the names of figures whose numbers follow from the condition of the measurement."""


Drawn = Drawing | None
Maker = Callable[[], tuple[Drawn, ...]]
"""What draws a few figures that rest on the same files; None stands for one without data."""


def figures(section: Section, suffix: str = "") -> tuple[Drawing, ...]:
    """Draw all figures of one machine; one without data is not drawn.

    Args:
        section: The machine's section.
        suffix: End of each file's name, where there are several machines.
    """
    return begun_figures([(section, suffix)])()[0]


def begun_figures(marked: Sequence[tuple[Section, str]]) -> Callable[[], list[tuple[Drawing, ...]]]:
    """Begin to draw the figures of several machines; what is returned waits for those of each.

    Args:
        marked: Sections, each with the end of its files' names.
    """
    makers = [_makers(section, suffix) for section, suffix in marked]
    drawn = begun([maker for of_section in makers for maker in of_section])

    def results() -> list[tuple[Drawing, ...]]:
        drawings = iter(drawn())
        return [
            _told(section, [next(drawings) for _ in of_section])
            for (section, _), of_section in zip(marked, makers, strict=True)
        ]

    return results


def _makers(section: Section, suffix: str) -> list[Maker]:
    shades = colours([runs.pair for runs in section.pairs])
    weights = weights_of(section.pairs)
    shown = points(section) or published_points(section)
    single: list[Callable[[], Drawn]] = [
        *(
            maker
            for axis in AXES
            for maker in scatters(axis, shown, shades, suffix, weights=weights, metric=section.metric)
        ),
        partial(time_ratios, section, shades, suffix),
        partial(throughput_curves, "inference", section, shades, suffix),
        partial(throughput_curves, "training", section, shades, suffix),
        partial(roofline, section, shades, suffix),
        partial(breakdown_bars, section, shades, suffix),
    ]
    single += [partial(mask_pictures, runs, suffix) for runs in section.pairs if runs.metric.of_masks]
    # The longest first, so that no process waits for another at the end.
    return [partial(_curves, section, shades, suffix), *(partial(_alone, draw) for draw in single)]


def _curves(section: Section, shades: dict[str, Shade], suffix: str) -> tuple[Drawn, ...]:
    found = curves(section)
    return accuracy_curves(found, shades, suffix, section.metric), loss_curves(found, shades, suffix)


def _alone(draw: Callable[[], Drawn]) -> tuple[Drawn, ...]:
    return (draw(),)


def _told(section: Section, drawn: Sequence[tuple[Drawn, ...]]) -> tuple[Drawing, ...]:
    told = condition_in_words(section)
    found = (drawing for drawings in drawn for drawing in drawings if drawing is not None)
    # Accuracy against cost comes first on the page; the others stay in order.
    ordered = sorted(found, key=lambda drawing: not drawing.name.startswith("accuracy_"))
    return tuple(_with_condition(drawing, told) for drawing in ordered)


def _with_condition(drawing: Drawing, told: str) -> Drawing:
    if not drawing.name.startswith(_OF_A_CONDITION):
        return drawing
    return replace(drawing, caption=f"{drawing.caption} {told}".rstrip())
