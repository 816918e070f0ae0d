"""Checkpoints of the paper's released code, turned into state dicts for our models.

B images, N tokens, C = c·h·w channels, E stem channels; (O, I, k, k) is the weight of a convolution.

Source: the parameter names and shapes of the released code of SWAT (IJCAI 2023).
"""

import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from timm.models.swin_transformer import PatchMerging
from torch import Tensor, nn

from swatbench.errors import ModelError
from swatbench.swat.mixing import StructureAwareLinear

NAMED = 3
"""Parameters of each kind that a message names; the rest are counted."""


class Rename(NamedTuple):
    """Where one kind of parameter is in the release, and where it is here.

    Braces stand for the same text on both sides: one of the names in them, a number for `{i}`, `blocks.0` or
    Swin's `layers.0.blocks.0` for `{block}`.

    Attributes:
        release: Name of the module or parameter in the release.
        ours: Its name here.
        what: What it is.
        pointwise: Whether a 1 × 1 convolution there is a linear map here: (O, I, 1, 1) is viewed as (O, I).
        beside: A module of ours without which the row does not hold.
    """

    release: str
    ours: str
    what: str
    pointwise: bool = False
    beside: str | None = None


_LINEAR_TOKENS = "{block}.linear_tokens"
_MLP = "{block}.{mlp|mlp_tokens|mlp_channels}"
_PROJECTION = "{block}.attn.{qkv|proj}"
_TABLE = "{block}.attn.relative_position_bias_table"

RENAMES: tuple[Rename, ...] = (
    Rename("{patch_embed|stem}.proj21", "{patch_embed|stem}.proj.conv1", "tokenizer's first convolution"),
    Rename("{patch_embed|stem}.proj22", "{patch_embed|stem}.proj.conv2", "tokenizer's second, E → c"),
    Rename("patch_embed.pos_embed2", "patch_embed.proj.pos_embed", "position within the token (DeiT)"),
    Rename("patch_embed.norm2", "patch_embed.proj.norm", "norm over E (Swin)"),
    Rename("patch_embed.norm", "patch_embed.norm", "norm over C (Swin)"),
    Rename("pos_embed", "pos_embed", "position of the token (DeiT)"),
    Rename("{block}.{norm1|norm2}", "{block}.{norm1|norm2}", "norm or Affine before each mixing"),
    Rename("{block}.{ls1|ls2}", "{block}.{ls1|ls2}", "LayerScale after each mixing (ResMLP)"),
    Rename(
        _PROJECTION + "_linear",
        _PROJECTION,
        "structured attention's linear map",
        False,
        _PROJECTION + ".conv",
    ),
    Rename(_PROJECTION, _PROJECTION + ".conv", "structured attention's convolution"),
    Rename(_PROJECTION, _PROJECTION, "plain attention (Swin's shifted blocks)"),
    Rename(_TABLE, _TABLE, "attention's bias for each relative position (Swin)"),
    Rename(_LINEAR_TOKENS + "1", _LINEAR_TOKENS, "linear map over tokens (ResMLP)", pointwise=True),
    Rename(_LINEAR_TOKENS + "2", _LINEAR_TOKENS + ".dwconv", "depthwise convolution in tokens (ResMLP)"),
    Rename(_MLP + ".fc1", _MLP + ".fc1", "an MLP's first linear map", pointwise=True),
    Rename(_MLP + ".fc3", _MLP + ".dwconv", "the depthwise convolution after it"),
    Rename(_MLP + ".fc2", _MLP + ".fc2", "an MLP's second linear map", pointwise=True),
    Rename("layers.{i}.downsample.norm", "layers.{i+1}.downsample.norm_c", "merging's norm over c"),
    Rename("layers.{i}.downsample.reduction", "layers.{i+1}.downsample.conv", "merging's convolution"),
    Rename("norm", "norm", "norm or Affine after the last block"),
    Rename("head", "head", "classifier"),
    Rename("head", "head.fc", "classifier (Swin)"),
)
"""Every kind of parameter of the nine released variants; where two rows have one name of ours, the first that
holds. The release merges at the end of a stage, timm at the start of the next, hence `{i+1}`."""

DROPPED = r"layers\.\d+\.blocks\.\d+\.(attn\.relative_position_index|attn_mask)"
"""Constants beside the parameters in Swin's checkpoints; ours follow from the sizes and are not saved."""

