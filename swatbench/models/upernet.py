"""UPerNet's decoder, its classifier of pixels, and the auxiliary head that published training has beside it.

The decoder is segmentation-models-pytorch's, and starts as there. Two things differ from its `UPerNet`, as
published training has them: dropout of whole channels before the last convolution, and logits that are
resized without aligned corners (by the segmenter). Its pooling is another computation of the same means, of
which torch has a deterministic gradient on every device, and group norm takes the place of every batch norm
where that is asked for.

B images, C channels, K classes, D channels of the decoder, A of the auxiliary head.

Source: Xiao et al., "Unified Perceptual Parsing" (2018, arXiv:1807.10221).
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from segmentation_models_pytorch.base.initialization import initialize_decoder, initialize_head
from segmentation_models_pytorch.decoders.upernet.decoder import UPerNetDecoder
from torch import Tensor, nn

Norm = Literal["batchnorm", "groupnorm"]

DROPOUT = 0.1
"""Share of channels that both heads drop before their last convolution, as published training does."""
GROUPS = 32
"""Most groups of a group norm."""
GROUP = 8
"""Fewest channels of a group, unless there are fewer: of one value, as a pooled map may have it for each
channel, nothing is left by its norm."""


class EvenPool(nn.Module):
    """Means over side × side cells of a map: torch's `AdaptiveAvgPool2d` as two matrix products.

    On CUDA torch has no deterministic gradient of its own layer.

    Args:
        side: Rows and columns of cells.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, side, side); cells overlap where side does not divide H or W."""
        H, W = x.shape[-2:]
        return _cells(H, self.side, like=x) @ x @ _cells(W, self.side, like=x).T


def make_decoder(channels: Sequence[int], D: int, *, norm: Norm) -> Any:
    """UPerNet's decoder over maps of so many channels, from the largest map to the smallest.

    Args:
        channels: Channels of two to four maps.
        D: Channels of what it puts out, at the size of the largest map.
        norm: Norm of its convolutions.
    """
    # There the first two maps are of strides 1 and 2 and are passed over.
    decoder: Any = UPerNetDecoder((0, 0, *channels), encoder_depth=len(channels) + 1, decoder_channels=D)
    for block in decoder.psp.blocks:
        block[0] = EvenPool(block[0].output_size)
    with_norm(decoder, norm)
    initialize_decoder(decoder)
    return decoder


def make_head(D: int, K: int) -> nn.Module:
    """Dropout → 1 × 1 convolution.

    Args:
        D: Channels of the decoder.
        K: Classes.
    """
    head = nn.Sequential(nn.Dropout2d(DROPOUT), nn.Conv2d(D, K, 1))
    initialize_head(head)
    return head


def make_auxiliary(C: int, A: int, K: int, *, norm: Norm) -> nn.Module:
    """3 × 3 convolution → norm → ReLU → dropout → 1 × 1 convolution.

    Args:
        C: Channels of the map that it reads.
        A: Channels in between.
        K: Classes.
        norm: Norm of its first convolution.
    """
    first = nn.Sequential(nn.Conv2d(C, A, 3, padding=1, bias=False), nn.BatchNorm2d(A), nn.ReLU(inplace=True))
    with_norm(first, norm)
    initialize_decoder(first)
    return nn.Sequential(*first, *make_head(A, K).children())


def with_norm(module: nn.Module, norm: Norm) -> None:
    """Replace every batch norm within a module, in place, where another norm is asked for.

    Args:
        module: A head, or a part of one.
        norm: `batchnorm` leaves it as it is; `groupnorm` has 32 groups, or as many fewer as it takes to
            have eight channels in each.
    """
    if norm == "batchnorm":
        return
    for parent in list(module.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.BatchNorm2d):
                setattr(parent, name, nn.GroupNorm(_groups(layer.num_features), layer.num_features))


def _groups(channels: int) -> int:
    most = min(GROUPS, max(1, channels // GROUP))
    return next(groups for groups in range(most, 0, -1) if channels % groups == 0)


def _cells(length: int, side: int, *, like: Tensor) -> Tensor:
    """(side, length): row i averages places floor(i·length/side) to ceil((i + 1)·length/side)."""
    cell = torch.arange(side, device=like.device)[:, None]
    place = torch.arange(length, device=like.device)
    first, end = cell * length // side, -(-(cell + 1) * length // side)
    inside = (place >= first) & (place < end)
    return inside.to(like.dtype) / (end - first)
