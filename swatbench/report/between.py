"""Two folders of results → what changed from the first to the second, with what could not be compared.

The sides may be two machines, two checkouts or two commits. What they are is told, never guessed: a change is
one between two sides, and where they differ in several things, no number here says which of these made it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from swatbench.report.between_accuracy import AccuracyChange, NotCompared, accuracy_changes
from swatbench.report.between_costs import CostChanges, cost_changes
from swatbench.report.between_sides import Fact, Side, facts, read_sides
from swatbench.report.selection import Trained


@dataclass(frozen=True, slots=True, kw_only=True)
class OneSided:
    """Cells that one side has and the other has not.

    Attributes:
        side: `A` or `B`, the one that has them.
        kind: `training`, `test on` a set, or `cost`.
        pair: Name of the pair.
        arm: The arm.
        seeds: Seeds; empty for cost.
    """

    side: str
    kind: str
    pair: str
    arm: str
    seeds: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Between:
    """What changed from one side to the other.

    Attributes:
        before: The first side, A.
        after: The second side, B.
        facts: What the two are.
        accuracy: Changes of accuracy.
        costs: Changes of cost.
        refused: What both sides have and what could not be compared.
        one_sided: What only one side has.
    """

    before: Side
    after: Side
    facts: tuple[Fact, ...]
    accuracy: tuple[AccuracyChange, ...]
    costs: CostChanges
    refused: tuple[NotCompared, ...]
    one_sided: tuple[OneSided, ...]

    @property
    def sides(self) -> tuple[tuple[str, Side], ...]:
        """Both sides with their names."""
        return ("A", self.before), ("B", self.after)

    @property
    def compared(self) -> bool:
        """Whether anything was compared."""
        return bool(self.accuracy or self.costs.counts or self.costs.times or self.costs.memories)


def compare_folders(before: Path, after: Path) -> Between:
    """Compare two folders of results.

    Args:
        before: A machine's folder, or that of a suite with one machine.
        after: Another such folder.

    Raises:
        StoreError: A folder holds no results.
        SuiteError: A folder is not one machine's, or both are the same.
    """
    return compare_sides(*read_sides(before, after))


def compare_sides(before: Side, after: Side) -> Between:
    """Compare what two machines' folders show."""
    accuracy, refused = accuracy_changes(before, after)
    costs = cost_changes(before, after)
    return Between(
        before=before,
        after=after,
        facts=facts(before, after),
        accuracy=accuracy,
        costs=costs,
        refused=(*refused, *costs.refused),
        one_sided=(*_only("A", before, after), *_only("B", after, before)),
    )


def _only(name: str, side: Side, other: Side) -> Iterator[OneSided]:
    """What this side has and the other has not."""
    theirs = _seeds(other)
    for (kind, pair, arm), seeds in _seeds(side).items():
        alone = seeds - theirs.get((kind, pair, arm), set())
        if alone:
            yield OneSided(side=name, kind=kind, pair=pair, arm=arm, seeds=tuple(sorted(alone)))
    measured = {(cost.pair, arm) for cost in other.chosen.found.measured for arm in cost.cell.arms}
    lonely = {(cost.pair, arm): None for cost in side.chosen.found.measured for arm in cost.cell.arms}
    for pair, arm in (key for key in lonely if key not in measured):
        yield OneSided(side=name, kind="cost", pair=pair, arm=arm, seeds=())


def _seeds(side: Side) -> dict[tuple[str, str, str], set[int]]:
    """Kind, pair and arm → seeds of its training runs, and of its tests by test set."""
    found: dict[tuple[str, str, str], set[int]] = {}
    for item in (*side.chosen.found.trained, *side.chosen.found.tested):
        kind = "training" if isinstance(item, Trained) else f"test on {item.test}"
        if item.cell.seed is not None:
            found.setdefault((kind, item.pair, item.cell.arm), set()).add(item.cell.seed)
    return found
