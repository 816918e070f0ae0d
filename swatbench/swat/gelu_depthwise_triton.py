"""GELU → depthwise k × k → GELU on channels-last images on CUDA, in one pass over memory, with its backward.

x, z (B, H, W, D); weight (D, 1, k, k), bias (D). GELU is the exact one, with erf. Stride 1, zeros around the
image, so that z is as large as x.

Where it is used: where `supported` says so, which is on CUDA of compute capability 7 on (bf16: 8 on), in
float32, float16 or bfloat16, for k of 3, 5 or 7 and D a multiple of 16, where Triton is installed. Elsewhere
the plain form is used. Whether it is faster was not yet measured on a GPU (`benchmarks/swat_cuda.py` does).

What is kept for backward is x alone. The plain form keeps x, its GELU and y, what the convolution gives; here
both are computed anew. By tensors of x's size that a training step reads and writes, that is also the least
that this backward can do: forward x → z (2), gradient of y from x and that of z (3), all other gradients from
it and x (3), together 8; with y kept it would be 9. Sums are float32, whatever the inputs are, and no sum's
order depends on timing: equal inputs give equal gradients.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

KERNELS = (3, 5, 7)
"""Sides k of the convolutions that it is written for."""
TESTED_DTYPES = (torch.float32, torch.float16, torch.bfloat16)
ALIGNMENT = 16
"""Channels come in multiples of this, so that every thread loads whole words."""

_HAS_TRITON = find_spec("triton") is not None
_BLOCK_D = 64
"""Channels of a program: a line of the cache in bf16."""
_STRIPS = 4
"""Strips of a program."""
_TILE = 32
"""Positions of a tile; 16 values for each thread of a program."""
_PROGRAMS = 2048
"""Programs of the second backward kernel, about: enough to fill a card, and few shares to be summed."""
_LEAST_PROGRAMS = 16
"""The same beside each block of channels."""


def supported(x: Tensor, weight: Tensor) -> bool:
    """Whether the kernels can take these inputs; where they cannot, the plain form is to be used.

    Args:
        x: (B, H, W, D).
        weight: (D, 1, k, k).
    """
    if not (_HAS_TRITON and x.is_cuda and weight.device == x.device):
        return False
    if x.dtype not in TESTED_DTYPES or x.dim() != 4 or not x.numel() or x.shape[-1] % ALIGNMENT:
        return False
    if _misfit(x, weight) or weight.shape[-1] not in KERNELS:
        return False
    return torch.cuda.get_device_properties(x.device).major >= (8 if x.dtype == torch.bfloat16 else 7)


def gelu_depthwise_gelu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(B, H, W, D) → (B, H, W, D): GELU, depthwise convolution over H and W, GELU.

    It has a gradient in all three, of the first order only. Under autocast x is cast as a convolution casts
    its input; weight and bias stay as they are, since they are summed in float32 anyway. Under torch.compile
    it is one opaque operator.

    Args:
        x: (B, H, W, D), contiguous, or it is copied.
        weight: (D, 1, k, k), k odd.
        bias: (D).

    Raises:
        ValueError: The shapes do not fit each other.
    """
    if _misfit(x, weight) or bias.shape != weight.shape[:1]:
        raise ValueError(
            f"images {tuple(x.shape)}, weight {tuple(weight.shape)} and bias {tuple(bias.shape)} are not "
            "(B, H, W, D), (D, 1, k, k) with odd k, and (D)"
        )
    if torch.is_autocast_enabled(x.device.type):
        x = x.to(torch.get_autocast_dtype(x.device.type))
    return _forward(x, weight, bias)


def _misfit(x: Tensor, weight: Tensor) -> bool:
    k = weight.shape[-1]
    return x.dim() != 4 or k % 2 == 0 or weight.shape != (x.shape[-1], 1, k, k)


