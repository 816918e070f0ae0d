"""Parameters and multiply-accumulates of a model, by two counters that check one another.

One MAC is one multiplication with its addition; biases are not counted. fvcore's conventions hold for norms
(5 for each element with an affine map, 4 without; batch norm in evaluation 2 and 1) and for adaptive average
pooling (1 for each input element). Other element-wise work counts 0. Three kinds of operator are counted
here rather than by fvcore: attention, which it does not know; matrix products, which it counts wrong when
the first operand is broadcast; and einsum, which it rounds.

Source: fvcore 0.1.5 (`fvcore.nn.FlopCountAnalysis`) and `torch.utils.flop_counter.FlopCounterMode`.
"""

import copy
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from swatbench.errors import ModelError

MATMUL_CLASS = frozenset(
    {"conv", "linear", "addmm", "mm", "bmm", "matmul", "einsum", "scaled_dot_product_attention"}
)
"""Operators that are convolutions or matrix products; both counters know them."""

_NOT_MULTIPLIED = frozenset(
    {
        "amax",
        "amin",
        "avg_pool2d",
        "clone",
        "col2im",
        "concat",
        "cumsum",
        "dropout",
        "expand_as",
        "eye",
        "flip",
        "glu",
        "hardswish",
        "im2col",
        "index_select",
        "linalg_vector_norm",
        "linspace",
        "log_softmax",
        "max_pool2d",
        "mean",
        "meshgrid",
        "movedim",
        "mT",
        "norm",
        "numpy_T",
        "ones_like",
        "pad",
        "pixel_shuffle",
        "pixel_unshuffle",
        "repeat",
        "repeat_interleave",
        "reshape_as",
        "softmax",
        "std",
        "sum",
        "tile",
        "unflatten",
        "unfold",
        "var",
        "view_as",
    }
)
"""Operators of aten that only move, reduce, pool or create, beside those that fvcore ignores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What one image costs, independent of any machine.

    Attributes:
        params: Parameters, trained or not.
        macs: Multiply-accumulates of one image's forward pass.
        macs_by_operator: Operator → its part of `macs`, the largest first.
        macs_matmul: The part of convolutions and matrix products.
        macs_torch: The same by torch's counter (FLOPs halved), which sees no norm and no pooling.
    """

    params: int
    macs: int
    macs_by_operator: Mapping[str, int]
    macs_matmul: int
    macs_torch: int

    @property
    def agree(self) -> bool:
        """Whether the two counters give the same number of MACs for convolutions and matrix products."""
        return self.macs_matmul == self.macs_torch


def count(model: nn.Module, input_shape: tuple[int, int, int, int]) -> Counts:
    """Count the parameters and the MACs of one image's forward pass in evaluation mode.

    The model is copied, never run itself: a compiled module stays slow once `FlopCounterMode` has seen it.
    MACs are those of a whole call divided by its batch. Work that does not depend on the batch, such as
    folding a convolution into a matrix, is counted whole at a batch of 1 and spread over the images at a
    larger one, so numbers to be compared are counted at a batch of 1.

    Args:
        model: Takes a float tensor (B, C, H, W).
        input_shape: B, C, H, W.

    Raises:
        ModelError: An operator is not known to either count something or cost nothing, or the model does
            not run on torch's meta device.
        ValueError: The MACs of the call are no multiple of the batch.
    """
    batch = input_shape[0]
    # Where parameters are trainable, torch's modules keep off fused inference paths that no counter knows.
    replica = copy.deepcopy(model).cpu().float().eval().requires_grad_(True)
    macs = {name: _per_image(n, batch) for name, n in _fvcore_macs(replica, input_shape).items()}
    return Counts(
        params=sum(parameter.numel() for parameter in model.parameters()),
        macs=sum(macs.values()),
        macs_by_operator=dict(sorted(macs.items(), key=lambda item: (-item[1], item[0]))),
        macs_matmul=sum(n for name, n in macs.items() if name in MATMUL_CLASS),
        macs_torch=_per_image(_torch_macs(replica.to("meta"), input_shape), batch),
    )


def _per_image(macs: int, batch: int) -> int:
    if macs % batch:
        raise ValueError(f"{macs} MACs are no multiple of the batch of {batch}; count at a batch of 1")
    return macs // batch


