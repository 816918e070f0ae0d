"""Sections → the table of energy, and why there is none where there is none."""

from collections.abc import Iterator, Sequence

from swatbench.report import words
from swatbench.report.conditions import CALLS, condition_columns
from swatbench.report.costs import costs_of
from swatbench.report.section import Section
from swatbench.report.table import Column, Table, make_table
from swatbench.report.tables import WHO, Link, Row
from swatbench.store.cost import Energy


def energies_table(sections: Sequence[Section], link: Link) -> Table:
    """Energy of an image, where the machine counts it."""
    rows = [row for section in sections for row in _rows(section, link)]
    columns = (
        *WHO,
        *condition_columns(rows),
        Column(name="call", title="Call"),
        Column(name="joules_per_image", title="J an image", show=_joules, numeric=True, link="record"),
        Column(name="ratio", title="× reference", show=words.factor, numeric=True),
        Column(name="lowest_j", title="Lowest window", show=_joules, numeric=True),
        Column(name="highest_j", title="Highest window", show=_joules, numeric=True),
        Column(name="windows", title="Windows", show=words.whole, numeric=True),
    )
    note = (
        "By the card's own counter (NVML), over windows of many calls, idle power included: the median "
        "window, divided by the images in it. The ratio is that of two medians, so it has no interval; where "
        "the windows of two arms overlap, it shows little."
    )
    extra = ("protocol", "batch_size", "condition", "record")
    return make_table("energies", "Energy", note, columns, rows, extra=extra)


def why_no_energy(section: Section) -> str:
    """Why no energy was measured, each reason once; an empty text where it was, or where no record tells."""
    absent = [measured.result.energy_absent for runs in section.pairs for measured in runs.conditions]
    reasons = list(dict.fromkeys(why.rstrip(".") for why in absent if why))
    some = len([why for why in absent if why]) < len(absent)
    return f"Energy was not measured{' everywhere' if some else ''}: {'; '.join(reasons)}." if reasons else ""


def _rows(section: Section, link: Link) -> Iterator[Row]:
    for measured, cost in costs_of(section):
        reference = measured.cost(measured.result.reference)
        base = {item.protocol: item for item in reference.energy} if reference else {}
        for energy in cost.energy:
            other = None if reference is cost else base.get(energy.protocol)
            yield {
                "machine": section.machine,
                "pair": measured.pair,
                "arm": cost.arm,
                "condition": measured.condition,
                "protocol": energy.protocol,
                "call": CALLS[energy.protocol],
                "batch_size": measured.result.batch_size,
                "joules_per_image": energy.joules_per_image,
                "ratio": _ratio(energy, other),
                "lowest_j": min(energy.windows, default=None),
                "highest_j": max(energy.windows, default=None),
                "windows": len(energy.windows),
                "record": link(measured.stored),
            }


def _ratio(energy: Energy, reference: Energy | None) -> float | None:
    if reference is None or not reference.joules_per_image:
        return None
    return energy.joules_per_image / reference.joules_per_image


def _joules(value: float) -> str:
    """Joules in the unit that suits them.

    Example:
        >>> _joules(0.01234), _joules(2.5)
        ('12.3 mJ', '2.50 J')
    """
    return f"{words.factor(1e3 * value)} mJ" if value < 1 else f"{words.factor(value)} J"
