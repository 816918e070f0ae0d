"""One linear map for a linear map and a convolution of the same token, in training and for good.

A token has C = c·h·w channels, a projection o·h·w outputs, the convolution a kernel of k × k.

Linear maps and convolutions are both linear in the token's channels, so their mean is one linear map, whose
matrix is ½ (W + T(K)): T(K) is what the convolution does, written as a matrix. In training it is built anew
in every step, which costs little beside the tokens; for inference `fold` puts a plain linear layer in place.

Source: SWAT (IJCAI 2023), section 3.2, for the projections; that they are one map is ours.
"""

from typing import Any

import torch
from torch import Tensor, nn

from swatbench.swat.geometry import TokenImage


def convolution_matrix(weight: Tensor, image: TokenImage) -> Tensor:
    """T(K), (o·h·w, c·h·w): the matrix of a convolution that keeps the size of its c × h × w input.

    Args:
        weight: (o, c, k, k), k odd; what it would see beyond the image is zero.
        image: Layout of the input's channels.
    """
    o, c, k, _ = weight.shape
    rows, columns = _steps(k, image.h, like=weight), _steps(k, image.w, like=weight)
    matrix = torch.einsum("ocij,iyY,jxX->oyxcYX", weight, rows, columns)
    return matrix.reshape(o * image.h * image.w, c * image.h * image.w)


def fold_projection(
    linear: tuple[Tensor, Tensor | None],
    conv: tuple[Tensor, Tensor | None],
    image: TokenImage,
    scale: float,
) -> tuple[Tensor, Tensor | None]:
    """Weight (outputs, C) and bias (outputs,) of scale · (linear map + convolution).

    Args:
        linear: Weight and bias of the linear map.
        conv: Weight (o, c, k, k) and bias (o,) of the convolution; it has a bias where the map has one.
        image: Layout of the token's channels.
        scale: One half for the mean.
    """
    weight = scale * (linear[0] + convolution_matrix(conv[0], image))
    if linear[1] is None or conv[1] is None:
        return weight, None
    return weight, scale * (linear[1].view(len(conv[1]), -1) + conv[1][:, None]).reshape(-1)


class FoldedLinear(nn.Linear):
    """The plain linear map that a structure-aware projection becomes, for inference alone.

    It loads its values in either form: folded, or as trained, whose checkpoints so serve both.

    Args:
        in_features: Channels C of a token.
        out_features: Outputs.
        bias: Whether there is a bias.
        image: How the C channels of a token are laid out.
        scale: One half for the mean.
        like: Gives the type and the device.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool,
        image: TokenImage,
        scale: float,
        like: Tensor,
    ) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = in_features, out_features
        self.weight = _frozen(like.new_empty(out_features, in_features))
        self.bias = _frozen(like.new_empty(out_features)) if bias else None
        self.image, self.scale = image, scale
        self.register_load_state_dict_pre_hook(_fold_what_is_loaded)


def _fold_what_is_loaded(layer: FoldedLinear, state: dict[str, Any], prefix: str, *_: object) -> None:
    """Put the folded values in the place of those that were trained, if it is those that are loaded."""
    conv, bias = state.pop(f"{prefix}conv.weight", None), state.pop(f"{prefix}conv.bias", None)
    if conv is None:
        return
    linear = state[f"{prefix}weight"], state.get(f"{prefix}bias")
    weight, folded_bias = fold_projection(linear, (conv, bias), layer.image, layer.scale)
    state[f"{prefix}weight"] = weight
    if folded_bias is not None:
        state[f"{prefix}bias"] = folded_bias


def _steps(k: int, size: int, *, like: Tensor) -> Tensor:
    """(k, outputs, inputs): tap of a kernel → 1 where the input lies so many places after the output."""
    place, tap = (torch.arange(n, device=like.device) for n in (size, k))
    apart = place[None, :] - place[:, None] + k // 2
    return (apart == tap[:, None, None]).to(like.dtype)


def _frozen(values: Tensor) -> nn.Parameter:
    return nn.Parameter(values, requires_grad=False)
