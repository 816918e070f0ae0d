"""SWAT in the plainest form, as the yardstick of every other: operators and branches as the paper draws them.

B images, N = H·W tokens, C = c·h·w channels, D hidden channels. Linear map and convolution of a projection
stand side by side, attention is a product, a softmax and a product, an MLP with a convolution is three
convolutions over an image of tokens, a position is tiled over the grid, and einops moves axes. Nothing is
folded, fused or computed again.

Source: SWAT (IJCAI 2023), section 3.
"""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from timm.layers.attention import Attention
from timm.models.swin_transformer import WindowAttention
from torch import Tensor, nn

from swatbench.swat.mixing import StructureAwareLinear, StructureAwareMlp, StructureAwareTokenLinear
from swatbench.swat.tokenization import StructureAwareTokenization


def reference(model: nn.Module) -> nn.Module:
    """A copy of a SWAT model with the same names and values of parameters, computed in the plainest form.

    Args:
        model: A model of `swatbench.build_model`; it is left as it is.
    """
    model = copy.deepcopy(model)
    for module in model.modules():
        plain = _PLAIN.get(type(module))
        if plain is not None:
            module.__class__ = plain
        if isinstance(module, Attention | WindowAttention):
            module.fused_attn = False
    return model


class _Linear(StructureAwareLinear):
    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        image = self.image
        tokens = rearrange(input, "B N (c h w) -> (B N) c h w", h=image.h, w=image.w)
        within = rearrange(self.conv(tokens), "(B N) c h w -> B N (c h w)", N=input.shape[1])
        return self.scale * (F.linear(input, self.weight, self.bias) + within)


class _Mlp(StructureAwareMlp):
    def forward(self, x: Tensor) -> Tensor:
        assert not self.prefix
        if self.positions is None:
            images = rearrange(x, "B H W C -> B C H W")
            return rearrange(self._convolve(images), "B C H W -> B H W C")
        s, h, w = self.positions.shape
        images = rearrange(x, "B (s h w) F -> (B s) F h w", s=s, h=h, w=w)
        return rearrange(self._convolve(images), "(B s) F h w -> B (s h w) F", s=s)

    def _convolve(self, x: Tensor) -> Tensor:
        x = F.gelu(_one_by_one(self.fc1, x))
        x = F.gelu(self.dwconv(self.drop1(x)))
        return self.drop2(_one_by_one(self.fc2, x))


class _TokenLinear(StructureAwareTokenLinear):
    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        c, h, w = self.image.shape
        images = rearrange(input, "B (c h w) N -> (B c) N h w", c=c, h=h, w=w)
        images = self.dwconv(F.gelu(_one_by_one(self, images)))
        return rearrange(images, "(B c) N h w -> B (c h w) N", c=c)


class _Tokenization(StructureAwareTokenization):
    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        if self.pos_embed is not None:
            a = self.pos_embed.shape[-1]
            rows, columns = x.shape[2] // a, x.shape[3] // a
            x = x + repeat(self.pos_embed, "one E y x -> one E (H y) (W x)", H=rows, W=columns)
        x = F.gelu(x)
        x = rearrange(self.norm(rearrange(x, "B E y x -> B y x E")), "B y x E -> B E y x")
        return rearrange(self.conv2(x), "B c (H h) (W w) -> B (c h w) H W", h=self.alpha, w=self.alpha)


def _one_by_one(linear: nn.Linear, x: Tensor) -> Tensor:
    """A linear map as the 1 × 1 convolution that it is, (B, features, H, W) → (B, outputs, H, W)."""
    return F.conv2d(x, linear.weight[:, :, None, None], linear.bias)


_PLAIN: dict[type[nn.Module], type[Any]] = {
    StructureAwareLinear: _Linear,
    StructureAwareMlp: _Mlp,
    StructureAwareTokenLinear: _TokenLinear,
    StructureAwareTokenization: _Tokenization,
}


def relative_distance(found: Tensor, expected: Tensor) -> float:
    """‖found − expected‖ / ‖expected‖."""
    return float(torch.linalg.vector_norm((found - expected).double()) / expected.double().norm())