@torch.library.custom_op("swatbench::gelu_depthwise_gelu", mutates_args=())
def _forward(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return _convolve(x.contiguous(), _by_tap(weight), bias, grad_z=None)


@torch.library.custom_op("swatbench::gelu_depthwise_gelu_backward", mutates_args=())
def _backward(grad_z: Tensor, x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    x, taps = x.contiguous(), _by_tap(weight)
    grad_y = _convolve(x, taps, bias, grad_z=grad_z.contiguous())
    grad_x, sums = _gradients(x, grad_y, taps)
    grad_weight = sums[:-1].t().clone(memory_format=torch.contiguous_format).view(weight.shape)
    return grad_x, grad_weight.to(weight.dtype), sums[-1].to(bias.dtype, copy=True)


@_forward.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:  # noqa: ARG001
    return x.new_empty(x.shape)


@_backward.register_fake
def _(grad_z: Tensor, x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # noqa: ARG001
    return x.new_empty(x.shape), weight.new_empty(weight.shape), bias.new_empty(bias.shape)


def _save(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:  # noqa: ARG001
    ctx.save_for_backward(*inputs)


def _gradients_of_saved(ctx: Any, grad_z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return _backward(grad_z, *ctx.saved_tensors)


_forward.register_autograd(_gradients_of_saved, setup_context=_save)


def _by_tap(weight: Tensor) -> Tensor:
    """(D, 1, k, k) → (k·k, D), so that neighbouring threads read neighbouring channels."""
    return weight.flatten(1).t().contiguous()


def _convolve(x: Tensor, taps: Tensor, bias: Tensor, *, grad_z: Tensor | None) -> Tensor:
    """Z, or the gradient of y where that of z is given."""
    B, H, W, D = x.shape
    k = _side(taps)
    rows = _rows(H, k)
    strips = B * -(-H // rows)
    out = torch.empty_like(x)
    with torch.cuda.device_of(x):
        _kernels().convolve[(-(-strips // _STRIPS), -(-D // _BLOCK_D))](
            x,
            taps,
            bias,
            x if grad_z is None else grad_z,
            out,
            strips,
            H,
            W,
            D,
            K=k,
            ROWS=rows,
            STRIPS=_STRIPS,
            BLOCK_D=_BLOCK_D,
            BACKWARD=grad_z is not None,
            enable_fp_fusion=True,
        )
    return out


def _gradients(x: Tensor, grad_y: Tensor, taps: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient of x, and those of the taps and the bias as (k·k + 1, D), float32."""
    B, H, W, D = x.shape
    tiles, blocks = -(-B * H * W // _TILE), -(-D // _BLOCK_D)
    of_each = -(-tiles // max(_LEAST_PROGRAMS, _PROGRAMS // blocks))
    programs = -(-tiles // of_each)
    grad_x = torch.empty_like(x)
    partial = x.new_empty((programs, len(taps) + 1, D), dtype=torch.float32)
    with torch.cuda.device_of(x):
        _kernels().gradients[(programs, blocks)](
            x,
            grad_y,
            taps,
            grad_x,
            partial,
            B * H * W,
            of_each,
            H,
            W,
            D,
            K=_side(taps),
            TILE=_TILE,
            BLOCK_D=_BLOCK_D,
            SUMS=1 << len(taps).bit_length(),
            num_warps=8,
            enable_fp_fusion=True,
        )
    return grad_x, partial.sum(0)


def _kernels() -> Any:
    """The kernels' module, imported at the first use: Triton takes half a second."""
    return import_module("swatbench.swat.gelu_depthwise_kernels")


def _side(taps: Tensor) -> int:
    return round(len(taps) ** 0.5)


def _rows(H: int, k: int) -> int:
    """Rows of a strip: those for which the fewest rows are read, k / 2 beside each strip included.

    More sums than those of 7 rows with k = 3, or 4 with k = 5, do not fit into registers.
    """
    choices = {3: (7, 4, 2, 1), 5: (4, 2, 1)}.get(k, (2, 1))
    return min(choices, key=lambda rows: -(-H // rows) * (rows + k - 1))
