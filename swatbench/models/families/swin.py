"""SWAT in Swin Transformer.

Source: SWAT (IJCAI 2023), sections 3 and 4; sizes of the released models.
"""

from typing import Any

import torch
from timm.models.swin_transformer import PatchMerging, SwinTransformerBlock

from swatbench.models.replace import patch_embedding, structure_attention, structure_mlp, tokenize
from swatbench.swat.geometry import Geometry, token_image
from swatbench.swat.merging import StructureAwareMerging
from swatbench.swat.mixing import Combine

Grid = tuple[int, int]


class StructuredSwinBlock(SwinTransformerBlock):
    """timm's block, whose MLP sees the tokens as the image that they are, whatever its size."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, H, W, C) → (B, H, W, C)."""
        x = x + self.drop_path1(self._attn(self.norm1(x)))
        return x + self.drop_path2(self.mlp(self.norm2(x)))


def structure(model: Any, parts: frozenset[str], g: Geometry, combine: Combine) -> None:
    """Give a Swin structured parts, in place.

    Attention is structured in the blocks whose windows are not shifted: the even ones, and both of a stage
    whose grid fits one window. Which those are is decided at the size that the model is designed for.

    Args:
        model: timm's SwinTransformer.
        parts: SWAT parts.
        g: Sizes.
        combine: How linear map and convolution meet in attention.

    Raises:
        ValueError: A layer or size does not fit.
    """
    embed = patch_embedding(model)
    if "tokenization" in parts:
        tokenize(embed, g, overlap=False, position=False)
    grid = g.grid(embed.patch_size[0], embed.grid_size)
    side = g.alpha
    for stage, layer in enumerate(model.layers):
        if isinstance(layer.downsample, PatchMerging | StructureAwareMerging):
            if "merging" in parts:
                layer.downsample = _merging(layer.downsample, side, g.merge_kernel_at(stage - 1, side))
            side, grid = 2 * side, _halved(grid)
        window = model._ref_window_sizes[stage]  # noqa: SLF001 (a block's own is cut to the grid it is built for)
        for block in layer.blocks:
            if "token_mixing" in parts and not _shifted(block, grid, window):
                kernel = g.token_kernel_at(stage, side)
                structure_attention(block.attn, side, kernel=kernel, combine=combine)
            if "channel_mixing" in parts:
                block.mlp = structure_mlp(block.mlp, kernel=g.grid_kernel_at(stage, grid), positions=None)
                block.__class__ = StructuredSwinBlock


def _shifted(block: Any, grid: Grid, window: Grid) -> bool:
    """Whether the block's windows are shifted on this grid: never where one window covers it."""
    covered = grid[0] <= window[0] and grid[1] <= window[1]
    return any(block.target_shift_size) and (block.always_partition or not covered)


def _halved(grid: Grid) -> Grid:
    return (grid[0] + 1) // 2, (grid[1] + 1) // 2


def _merging(downsample: Any, side: int, kernel: int) -> StructureAwareMerging:
    if type(downsample) is not PatchMerging:
        raise ValueError("its merging is structured already")
    if downsample.out_dim != 2 * downsample.dim:
        raise ValueError(
            f"merging from {downsample.dim} to {downsample.out_dim} channels does not double them"
        )
    norm: Any = downsample.norm
    return StructureAwareMerging(
        token_image(downsample.dim, side),
        kernel=kernel,
        norm_eps=norm.eps,
        device=downsample.reduction.weight.device,
        dtype=downsample.reduction.weight.dtype,
    )
