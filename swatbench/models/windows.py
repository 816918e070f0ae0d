"""Swin's windows on grids of any size, as published segmenters have them.

A grid that no whole number of windows covers is padded. timm's block shifts the grid first and pads it then,
so that the rows which the shift carries from one edge of the image to the other lie before the padding, and
the mask that is meant to part them from their new neighbours lies on the padding. At a classifier's size
nothing is padded, and the two agree; at 512 × 512 every stage is. Here the grid is padded first.

B images, tokens (B, H, W, C) in windows of h × w.

Source: Liu et al., "Swin Transformer" (2021, arXiv:2103.14030), and what its released segmenter computes.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from timm.models.swin_transformer import (
    SwinTransformer,
    SwinTransformerBlock,
    window_partition,
    window_reverse,
)
from torch import Tensor, nn

from swatbench.models.families.swin import StructuredSwinBlock

_FAR = -100.0
"""What is added to the attention of tokens that are no neighbours, as in timm."""


class PaddedBlock(SwinTransformerBlock):
    """timm's block, which pads the grid at hand, shifts it, and masks what the shift brought together.

    Along an axis that one window covers nothing is shifted, as in timm's model of a size of its own.
    """

    def _attn(self, x: Tensor) -> Tensor:
        """(B, H, W, C) → (B, H, W, C)."""
        H, W = x.shape[1:3]
        h, w = self.window_size
        down, across = self._shift(H, W)
        x = F.pad(x, (0, 0, 0, -W % w, 0, -H % h))
        padded = x.shape[1:3]
        if down or across:
            x = torch.roll(x, (-down, -across), (1, 2))
        windows = window_partition(x, (h, w)).flatten(1, 2)
        windows = self.attn(windows, mask=self._mask(x, (down, across)))
        x = window_reverse(windows.unflatten(1, (h, w)), (h, w), *padded)
        if down or across:
            x = torch.roll(x, (down, across), (1, 2))
        return x[:, :H, :W].contiguous()

    def _shift(self, H: int, W: int) -> tuple[int, int]:
        if not any(self.target_shift_size):
            return 0, 0
        h, w = self.window_size
        return (h // 2 if h < H else 0), (w // 2 if w < W else 0)

    def _mask(self, x: Tensor, shift: tuple[int, int]) -> Tensor | None:
        """(windows, h·w, h·w), 0 between neighbours; None where nothing is shifted."""
        if not any(shift):
            return None
        rows, columns = (
            torch.arange(side, device=x.device) >= side - moved
            for side, moved in zip(x.shape[1:3], shift, strict=True)
        )
        parts = (2 * rows[:, None] + columns).view(1, *x.shape[1:3], 1)
        parts = window_partition(parts, self.window_size).flatten(1)
        apart = parts[:, None] != parts[:, :, None]
        return torch.zeros(apart.shape, dtype=x.dtype, device=x.device).masked_fill(apart, _FAR)


class PaddedStructuredBlock(StructuredSwinBlock, PaddedBlock):
    """The same of a block whose MLP is structured."""


_PADDED: Mapping[type[nn.Module], type[nn.Module]] = {
    SwinTransformerBlock: PaddedBlock,
    StructuredSwinBlock: PaddedStructuredBlock,
}


def pad_windows(model: nn.Module) -> None:
    """Let every block of a Swin pad before it shifts, in place; of other models nothing changes.

    Args:
        model: A timm model, structured or not.
    """
    if not isinstance(model, SwinTransformer):
        return
    blocks: Any = [module for module in model.modules() if type(module) in _PADDED]
    for block in blocks:
        block.__class__ = _PADDED[type(block)]
