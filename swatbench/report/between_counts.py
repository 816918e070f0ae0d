"""Two sides → parameters and MACs of each arm, which are exact and either equal or changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from swatbench.report.between_accuracy import NotCompared
from swatbench.report.between_sides import Side
from swatbench.report.conditions import input_of
from swatbench.report.segmenting import head_of
from swatbench.spec.dotted import flat
from swatbench.store.cost import ArmCost

_SEGMENTS = ", segmenting by "


@dataclass(frozen=True, slots=True, kw_only=True)
class CountChange:
    """A count on both sides.

    Attributes:
        pair: Name of the pair.
        arm: The arm.
        quantity: `parameters` or `MACs`.
        before: On the first side.
        after: On the second.
        agree: Whether two counters agreed on both sides, where there are two.
    """

    pair: str
    arm: str
    quantity: str
    before: int
    after: int
    agree: bool


def count_changes(before: Side, after: Side, refused: list[NotCompared]) -> tuple[CountChange, ...]:
    """Counts of the arms that both sides measured with images of one size, in whatever condition.

    Args:
        before: The first side.
        after: The second.
        refused: What could not be compared is added to it.
    """
    ours, theirs = _counted(before), _counted(after)
    found: list[CountChange] = []
    for pair, arm in (key for key in ours if key in theirs):
        shared = [size for size in ours[pair, arm] if size in theirs[pair, arm]]
        if shared:
            one, other = ours[pair, arm][shared[0]], theirs[pair, arm][shared[0]]
            found += _of_arm(pair, arm, one, other)
        else:
            sizes = " and ".join(next(iter(side[pair, arm])) for side in (ours, theirs))
            why = f"the images, the classes or the head differ ({sizes})"
            why = why if _SEGMENTS in sizes else f"the images or the classes differ ({sizes})"
            refused.append(NotCompared(pair=pair, arm=arm, seeds=(), what="counts", why=why))
    return tuple(found)


def _counted(side: Side) -> dict[tuple[str, str], dict[str, ArmCost]]:
    """Pair and arm → size of the images and number of classes in words → the arm's cost."""
    found: dict[tuple[str, str], dict[str, ArmCost]] = {}
    for measured in side.chosen.found.measured:
        cell = measured.stored.record.cell
        size = f"{input_of(measured.result)}, {cell.get('num_classes')} classes{_with_head(cell)}"
        for cost in measured.result.arms:
            found.setdefault((measured.pair, cost.arm), {}).setdefault(size, cost)
    return found


def _with_head(cell: Mapping[str, Any]) -> str:
    """The head of a segmenter, in words; an empty text for a classifier."""
    facts = flat(head_of(cell))
    told = ", ".join(f"{name} {value}" for name, value in facts.items())
    return f"{_SEGMENTS}{told}" if told else ""


def _of_arm(pair: str, arm: str, one: ArmCost, other: ArmCost) -> Sequence[CountChange]:
    agree = one.macs_agree and other.macs_agree
    values = (("parameters", one.params, other.params, True), ("MACs", one.macs, other.macs, agree))
    return [
        CountChange(pair=pair, arm=arm, quantity=name, before=before, after=after, agree=known)
        for name, before, after, known in values
    ]
