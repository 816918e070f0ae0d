"""Starts a model from the weights of its baseline, and says which parameters had a counterpart.

A SWAT model keeps its baseline's parameters under their names and shapes, so most of a timm checkpoint of the
same size fits. Position embeddings are fitted: rows of class and register tokens are added or left out, and
another grid is interpolated.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from timm.layers.pos_embed import resample_abs_pos_embed
from torch import Tensor, nn

from swatbench.errors import ModelError

PREFIX_TOKENS = ("cls_token", "dist_token", "reg_token")
"""Parameters of timm's ViTs for tokens before the grid, each of which may have rows in `pos_embed`."""
NAMED = 5
"""Parameters that a message names; the rest are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmStart:
    """What became of each parameter.

    Attributes:
        filled: Parameters and buffers of the model that took a value as it was.
        fitted: Position embeddings that took a value cut or interpolated to their size.
        new: Parameters and buffers of the model that kept their initial values.
        unused: Names in the given weights that the model does not have, or has in another shape.
    """

    filled: tuple[str, ...]
    fitted: tuple[str, ...]
    new: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        """The four numbers, with names where there are few."""
        topics = (
            ("filled", self.filled),
            ("fitted", self.fitted),
            ("new", self.new),
            ("unused", self.unused),
        )
        return "; ".join(f"{len(names)} {topic}{_few(names)}" for topic, names in topics)


def warm_start(model: nn.Module, weights: Mapping[str, Tensor]) -> WarmStart:
    """Fill every parameter that the model and the weights share; the classifier only if it fits.

    A position embedding of another number of tokens is taken to be of a square grid. One of as many tokens on
    another grid (4 × 16 for 8 × 8) cannot be told from its shape, and is taken as it is.

    Args:
        model: A timm model, structured or not.
        weights: The state dict of its baseline, as timm gives it.

    Returns:
        Which parameters were filled, fitted, left new and not used.

    Raises:
        ModelError: Nothing is shared, or a shared parameter other than the classifier has another shape, so
            the weights are of a model of another size, or a position embedding is of no square grid; the
            model is left as it was.
    """
    state = model.state_dict()
    shared = [name for name in state if name in weights]
    fitted = {
        name: _fitted(model, state[name], weights)
        for name in shared
        if name == "pos_embed" and state[name].shape != weights[name].shape
    }
    classifier = _classifier(model)
    wrong = [
        name
        for name in shared
        if name not in fitted and name not in classifier and state[name].shape != weights[name].shape
    ]
    if wrong or not shared:
        raise ModelError(_refusal(wrong, state, weights), fix="Give weights of the same timm model.")
    filled = [name for name in shared if name not in fitted and state[name].shape == weights[name].shape]
    model.load_state_dict({name: weights[name] for name in filled} | fitted, strict=False)
    used = {*filled, *fitted}
    return WarmStart(
        filled=tuple(filled),
        fitted=tuple(fitted),
        new=tuple(name for name in state if name not in used),
        unused=tuple(name for name in weights if name not in used),
    )


def _fitted(model: Any, own: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
    """Position embedding (1, P + N, C): rows of the model's own P prefix tokens, and of its grid's N."""
    given = weights["pos_embed"].to(own)
    H, W = model.patch_embed.grid_size
    prefix = own.shape[1] - H * W
    given_prefix = sum(weights[name].shape[1] for name in PREFIX_TOKENS if name in weights)
    side = math.isqrt(given.shape[1] - given_prefix)
    if side**2 != given.shape[1] - given_prefix:  # timm may give prefix tokens no position
        given_prefix, side = 0, math.isqrt(given.shape[1])
    if own.shape[-1] != given.shape[-1] or side**2 != given.shape[1] - given_prefix:
        raise ModelError(
            f"pos_embed of {tuple(given.shape)} fits neither the model's {tuple(own.shape)} nor a square "
            "grid of as many channels.",
            fix="Give weights of the same timm model.",
        )
    grid = given[:, given_prefix:]
    if grid.shape[1] != H * W:
        grid = resample_abs_pos_embed(grid, new_size=[H, W], old_size=[side, side], num_prefix_tokens=0)
    kept = given[:, :given_prefix][:, :prefix]
    return torch.cat((kept, own[:, kept.shape[1] : prefix], grid), dim=1)


def _classifier(model: Any) -> set[str]:
    """Names of the parameters of the classifier, or of the classifiers of a distilled model."""
    heads = model.get_classifier() if hasattr(model, "get_classifier") else ()
    heads = heads if isinstance(heads, tuple) else (heads,)
    owned = {id(value) for head in heads for value in head.parameters()}
    return {name for name, value in model.named_parameters() if id(value) in owned}


def _refusal(wrong: list[str], state: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> str:
    if not wrong:
        return f"The weights and the model share no parameter; the weights hold{_few(tuple(weights))}."
    shapes = [f"{name} {tuple(weights[name].shape)} for {tuple(state[name].shape)}" for name in wrong[:NAMED]]
    return f"{len(wrong)} parameters have other shapes in the weights than in the model: {', '.join(shapes)}."


def _few(names: tuple[str, ...]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f" ({', '.join(names[:NAMED])}{more})"