def _fvcore_macs(model: nn.Module, input_shape: tuple[int, ...]) -> dict[str, int]:
    with _quiet_tracer():
        # Its import warns seven times and takes time, so whoever never counts does not pay for it.
        from fvcore.nn import FlopCountAnalysis  # noqa: PLC0415

        analysis = FlopCountAnalysis(model, torch.zeros(input_shape))
        analysis.unsupported_ops_warnings(enabled=False).uncalled_modules_warnings(enabled=False)
        analysis.set_op_handle(
            **{
                "aten::scaled_dot_product_attention": _attention_macs,
                "aten::matmul": _matmul_macs,
                "aten::mm": _matmul_macs,
                "aten::bmm": _matmul_macs,
                "aten::einsum": _einsum_macs,
            }
        )
        with torch.enable_grad():
            macs = {name: int(n) for name, n in analysis.by_operator().items()}
    _refuse_unknown(analysis.unsupported_ops())
    return macs


@contextmanager
def _quiet_tracer() -> Iterator[None]:
    """Hide the deprecation of torch.jit, on which fvcore rests, and nothing else."""
    with warnings.catch_warnings():
        for category in (FutureWarning, DeprecationWarning):
            warnings.filterwarnings("ignore", message=r"`torch\.jit\.", category=category)
        yield


def _torch_macs(model: nn.Module, input_shape: tuple[int, ...]) -> int:
    counter = FlopCounterMode(display=False)
    try:
        with torch.enable_grad(), counter:
            model(torch.zeros(input_shape, device="meta"))
    except (RuntimeError, NotImplementedError) as error:
        raise ModelError(
            f"The model cannot be counted on torch's meta device: {error}",
            fix="Its work must follow from shapes, not values, and its tensors be parameters or buffers.",
        ) from error
    return counter.get_total_flops() // 2


def _refuse_unknown(operators: Mapping[str, int]) -> None:
    unknown = sorted(name for name in operators if not _costs_nothing(name))
    if unknown:
        raise ModelError(
            f"Operators that no counter knows: {', '.join(unknown)}.",
            fix="Use torch's own operators, or teach swatbench.measure.counts what these cost.",
        )


def _costs_nothing(operator: str) -> bool:
    """Whether an operator, named as in a trace (`aten::gelu`), is known to hold no matrix product."""
    namespace, _, name = operator.partition("::")
    if namespace != "aten":
        return False
    if name.removesuffix("_") in _NOT_MULTIPLIED:
        return True
    packet = getattr(torch.ops.aten, name, None)
    return packet is not None and any(
        torch.Tag.pointwise in getattr(packet, overload).tags for overload in packet.overloads()
    )


def _shape(value: Any) -> list[int]:
    return value.type().sizes()


def _attention_macs(inputs: list[Any], _outputs: list[Any]) -> int:
    """B·H·L·S·(E + Ev) from query (B, H, L, E), key (B, H, S, E) and value (B, H, S, Ev)."""
    query, key, value = (_shape(tensor) for tensor in inputs[:3])
    return prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def _matmul_macs(inputs: list[Any], outputs: list[Any]) -> int:
    """Every element of the product is a sum over the inner size."""
    return prod(_shape(outputs[0])) * _shape(inputs[0])[-1]


def _einsum_macs(inputs: list[Any], _outputs: list[Any]) -> int:
    """Product of the sizes of all letters of a contraction of two tensors, and 0 for a plain product."""
    equation = inputs[0].toIValue().replace(" ", "")
    shapes = [_shape(tensor) for tensor in inputs[1].node().inputs()]
    if len(shapes) != 2 or "." in equation or "->" not in equation:
        raise ModelError(
            f"einsum {equation!r} of {len(shapes)} tensors cannot be counted.",
            fix="Write it as products of two tensors, with every letter and the output named.",
        )
    left, right, out = re.split(",|->", equation)
    if not (set(left) & set(right)) - set(out):
        return 0
    size = dict(zip(left + right, shapes[0] + shapes[1], strict=True))
    # torch sums a letter that only one operand has, and the output lacks, before it multiplies.
    return prod(size[letter] for letter in size if letter in out or (letter in left and letter in right))
