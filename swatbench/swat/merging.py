"""Structure-aware merging: a convolution over the sub-patch image between two stages of Swin.

B images, H × W tokens of C = c·h·w channels in, H/2 × W/2 tokens of 2C = (c/2)·(2h)·(2w) channels out.

Source: SWAT (IJCAI 2023), section 3.3.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from swatbench.swat.geometry import TokenImage


class StructureAwareMerging(nn.Module):
    """Unfold tokens to the sub-patch image → LayerNorm over c → conv → refold twice as large.

    Its parameters share neither shape nor meaning with those of the merging that it replaces, and so no name.

    Args:
        image: How the C channels of a token are laid out before merging.
        kernel: Kernel over the sub-patch image.
        norm_eps: Epsilon of the LayerNorm.
        device: Where the parameters live.
        dtype: Their type.

    Raises:
        ValueError: c is odd, so it cannot be halved.
    """

    def __init__(
        self,
        image: TokenImage,
        *,
        kernel: int,
        norm_eps: float,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if image.c % 2:
            raise ValueError(f"{image.c} segments cannot be halved by merging")
        self.image = image
        self.norm_c = nn.LayerNorm(image.c, eps=norm_eps, device=device, dtype=dtype)
        self.conv = nn.Conv2d(
            image.c, image.c // 2, kernel, padding=kernel // 2, bias=False, device=device, dtype=dtype
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) → (B, H/2, W/2, 2C); an odd side is padded with a row or column of zero tokens."""
        _, H, W, _ = x.shape
        h, w = self.image.h, self.image.w
        x = F.pad(x, (0, 0, 0, W % 2, 0, H % 2))
        pixels = self.norm_c(rearrange(x, "B H W (c h w) -> B (H h) (W w) c", h=h, w=w))
        pixels = self.conv(rearrange(pixels, "B y x c -> B c y x"))
        return rearrange(pixels, "B c (H h) (W w) -> B H W (c h w)", h=2 * h, w=2 * w)
