"""Sections → figures: accuracy against cost, training curves, ratios of time."""

from swatbench.report.canvas import Drawing, colours
from swatbench.report.curves import accuracy_curves, curves, loss_curves
from swatbench.report.points import points
from swatbench.report.scatter import AXES, scatter
from swatbench.report.section import Section
from swatbench.report.timing import time_ratios
from swatbench.report.weights import weights_of


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
    )
    return tuple(drawing for drawing in drawings if drawing is not None)
