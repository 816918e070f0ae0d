"""Which records a comparison of accuracy rests on, and their addresses."""

from swatbench.report.comparison import Comparison
from swatbench.report.section import Section
from swatbench.report.tables import MOST_LINKED, Link, Links


def records_of(section: Section, item: Comparison, link: Link, *, seed: int | None = None) -> Links:
    """Links to the records that a comparison of accuracy rests on, reference first, of the first seeds.

    Args:
        section: The machine's section.
        item: The comparison.
        link: Record → its address.
        seed: One seed alone; None for all that were compared.
    """
    runs = section.of_pair(item.pair)
    sides = [(arm, runs.runs(arm)) for arm in (item.reference, item.arm)]
    seeds = (seed,) if seed is not None else item.accuracy.compared if item.accuracy else ()
    return tuple(
        (f"{arm} {number}", link(of_arm[number].stored))
        for number in seeds[:MOST_LINKED]
        for arm, of_arm in sides
    )
