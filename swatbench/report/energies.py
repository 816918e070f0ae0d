"""Sections → the table of energy, and why there is none where there is none."""

from collections.abc import Iterator, Sequence

from swatbench.report import words
from swatbench.report.call_rows import call_columns, call_row
from swatbench.report.conditions import input_note
from swatbench.report.costs import costs_of
from swatbench.report.section import Section
from swatbench.report.table import Column, Table, make_table
from swatbench.report.tables import Link, Row
from swatbench.spec.cost import Protocol
from swatbench.store.cost import ArmCost

_UNSAID = "records of an older layout do not say why"


def energies_table(sections: Sequence[Section], link: Link) -> Table:
    """Energy of an image, where the machine counts it."""
    rows = [row for section in sections for row in _rows(section, link)]
    columns = (
        *call_columns(rows),
        Column(
            name="joules_per_image", title="Energy an image", show=words.energy, numeric=True, link="record"
        ),
        Column(name="ratio", title="× reference", show=words.factor, numeric=True),
        Column(name="lowest_j", title="Lowest window", show=words.energy, numeric=True),
        Column(name="highest_j", title="Highest window", show=words.energy, numeric=True),
        Column(name="windows", title="Windows", show=words.whole, numeric=True),
    )
    note = (
        "By the card's own counter (NVML), over windows of many calls, idle power included: the median "
        "window, divided by the images in it. The ratio is that of two medians, so it has no interval; where "
        "the windows of two arms overlap, it shows little."
    )
    extra = ("protocol", "input", "condition", "record")
    note = f"{note} {input_note(rows)}".rstrip()
    return make_table("energies", "Energy", note, columns, rows, extra=extra)


def why_no_energy(section: Section) -> str:
    """Why no energy was measured, each reason once; an empty text where it was everywhere."""
    results = [measured.result for runs in section.pairs for measured in runs.conditions]
    without = [result for result in results if not any(cost.energy for cost in result.arms)]
    reasons = dict.fromkeys(result.energy_absent.rstrip(".") for result in without if result.energy_absent)
    if any(not result.energy_absent for result in without):
        reasons[_UNSAID] = None
    some = " everywhere" if len(without) < len(results) else ""
    return f"Energy was not measured{some}: {'; '.join(reasons)}." if reasons else ""


def joules(cost: ArmCost, protocol: Protocol) -> float | None:
    """Energy of an image in joules, or None where it was not measured.

    Args:
        cost: The arm.
        protocol: Forward passes or training steps.
    """
    found = (energy.joules_per_image for energy in cost.energy if energy.protocol == protocol)
    return next(found, None)


def _rows(section: Section, link: Link) -> Iterator[Row]:
    for measured, cost in costs_of(section):
        reference = measured.cost(measured.result.reference)
        for energy in cost.energy:
            other = joules(reference, energy.protocol) if reference and reference is not cost else None
            size = measured.result.batch_size
            who = call_row(section.machine, measured, cost.arm, energy.protocol, batch_size=size, link=link)
            yield {
                **who,
                "joules_per_image": energy.joules_per_image,
                "ratio": energy.joules_per_image / other if other else None,
                "lowest_j": min(energy.windows, default=None),
                "highest_j": max(energy.windows, default=None),
                "windows": len(energy.windows),
            }
