"""An MLP with a depthwise convolution between two GELUs, written by hand for a CPU.

I images, H × W positions, F features, D hidden channels, O output features.

Run operator by operator, autograd keeps four tensors of D channels for the backward pass: before and after
each GELU. A GELU is cheap beside the memory that its result takes, so here those before are kept and those
after are computed again. Where even these would be large, images are taken few at a time, so that their
hidden channels stay in the processor's cache, and all is computed again from the input. GELU runs over
tensors that are contiguous: over a permuted one it was measured twice as slow.

Source: SWAT (IJCAI 2023), section 3.3, for the layers; `docs/log.md` for the measurements.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from swatbench.swat.cpu_depthwise import Shiftable, convolve, gradients, margin_of
from swatbench.swat.eager import zeros_to_sum_in

CACHED_BYTES = 8 * 2**20
"""Hidden channels of the images of a large batch that are taken together in training."""
FORWARD_BYTES = 2 * 2**20
"""The same where nothing is kept, of any batch: memory that was just given back is faster than fresh one."""
LARGE_BYTES = 16 * 2**20
"""Hidden channels of a batch that are computed again rather than kept."""

Grads = tuple[Tensor, ...]

gelu, gelu_ = torch.ops.aten.gelu, torch.ops.aten.gelu_


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
    return _few_at_a_time(x, FORWARD_BYTES, layers)


class _StructuredMlp(torch.autograd.Function):
    """Keeps what is before each GELU, or of a large batch nothing but its input."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *layers: Tensor) -> Tensor:
        w1, b1, weight, bias, w2, b2 = layers
        if _bytes(x, w1) > LARGE_BYTES:
            ctx.save_for_backward(x, *layers)
            return _few_at_a_time(x, CACHED_BYTES, layers)
        before = F.linear(x, w1, b1)
        between = convolve(gelu(before), weight, bias)
        ctx.save_for_backward(x, *layers, before, between)
        return F.linear(gelu(between), w2, b2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> Grads:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, *saved = ctx.saved_tensors  # once: gradient checkpointing refuses to be asked again
        layers, kept = saved[:6], saved[6:]
        w1, b1, weight, bias, w2, _ = layers
        grad = grad_outputs[0].contiguous()
        if kept:
            before, between = kept
            return _backward(x, grad, before, _activated(before, weight), between, w1, weight, w2)
        of_x, sums = torch.empty_like(x), [zeros_to_sum_in(layer) for layer in layers]
        images = _at_once(x, w1, CACHED_BYTES)
        for some, its_grad, place in zip(*(t.split(images) for t in (x, grad, of_x)), strict=True):
            before = F.linear(some, w1, b1)
            hidden = _activated(before, weight)
            between = convolve(hidden.shifted(0), weight, bias)[:, :, : x.shape[2]]
            found, *of_layers = _backward(some, its_grad, before, hidden, between, w1, weight, w2)
            place.copy_(found)
            for total, one in zip(sums, of_layers, strict=True):
                total.add_(one)
        return of_x, *(total.to(layer.dtype) for total, layer in zip(sums, layers, strict=True))


def _bytes(x: Tensor, weight: Tensor) -> int:
    """Size of the hidden channels of all images."""
    return x.numel() // x.shape[-1] * weight.shape[0] * x.element_size()


def _at_once(x: Tensor, weight: Tensor, most_bytes: int) -> int:
    """Images whose hidden channels take no more than so many bytes, and one at least."""
    return max(1, most_bytes * len(x) // max(1, _bytes(x, weight)))


def _few_at_a_time(x: Tensor, most_bytes: int, layers: tuple[Tensor, ...]) -> Tensor:
    """The output, computed for so many images at once that their hidden channels fit, and nothing kept."""
    images = _at_once(x, layers[0], most_bytes)
    if images >= len(x):
        return _forward(x, *layers)
    out = x.new_empty(*x.shape[:-1], len(layers[-1]))
    for some, place in zip(x.split(images), out.split(images), strict=True):
        place.copy_(_forward(some, *layers))
    return out


def _forward(
    x: Tensor, w1: Tensor, b1: Tensor, weight: Tensor, bias: Tensor, w2: Tensor, b2: Tensor
) -> Tensor:
    return F.linear(gelu(convolve(gelu_(F.linear(x, w1, b1)), weight, bias)), w2, b2)


def _backward(
    x: Tensor,
    grad: Tensor,
    before: Tensor,
    hidden: Shiftable,
    between: Tensor,
    w1: Tensor,
    weight: Tensor,
    w2: Tensor,
) -> tuple[Tensor, ...]:
    """Gradients of x and of the six parameters, in the order in which the layers take them."""
    D, of_out = w2.shape[1], grad.reshape(-1, grad.shape[-1])
    of_w2 = of_out.t() @ gelu(between).reshape(-1, D)
    of_before, of_weight, of_bias = _through(
        (of_out @ w2).view(before.shape), between, hidden, before, weight
    )
    rows = of_before.reshape(-1, D)
    of_w1 = rows.t() @ x.reshape(-1, x.shape[-1])
    return (rows @ w1).view(x.shape), of_w1, rows.sum(0), of_weight, of_bias, of_w2, of_out.sum(0)


def _activated(before: Tensor, weight: Tensor) -> Shiftable:
    """GELU of (I, H, W, D), laid out for the gradient of a kernel."""
    hidden = Shiftable.empty(before, margin_of(weight))
    hidden.own.copy_(gelu(before))  # torch's gelu.out writes wrong values where its output has gaps
    return hidden


def _through(
    grad: Tensor, between: Tensor, hidden: Shiftable, before: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of what is before the first GELU, of the kernel and of its bias."""
    of_between = Shiftable.empty(before, hidden.margin)
    _gelu_backward(grad, between, out=of_between.own)
    del grad  # what is given back here is taken again below, and need not be mapped anew
    of_hidden, of_weight, of_bias = gradients(hidden, of_between, weight)
    del hidden, of_between
    of_before = torch.empty_like(before)
    _gelu_backward(of_hidden, before, out=of_before)
    return of_before, of_weight, of_bias


def _gelu_backward(grad: Tensor, x: Tensor, *, out: Tensor) -> None:
    """Gradient of GELU at x; tensors with gaps between their rows are faster as permuted ones."""
    grad, x, out = (t.permute(0, 3, 1, 2) for t in (grad, x, out))
    torch.ops.aten.gelu_backward.grad_input(grad, x, grad_input=out)
