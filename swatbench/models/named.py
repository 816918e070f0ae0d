"""Any model by its name: the catalogue's, timm's, one of a Hub or a local folder, or what a factory makes.

Shapes: images (B, C, H, W), logits (B, classes). Weights are drawn at random, and none are fetched: cost does
not depend on them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Any

import timm
import torch
from timm.layers.config import set_fused_attn
from timm.models import resolve_model_input_args
from torch import nn

from swatbench.errors import MachineError, ModelError
from swatbench.models.build import create_model
from swatbench.models.factory import FORM, import_module, make_model, own_size, reason, require_new
from swatbench.models.logits import UNFIT, classes_of, unfit
from swatbench.spec.catalog import ARMS, PAIRS, arms_of, find_model, model_name, parts_of, suggest

SOURCES = ("hf-hub:", "hf_hub:", "local-dir:")
"""Beginnings by which timm knows models that are not in its registry."""
USUAL_CLASSES = 1000
"""Classes of a model that states none, as one that was made for features alone."""

_CATALOGUE: Mapping[str, tuple[str, str]] = MappingProxyType(
    {model_name(pair, arm): (pair.name, arm) for pair, arm in product(PAIRS.values(), ARMS)}
)
"""Names that are the catalogue's to answer for, those of arms that a pair lacks included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedModel:
    """A model that was found by its name, and that gives logits for images of this size.

    Attributes:
        name: What it was asked for by, and what `build_named` takes.
        pair: The catalogue's row, whole; of a model from elsewhere a short name and its images' height.
        arm: The arm of that pair; of a model from elsewhere its short name, which holds no folder.
        parts: Parts of SWAT that the arm applies.
        catalogued: Whether it is the catalogue's.
        own_size: C, H and W that it is made for.
        input_size: C, H and W that it is to be measured with.
        num_classes: Classes of its logits.
    """

    name: str
    pair: dict[str, Any]
    arm: str
    parts: tuple[str, ...]
    catalogued: bool
    own_size: tuple[int, int, int]
    input_size: tuple[int, int, int]
    num_classes: int


def find_named(
    name: str, *, size: tuple[int, int] | None = None, num_classes: int | None = None
) -> NamedModel:
    """Find a model by its name, build it, and see that it gives logits.

    Args:
        name: A name of the catalogue (`swat_swin_t`), timm's name with or without a tag, `hf-hub:org/model`,
            `local-dir:folder`, or `package.module:factory`.
        size: H and W of the images; None for what the model is made for.
        num_classes: Classes of the logits; None for the model's own.

    Raises:
        ModelError: There is no such model, it cannot be made, or does not take images of that size, or what
            it gives are no logits of so many classes.
        MachineError: The Hub cannot be reached.
    """
    own, classes = _made_for(name)
    input_size = own if size is None else (own[0], *size)
    build = partial(
        build_named,
        name,
        num_classes=num_classes or classes or USUAL_CLASSES,
        seed=0,
        fused_attention=False,
        input_size=input_size,
    )
    given = classes_of(build, name, input_size)
    if num_classes not in (None, given):
        raise ModelError(
            f"It tells {given} classes apart, and not the {num_classes} that were asked for.",
            where=name,
            fix=f"Ask for {given}, or make it with {num_classes}.",
        )
    pair, arm, parts = _row(name, input_size)
    return NamedModel(
        name=name,
        pair=pair,
        arm=arm,
        parts=parts,
        catalogued=name in _CATALOGUE,
        own_size=own,
        input_size=input_size,
        num_classes=given,
    )


def build_named(
    name: str, *, num_classes: int, seed: int, fused_attention: bool, input_size: tuple[int, int, int]
) -> nn.Module:
    """Build a model that `find_named` has found, on the CPU in float32 with weights drawn at random.

    A model of the catalogue keeps the kernels of the size that it is designed for, whatever images it takes.

    Args:
        name: As `find_named` takes it.
        num_classes: Size of the classifier; a factory decides for itself.
        seed: Seed of the initial values.
        fused_attention: Whether timm's attention calls the fused kernel.
        input_size: C, H and W of the images.

    Raises:
        ModelError: The model cannot be made, or does not take images of that size.
        MachineError: The Hub cannot be reached.
    """
    set_fused_attn(fused_attention)
    if _is_factory(name):
        return make_model(name, seed=seed)
    torch.manual_seed(seed)
    if name in _CATALOGUE:
        pair, arm = find_model(name)
        create = partial(create_model, pair.as_dict(), parts_of(pair, arm), img_size=input_size[1:])
        return _created(create, name, input_size, num_classes)
    arguments = _timm_arguments(name)
    if _own_size_of(arguments) != input_size:
        arguments = _timm_arguments(name, img_size=input_size[1:])
    return _created(partial(timm.create_model, **arguments), name, input_size, num_classes)


