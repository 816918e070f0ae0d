"""Structure-aware mixing: convolutions within tokens (over h, w) and among tokens (over H, W).

B images, N = H·W tokens, C = c·h·w channels, D hidden channels.

Each class takes the place of one layer of a timm model and keeps that layer's own parameters under their own
names and shapes, so that the two arms of a pair share them.

Source: SWAT (IJCAI 2023), sections 3.2 and 3.3.
"""

from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from swatbench.swat import gelu_depthwise_triton
from swatbench.swat.cpu_mlp import structured_mlp
from swatbench.swat.eager import autocast_type, is_plain, is_traced, runs_eagerly_on_cpu
from swatbench.swat.fuse import FoldedLinear, fold_projection
from swatbench.swat.geometry import TokenImage


class Positions(Protocol):
    """What the positions along an MLP's second dimension form."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Images, and height and width of each."""
        ...


Fused = bool | Literal["auto"]
"""Whether layers compute by fused forms: False as drawn, True wherever they can, `auto` where measured."""

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
        self.fused: Fused = "auto"
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
        if not self.fused or is_traced(input) or self._has_few(input):
            return self._as_drawn(input)
        with torch.autocast(input.device.type, enabled=False):
            weight, bias = self._folded()
        return F.linear(input, weight, bias)

    def fold(self) -> FoldedLinear:
        """A plain linear map with the same outputs, for inference."""
        layer = FoldedLinear(
            self.in_features,
            self.out_features,
            bias=self.bias is not None,
            image=self.image,
            scale=self.scale,
            like=self.weight,
        )
        with torch.no_grad():
            weight, bias = self._folded()
            layer.weight.copy_(weight)
            if layer.bias is not None and bias is not None:
                layer.bias.copy_(bias)
        return layer

    def _folded(self) -> tuple[Tensor, Tensor | None]:
        linear, conv = (self.weight, self.bias), (self.conv.weight, self.conv.bias)
        return fold_projection(linear, conv, self.image, self.scale)

    def _has_few(self, input: Tensor) -> bool:  # noqa: A002
        """Whether there are so few tokens that to build a matrix takes longer, by measurement C/2."""
        return not torch.compiler.is_compiling() and 2 * input.numel() < self.in_features**2

    def _as_drawn(self, input: Tensor) -> Tensor:  # noqa: A002
        """Linear map and convolution side by side, as the paper draws them and as they are counted."""
        tokens = rearrange(input, "B N (c h w) -> (B N) c h w", h=self.image.h, w=self.image.w)
        within = rearrange(self.conv(tokens), "(B N) c h w -> B N (c h w)", N=input.shape[1])
        return self.scale * (super().forward(input) + within)


class AmongPositions(nn.Module):
    """Depthwise convolution over positions → activation, on the hidden channels of an MLP.

    Channel mixing sees the token grid (one image of H × W positions), Mixer's token mixing the inside of
    tokens (c images of h × w). Prefix tokens (class, registers) have no place in the grid and pass by.
    A layer that mixes inherits from it, beside the layer that it replaces.

    Attributes:
        dwconv: The convolution, on D channels.
        act: The activation after it.
        positions: What the positions form; None where the input is an image already, (B, H, W, D).
        prefix: Tokens before the first position.
    """

    dwconv: nn.Conv2d
    act: nn.Module
    positions: Positions | None
    prefix: int

    def mix(self, x: Tensor) -> Tensor:
        """(B, prefix + S, D) or (B, H, W, D) → the same shape.

        Raises:
            ValueError: The S positions are not those of the images.
        """
        if self.positions is None:
            return self.act(self.dwconv(x.permute(0, 3, 1, 2))).permute(0, 2, 3, 1)
        if not self.prefix:
            return self.act(_over_positions(self.dwconv, x, *self.positions.shape))
        apart, x = x[:, : self.prefix], x[:, self.prefix :]
        return torch.cat((apart, self.act(_over_positions(self.dwconv, x, *self.positions.shape))), dim=1)


