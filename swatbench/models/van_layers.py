"""The layers of VAN: patch embedding, large kernel attention, MLP and the block that joins them.

B images of C channels on a grid of H × W, D hidden channels; every tensor is (B, C, H, W).

Source: Guo et al., "Visual Attention Network" (2022). Modules within a block are named as in its released
weights, but for the scales, which are timm's.
"""

from math import sqrt
from typing import Any

from timm.layers.drop import DropPath
from timm.layers.layer_scale import LayerScale2d
from timm.layers.weight_init import trunc_normal_
from torch import Tensor, nn

LAYER_SCALE = 1e-2
"""Initial value of each channel's scale at the end of a branch."""


class LargeKernelAttention(nn.Module):
    """Input × what a large kernel sees around each position: depthwise → dilated depthwise → 1 × 1.

    Args:
        C: Channels.
        dd: Device and dtype.
    """

    def __init__(self, C: int, **dd: Any) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(C, C, 5, padding=2, groups=C, **dd)
        self.conv_spatial = nn.Conv2d(C, C, 7, padding=9, dilation=3, groups=C, **dd)
        self.conv1 = nn.Conv2d(C, C, 1, **dd)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, H, W)."""
        return x * self.conv1(self.conv_spatial(self.conv0(x)))


class VANAttention(nn.Module):
    """1 × 1 → GELU → large kernel attention → 1 × 1, with a shortcut around all of it.

    Args:
        C: Channels.
        dd: Device and dtype.
    """

    def __init__(self, C: int, **dd: Any) -> None:
        super().__init__()
        self.proj_1 = nn.Conv2d(C, C, 1, **dd)
        self.act = nn.GELU()
        self.spatial_gating_unit = LargeKernelAttention(C, **dd)
        self.proj_2 = nn.Conv2d(C, C, 1, **dd)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, H, W)."""
        return x + self.proj_2(self.spatial_gating_unit(self.act(self.proj_1(x))))


class VANMlp(nn.Module):
    """1 × 1 → depthwise 3 × 3 → GELU → dropout → 1 × 1 → dropout.

    Args:
        C: Channels.
        D: Hidden channels.
        drop: Rate of both dropouts.
        dd: Device and dtype.
    """

    def __init__(self, C: int, D: int, *, drop: float, **dd: Any) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(C, D, 1, **dd)
        self.dwconv = nn.Conv2d(D, D, 3, padding=1, groups=D, **dd)
        self.act = nn.GELU()
        self.drop1 = nn.Dropout(drop)
        self.fc2 = nn.Conv2d(D, C, 1, **dd)
        self.drop2 = nn.Dropout(drop)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, H, W)."""
        x = self.drop1(self.act(self.dwconv(self.fc1(x))))
        return self.drop2(self.fc2(x))


class VANBlock(nn.Module):
    """Attention, then an MLP, each as BatchNorm → layer → layer scale → stochastic depth beside a shortcut.

    Args:
        C: Channels.
        mlp_ratio: Hidden channels of the MLP for each channel.
        drop: Dropout within the MLP.
        drop_path: Rate at which a branch is left out in training.
        dd: Device and dtype.
    """

    def __init__(self, C: int, *, mlp_ratio: float, drop: float, drop_path: float, **dd: Any) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(C, **dd)
        self.attn = VANAttention(C, **dd)
        self.ls1 = LayerScale2d(C, LAYER_SCALE, **dd)
        self.drop_path1 = DropPath(drop_path) if drop_path > 0 else nn.Identity()
        self.norm2 = nn.BatchNorm2d(C, **dd)
        self.mlp = VANMlp(C, int(mlp_ratio * C), drop=drop, **dd)
        self.ls2 = LayerScale2d(C, LAYER_SCALE, **dd)
        self.drop_path2 = DropPath(drop_path) if drop_path > 0 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, H, W)."""
        x = x + self.drop_path1(self.ls1(self.attn(self.norm1(x))))
        return x + self.drop_path2(self.ls2(self.mlp(self.norm2(x))))


class OverlapPatchEmbedding(nn.Module):
    """A convolution whose kernel reaches over its stride → BatchNorm.

    Args:
        in_chans: Channels of the input.
        C: Channels of the output.
        kernel: Side of the kernel.
        stride: Stride, by which height and width are divided, rounding up.
        dd: Device and dtype.
    """

    def __init__(self, in_chans: int, C: int, *, kernel: int, stride: int, **dd: Any) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_chans, C, kernel, stride, padding=kernel // 2, **dd)
        self.norm = nn.BatchNorm2d(C, **dd)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_chans, H, W) → (B, C, H / stride, W / stride)."""
        return self.norm(self.proj(x))


def initialize(module: nn.Module) -> None:
    """Start one layer as VAN does: convolutions fan-out normal, linear maps truncated normal, biases zero."""
    if isinstance(module, nn.Conv2d):
        height, width = module.kernel_size
        fan_out = height * width * module.out_channels // module.groups
        nn.init.normal_(module.weight, std=sqrt(2 / fan_out))
    elif isinstance(module, nn.Linear):
        trunc_normal_(module.weight, std=0.02)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)
