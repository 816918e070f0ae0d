"""Any model by its name: the catalogue's, timm's, one of a Hub or a local folder, or what a factory makes.

Shapes: images (B, C, H, W), logits (B, classes). Weights are drawn at random, and none are fetched: cost does
not depend on them.
"""

import hashlib
from collections.abc import Mapping
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
from swatbench.models import factory
from swatbench.models.build import create_model
from swatbench.models.factory import FORM, is_factory, make_model, reason
from swatbench.models.fold import fold_attention
from swatbench.models.logits import UNFIT, classes_of, created
from swatbench.spec.catalog import ARMS, PAIRS, arms_of, find_model, model_name, parts_of, suggest
from swatbench.swat.mixing import Fused

LOCAL = "local-dir:"
"""Before a folder that holds a model's configuration."""
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
        name: What it is recorded by, and what `build_named` takes: what it was asked for by, or of a folder
            its last part with the first digits of its configuration's SHA-256.
        place: The folder, which `build_named` needs besides; None for a model from elsewhere.
        pair: The catalogue's row, whole; of a model from elsewhere a short name and its images' height.
        arm: The arm of that pair; of a model from elsewhere its short name, which holds no folder.
        parts: Parts of SWAT that the arm applies.
        catalogued: Whether it is the catalogue's.
        own_size: C, H and W that it is made for.
        input_size: C, H and W that it is to be measured with.
        num_classes: Classes of its logits.
    """

    name: str
    place: str | None
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
    given = classes_of(build, name, input_size, whole_patches=input_size != own)
    if num_classes not in (None, given):
        raise ModelError(
            f"It tells {given} classes apart, and not the {num_classes} that were asked for.",
            where=name,
            fix=f"Ask for {given}, or make it with {num_classes}.",
        )
    pair, arm, parts = _row(name, input_size)
    recorded, place = _recorded(name)
    return NamedModel(
        name=recorded,
        place=place,
        pair=pair,
        arm=arm,
        parts=parts,
        catalogued=name in _CATALOGUE,
        own_size=own,
        input_size=input_size,
        num_classes=given,
    )


def is_catalogued(name: str) -> bool:
    """Whether a name is that of an arm of the catalogue."""
    return name in _CATALOGUE


def build_named(
    name: str,
    *,
    num_classes: int,
    seed: int,
    fused_attention: bool,
    input_size: tuple[int, int, int],
    place: str | None = None,
    fused_swat: Fused = "auto",
    fold: bool = False,
) -> nn.Module:
    """Build a model that `find_named` has found, on the CPU in float32 with weights drawn at random.

    A model of the catalogue keeps the kernels of the size that it is designed for, whatever images it takes.

    Args:
        name: As `find_named` takes it, or as it names what it has found.
        num_classes: Size of the classifier; a factory decides for itself.
        seed: Seed of the initial values.
        fused_attention: Whether timm's attention calls the fused kernel.
        input_size: C, H and W of the images.
        place: The folder that holds its configuration, where the name does not say it.
        fused_swat: Whether structured layers of the catalogue's models compute by fused forms.
        fold: Whether attention's structured projections become plain linear maps, for inference alone.

    Raises:
        ModelError: The model cannot be made, or does not take images of that size.
        MachineError: The Hub cannot be reached.
    """
    set_fused_attn(fused_attention)
    if is_factory(name):
        return make_model(name, seed=seed)
    torch.manual_seed(seed)
    if name in _CATALOGUE:
        pair, arm = find_model(name)
        row, parts = pair.as_dict(), parts_of(pair, arm)
        create = partial(create_model, row, parts, fused_swat=fused_swat, img_size=input_size[1:])
        model = created(create, name, input_size, num_classes)
        return fold_attention(model) if fold else model
    arguments = _timm_arguments(name, place)
    if _own_size_of(arguments) != input_size:
        arguments = _timm_arguments(name, place, img_size=input_size[1:])
    return created(partial(timm.create_model, **arguments), name, input_size, num_classes)


def _made_for(name: str) -> tuple[tuple[int, int, int], int | None]:
    """C, H and W that a model is made for, and its classes where they are known."""
    if name in _CATALOGUE:
        pair, _ = find_model(name)
        return (3, pair.img_size, pair.img_size), pair.num_classes
    if is_factory(name):
        model = make_model(name)
        factory.require_new(model, make_model(name), name)
        return factory.own_size(model), None
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
    if is_factory(name) or ":" not in name:
        return name
    if name.startswith(LOCAL):
        return Path(name.removeprefix(LOCAL)).resolve().name
    return name.rpartition("/")[2]


def _recorded(name: str) -> tuple[str, str | None]:
    """The name that a record keeps, and the folder of a model that is in one."""
    if not name.startswith(LOCAL):
        return name, None
    place = Path(name.removeprefix(LOCAL)).resolve()
    digest = hashlib.sha256((place / "config.json").read_bytes()).hexdigest()
    return f"{LOCAL}{_label(name)}@{digest[:10]}", str(place)


def _timm_arguments(name: str, place: str | None = None, **wanted: Any) -> dict[str, Any]:
    """What `timm.create_model` takes for a model, its `pretrained_cfg` and saved arguments among it."""
    if ":" not in name:
        _require_registered(name)
    try:
        return resolve_model_input_args(name if place is None else f"{LOCAL}{place}", wanted)
    except OSError as error:
        if name.startswith(LOCAL):
            what = f"The folder cannot be read: {error.strerror or 'it holds no config.json'}."
            fix = "Name a folder with a config.json, as timm saves models."
            raise ModelError(what, where=name, fix=fix) from error
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