_WRAPPED = ("state_dict", "model")
_WRAPPED_EMA = ("state_dict_ema", "model_ema")
_BRACES = {"block": r"(?:layers\.\d+\.)?blocks\.\d+", "i+1": r"\d+"}
_MARKS = {
    "tokenization": r"\.proj\.conv1\.",
    "token_mixing": r"\.(attn\.qkv\.conv|mlp_tokens\.dwconv|linear_tokens\.dwconv)\.",
    "channel_mixing": r"\.(mlp|mlp_channels)\.dwconv\.",
}
"""Part of SWAT → what some name holds where a model has it."""


def convert_state_dict(
    state: Mapping[str, Any], model: nn.Module, *, use_ema: bool = True
) -> dict[str, Tensor]:
    """Turn a checkpoint of the released code into a state dict for our model of the same variant.

    Every parameter of the model gets a value and every value of the checkpoint has a place, or nothing is
    returned. Values keep their type and share their memory with the checkpoint; `load_state_dict` casts them.

    Args:
        state: Parameter name → value, or a checkpoint that holds one as `state_dict`, `model`,
            `state_dict_ema` or `model_ema`; names may all start with `module.`.
        model: The full `swat` arm of the variant that was trained.
        use_ema: Whether averaged weights are taken where a checkpoint has them, as timm does.

    Returns:
        What `model.load_state_dict(..., strict=True)` takes, in the model's order.

    Raises:
        ModelError: The model lacks a part of SWAT or is of no released family, or names or shapes disagree.
            What leaves no trace in them (heads, pooling, activation) is the model's own and is not checked.
    """
    places, own = _places(model), model.state_dict()
    given = _parameters(state, use_ema=use_ema)
    values = {name: _viewed(given[there], row) for name, (there, row) in places.items() if there in given}
    wrong = [name for name, value in values.items() if not _floats(value) or value.shape != own[name].shape]
    missing = [name for name in own if name not in values]
    unknown = sorted(given.keys() - {there for there, _ in places.values()})
    if wrong or missing or unknown:
        ours = {name: f"ours {name} {tuple(own[name].shape)}" for name in own}
        found = (
            _told("not like ours", [f"{_seen(places[name][0], given)} ({ours[name]})" for name in wrong]),
            _told("missing", [f"{places[name][0]} ({ours[name]})" for name in missing]),
            _told("without a place", [_seen(name, given) for name in unknown]),
        )
        raise ModelError(
            f"The checkpoint does not fit this {type(model).__name__}: {'; '.join(filter(None, found))}.",
            fix=_advice(given, set() if missing or unknown else {places[name][0] for name in wrong}),
        )
    return values


def released_names(model: nn.Module) -> dict[str, str]:
    """Name of each parameter of our model → its name in the release.

    Args:
        model: The full `swat` arm of a released variant.

    Raises:
        ModelError: The model lacks a part of SWAT, or is of no released family.
    """
    return {name: there for name, (there, _) in _places(model).items()}


def _places(model: nn.Module) -> dict[str, tuple[str, Rename]]:
    """Our name → the release's name, and the row that says so."""
    names = model.state_dict().keys()
    _check_structure(model, "\n".join(names))
    found = {name: _place(name, names) for name in names}
    places = {name: place for name, place in found.items() if place is not None}
    if len(places) < len(names):
        raise ModelError(
            f"The release has no such {type(model).__name__}: it knows no "
            f"{_told('parameter', [name for name in names if name not in places])}.",
            fix="Released are DeiT without class token, Mixer, ResMLP and Swin, each with all parts of SWAT.",
        )
    return places


def _place(name: str, names: Collection[str]) -> tuple[str, Rename] | None:
    """What the release calls a parameter of ours, and the first row that holds for it."""
    for row, braces, pattern in _ROWS:
        if found := pattern.fullmatch(name):
            *texts, own = found.groups(default="")
            filled = dict(zip(braces, texts, strict=True))
            if "i+1" in filled:
                filled["i"] = str(int(filled["i+1"]) - 1)
            if row.beside is None or f"{_fill(row.beside, filled)}{own}" in names:
                return f"{_fill(row.release, filled)}{own}", row
    return None


