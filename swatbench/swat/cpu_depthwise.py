"""Depthwise convolution among tokens whose weight gradient takes the fast way on a CPU.

I images, H × W positions, D channels, a kernel of k × k; every tensor is (I, H, W, D) in memory.

oneDNN has a kernel of its own for the weight gradient of a depthwise convolution up to three columns wide; a
5 × 5 one falls back to code that was measured 3 to 6 times as slow. So the gradient is taken in strips of
three columns. A strip sees the input shifted against the gradient of the output, and both lie in buffers
with columns of zeros, made so that a shift is another place to begin reading and not another copy.

Source: SWAT (IJCAI 2023), section 3.3, for the convolution; `docs/log.md` for the measurements.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from swatbench.swat.scratch import Slot, scratch

STRIP = 3
"""Columns of the widest kernel whose weight gradient oneDNN has a depthwise kernel for."""


@dataclass(frozen=True, slots=True)
class Shiftable:
    """An (I, H, W, D) tensor that can be read shifted to the right by up to `margin` columns of zeros.

    Attributes:
        memory: One dimension; rows of W + margin positions, `margin` positions of zeros before the first.
        shape: I, H, W, D.
        margin: Columns of zeros between two rows.
    """

    memory: Tensor
    shape: tuple[int, int, int, int]
    margin: int

    @classmethod
    def empty(cls, slot: Slot, like: Tensor, margin: int) -> "Shiftable":
        """Zeros where the margin lies; what the tensor holds is left to be written.

        Args:
            slot: Which scratch memory it lies in.
            like: (I, H, W, D), whose shape and type it takes.
            margin: Columns of zeros.
        """
        I, H, W, D = like.shape
        size = (I * H * (W + margin) + margin) * D
        made = cls(scratch(slot, (size,), like=like), (I, H, W, D), margin)
        made.memory[: margin * D] = 0
        made.shifted(0)[:, :, W:] = 0
        return made

    @property
    def own(self) -> Tensor:
        """(I, H, W, D), the tensor itself, to be read or written."""
        return self.shifted(0)[:, :, : self.shape[2]]

    def shifted(self, columns: int) -> Tensor:
        """(I, H, W + margin, D): so many columns of zeros, the tensor, and zeros for the rest."""
        I, H, W, D = self.shape
        begin = (self.margin - columns) * D
        return self.memory[begin : begin + I * H * (W + self.margin) * D].view(I, H, W + self.margin, D)


def margin_of(weight: Tensor) -> int:
    """Columns of zeros that the weight gradient of a (D, 1, k, k) kernel needs between two rows."""
    return max(0, weight.shape[-1] // 2 - STRIP // 2)


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """(I, H, W, D) → the same shape, padded with zeros so that the size stays.

    Args:
        x: What is convolved.
        weight: (D, 1, k, k), k odd.
        bias: (D,) or None.
    """
    padding = weight.shape[-1] // 2
    y = torch.conv2d(x.permute(0, 3, 1, 2), weight, bias, padding=padding, groups=weight.shape[0])
    return y.permute(0, 2, 3, 1)


def gradients(x: Shiftable, grad: Shiftable, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of the input (I, H, W, D), the weight (D, 1, k, k) and the bias (D,).

    Args:
        x: The convolution's input, with the margin of `margin_of`.
        grad: Gradient of its output, with the same margin.
        weight: The kernel.
    """
    # A convolution with the kernel turned round; oneDNN's own gradient was measured up to 1.8 times as slow.
    of_x = convolve(grad.shifted(0), weight.flip(2, 3), None)[:, :, : x.shape[2]]
    k = weight.shape[-1]
    if not x.margin:
        return of_x, *_of_parameters(grad.own, x.own, weight, with_bias=True)
    of_weight, of_bias = torch.empty_like(weight), None
    for left in (*range(0, k - STRIP, STRIP), k - STRIP):
        offset = left - x.margin  # how far right of its output the strip's middle column reads
        shifted = grad.shifted(max(offset, 0)), x.shifted(max(-offset, 0))
        strip = slice(left, left + STRIP)
        of_strip, summed = _of_parameters(*shifted, weight[..., strip], with_bias=of_bias is None)
        of_weight[..., strip] = of_strip
        of_bias = summed if of_bias is None else of_bias
    assert of_bias is not None
    return of_x, of_weight, of_bias


def _of_parameters(grad: Tensor, x: Tensor, weight: Tensor, *, with_bias: bool) -> tuple[Tensor, Tensor]:
    """Gradients of weight and bias; the second is no tensor where it is not wanted."""
    D, _, height, width = weight.shape
    return torch.ops.aten.convolution_backward(
        grad.permute(0, 3, 1, 2),
        x.permute(0, 3, 1, 2),
        weight,
        [D],
        [1, 1],
        [height // 2, width // 2],
        [1, 1],
        False,
        [0, 0],
        D,
        [False, True, with_bias],
    )[1:]
