"""Structure-aware mixing: convolutions within tokens (over h, w) and among tokens (over H, W).

B images, N = H·W tokens, C = c·h·w channels, D hidden channels.

Each class takes the place of one layer of a timm model and keeps that layer's own parameters under their own
names and shapes, so that the two arms of a pair share them.

Source: SWAT (IJCAI 2023), sections 3.2 and 3.3.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from swatbench.swat.geometry import TokenImage

Combine = Literal["mean", "sum"]
"""How the linear map and the convolution meet: the released code averages, the paper's figure sums."""


class StructureAwareLinear(nn.Linear):
    """A projection of attention: the mean of a linear map and a convolution within the token.

    It serves q, k, v together (out_features = 3C: the convolution's 3c maps fall into three groups, q first)
    and the output (out_features = C).

    Args:
        linear: The projection that it replaces; its weight and bias are kept.
        image: How the C channels of a token are laid out.
        kernel: Kernel over h, w.
        combine: `mean` as in the released code, `sum` as drawn in the figure.

    Raises:
        ValueError: The layer's sizes are not those of the token image.
    """

    def __init__(
        self, linear: nn.Linear, image: TokenImage, *, kernel: int, combine: Combine = "mean"
    ) -> None:
        area = image.h * image.w
        if linear.in_features != image.C or linear.out_features % area:
            raise ValueError(
                f"a projection of {linear.in_features} → {linear.out_features} channels does not fit "
                f"tokens of {image.c} × {image.h} × {image.w}"
            )
        placed = {"device": linear.weight.device, "dtype": linear.weight.dtype}
        nn.Module.__init__(self)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight, self.bias = linear.weight, linear.bias
        self.image = image
        self.scale = 0.5 if combine == "mean" else 1.0
        self.conv = nn.Conv2d(
            image.c,
            linear.out_features // area,
            kernel,
            padding=kernel // 2,
            bias=linear.bias is not None,
            **placed,
        )

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (as nn.Linear has it)
        """(B, N, C) → (B, N, out_features)."""
        B = input.shape[0]
        tokens = rearrange(input, "B N (c h w) -> (B N) c h w", h=self.image.h, w=self.image.w)
        within = rearrange(self.conv(tokens), "(B N) c h w -> B N (c h w)", B=B)
        return self.scale * (super().forward(input) + within)


class StructureAwareMlp(nn.Module):
    """Linear → GELU → depthwise convolution over positions → GELU → Linear, on (B, S, D) tensors.

    The S positions are `segments` images of `height` × `width`. Channel mixing sees the token grid
    (1 × H × W positions, D = 4C hidden channels); Mixer's token mixing sees the inside of tokens
    (c × h × w positions, hidden channels that grew out of the N tokens).

    Args:
        fc1: First linear map of the MLP that it replaces.
        fc2: Second linear map.
        act: Activation after `fc1`, used again after the convolution.
        drop1: Dropout after the first activation.
        drop2: Dropout at the end.
        segments: Images that the positions fall into.
        height: Rows of each image.
        width: Columns of each image.
        kernel: Kernel of the depthwise convolution.
    """

    def __init__(
        self,
        *,
        fc1: nn.Linear,
        fc2: nn.Linear,
        act: nn.Module,
        drop1: nn.Module,
        drop2: nn.Module,
        segments: int,
        height: int,
        width: int,
        kernel: int,
    ) -> None:
        super().__init__()
        self.fc1 = fc1
        self.act = act
        self.drop1 = drop1
        self.dwconv = _depthwise(fc1.out_features, kernel, like=fc1.weight)
        self.fc2 = fc2
        self.drop2 = drop2
        self.segments, self.height, self.width = segments, height, width

    def forward(self, x: Tensor) -> Tensor:
        """(B, S, features) → (B, S, features).

        Raises:
            ValueError: S is not segments · height · width.
        """
        x = self.drop1(self.act(self.fc1(x)))
        x = self.act(_over_positions(self.dwconv, x, self.segments, self.height, self.width))
        return self.drop2(self.fc2(x))


class StructureAwareTokenLinear(nn.Linear):
    """ResMLP's token mixing: Linear (N → N) → GELU → depthwise convolution within tokens.

    Args:
        linear: The map over tokens that it replaces; its weight and bias are kept.
        image: How the C channels of a token are laid out.
        kernel: Kernel over h, w.
    """

    def __init__(self, linear: nn.Linear, image: TokenImage, *, kernel: int) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight, self.bias = linear.weight, linear.bias
        self.image = image
        self.dwconv = _depthwise(linear.out_features, kernel, like=linear.weight)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (as nn.Linear has it)
        """(B, C, N) → (B, C, N), channels before tokens as ResMLP calls it."""
        x = F.gelu(super().forward(input))
        return _over_positions(self.dwconv, x, self.image.c, self.image.h, self.image.w)


def _depthwise(channels: int, kernel: int, *, like: Tensor) -> nn.Conv2d:
    return nn.Conv2d(
        channels,
        channels,
        kernel,
        padding=kernel // 2,
        groups=channels,
        device=like.device,
        dtype=like.dtype,
    )


def _over_positions(conv: nn.Conv2d, x: Tensor, segments: int, height: int, width: int) -> Tensor:
    """Convolve (B, (segments height width), D) over height and width, each segment for itself."""
    if not torch.compiler.is_compiling() and x.shape[1] != segments * height * width:
        raise ValueError(
            f"{x.shape[1]} positions do not form {segments} images of {height} × {width} "
            f"({segments * height * width})"
        )
    x = rearrange(x, "B (s y x) D -> (B s) D y x", s=segments, y=height, x=width)
    return rearrange(conv(x), "(B s) D y x -> B (s y x) D", s=segments)
