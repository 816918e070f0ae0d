"""Ticks of logarithmic axes: enough of them to read a value, however much the axis spans."""

from collections.abc import Sequence

from matplotlib.axis import Axis
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

_NARROW = 300
"""Ratio of the largest value to the smallest up to which powers of ten alone would be too few."""


def log_ticks(axis: Axis, values: Sequence[float], unit: str = "") -> None:
    """Label a logarithmic axis at powers of ten, and at 2 and 5 between them where it spans few.

    Args:
        axis: The axis, already logarithmic.
        values: What is drawn along it, all positive.
        unit: Unit of the labels, with a prefix as needed.
    """
    narrow = max(values) / min(values) < _NARROW
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if narrow else (1.0,)))
    axis.set_major_formatter(EngFormatter(unit=unit))
    axis.set_minor_formatter(NullFormatter())
