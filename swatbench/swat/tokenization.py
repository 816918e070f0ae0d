"""Structure-aware tokenization: sub-patches laid side by side in a token's channels.

B images of H·p × W·p pixels, E stem channels, tokens C × H × W with C = (c h w) and h = w = alpha.

Source: SWAT (IJCAI 2023), section 3.1.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from swatbench.swat.cpu_stem import LARGE_BYTES, StemSizes, stem, stem_bytes
from swatbench.swat.eager import autocast_type, is_plain, runs_eagerly_on_cpu
from swatbench.swat.geometry import token_image


class StructureAwareTokenization(nn.Module):
    """Conv → [+ position in the token] → GELU → [LayerNorm] → conv → sub-patches into channels.

    It takes the place of the one convolution of an ordinary patch embedding and keeps its output's shape.

    Args:
        in_chans: Channels of the image.
        embed_dim: Channels C of a token.
        alpha: Sub-patches along each side of a token.
        stem_width: Channels E between the convolutions.
        kernel: Kernel of the first convolution.
        strides: Strides of both convolutions; that of the second is its kernel too.
        padding: Zeros around the input of the first convolution.
        position_side: Side of a token between the convolutions, where a learned position within the token is
            added before the activation (DeiT), or None for no position.
        norm_eps: Epsilon of a LayerNorm over E, or None for no norm (only Swin has one).
        bias: Whether the second convolution has a bias, as the patch embedding that it replaces.
        device: Where the parameters live.
        dtype: Their type.

    Raises:
        ValueError: C does not fall into segments of alpha × alpha.
    """

    def __init__(
        self,
        *,
        in_chans: int,
        embed_dim: int,
        alpha: int,
        stem_width: int,
        kernel: int,
        strides: tuple[int, int],
        padding: int,
        position_side: int | None = None,
        norm_eps: float | None = None,
        bias: bool = True,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        c = token_image(embed_dim, alpha).c
        self.in_channels, self.out_channels = in_chans, embed_dim  # timm reads them off a patch embedding
        self.alpha = alpha
        first, second = strides
        self.conv1 = nn.Conv2d(in_chans, stem_width, kernel, first, padding, device=device, dtype=dtype)
        self.pos_embed = (
            nn.Parameter(torch.empty(1, stem_width, position_side, position_side, device=device, dtype=dtype))
            if position_side is not None
            else None
        )
        self.norm = (
            nn.LayerNorm(stem_width, eps=norm_eps, device=device, dtype=dtype)
            if norm_eps is not None
            else nn.Identity()
        )
        self.conv2 = nn.Conv2d(stem_width, c, second, second, bias=bias, device=device, dtype=dtype)
        self.fused: bool | Literal["auto"] = "auto"
        self._sizes = StemSizes(stride=first, padding=padding, norm_eps=norm_eps or 0.0)
        self.reset_parameters()

    @property
    def bias(self) -> Tensor:
        """None: timm reads it off a patch embedding to change the patch size, which has no meaning here.

        Raises:
            ValueError: Always.
        """
        raise ValueError("the patch size of a structure-aware tokenization cannot be changed")

    def reset_parameters(self) -> None:
        """Draw the position anew; the layers within reset themselves."""
        if self.pos_embed is not None:
            nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_chans, H·p, W·p) → (B, C, H, W)."""
        x = self._by_hand(x) if self._is_large(x) else self._as_drawn(x)
        return rearrange(x, "B c (H h) (W w) -> B (c h w) H W", h=self.alpha, w=self.alpha)

    def _is_large(self, x: Tensor) -> bool:
        """Whether to compute images few at a time pays, and nothing but the usual layers is in the way."""
        return (
            bool(self.fused)
            and runs_eagerly_on_cpu(x, self.parameters())
            and self.conv2.kernel_size == (1, 1)
            and self.conv1.kernel_size[0] == self._sizes.stride + 2 * self._sizes.padding
            and stem_bytes(x, self.conv1.stride[0], self.conv1.out_channels) > LARGE_BYTES
            and is_plain(self.conv1, nn.Conv2d)
            and is_plain(self.conv2, nn.Conv2d)
            and (isinstance(self.norm, nn.Identity) or is_plain(self.norm, nn.LayerNorm))
        )

    def _by_hand(self, x: Tensor) -> Tensor:
        kind = autocast_type(x)
        conv1, conv2, norm = self.conv1, self.conv2, self.norm
        assert conv1.bias is not None
        x = stem(
            x.to(kind),
            (conv1.weight.to(kind), conv1.bias.to(kind)),
            None if self.pos_embed is None else self.pos_embed.to(kind),
            (norm.weight, norm.bias) if isinstance(norm, nn.LayerNorm) else None,
            (conv2.weight.to(kind), None if conv2.bias is None else conv2.bias.to(kind)),
            self._sizes,
        )
        return rearrange(x, "B y x c -> B c y x")

    def _as_drawn(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        if self.pos_embed is not None:
            x = _add_in_each_token(x, self.pos_embed)
        x = F.gelu(x)
        if not isinstance(self.norm, nn.Identity):
            x = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.conv2(x)


def _add_in_each_token(x: Tensor, position: Tensor) -> Tensor:
    """Add (1, E, a, a) to every a × a cell of (B, E, H·a, W·a), by broadcasting instead of tiling."""
    a = position.shape[-1]
    cells = rearrange(x, "B E (H y) (W x) -> B E H y W x", y=a, x=a)
    return rearrange(cells + position[:, :, None, :, None], "B E H y W x -> B E (H y) (W x)")