def import_code(name: str) -> None:
    """Import what a model's factory is written in, so that no later measurement holds the import.

    Args:
        name: As `find_named` takes it; of one that is no factory's nothing is imported.

    Raises:
        ModelError: There is no such module, or its code fails.
    """
    if _is_factory(name):
        import_module(name)


def _is_factory(name: str) -> bool:
    return ":" in name and not name.startswith(SOURCES)


def _made_for(name: str) -> tuple[tuple[int, int, int], int | None]:
    """C, H and W that a model is made for, and its classes where they are known."""
    if name in _CATALOGUE:
        pair, _ = find_model(name)
        return (3, pair.img_size, pair.img_size), pair.num_classes
    if _is_factory(name):
        model = make_model(name)
        require_new(model, make_model(name), name)
        return own_size(model), None
    arguments = _timm_arguments(name)
    return _own_size_of(arguments), arguments["pretrained_cfg"].get("num_classes")


def _row(name: str, input_size: tuple[int, int, int]) -> tuple[dict[str, Any], str, tuple[str, ...]]:
    if name in _CATALOGUE:
        pair, arm = find_model(name)
        return pair.as_dict(), arm, parts_of(pair, arm)
    label = _label(name)
    return {"name": label, "img_size": input_size[1]}, label, ()


def _label(name: str) -> str:
    """A short name without folders, which may name their user; a slash would part the names of arrays."""
    if not name.startswith(SOURCES):
        return name
    source, _, place = name.partition(":")
    return Path(place).resolve().name if source == "local-dir" else place.rpartition("/")[2]


def _timm_arguments(name: str, **wanted: Any) -> dict[str, Any]:
    """What `timm.create_model` takes for a model, its `pretrained_cfg` and saved arguments among it."""
    if not name.startswith(SOURCES):
        _require_registered(name)
    try:
        return resolve_model_input_args(name, wanted)
    except OSError as error:
        if name.startswith("local-dir:"):
            fix = "Name a folder with a config.json, as timm saves models."
            raise ModelError(f"The folder cannot be read: {reason(error)}.", where=name, fix=fix) from error
        raise MachineError(
            f"The Hub gives no model {name!r}: {reason(error)}.",
            fix="Look at the id and at the network; or fetch it elsewhere and name its folder (local-dir:).",
        ) from error
    except UNFIT as error:
        raise ModelError(f"timm cannot make it: {reason(error)}.", where=name) from error


def _require_registered(name: str) -> None:
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        raise ModelError(f"Unknown model {name!r}.", fix=_nearest(name, architecture))
    tags = [one.partition(".")[2] for one in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        has = f"Its tags: {', '.join(tags)}." if tags else "It has none."
        raise ModelError(f"{architecture} has no tag {tag!r}.", fix=has)


def _nearest(name: str, architecture: str) -> str:
    """What may have been meant by a name that neither the catalogue nor timm has."""
    if "/" in name:
        return f"Write hf-hub:{name} for a model of the Hub, or local-dir:{name} for a folder."
    ours = {model_name(pair, arm): pair for pair in PAIRS.values() for arm in arms_of(pair)}
    known = dict.fromkeys((*ours, *timm.list_models()))
    far = f"`swatbench models` and `timm.list_models()` list the known ones. For a model of your own: {FORM}"
    return suggest(architecture, known, far=far)


def _own_size_of(arguments: Mapping[str, Any]) -> tuple[int, int, int]:
    channels, height, width = arguments["pretrained_cfg"].get("input_size") or (3, 224, 224)
    size = arguments.get("img_size", (height, width))
    return (channels, size, size) if isinstance(size, int) else (channels, *size)


def _created(
    create: Callable[..., nn.Module], name: str, input_size: tuple[int, int, int], num_classes: int
) -> nn.Module:
    try:
        return create(num_classes=num_classes)
    except UNFIT as error:
        raise unfit(name, input_size, error) from error
