"""An MLP with a depthwise convolution between two GELUs, written by hand for a CPU.

I images, H × W positions, F features, D hidden channels, O output features.

Run operator by operator, autograd keeps four tensors of D channels for the backward pass: before and after
each GELU. A GELU is cheap beside the memory that its result takes, so here those before are kept and those
after are computed again. Where even these would be large, all is computed again from the input. Images are
taken few at a time, so that their hidden channels stay in the processor's cache, and what only passes by goes
into scratch memory. GELU runs over tensors that are contiguous: over a permuted one it was measured twice as
slow.

Source: SWAT (IJCAI 2023), section 3.3, for the layers; `docs/log.md` for the measurements.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from swatbench.swat.cpu_depthwise import Shiftable, convolve, gradients, margin_of
from swatbench.swat.eager import linear_into, zeros_to_sum_in
from swatbench.swat.scratch import Slot, scratch, scratch_gelu

CACHED_BYTES = 8 * 2**20
"""Hidden channels of the images that are taken together, so that a cache still has them when read again."""
LARGE_BYTES = 20 * 2**20
"""Hidden channels of a batch that are computed again rather than kept."""

Grads = tuple[Tensor, ...]

gelu_ = torch.ops.aten.gelu_
_onednn_linear = getattr(torch.ops.mkldnn, "_linear_pointwise", None)


def structured_mlp(
    x: Tensor, fc1: tuple[Tensor, Tensor], depthwise: tuple[Tensor, Tensor], fc2: tuple[Tensor, Tensor]
) -> Tensor:
    """Linear → GELU → depthwise convolution → GELU → linear, (I, H, W, F) → (I, H, W, O).

    Args:
        x: Contiguous, on a CPU.
        fc1: Weight (D, F) and bias (D,).
        depthwise: Weight (D, 1, k, k) and bias (D,).
        fc2: Weight (O, D) and bias (O,).
    """
    layers = (*fc1, *depthwise, *fc2)
    if torch.is_grad_enabled() and any(t.requires_grad for t in (x, *layers)):
        return _StructuredMlp.apply(x, *layers)
    return _few_at_a_time(x, layers)


class _StructuredMlp(torch.autograd.Function):
    """Keeps what is before each GELU, or of a large batch nothing but its input."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *layers: Tensor) -> Tensor:
        w1, b1, weight, bias, w2, b2 = layers
        if _bytes(x, w1) > LARGE_BYTES:
            ctx.save_for_backward(x, *layers)
            return _few_at_a_time(x, layers)
        before = _linear(x, w1, b1)
        between = convolve(scratch_gelu("flat", before), weight, bias)
        ctx.save_for_backward(x, *layers, before, between)
        return _linear(scratch_gelu("flat", between), w2, b2)

    @staticmethod
    @once_differentiable
    @torch.autocast("cpu", enabled=False)  # what is computed again has the types that the forward pass had
    def backward(ctx: Any, *grad_outputs: Tensor) -> Grads:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, *saved = ctx.saved_tensors  # once: gradient checkpointing refuses to be asked again
        layers, kept = saved[:6], saved[6:]
        w1, b1, weight, bias, w2, _ = layers
        of_x, sums = torch.empty_like(x), [zeros_to_sum_in(layer) for layer in layers]
        images = _at_once(x, w1)
        for part in zip(
            *(t.split(images) for t in (x, grad_outputs[0].contiguous(), of_x, *kept)), strict=True
        ):
            some, grad, place, *its_kept = part
            before = its_kept[0] if kept else _linear_into("before", some, w1, b1)
            hidden = _activated(before, weight)
            between = its_kept[1] if kept else convolve(hidden.shifted(0), weight, bias)[:, :, : x.shape[2]]
            _add_gradients(sums, place, some, grad, before, hidden, between, w1, weight, w2)
        return of_x, *(total.to(layer.dtype) for total, layer in zip(sums, layers, strict=True))


