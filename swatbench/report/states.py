"""Sections → the table of the machine's state before and after each measurement."""

from collections.abc import Iterator, Sequence

from swatbench.report import words
from swatbench.report.conditions import condition_columns, filled
from swatbench.report.section import Section
from swatbench.report.selection import Measured
from swatbench.report.table import Column, Table, make_table
from swatbench.report.tables import Link, Row
from swatbench.store.cost import DeviceState


def states_table(sections: Sequence[Section], link: Link) -> Table:
    """Load, clocks, power and temperature around each measurement, as far as the machine tells them."""
    rows = [row for section in sections for row in _rows(section, link)]
    optional = (
        Column(name="load_average", title="Load", show=_places, numeric=True),
        Column(name="cpu_hz", title="CPU clock", show=hertz, numeric=True),
        Column(name="governor", title="Governor"),
        Column(name="sm_hz", title="SM clock", show=hertz, numeric=True),
        Column(name="memory_hz", title="Memory clock", show=hertz, numeric=True),
        Column(name="power_w", title="Power, W", show=words.decimal, numeric=True),
        Column(name="temperature_c", title="°C", show=words.whole, numeric=True),
        Column(name="throttled_by", title="Clocks lowered by", prose=True),
        Column(name="l2_bytes", title="L2 cache", show=words.size, numeric=True),
    )
    columns = (
        Column(name="pair", title="Pair", link="record"),
        *condition_columns(rows),
        Column(name="moment", title="Moment"),
        *filled(optional, rows),
    )
    note = (
        "What the machine said before and after each pair was measured. Load is the mean number of processes "
        "that wanted to run, by the system: “before”, over the minute before the measurement began, which "
        "should be near 0; “after”, over its last minute, with its own threads. What is not shown, the "
        "machine does not tell."
    )
    extra = ("condition", "record")
    return make_table("states", "State of the machine", note, columns, rows, extra=extra)


def hertz(value: float) -> str:
    """A clock rate.

    Example:
        >>> hertz(1.98e9), hertz(405e6)
        ('1.98 GHz', '405 MHz')
    """
    return words.in_unit(value, "Hz")


def _places(value: float) -> str:
    return words.decimal(value, 2)


def _rows(section: Section, link: Link) -> Iterator[Row]:
    for runs in section.pairs:
        for measured in runs.conditions:
            for state in measured.result.states:
                yield {"machine": section.machine, **_row(measured, state), "record": link(measured.stored)}


def _row(measured: Measured, state: DeviceState) -> Row:
    return {
        "pair": measured.pair,
        "condition": measured.condition,
        **state.model_dump(),
        "throttled_by": _throttled(state),
    }


def _throttled(state: DeviceState) -> str | None:
    if state.throttled_by:
        return ", ".join(state.throttled_by)
    # Older records have an empty list also where no card is.
    return None if state.throttled_by is None or state.sm_hz is None else "nothing"
