"""Which well-formed records a machine's section rests on, and why the others are left out."""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from swatbench.report.selection import Measured, Trained
from swatbench.store.asked import Asked
from swatbench.store.files import Stored

NOT_ASKED = "not asked for by the suite as it is now"
OLDER = "a newer record of the same pair and arm has another configuration"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A record on which nothing rests.

    Attributes:
        stored: The record on disk.
        why: Why it is left out.
    """

    stored: Stored
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The records of one machine, sorted by whether they are shown.

    Attributes:
        trained: Training runs that are shown.
        measured: Cost measurements that are shown.
        failed: Failed cells that are shown.
        left_out: All others.
    """

    trained: tuple[Trained, ...]
    measured: tuple[Measured, ...]
    failed: tuple[Stored, ...]
    left_out: tuple[LeftOut, ...]


ItemT = TypeVar("ItemT", Trained, Measured)


def choose(
    trained: Sequence[Trained], measured: Sequence[Measured], failed: Sequence[Stored], asked: Asked | None
) -> Chosen:
    """Sort the records of one machine by whether they are shown.

    Args:
        trained: Its training runs.
        measured: Its cost measurements.
        failed: Its failed cells.
        asked: What its last run asked for: those cells are shown and no others. Where None, the configuration
            of the newest record of each pair and arm is shown, and every failure.
    """
    return _newest(trained, measured, failed) if asked is None else _asked(trained, measured, failed, asked)


def _asked(
    trained: Sequence[Trained], measured: Sequence[Measured], failed: Sequence[Stored], asked: Asked
) -> Chosen:
    cells = frozenset(asked.cells)
    every = (*(item.stored for item in (*trained, *measured)), *failed)
    return Chosen(
        trained=tuple(run for run in trained if run.stored.record.cell_id in cells),
        measured=tuple(cost for cost in measured if cost.stored.record.cell_id in cells),
        failed=tuple(stored for stored in failed if stored.record.cell_id in cells),
        left_out=tuple(
            LeftOut(stored=stored, why=NOT_ASKED) for stored in every if stored.record.cell_id not in cells
        ),
    )


def _newest(trained: Sequence[Trained], measured: Sequence[Measured], failed: Sequence[Stored]) -> Chosen:
    runs, old_runs = _split([(run, (run.pair, run.cell.arm)) for run in trained])
    costs, old_costs = _split([(cost, cost.pair) for cost in measured])
    older = (*(run.stored for run in old_runs), *(cost.stored for cost in old_costs))
    return Chosen(
        trained=tuple(runs),
        measured=tuple(costs),
        failed=tuple(failed),
        left_out=tuple(LeftOut(stored=stored, why=OLDER) for stored in older),
    )


def _split(keyed: list[tuple[ItemT, Hashable]]) -> tuple[list[ItemT], list[ItemT]]:
    """Items of the newest configuration of their key, and the others, in the order of arrival."""
    groups: dict[Hashable, list[ItemT]] = defaultdict(list)
    for item, key in keyed:
        groups[key].append(item)
    current = {
        key: max(group, key=lambda item: (item.stored.record.started_at, item.configuration)).configuration
        for key, group in groups.items()
    }
    kept = [item for item, key in keyed if item.configuration == current[key]]
    return kept, [item for item, key in keyed if item.configuration != current[key]]
