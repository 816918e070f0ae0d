"""SWAT in plain vision transformers: DeiT, and every timm ViT with a plain patch embedding.

Source: SWAT (IJCAI 2023), sections 3 and 4; sizes of the released DeiT models.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

from torch import nn

from swatbench.models.grid import TokenGrid
from swatbench.models.replace import patch_embedding, structure_attention, structure_mlp, tokenize
from swatbench.swat.geometry import Geometry
from swatbench.swat.mixing import Combine


def structure(model: Any, parts: frozenset[str], g: Geometry, combine: Combine) -> None:
    """Give a ViT structured parts, in place.

    Class and register tokens have no place in the grid: channel mixing lets them take the plain MLP's way.

    Args:
        model: timm's VisionTransformer (distilled and relative-position forms too) or Eva.
        parts: SWAT parts.
        g: Sizes.
        combine: How linear map and convolution meet in attention.

    Raises:
        ValueError: A layer or size does not fit.
    """
    embed = patch_embedding(model)
    if "tokenization" in parts:
        tokenize(embed, g, overlap=True, position=getattr(model, "pos_embed", None) is not None)
        model.no_weight_decay = partial(_without_decay, model.no_weight_decay())
    if parts & {"token_mixing", "channel_mixing"}:
        _check_blocks(model)
    if "token_mixing" in parts:
        kernel = g.token_kernel_at(0, g.alpha)
        for holder in _holders(model, "attn"):
            structure_attention(holder.attn, g.alpha, kernel=kernel, combine=combine)
    if "channel_mixing" in parts:
        _mix_channels(model, embed, g)


def _mix_channels(model: Any, embed: Any, g: Geometry) -> None:
    if not isinstance(getattr(model, "patch_drop", None), nn.Identity | None):
        raise ValueError(  # noqa: TRY004 (a size that does not fit, not a wrong type)
            "patch_drop_rate removes tokens, so that no grid is left to convolve over"
        )
    kernel = g.grid_kernel_at(0, g.grid(embed.patch_size[0], embed.grid_size))
    grid = TokenGrid(embed, dynamic=getattr(model, "dynamic_img_size", False))
    for holder in _holders(model, "mlp"):
        holder.mlp = structure_mlp(
            holder.mlp, kernel=kernel, positions=grid, prefix=getattr(model, "num_prefix_tokens", 0)
        )


def _check_blocks(model: Any) -> None:
    for block in model.blocks:
        if not _inside(block, "attn") or not _inside(block, "mlp"):
            raise ValueError(f"{type(block).__name__} has no attention and MLP of its own to be structured")


def _holders(model: Any, name: str) -> Iterator[Any]:
    """The modules that hold an `attn` or `mlp`."""
    for block in model.blocks:
        yield from _inside(block, name)


def _inside(block: Any, name: str) -> list[Any]:
    """A block itself, or the branches of a parallel one."""
    branches = (block, *getattr(block, "attns", ()), *getattr(block, "ffns", ()))
    return [branch for branch in branches if getattr(branch, name, None) is not None]


def _without_decay(own: set[str]) -> set[str]:
    """Names exempt from weight decay: the model's own and the position within the token."""
    return {*own, "patch_embed.proj.pos_embed"}
