"""Conv → [+ position in the token] → GELU → [LayerNorm] → 1 × 1 conv, written by hand for a CPU.

I images, Y × X sub-patches, E stem channels, c output channels, a × a sub-patches of one token.

The E channels at half resolution are the largest tensors of a structured model, and autograd keeps three or
four of them. They are cheap to compute again from the image, so nothing else is kept, and few images, or
rows of tokens where no convolution crosses them, are taken at a time, so that their channels stay in the
processor's cache.

Source: SWAT (IJCAI 2023), section 3.1; `docs/log.md` for the measurements.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor
from torch.autograd.function import once_differentiable

from swatbench.swat.eager import linear_into, zeros_to_sum_in
from swatbench.swat.scratch import scratch, scratch_gelu

CACHED_BYTES = 4 * 2**20
"""Stem channels of the images that are taken together."""
LARGE_BYTES = 16 * 2**20
"""Stem channels of a batch from which this form is worth while."""

_ops = torch.ops.aten
Grads = tuple[Tensor | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StemSizes:
    """What the layers of a stem have beside parameters.

    Attributes:
        stride: Stride of the first convolution.
        padding: Its padding.
        norm_eps: Epsilon of the LayerNorm; no matter where there is none.
    """

    stride: int
    padding: int
    norm_eps: float


def stem_bytes(images: Tensor, stride: int, E: int) -> int:
    """Size of a batch's E stem channels."""
    I, _, height, width = images.shape
    return I * (height // stride) * (width // stride) * E * images.element_size()


def stem(
    images: Tensor,
    conv1: tuple[Tensor, Tensor],
    position: Tensor | None,
    norm: tuple[Tensor, Tensor] | None,
    conv2: tuple[Tensor, Tensor | None],
    sizes: StemSizes,
) -> Tensor:
    """The sub-patches of images, (I, channels, height, width) → (I, Y, X, c).

    Args:
        images: On a CPU.
        conv1: Weight (E, channels, k, k) and bias (E,).
        position: (1, E, a, a), added to every token, or None.
        norm: Weight and bias (E,) of a LayerNorm, or None.
        conv2: Weight (c, E, 1, 1) and bias (c,) or None.
        sizes: Stride, padding and epsilon.
    """
    images = images.contiguous(memory_format=torch.channels_last)  # so that no E channels need be moved later
    strips = _as_strips(images, conv1[0], position, sizes)
    x = _Stem.apply(strips, *conv1, position, *(norm or (None, None)), *conv2, sizes)
    return x.view(len(images), -1, *x.shape[2:])


def _as_strips(images: Tensor, w1: Tensor, position: Tensor | None, sizes: StemSizes) -> Tensor:
    """Images cut into rows of tokens, (I·rows, channels, y, width), where no convolution crosses them.

    One image at full width is more than a cache holds.
    """
    step = sizes.stride * (1 if position is None else position.shape[-1])
    height = images.shape[2]
    if sizes.padding or w1.shape[-2] != sizes.stride or height % step:
        return images
    return rearrange(images, "I c (rows y) x -> (I rows) c y x", y=step)


class _Stem(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, *layers: Any) -> Tensor:
        *parameters, sizes = layers
        ctx.save_for_backward(images, *parameters)
        ctx.sizes = sizes
        ctx.at_once = max(1, CACHED_BYTES * len(images) // stem_bytes(images, sizes.stride, len(layers[0])))
        (I, _, height, width), stride = images.shape, sizes.stride
        out = images.new_empty(I, height // stride, width // stride, len(layers[5]))
        for some, place in zip(images.split(ctx.at_once), out.split(ctx.at_once), strict=True):
            _forward_into(place, some, *layers)
        return out

    @staticmethod
    @once_differentiable
    @torch.autocast("cpu", enabled=False)  # what is computed again has the types that the forward pass had
    def backward(ctx: Any, *grad_outputs: Tensor) -> Grads:  # pyright: ignore[reportIncompatibleMethodOverride]
        images, *parameters = ctx.saved_tensors
        of_images = torch.empty_like(images) if ctx.needs_input_grad[0] else None
        sums = [None if p is None else zeros_to_sum_in(p) for p in parameters]
        split = images.split(ctx.at_once), grad_outputs[0].contiguous().split(ctx.at_once)
        begin = 0
        for some, its_grad in zip(*split, strict=True):
            found, *of_parameters = _backward(
                some, its_grad, *parameters, sizes=ctx.sizes, of_images=of_images is not None
            )
            if of_images is not None and found is not None:
                of_images[begin : begin + len(some)] = found
            for total, one in zip(sums, of_parameters, strict=True):
                if total is not None and one is not None:
                    total.add_(one)
            begin += len(some)
        found = [None if s is None else s.to(p.dtype) for s, p in zip(sums, parameters, strict=True)]
        return of_images, *found, None


def _forward_into(
    out: Tensor,
    images: Tensor,
    w1: Tensor,
    b1: Tensor,
    position: Tensor | None,
    scale: Tensor | None,
    shift: Tensor | None,
    w2: Tensor,
    b2: Tensor | None,
    sizes: StemSizes,
) -> None:
    x = _ops.gelu_(_before(images, w1, b1, position, sizes))
    if scale is not None:
        x = F.layer_norm(x, scale.shape, scale, shift, sizes.norm_eps)
    linear_into(out, x, w2.flatten(1), b2)


def _before(images: Tensor, w1: Tensor, b1: Tensor, position: Tensor | None, sizes: StemSizes) -> Tensor:
    """What is before the GELU, (I, Y, X, E) and contiguous."""
    x = F.conv2d(images, w1, b1, sizes.stride, sizes.padding).permute(0, 2, 3, 1).contiguous()
    if position is not None:
        _in_tokens(x, position).add_(position[0].permute(1, 2, 0)[:, None])
    return x


def _in_tokens(x: Tensor, position: Tensor) -> Tensor:
    """(I, Y, X, E) seen as (I·H, a, W, a, E), the sub-patches of each token along the second and fourth."""
    a = position.shape[-1]
    return x.view(-1, a, x.shape[2] // a, a, x.shape[3])


def _row_by_row(a: Tensor, b: Tensor) -> Tensor:
    """Product of (I, Y, X, c) and (I, Y, X, E) over all positions, (c, E), as a sum of products of rows.

    So each thread reads what it has written; one product at once was measured up to twice as slow.
    """
    rows = (t.reshape(-1, *t.shape[2:]) for t in (a, b))
    return torch.einsum("rxc,rxe->rce", *rows).sum(0)


def _backward(
    images: Tensor,
    grad: Tensor,
    w1: Tensor,
    b1: Tensor,
    position: Tensor | None,
    scale: Tensor | None,
    shift: Tensor | None,
    w2: Tensor,
    b2: Tensor | None,
    *,
    sizes: StemSizes,
    of_images: bool,
) -> tuple[Tensor | None, ...]:
    """Gradients of the images and of all parameters, in the order of the arguments."""
    E, of_out = len(w1), grad.reshape(-1, grad.shape[-1])
    before = _before(images, w1, b1, position, sizes)
    hidden = scratch_gelu("hidden", before)
    of_hidden = scratch("grad", tuple(before.shape), like=before)
    torch.mm(of_out, w2.flatten(1), out=of_hidden.view(-1, E))
    of_scale = of_shift = None
    if scale is None:
        of_w2 = _row_by_row(grad, hidden)
    else:
        normed, mean, deviation = _ops.native_layer_norm(hidden, [E], scale, shift, sizes.norm_eps)
        of_w2 = _row_by_row(grad, normed)
        of_hidden, of_scale, of_shift = _ops.native_layer_norm_backward(
            of_hidden, hidden, [E], mean, deviation, scale, shift, [True, True, True]
        )
    # In place: where cores share no cache, writing over what both have read was measured 7 times as slow.
    of_before = _ops.gelu_backward.grad_input(of_hidden, before, grad_input=of_hidden)
    of_position = None
    if position is not None:
        # One after the other: both at once was measured ten times as slow.
        of_position = _in_tokens(of_before, position).sum(0).sum(1).permute(2, 0, 1)[None]
    of_x, of_w1, of_b1 = _ops.convolution_backward(
        of_before.permute(0, 3, 1, 2),
        images,
        w1,
        [E],
        [sizes.stride] * 2,
        [sizes.padding] * 2,
        [1, 1],
        False,
        [0, 0],
        1,
        [of_images, True, position is None],
    )
    if of_position is not None:
        of_b1 = of_position.sum((0, 2, 3))
    of_b2 = None if b2 is None else of_out.sum(0)
    return of_x, of_w1, of_b1, of_position, of_scale, of_shift, of_w2.view_as(w2), of_b2