class StructureAwareMlp(AmongPositions):
    """Linear → GELU → depthwise convolution over positions → GELU → Linear, on (B, S, features) tensors.

    Args:
        fc1: First linear map of the MLP that it replaces.
        fc2: Second linear map.
        act: Activation after `fc1`, used again after the convolution.
        drop1: Dropout after the first activation.
        norm: What the replaced MLP has before `fc2`, in most models nothing.
        drop2: Dropout at the end.
        kernel: Kernel of the depthwise convolution.
        positions: What the positions form; None where the input is (B, H, W, features).
        prefix: Tokens that are in no grid; they take the plain MLP's way.
    """

    def __init__(
        self,
        *,
        fc1: nn.Linear,
        fc2: nn.Linear,
        act: nn.Module,
        drop1: nn.Module,
        norm: nn.Module,
        drop2: nn.Module,
        kernel: int,
        positions: Positions | None,
        prefix: int = 0,
    ) -> None:
        super().__init__()
        self.fc1, self.act, self.drop1 = fc1, act, drop1
        self.dwconv = _depthwise(fc1.out_features, kernel, like=fc1.weight)
        self.norm, self.fc2, self.drop2 = norm, fc2, drop2
        self.positions, self.prefix = positions, prefix
        self.fused: Fused = "auto"

    def forward(self, x: Tensor) -> Tensor:
        """(B, prefix + S, features) or (B, H, W, features) → the same shape."""
        if self.fused and runs_eagerly_on_cpu(x, self.parameters()) and self._is_bare():
            return self.drop2(self._by_hand(x))
        hidden = self.fc1(x)
        if self.fused is True and x.is_cuda and not self.prefix and self._is_bare():
            images = _as_images(hidden, self.positions).contiguous()
            if gelu_depthwise_triton.supported(images, self.dwconv.weight):
                return self.drop2(self.fc2(self._by_kernel(images).view(hidden.shape)))
        x = self.mix(self.drop1(self.act(hidden)))
        return self.drop2(self.fc2(self.norm(x)))

    def _by_kernel(self, images: Tensor) -> Tensor:
        """The CUDA kernel, which was never measured, so that `auto` does without it."""
        assert self.dwconv.bias is not None
        return gelu_depthwise_triton.gelu_depthwise_gelu(images, self.dwconv.weight, self.dwconv.bias)

    def _is_bare(self) -> bool:
        """Whether there is nothing but two linear maps with a convolution between two exact GELUs."""
        return (
            is_plain(self.fc1, nn.Linear)
            and is_plain(self.fc2, nn.Linear)
            and self.fc1.bias is not None
            and self.fc2.bias is not None
            and isinstance(self.norm, nn.Identity)
            and not (self.training and getattr(self.drop1, "p", 0.0))
            and is_plain(self.dwconv, nn.Conv2d)
            and is_plain(self.act, nn.GELU)
            and getattr(self.act, "approximate", None) == "none"
        )

    def _by_hand(self, x: Tensor) -> Tensor:
        tokens = x[:, self.prefix :] if self.prefix else x
        images = _as_images(tokens, self.positions).to(autocast_type(x)).contiguous()
        layers = (_typed(layer, images) for layer in (self.fc1, self.dwconv, self.fc2))
        mixed = structured_mlp(images, *layers).view(*tokens.shape[:-1], self.fc2.out_features)
        if not self.prefix:
            return mixed
        return torch.cat((self.fc2(self.act(self.fc1(x[:, : self.prefix]))), mixed), dim=1)


class StructureAwareLastLinear(AmongPositions, nn.Linear):
    """The last linear map of a gated MLP, behind a depthwise convolution over positions and an activation.

    The paper has no gated MLP; this puts the convolution where its MLPs have it, before the last map.

    Args:
        linear: The map that it replaces; its weight and bias are kept.
        act: Activation after the convolution.
        kernel: Kernel of the depthwise convolution.
        positions: What the positions form; None where the input is (B, H, W, features).
        prefix: Tokens that are in no grid; they take the plain MLP's way.
    """

    def __init__(
        self, linear: nn.Linear, *, act: nn.Module, kernel: int, positions: Positions | None, prefix: int = 0
    ) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight, self.bias = linear.weight, linear.bias
        self.dwconv = _depthwise(linear.in_features, kernel, like=linear.weight)
        self.act, self.positions, self.prefix = act, positions, prefix

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (as nn.Linear has it)
        """(B, prefix + S, hidden) or (B, H, W, hidden) → the same with other features."""
        return F.linear(self.mix(input), self.weight, self.bias)


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
        return _over_positions(self.dwconv, x, *self.image.shape)


def _typed(layer: nn.Linear | nn.Conv2d, like: Tensor) -> tuple[Tensor, Tensor]:
    """Weight and bias in the type that is computed in."""
    assert layer.bias is not None
    return layer.weight.to(like.dtype), layer.bias.to(like.dtype)


def _depthwise(channels: int, kernel: int, *, like: Tensor) -> nn.Conv2d:
    placed = {"device": like.device, "dtype": like.dtype}
    return nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels, **placed)


def _as_images(x: Tensor, positions: Positions | None) -> Tensor:
    """(B, (segments height width), D) or (B, H, W, D) → (images, height, width, D)."""
    if positions is None:
        return x
    segments, height, width = positions.shape
    _check(x, segments, height, width)
    return x.reshape(-1, height, width, x.shape[-1])


def _over_positions(conv: nn.Conv2d, x: Tensor, segments: int, height: int, width: int) -> Tensor:
    """Convolve (B, (segments height width), D) over height and width, each segment for itself."""
    _check(x, segments, height, width)
    x = rearrange(x, "B (s y x) D -> (B s) D y x", s=segments, y=height, x=width)
    return rearrange(conv(x), "(B s) D y x -> B (s y x) D", s=segments)


def _check(x: Tensor, segments: int, height: int, width: int) -> None:
    if not torch.compiler.is_compiling() and x.shape[1] != segments * height * width:
        raise ValueError(
            f"{x.shape[1]} positions do not form {segments} images of {height} × {width} "
            f"({segments * height * width})"
        )
