"""Who has a model's parameters and MACs: rows of modules that stand in the same place."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from swatbench.measure.parts import part_of, place_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleCounts:
    """Parameters and MACs of the modules that share a place, a class and a part, without those inside them.

    Attributes:
        place: Path in the model with `*` for every number; empty for the model itself.
        kind: Class of the modules.
        part: Part of the model that they belong to.
        copies: How many they are.
        params: Parameters that they hold themselves; one that is shared belongs to the first that holds it.
        macs: MACs of one image's forward pass that they do themselves.
    """

    place: str
    kind: str
    part: str
    copies: int
    params: int
    macs: int


def count_modules(model: nn.Module, macs: Mapping[str, int]) -> tuple[ModuleCounts, ...]:
    """Rows of a model's modules, in the order in which their places first appear.

    The rows' sums are the model's parameters and MACs; rows that have neither are left out.

    Args:
        model: The model.
        macs: Path of a module → MACs of it and of all modules inside it; a module that stands in several
            places has the first one's path.
    """
    own_params, own_macs = _own_params(model), _own(macs)
    rows: dict[tuple[str, str, str], list[tuple[int, int]]] = defaultdict(list)
    for path, module in model.named_modules():
        row = (place_of(path), type(module).__name__, part_of(path))
        rows[row].append((own_params[path], own_macs.get(path, 0)))
    counted = (
        ModuleCounts(
            place=place,
            kind=kind,
            part=part,
            copies=len(modules),
            params=sum(params for params, _ in modules),
            macs=sum(macs for _, macs in modules),
        )
        for (place, kind, part), modules in rows.items()
    )
    return tuple(row for row in counted if row.params or row.macs)


def _own_params(model: nn.Module) -> dict[str, int]:
    seen: set[nn.Parameter] = set()
    own = {}
    for path, module in model.named_modules():
        new = set(module.parameters(recurse=False)) - seen
        own[path] = sum(parameter.numel() for parameter in new)
        seen |= new
    return own


def _own(totals: Mapping[str, int]) -> dict[str, int]:
    """Take from each module's total those of the modules directly inside it."""
    own = dict(totals)
    for path, total in totals.items():
        if path:
            own[path.rpartition(".")[0]] -= total
    return own
