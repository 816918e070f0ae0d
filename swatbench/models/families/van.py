"""SWAT in VAN.

B images, C = c·h·w channels on a grid of H × W, D hidden channels, h = w = the stride that a fold stands for.

Source: SWAT (IJCAI 2023), figure 1, which shows parameters and multiply-accumulates of a SWAT-VAN and nothing
else; the reading that meets them is told in docs/adr/0009-swat-van.md.
"""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from swatbench.models.van_layers import OverlapPatchEmbedding, VANMlp, initialize
from swatbench.swat.geometry import Geometry, stem
from swatbench.swat.mixing import Combine
from swatbench.swat.tokenization import StructureAwareTokenization


class PaddedTokenization(StructureAwareTokenization):
    """Structure-aware tokenization of images of any size, as VAN's patch embeddings take them.

    Args:
        sizes: What `StructureAwareTokenization` takes.
    """

    def __init__(self, **sizes: Any) -> None:
        super().__init__(**sizes)
        first, second = sizes["strides"]
        self.patch = first * second * self.alpha

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_chans, H·p, W·p) → (B, C, H, W); a last patch that is cut off is filled up with zeros."""
        below, right = -x.shape[-2] % self.patch, -x.shape[-1] % self.patch
        if below or right:
            x = F.pad(x, (0, right, 0, below))
        return super().forward(x)


class StructureAwareVANMlp(nn.Module):
    """1 × 1 → GELU → depthwise over the grid → GELU → dropout → 1 × 1 → dropout.

    Where the kernel is the replaced layer's own, its depthwise convolution is kept. Another has another
    shape, so it goes by another name, `dwconv_wide`: parameters of one name are shared by both arms.

    Args:
        mlp: The MLP that it replaces; what both have is kept.
        kernel: Kernel of the depthwise convolution.
    """

    def __init__(self, mlp: VANMlp, *, kernel: int) -> None:
        super().__init__()
        own = mlp.dwconv
        same = own.kernel_size == (kernel, kernel)
        self.fc1, self.act = mlp.fc1, mlp.act
        self.dwconv = own if same else None
        self.dwconv_wide = None if same else _depthwise(own, kernel)
        self.drop1, self.fc2, self.drop2 = mlp.drop1, mlp.fc2, mlp.drop2

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, H, W)."""
        among = self.dwconv or self.dwconv_wide
        assert among is not None
        x = self.act(among(self.act(self.fc1(x))))
        return self.drop2(self.fc2(self.drop1(x)))


def structure(model: Any, parts: frozenset[str], g: Geometry, combine: Combine) -> None:
    """Give a VAN structured parts, in place.

    Token mixing changes nothing: VAN's attention is a product of convolutions over the grid and has no linear
    map of tokens but 1 × 1 convolutions.

    Args:
        model: Our VAN.
        parts: SWAT parts.
        g: Sizes.
        combine: Not used: no linear map meets a convolution.

    Raises:
        ValueError: A layer or size does not fit.
    """
    del combine
    for stage, (embed, blocks) in enumerate(zip(model.patch_embeds, model.stages, strict=True)):
        if "tokenization" in parts and stage == 0:
            _tokenize(embed, g)
        if "merging" in parts and stage > 0:
            _merge(embed, g, stage - 1)
        if "channel_mixing" in parts:
            kernel = g.grid_kernel_at(stage, _grid(model, stage, g))
            for block in blocks:
                if type(block.mlp) is not VANMlp:
                    raise ValueError("its channel mixing is structured already")
                block.mlp = StructureAwareVANMlp(block.mlp, kernel=kernel)


def _tokenize(embed: OverlapPatchEmbedding, g: Geometry) -> None:
    """The image's patches as in Swin: their pixels are the sub-patches, none seen by two patches."""
    sizes = stem(_conv(embed).stride[0], g.alpha, overlap=False)
    _replace(
        embed,
        alpha=g.alpha,
        stem_width=g.stem_width,
        kernel=sizes.kernel,
        strides=sizes.strides,
        padding=sizes.padding,
    )


def _merge(embed: OverlapPatchEmbedding, g: Geometry, merging: int) -> None:
    """A later stage's embedding of the grid: full resolution first, then the stride as a fold."""
    conv = _conv(embed)
    kernel = g.merge_kernel_at(merging, conv.stride[0])
    _replace(
        embed,
        alpha=conv.stride[0],
        stem_width=conv.out_channels,
        kernel=kernel,
        strides=(1, 1),
        padding=kernel // 2,
    )


def _replace(embed: OverlapPatchEmbedding, **sizes: Any) -> None:
    conv = _conv(embed)
    tokenization: Any = PaddedTokenization(
        in_chans=conv.in_channels,
        embed_dim=conv.out_channels,
        bias=conv.bias is not None,
        device=conv.weight.device,
        dtype=conv.weight.dtype,
        **sizes,
    )
    embed.proj = tokenization.apply(initialize)


def _conv(embed: OverlapPatchEmbedding) -> nn.Conv2d:
    if not isinstance(embed.proj, nn.Conv2d):
        raise ValueError("its patch embedding is structured already")  # noqa: TRY004
    return embed.proj


def _grid(model: Any, stage: int, g: Geometry) -> tuple[int, int]:
    """H × W of a stage for images of the designed size, rounded up as by its patch embeddings."""
    reduction = model.feature_info[stage]["reduction"]
    height, width = model.img_size
    return g.grid(reduction, (-(-height // reduction), -(-width // reduction)))


def _depthwise(own: nn.Conv2d, kernel: int) -> nn.Conv2d:
    wide = nn.Conv2d(
        own.in_channels,
        own.out_channels,
        kernel,
        padding=kernel // 2,
        groups=own.groups,
        bias=own.bias is not None,
        device=own.weight.device,
        dtype=own.weight.dtype,
    )
    return wide.apply(initialize)
