"""Models that a user names, one or two, as cells that measure their cost."""

from collections.abc import Callable, Mapping
from typing import Any

from swatbench.cell.machine import resolve_cost
from swatbench.errors import ModelError
from swatbench.models.named import NamedModel, find_named
from swatbench.spec.catalog import PAIRS, find_model, parts_of
from swatbench.spec.cells import CostCell, Machine
from swatbench.spec.expand import cost_cells
from swatbench.spec.request import ProfileRequest
from swatbench.spec.segmentation import Segmentation
from swatbench.spec.sources import SOURCES
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
    find = _find if request.segmentation is None else _find_backbone
    models = tuple(find(name, request) for name in request.models)
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
        segmentation=_segmentation(models, request.segmentation),
    )
    return machine, cells, places


def _find(name: str, request: ProfileRequest) -> NamedModel:
    return find_named(name, size=request.size, num_classes=request.num_classes)


def _find_backbone(name: str, request: ProfileRequest) -> NamedModel:
    """A model of the catalogue, for the head that a segmenter has."""
    assert request.segmentation is not None
    pair, arm = find_model(name)
    side = request.segmentation.crop_size
    input_size = (3, *(request.size or (side, side)))
    return NamedModel(
        name=name,
        place=None,
        pair=pair.as_dict(),
        arm=arm,
        parts=parts_of(pair, arm),
        catalogued=True,
        own_size=input_size,
        input_size=input_size,
        num_classes=request.num_classes or SOURCES["ade20k"].num_classes,
    )


def _segmentation(models: tuple[NamedModel, ...], asked: Segmentation | None) -> Segmentation | None:
    """How all of the models segment, with nothing left open."""
    if asked is None:
        return None
    decided = [asked.of(PAIRS[one.pair["name"]]) for one in models]
    for model, own in zip(models, decided, strict=True):
        if own.head != decided[0].head:
            raise ModelError(
                f"{models[0].name} takes the head {decided[0].head}, and {model.name} {own.head}.",
                fix="Compare models of one family, or two with stages.",
            )
    # How they are tested is no part of what they cost.
    return decided[0].model_copy(update={"tests": asked.tests})


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