def _row(row: Rename) -> tuple[Rename, list[str], re.Pattern[str]]:
    """A row, the braces in its name of ours, and a pattern whose groups are their texts and `.weight`."""
    pieces = re.split(r"\{([^}]+)\}", row.ours)
    path = (
        f"({_BRACES.get(piece, piece)})" if at % 2 else re.escape(piece) for at, piece in enumerate(pieces)
    )
    return row, pieces[1::2], re.compile("".join(path) + r"(\.(?:weight|bias|alpha|beta))?")


def _fill(template: str, filled: Mapping[str, str]) -> str:
    return re.sub(r"\{([^}]+)\}", lambda brace: filled[brace[1]], template)


_ROWS = tuple(map(_row, RENAMES))


def _check_structure(model: nn.Module, names: str) -> None:
    """Refuse a model that lacks a part of SWAT, or that sums where the release averages."""
    lacking = [part for part, mark in _MARKS.items() if not re.search(mark, names)]
    if any(isinstance(module, PatchMerging) for module in model.modules()):
        lacking.append("merging")
    if lacking:
        raise ModelError(
            f"This {type(model).__name__} has no structured {', '.join(lacking)}; the release has.",
            fix="Build the full `swat` arm of the variant.",
        )
    if any(isinstance(module, StructureAwareLinear) and module.scale != 0.5 for module in model.modules()):
        raise ModelError(
            f"This {type(model).__name__} sums linear map and convolution in attention.",
            fix='Build it with combine="mean", as the release computes it.',
        )


def _parameters(state: Mapping[str, Any], *, use_ema: bool) -> dict[str, Any]:
    """Name → value out of whatever wraps them, without the constants that ours does not keep."""
    state = _unwrapped(state, use_ema=use_ema) if isinstance(state, Mapping) else state
    if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
        raise ModelError(
            "The checkpoint holds no state dict.", fix=f"Known keys: {', '.join((*_WRAPPED, *_WRAPPED_EMA))}."
        )
    prefix = "module." if all(name.startswith("module.") for name in state) else ""
    bare = {name.removeprefix(prefix): value for name, value in state.items()}
    return {name: value for name, value in bare.items() if not re.fullmatch(DROPPED, name)}


def _unwrapped(state: Mapping[str, Any], *, use_ema: bool) -> Mapping[str, Any]:
    held = [key for key in (*_WRAPPED_EMA, *_WRAPPED) if isinstance(state.get(key), Mapping)]
    chosen = [key for key in held if use_ema or key not in _WRAPPED_EMA]
    if held and not chosen:
        raise ModelError(f"The checkpoint holds averaged weights only ({held[0]}).", fix="Set use_ema=True.")
    return state[chosen[0]] if chosen else state


def _viewed(value: Any, row: Rename) -> Any:
    """A value in our shape: 1 × 1 convolutions as linear maps, all else as it is."""
    pointwise = row.pointwise and isinstance(value, Tensor) and value.ndim == 4 and value.shape[2:] == (1, 1)
    return value.flatten(1) if pointwise else value


def _floats(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def _seen(name: str, given: Mapping[str, Any]) -> str:
    """A name of the checkpoint and what stands there: a shape, or what is no value of a parameter."""
    value = given[name]
    if not isinstance(value, Tensor):
        return f"{name} of type {type(value).__name__}"
    return f"{name} {tuple(value.shape)}{'' if value.is_floating_point() else f' of {value.dtype}'}"


def _told(topic: str, names: list[str]) -> str:
    """The first few names of a kind and the number of the rest, or nothing where there are none."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{topic} {', '.join(names[:NAMED])}{more}" if names else ""


def _advice(given: Mapping[str, Any], reshaped: set[str]) -> str:
    """What to do, from the names and from what alone has another shape."""
    if re.search(_MARKS["tokenization"], "\n".join(given)):
        return "These are our own names: give them to load_state_dict as they are."
    if given.keys() & {"patch_embed.proj.weight", "stem.proj.weight"}:
        return "It is a baseline's checkpoint: give it to swatbench.models.warm_start."
    if not all(_floats(given[name]) for name in reshaped):
        return "Parameters must be floating-point tensors."
    if reshaped and reshaped <= {"head.weight", "head.bias"}:
        return "Build the model with the checkpoint's num_classes; reset_classifier changes them afterwards."
    if reshaped == {"pos_embed"}:
        return "Build the model with the checkpoint's img_size; set_input_size changes it afterwards."
    return "Give a whole checkpoint of the same variant."
