"""Models that a user names, one or two, as cells that measure their cost."""

from collections.abc import Callable, Mapping
from typing import Any

from swatbench.cell.machine import resolve_cost
from swatbench.errors import ModelError
from swatbench.models.named import NamedModel, find_named
from swatbench.spec.cells import CostCell, Machine
from swatbench.spec.expand import cost_cells
from swatbench.spec.request import ProfileRequest
from swatbench.store.cost import TWIN
from swatbench.store.provenance import usable_cores

_BY = "Say by {} what both are to be measured with."


def cells_of(request: ProfileRequest) -> tuple[Machine, tuple[CostCell, ...], Mapping[str, str]]:
    """Find the models, and say what is measured of them on this machine.

    Two arms of one pair of the catalogue are cells of that pair; other models are one of their own.

    Args:
        request: What is asked.

    Returns:
        What the machine decided, the cells, and the folders of the models that lie in one, by the names that
        the cells have for them; records keep no folder.

    Raises:
        ModelError: A model is unknown or does not fit what is asked, or two differ in what they are made for.
        MachineError: The device is not here, or the Hub cannot be reached.
    """
    models = tuple(
        find_named(name, size=request.size, num_classes=request.num_classes) for name in request.models
    )
    _require_alike(
        models,
        "images of",
        'Compare models of as many channels; yours may state default_cfg = {"input_size": (C, H, W)}.',
        lambda one: _counted(one.input_size[0], "channel"),
    )
    _require_alike(
        models, "images of", _BY.format("--size"), lambda one: " × ".join(map(str, one.input_size))
    )
    _require_alike(
        models, "logits of", _BY.format("--classes"), lambda one: _counted(one.num_classes, "class", "es")
    )
    pair, arms, names = _row(models)
    machine = resolve_cost(request.execution, request.cost, num_classes=models[0].num_classes)
    places = {one.name: one.place for one in models if one.place is not None}
    cells = cost_cells(
        pair,
        arms,
        cost=request.cost,
        machine=machine,
        cores=usable_cores(),
        input_size=models[0].input_size,
        models=names,
    )
    return machine, cells, places


def _counted(number: int, unit: str, plural: str = "s") -> str:
    return f"{number} {unit}{plural if number != 1 else ''}"


def _require_alike(
    models: tuple[NamedModel, ...], what: str, fix: str, of: Callable[[NamedModel], str]
) -> None:
    first, *others = models
    for other in others:
        if of(first) != of(other):
            raise ModelError(
                f"{first.name} is made for {what} {of(first)}, and {other.name} for {what} {of(other)}.",
                fix=fix,
            )


def _row(
    models: tuple[NamedModel, ...],
) -> tuple[dict[str, Any], dict[str, tuple[str, ...]], dict[str, str]]:
    """Pair, arms and names of a cell; an arm has a name where it is no arm of the pair as it stands."""
    first = models[0]
    if all(one.catalogued and one.pair == first.pair for one in models):
        other_size = first.input_size != first.own_size
        names = {one.arm: one.name for one in models} if other_size else {}
        return first.pair, {one.arm: one.parts for one in models}, names
    labels = _labels(models)
    row = {"name": " against ".join(labels), "img_size": first.input_size[1]}
    return (
        row,
        dict.fromkeys(labels, ()),
        dict(zip(labels, (one.name for one in models), strict=True)),
    )


def _labels(models: tuple[NamedModel, ...]) -> tuple[str, ...]:
    """Short names of the models as arms, no two alike and none reserved."""
    labels = [one.name if one.catalogued else one.arm for one in models]
    labels = [f"{label} (model)" if label == TWIN else label for label in labels]
    if len(set(labels)) < len(labels):
        labels = [f"{label} ({number})" for number, label in enumerate(labels, start=1)]
    return tuple(labels)
