"""The page's groups: which tables and figures stand in each, in which order, and which tables are folded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from swatbench.report.breakdowns import breakdown_table
from swatbench.report.canvas import Drawing
from swatbench.report.chapters import Chapter
from swatbench.report.classes import classes_table
from swatbench.report.costs import cost_table, ratios_table
from swatbench.report.deployed import deployed_table
from swatbench.report.differences import across_seeds_table, further_table, these_images_table
from swatbench.report.energies import energies_table
from swatbench.report.evaluations import evaluations_table
from swatbench.report.frontiers import frontiers_table
from swatbench.report.latencies import latencies_table
from swatbench.report.ledger import (
    cells_table,
    environments_table,
    failures_table,
    left_out_table,
    refusals_table,
)
from swatbench.report.memories import memories_table
from swatbench.report.modules import modules_table
from swatbench.report.per_point import per_point_table
from swatbench.report.published_table import published_table
from swatbench.report.recipes import recipes_table
from swatbench.report.rooflines import rooflines_table
from swatbench.report.section import Section
from swatbench.report.settling import settling_table
from swatbench.report.states import states_table
from swatbench.report.table import Table
from swatbench.report.tables import Link, accuracy_table, means_table
from swatbench.report.throughputs import throughputs_table
from swatbench.report.training import training_table

Maker = Callable[[Sequence[Section], Link], Table]
"""Sections and addresses of records → a table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One part of the page.

    Attributes:
        name: Its place in addresses.
        title: Heading.
        figures: Beginnings of the names of its figures; figures of no group stand in the first.
        tables: Makers of tables that are shown at once, in order.
        folded: Makers of tables that are shown when asked for, in order.
    """

    name: str
    title: str
    figures: tuple[str, ...] = ()
    tables: tuple[Maker, ...] = ()
    folded: tuple[Maker, ...] = ()


def _plain(make: Callable[[Sequence[Section]], Table]) -> Maker:
    """The maker of a table that links to no record."""
    return lambda sections, _: make(sections)


GROUPS = (
    Group(name="shows", title="What it shows"),
    Group(
        name="against",
        title="Cost against accuracy",
        figures=("accuracy_",),
        folded=(per_point_table, frontiers_table, published_table),
    ),
    Group(
        name="accuracy",
        title="Accuracy",
        figures=("curves_", "masks_"),
        tables=(across_seeds_table, these_images_table, settling_table, means_table, further_table),
        folded=(_plain(classes_table), evaluations_table, accuracy_table),
    ),
    Group(
        name="cost",
        title="Cost",
        figures=("time_ratio", "throughput_", "roofline", "breakdown"),
        tables=(ratios_table, deployed_table, cost_table),
        folded=(
            throughputs_table,
            latencies_table,
            memories_table,
            rooflines_table,
            energies_table,
            modules_table,
            breakdown_table,
        ),
    ),
    Group(
        name="excluded",
        title="What was not compared",
        tables=(_plain(refusals_table), failures_table),
        folded=(left_out_table,),
    ),
    Group(
        name="made",
        title="How it was made",
        folded=(
            _plain(recipes_table),
            training_table,
            cells_table,
            states_table,
            _plain(environments_table),
        ),
    ),
)
"""The page, top to bottom."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouped:
    """A group and its tables.

    Attributes:
        group: The group.
        tables: Tables that are shown at once.
        folded: Tables that are shown when asked for.
    """

    group: Group
    tables: tuple[Table, ...]
    folded: tuple[Table, ...]

    def has(self, chapter: Chapter) -> bool:
        """Whether there is anything of a machine in it; the first group always speaks."""
        tables = (*self.tables, *self.folded)
        return (
            self.group is GROUPS[0]
            or bool(self.figures(chapter.figures))
            or any(table.count(chapter.machine) for table in tables)
        )

    def figures(self, drawings: Sequence[Drawing]) -> tuple[Drawing, ...]:
        """Which of the drawings stand in it."""
        return tuple(drawing for drawing in drawings if group_of(drawing) is self.group)


def grouped(sections: Sequence[Section], link: Link) -> tuple[Grouped, ...]:
    """Make every table.

    Args:
        sections: Sections of all machines.
        link: Record → its address.
    """
    return tuple(
        Grouped(
            group=group,
            tables=tuple(make(sections, link) for make in group.tables),
            folded=tuple(make(sections, link) for make in group.folded),
        )
        for group in GROUPS
    )


def group_of(drawing: Drawing) -> Group:
    """The group that a figure stands in."""
    return next(
        (group for group in GROUPS if group.figures and drawing.name.startswith(group.figures)), GROUPS[0]
    )
