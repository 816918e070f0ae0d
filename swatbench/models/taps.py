"""A pyramid of four maps out of four taps of an isotropic backbone.

Each tap is a map at the stride of its tokens, and is brought to one of the strides 4, 8, 16 and 32 that a
hierarchical backbone has. For patches of 16 pixels those are 4, 2, 1 and 1/2 times its resolution, as
published; patches of other sizes are taken to the same strides.

B images, maps (B, C, H, W) of H × W tokens of p × p pixels.

Source: the segmenters of BEiT (Bao et al. 2021, arXiv:2106.08254) and XCiT (El-Nouby et al. 2021,
arXiv:2106.09681).
"""

from collections.abc import Sequence

from torch import Tensor, nn

from swatbench.errors import ModelError

STRIDES = (4, 8, 16, 32)
"""Pixels between neighbours of each map."""


class Taps(nn.Module):
    """Transposed convolutions where a map is enlarged, max pooling where it is halved.

    Args:
        C: Channels of the taps, and of the maps.
        patch: Side p of a token in pixels.

    Raises:
        ModelError: p is no power of two.
    """

    def __init__(self, C: int, patch: int) -> None:
        super().__init__()
        if patch < 1 or patch & (patch - 1):
            raise ModelError(f"Tokens of {patch} × {patch} pixels cannot be brought to strides of 4 to 32.")
        self.resize = nn.ModuleList(_resized(C, patch, stride) for stride in STRIDES)

    def forward(self, taps: Sequence[Tensor]) -> list[Tensor]:
        """Four of (B, C, H, W) → H·p/4, H·p/8, H·p/16 and H·p/32 rows, rounded up, and columns alike."""
        return [resize(tap) for resize, tap in zip(self.resize, taps, strict=True)]


def _resized(C: int, patch: int, stride: int) -> nn.Module:
    layers: list[nn.Module] = []
    while patch > stride:
        if layers:
            layers += [nn.BatchNorm2d(C), nn.GELU()]
        layers.append(nn.ConvTranspose2d(C, C, 2, stride=2))
        patch //= 2
    while patch < stride:
        layers.append(nn.MaxPool2d(2, ceil_mode=True))
        patch *= 2
    return nn.Sequential(*layers)
