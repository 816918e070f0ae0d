"""Sections → figures: accuracy against cost, training curves, time, throughput, roofline, breakdown."""

from dataclasses import replace

from swatbench.report.breakdowns import breakdown_bars
from swatbench.report.canvas import Drawing, colours
from swatbench.report.curves import accuracy_curves, curves, loss_curves
from swatbench.report.points import points
from swatbench.report.roofline_figure import roofline
from swatbench.report.scatter import AXES, scatter
from swatbench.report.section import Section
from swatbench.report.sentences import condition_in_words
from swatbench.report.throughputs import throughput_curves
from swatbench.report.timing import time_ratios
from swatbench.report.weights import weights_of

_OF_A_CONDITION = ("accuracy_latency", "time_ratio", "throughput_", "roofline", "breakdown")
"""Beginnings of the names of figures whose numbers follow from the condition of the measurement."""


def figures(section: Section, suffix: str = "") -> tuple[Drawing, ...]:
    """Draw all figures of one machine; one without data is not drawn.

    Args:
        section: The machine's section.
        suffix: End of each file's name, where there are several machines.
    """
    shades = colours([runs.pair for runs in section.pairs])
    weights = weights_of(section.pairs)
    found = curves(section)
    drawings = (
        *(scatter(axis, points(section), shades, suffix, weights=weights) for axis in AXES),
        accuracy_curves(found, shades, suffix),
        loss_curves(found, shades, suffix),
        time_ratios(section, shades, suffix),
        throughput_curves("inference", section, shades, suffix),
        throughput_curves("training", section, shades, suffix),
        roofline(section, shades, suffix),
        breakdown_bars(section, shades, suffix),
    )
    told = condition_in_words(section)
    return tuple(_with_condition(drawing, told) for drawing in drawings if drawing is not None)


def _with_condition(drawing: Drawing, told: str) -> Drawing:
    if not drawing.name.startswith(_OF_A_CONDITION):
        return drawing
    return replace(drawing, caption=f"{drawing.caption} {told}".rstrip())