def _bytes(x: Tensor, weight: Tensor) -> int:
    """Size of the hidden channels of all images."""
    return x.numel() // x.shape[-1] * weight.shape[0] * x.element_size()


def _at_once(x: Tensor, weight: Tensor) -> int:
    """Images taken together: a batch in parts as equal as can be whose hidden channels are cached."""
    parts = math.ceil(_bytes(x, weight) / CACHED_BYTES)
    return max(1, math.ceil(len(x) / max(1, parts)))


def _few_at_a_time(x: Tensor, layers: tuple[Tensor, ...]) -> Tensor:
    """The output, computed for so many images at once that their hidden channels fit, and nothing kept."""
    images = _at_once(x, layers[0])
    out = x.new_empty(*x.shape[:-1], len(layers[-1]))
    for some, place in zip(x.split(images), out.split(images), strict=True):
        _forward_into(place, some, *layers)
    return out


def _forward_into(
    out: Tensor, x: Tensor, w1: Tensor, b1: Tensor, weight: Tensor, bias: Tensor, w2: Tensor, b2: Tensor
) -> None:
    hidden = gelu_(convolve(gelu_(_linear_into("flat", x, w1, b1)), weight, bias))
    linear_into(out, hidden, w2, b2)


def _linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A linear map; oneDNN's adds the bias while it multiplies, where F.linear copies it first."""
    if x.dtype != torch.float32 or _onednn_linear is None:
        return F.linear(x, weight, bias)
    return _onednn_linear(x, weight, bias, "none", [], "none")


def _linear_into(slot: Slot, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A linear map (I, H, W, F) → (I, H, W, outputs), in scratch memory."""
    out = scratch(slot, (*x.shape[:-1], len(weight)), like=x)
    linear_into(out, x, weight, bias)
    return out


def _add_gradients(
    sums: list[Tensor],
    of_x: Tensor,
    x: Tensor,
    grad: Tensor,
    before: Tensor,
    hidden: Shiftable,
    between: Tensor,
    w1: Tensor,
    weight: Tensor,
    w2: Tensor,
) -> None:
    """Write the gradient of x, and add those of the six parameters to what they have so far."""
    D, of_out = w2.shape[1], grad.reshape(-1, grad.shape[-1])
    of_w1, of_b1, of_weight, of_bias, of_w2, of_b2 = sums
    passing = scratch_gelu("flat", between)
    rows = passing.view(-1, D)
    _add_product(of_w2, of_out.t(), rows)
    torch.mm(of_out, w2, out=rows)
    of_between = Shiftable.empty("grad", before, hidden.margin)
    _gelu_backward(passing, between, out=of_between.own)
    of_hidden, its_weight, its_bias = gradients(hidden, of_between, weight)
    _gelu_backward(of_hidden, before, out=passing)
    _add_product(of_w1, rows.t(), x.reshape(-1, x.shape[-1]))
    torch.mm(rows, w1, out=of_x.view(-1, w1.shape[1]))
    for total, one in (
        (of_weight, its_weight),
        (of_bias, its_bias),
        (of_b1, rows.sum(0)),
        (of_b2, of_out.sum(0)),
    ):
        total.add_(one)


def _add_product(total: Tensor, a: Tensor, b: Tensor) -> None:
    """Add a product to what may have more digits than its factors."""
    if total.dtype == a.dtype:
        total.addmm_(a, b)
    else:
        total.add_(a @ b)


def _activated(before: Tensor, weight: Tensor) -> Shiftable:
    """GELU of (I, H, W, D), laid out for the gradient of a kernel."""
    hidden = Shiftable.empty("hidden", before, margin_of(weight))
    hidden.own.copy_(scratch_gelu("flat", before))
    return hidden


def _gelu_backward(grad: Tensor, x: Tensor, *, out: Tensor) -> None:
    """Gradient of GELU at x; tensors with gaps between their rows are faster as permuted ones."""
    grad, x, out = (t.permute(0, 3, 1, 2) for t in (grad, x, out))
    torch.ops.aten.gelu_backward.grad_input(grad, x, grad_input=out)
