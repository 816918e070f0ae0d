"""Which well-formed records a machine's section rests on, and why the others are left out."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from swatbench.report.selection import Measured, Tested, Trained, WellFormed
from swatbench.store.asked import Asked
from swatbench.store.files import Stored

NOT_ASKED = "not asked for by the suite as it is now"
OLDER = "a newer record of the same pair and arm has another configuration"
REPLACED = "a newer record of the same pair, arm and seed has other weights to begin with"
OTHER_TASK = "it is of {own}, and most here is of {most}: the two are never compared"


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
        found: Finished records that are shown.
        failed: Failed cells that are shown.
        left_out: All others.
    """

    found: WellFormed
    failed: tuple[Stored, ...]
    left_out: tuple[LeftOut, ...]


ItemT = TypeVar("ItemT", Trained, Tested, Measured)


def choose(found: WellFormed, failed: Sequence[Stored], asked: Asked | None) -> Chosen:
    """Sort the records of one machine by whether they are shown.

    Args:
        found: Its finished records.
        failed: Its failed cells.
        asked: What its last run asked for: those cells are shown and no others. Where None, the configuration
            of the newest record of each pair and arm is shown, of costs the newest in each condition and at
            each batch and input size, and every failure.
    """
    return _newest(found, failed) if asked is None else _asked(found, failed, asked)


def of_one_task(chosen: Sequence[Chosen]) -> tuple[Chosen, ...]:
    """Leave out what is of another task than most training runs, or where there are none, than most records.

    Args:
        chosen: The records of each machine.
    """
    trained = [item for one in chosen for item in one.found.trained]
    every = [item for one in chosen for item in (*one.found.trained, *one.found.tested, *one.found.measured)]
    most = Counter(item.metric.task for item in trained or every).most_common(1)
    others = {item.stored.folder: item.metric.task for item in every if item.metric.task != most[0][0]}
    return tuple(_without(one, others, most[0][0]) for one in chosen) if others else tuple(chosen)


def _without(chosen: Chosen, others: Mapping[Path, str], most: str) -> Chosen:
    gone = [stored for stored in chosen.found.stored if stored.folder in others]
    told = (LeftOut(stored=one, why=OTHER_TASK.format(own=others[one.folder], most=most)) for one in gone)
    return replace(
        chosen,
        found=chosen.found.where(lambda stored: stored.folder not in others),
        left_out=(*chosen.left_out, *told),
    )


def _asked(found: WellFormed, failed: Sequence[Stored], asked: Asked) -> Chosen:
    cells = frozenset((*asked.cells, *asked.named))

    def wanted(stored: Stored) -> bool:
        return stored.record.cell_id in cells

    return Chosen(
        found=found.where(wanted),
        failed=tuple(stored for stored in failed if wanted(stored)),
        left_out=tuple(
            LeftOut(stored=stored, why=NOT_ASKED) for stored in (*found.stored, *failed) if not wanted(stored)
        ),
    )


def _newest(found: WellFormed, failed: Sequence[Stored]) -> Chosen:
    old_runs = _older([(run, (run.pair, run.cell.arm)) for run in found.trained])
    gone = {run.stored.record.digest for run in old_runs}
    orphans = [test for test in found.tested if test.cell.weights in gone]
    left = [test for test in found.tested if test.cell.weights not in gone]
    old_tests = _older([(test, (test.pair, test.cell.arm, test.test, _origin(test))) for test in left])
    old_costs = [cost for cost in found.measured if any(_replaces(other, cost) for other in found.measured)]
    older = [item.stored for item in (*old_runs, *orphans, *old_tests, *old_costs)]
    folders = {stored.folder for stored in older}
    replaced = _replaced([run for run in found.trained if run.stored.folder not in folders])
    folders |= {stored.folder for stored in replaced}
    return Chosen(
        found=found.where(lambda stored: stored.folder not in folders),
        failed=tuple(failed),
        left_out=(
            *(LeftOut(stored=stored, why=OLDER) for stored in older),
            *(LeftOut(stored=stored, why=REPLACED) for stored in replaced),
        ),
    )


def _replaced(runs: Sequence[Trained]) -> list[Stored]:
    """Runs of one configuration and seed but for the newest: their backbones began with other weights."""
    newest: dict[Hashable, Trained] = {}
    for run in sorted(runs, key=_moment):
        newest[run.pair, run.cell.arm, run.cell.seed] = run
    kept = {run.stored.folder for run in newest.values()}
    return [run.stored for run in runs if run.stored.folder not in kept]


def _replaces(newer: Measured, older: Measured) -> bool:
    """Whether a measurement holds all arms of an older one that was taken at the same.

    One of fewer arms replaces nothing: it would take a comparison away.
    """
    return (
        _moment(newer) > _moment(older)
        and _taken_at(newer) == _taken_at(older)
        and older.cell.arms.keys() <= newer.cell.arms.keys()
    )


def _moment(item: Trained | Tested | Measured) -> tuple[str, str]:
    return item.stored.record.started_at, item.configuration


def _taken_at(cost: Measured) -> Hashable:
    return cost.pair, cost.condition, cost.result.batch_size, cost.result.input_size


def _origin(test: Tested) -> str | None:
    """What tells weights from elsewhere apart, which have no seed."""
    return test.cell.weights if test.cell.seed is None else None


def _older(keyed: list[tuple[ItemT, Hashable]]) -> list[ItemT]:
    """Items whose configuration is not the newest of their key, in the order of arrival."""
    told = [(item, key, item.configuration) for item, key in keyed]
    newest: dict[Hashable, tuple[str, str]] = {}
    for item, key, configuration in told:
        moment = item.stored.record.started_at, configuration
        newest[key] = max(newest.get(key, moment), moment)
    return [item for item, key, configuration in told if configuration != newest[key][1]]
