"""Structure-aware tokenization: sub-patches laid side by side in a token's channels.

B images of H·p × W·p pixels, E stem channels, tokens C × H × W with C = (c h w) and h = w = alpha.

Source: SWAT (IJCAI 2023), section 3.1.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from swatbench.swat.geometry import stem_strides, token_image


class StructureAwareTokenization(nn.Module):
    """Conv → [+ position in the token] → GELU → [LayerNorm] → conv → sub-patches into channels.

    It takes the place of the one convolution of an ordinary patch embedding and keeps its output's shape.

    Args:
        in_chans: Channels of the image.
        embed_dim: Channels C of a token.
        patch: Side p of a token in pixels.
        alpha: Sub-patches along that side.
        stem_width: Channels E between the convolutions.
        overlap: Whether the first convolution overlaps (kernel 4, padding 1; DeiT) or not (kernel 2).
        position: Whether a learned position within the token is added before the activation (DeiT).
        norm_eps: Epsilon of a LayerNorm over E, or None for no norm (only Swin has one).
        device: Where the parameters live.
        dtype: Their type.

    Raises:
        ValueError: The sizes do not divide.
    """

    def __init__(
        self,
        *,
        in_chans: int,
        embed_dim: int,
        patch: int,
        alpha: int,
        stem_width: int,
        overlap: bool,
        position: bool,
        norm_eps: float | None,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        s1, s2 = stem_strides(patch, alpha)
        c = token_image(embed_dim, alpha).c
        k1, padding = (2 * s1, s1 // 2) if overlap else (s1, 0)
        self.in_channels = in_chans  # timm's patch embedding reads it off its `proj`
        self.alpha = alpha
        self.conv1 = nn.Conv2d(in_chans, stem_width, k1, s1, padding, device=device, dtype=dtype)
        self.pos_embed = (
            nn.Parameter(torch.empty(1, stem_width, patch // s1, patch // s1, device=device, dtype=dtype))
            if position
            else None
        )
        self.norm = (
            nn.LayerNorm(stem_width, eps=norm_eps, device=device, dtype=dtype)
            if norm_eps is not None
            else nn.Identity()
        )
        self.conv2 = nn.Conv2d(stem_width, c, s2, s2, device=device, dtype=dtype)
        if self.pos_embed is not None:
            nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_chans, H·p, W·p) → (B, C, H, W)."""
        x = self.conv1(x)
        if self.pos_embed is not None:
            x = _add_in_each_token(x, self.pos_embed)
        x = F.gelu(x)
        if not isinstance(self.norm, nn.Identity):
            x = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        x = self.conv2(x)
        return rearrange(x, "B c (H h) (W w) -> B (c h w) H W", h=self.alpha, w=self.alpha)


def _add_in_each_token(x: Tensor, position: Tensor) -> Tensor:
    """Add (1, E, a, a) to every a × a cell of (B, E, H·a, W·a), by broadcasting instead of tiling."""
    a = position.shape[-1]
    cells = rearrange(x, "B E (H y) (W x) -> B E H y W x", y=a, x=a)
    return rearrange(cells + position[:, :, None, :, None], "B E H y W x -> B E (H y) (W x)")
