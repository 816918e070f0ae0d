"""What points must share to stand in one plot or one ranking, and in what they differ where they do not.

Arms of a pair are compared by `agreement`. Pairs beside one another are compared too, by whoever reads a
plot: there the images, the recipe, the arithmetic and the protocol must agree, and for costs the call too.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from swatbench.report.agreement import changes, shared_facts
from swatbench.report.segmenting import head_of
from swatbench.report.selection import Measured, Trained
from swatbench.spec.dotted import flat

Setting = Mapping[str, Any]
"""Dotted name of a fact → its value."""

ItemT = TypeVar("ItemT")

_OF_THE_MODEL = frozenset({"arm", "parts", "seed", "pair", "kind", "streams"})
"""What of a train cell says which model is trained, not how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alike(Generic[ItemT]):
    """Items that share a setting.

    Attributes:
        items: The items, in their order.
        setting: What they share.
        unlike: In what it differs from the first group's, in words; nothing for the first.
    """

    items: tuple[ItemT, ...]
    setting: Setting
    unlike: str = ""


def grouped(items: Sequence[ItemT], setting_of: Callable[[ItemT], Setting]) -> tuple[Alike[ItemT], ...]:
    """Sort items by setting: the largest group first, of equals the one that begins first.

    Args:
        items: Anything.
        setting_of: What an item must share with others to stand beside them.
    """
    groups: list[tuple[Setting, list[ItemT]]] = []
    for item in items:
        own = setting_of(item)
        found = next((members for setting, members in groups if setting == own), None)
        if found is None:
            groups.append((own, [item]))
        else:
            found.append(item)
    groups.sort(key=lambda group: -len(group[1]))
    return tuple(
        Alike(items=tuple(members), setting=setting, unlike=", ".join(changes(groups[0][0], setting)))
        for setting, members in groups
    )


def trained_in(run: Trained) -> Setting:
    """How a run was trained and tested, whatever its model."""
    cell = shared_facts(run.stored.record.cell)
    facts = {key: value for key, value in cell.items() if key not in _OF_THE_MODEL}
    pair = cell["pair"]
    own = {name: pair[name] for name in ("img_size", "num_classes") if name in pair}
    return flat({**facts, **own, "weights": run.result.weights, "test_images": run.result.test_images})


def head_measured(measured: Measured) -> Setting:
    """Which head was measured, under the names that it has in a run's setting; nothing of classifiers."""
    return flat({"segmentation": head_of(measured.stored.record.cell)})


def measured_in(measured: Measured) -> Setting:
    """In what condition a cost was taken, whatever its model; without the batch, which each call has."""
    result = measured.result
    names = ("device", "dtype", "mode", "layout", "threads", "input_size", "memory_kind")
    accelerator = measured.stored.record.environment.accelerator
    version = measured.stored.record.cell.get("protocol_version")
    return {
        "protocol_version": version,
        "accelerator": accelerator,
        **{name: getattr(result, name) for name in names},
        **head_measured(measured),
    }
