"""What the operators of a traced model cost: handles for fvcore, and tables of what costs nothing.

fvcore's conventions hold for norms (5 for each element with an affine map, 4 without; batch norm in
evaluation 2 and 1), for adaptive average pooling (1 for each input element) and for resampling (the pixels
that are read for each one that is put out). Attention, broadcast matrix products, einsum, convolutions with
`padding="same"`, RMS norm and bicubic resampling are counted here: fvcore does not know them, or counts them
wrong when the first operand is broadcast (products) or when the numbers are long (einsum).

Source: fvcore 0.1.5 (`fvcore.nn.flop_count`, `fvcore.nn.activation_count`).
"""

import re
from collections import Counter
from collections.abc import Callable, Container, Iterable
from math import prod
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from swatbench.errors import ModelError

Handle = Callable[[list[Any], list[Any]], Any]
"""From the values that an operator takes and gives in a trace to what it costs."""

ACTIVATIONS = "activations"
"""Name that handles put beside operators' names: elements that a convolution or matrix product puts out."""

MATMUL_CLASS = frozenset(
    {"conv", "linear", "addmm", "mm", "bmm", "matmul", "einsum", "scaled_dot_product_attention"}
)
"""Operators that are convolutions or matrix products; both counters know them."""

NOT_MATMUL = frozenset(
    {
        *("batch_norm", "group_norm", "instance_norm", "layer_norm", "rms_norm"),
        "adaptive_avg_pool2d",
        *("grid_sampler", "upsample_bicubic2d", "upsample_bilinear2d", "upsample_nearest2d"),
        "_upsample_bicubic2d_aa",
    }
)
"""Norms, pooling and resampling: what fvcore counts, and torch's counter does not."""

_CREATE = ("eye", "linspace", "one_hot", "ones_like")
_MOVE = (
    *("argsort", "cartesian_prod", "clone", "col2im", "concat", "diag", "expand_as", "flip", "im2col"),
    *("index_add", "index_copy", "index_put", "index_select", "meshgrid", "movedim", "mT", "numpy_T", "pad"),
    *("pixel_shuffle", "pixel_unshuffle", "repeat", "repeat_interleave", "reshape_as", "scatter", "sort"),
    *("tile", "topk", "unflatten", "unfold", "view_as"),
)
_REDUCE = (
    *("amax", "amin", "cumsum", "linalg_vector_norm", "log_softmax", "logsumexp", "mean", "min", "norm"),
    *("prod", "softmax", "std", "sum", "var", "var_mean"),
)
_POOL = ("adaptive_max_pool2d", "avg_pool1d", "avg_pool2d", "avg_pool3d", "max_pool1d", "max_pool2d")
_ELEMENT_WISE = ("bucketize", "dropout", "feature_dropout", "glu", "hardswish", "outer")
_NOT_MULTIPLIED = frozenset({*_CREATE, *_MOVE, *_REDUCE, *_POOL, *_ELEMENT_WISE})
"""Operators of aten that only move, reduce, pool or create, beside those that fvcore ignores."""

_PRODUCTS = re.compile(
    "|".join(
        (
            r"\w*mm(_\w+)?|\w*matmul\w*|(?!_?upsample)\w*linear\w*",
            r"\w*conv(olution|\d|_)\w*",
            r"\w*attention\w*|_transformer_encoder_layer_fwd",
            r"mv|addmv|dot|vdot|addr|_(cdist|pdist)_\w+|_euclidean_dist",
            # A fused cell works element by element on products that were made before.
            r"(?!_thnn)\w*(rnn|lstm|gru)(_\w+)?",
            r"_fft_\w+",
            r"_?linalg_(?!cross|vector_norm|_)\w+|_?cholesky_\w+|geqrf|ormqr|triangular_solve|_spsolve",
        )
    )
)
"""Operators of aten that multiply and add; torch's counter takes those that it has no formula for as free."""

_NAMESPACES = frozenset({"aten", "prim", "prims", "profiler"})
"""torch's own namespaces; an operator that is in none of them may hold any product."""


class RefuseUncounted(TorchDispatchMode):
    """Refuses operators that multiply and add and that torch's counter would take for free.

    Args:
        counted: Operators that the counter has a formula for.
    """

    def __init__(self, counted: Container[Any]) -> None:
        super().__init__()
        self._counted = counted

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operator.

        Raises:
            ModelError: It may hold a product that is not counted.
        """
        name = func.overloadpacket.__name__
        free = func.namespace in _NAMESPACES and not _PRODUCTS.fullmatch(name.removesuffix("_"))
        if not free and func.overloadpacket not in self._counted:
            raise _unknown([f"{func.namespace}::{name}"])
        return func(*args, **(kwargs or {}))


def handles() -> dict[str, Handle]:
    """Handles of all operators that are not fvcore's own, or that also put out activations."""
    # Its import warns and takes time, so whoever never counts does not pay for it.
    from fvcore.nn import jit_handles as fvcore  # noqa: PLC0415

    return {
        "aten::_convolution": _product("conv", lambda given, out: fvcore.conv_flop_jit(given, out)["conv"]),
        "aten::_convolution_mode": _product("conv", _convolution_macs),
        "aten::linear": _product("linear", fvcore.linear_flop_jit),
        "aten::addmm": _product("addmm", fvcore.addmm_flop_jit),
        **{f"aten::{name}": _product(name, _matmul_macs) for name in ("matmul", "mm", "bmm")},
        "aten::einsum": _product("einsum", _einsum_macs),
        "aten::scaled_dot_product_attention": _attention,
        "aten::rms_norm": fvcore.norm_flop_counter(2),
        "aten::upsample_bicubic2d": fvcore.elementwise_flop_counter(0, 16),
        "aten::_upsample_bicubic2d_aa": _antialiased,
    }


def refuse_unknown(operators: Iterable[str]) -> None:
    """Refuse operators that neither count something nor are known to hold no product.

    Args:
        operators: Names as in a trace, `aten::gelu`, that no handle was found for.

    Raises:
        ModelError: One of them may hold a matrix product.
    """
    unknown = sorted(name for name in operators if not _costs_nothing(name))
    if unknown:
        raise _unknown(unknown)


def _unknown(operators: list[str]) -> ModelError:
    return ModelError(
        f"Operators that no counter knows: {', '.join(operators)}.",
        fix="Use torch's own operators, or teach swatbench.measure.operators what these cost.",
    )


def _costs_nothing(operator: str) -> bool:
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


def _product(name: str, macs: Handle) -> Handle:
    """The handle of a product: its MACs, and as activations the elements of what it gives."""

    def handle(given: list[Any], out: list[Any]) -> Counter[str]:
        return Counter({name: int(macs(given, out)), ACTIVATIONS: prod(_shape(out[0]))})

    return handle


def _attention(given: list[Any], _out: list[Any]) -> Counter[str]:
    """Two products, from query (B, H, L, E), key (B, H, S, E) and value (B, H, S, Ev).

    As activations the weights (B, H, L, S) count too, as they do where attention is not fused.
    """
    query, key, value = (_shape(tensor) for tensor in given[:3])
    weights, width = prod(query[:-1]) * key[-2], value[-1]
    return Counter(
        {
            "scaled_dot_product_attention": weights * (query[-1] + width),
            ACTIVATIONS: weights + prod(query[:-1]) * width,
        }
    )


def _convolution_macs(given: list[Any], out: list[Any]) -> int:
    """Every element put out is a sum over the filter (out, in per group, kernel)."""
    return prod(_shape(out[0])) * prod(_shape(given[1])[1:])


def _matmul_macs(given: list[Any], out: list[Any]) -> int:
    """Every element of the product is a sum over the inner size."""
    return prod(_shape(out[0])) * _shape(given[0])[-1]


def _antialiased(given: list[Any], out: list[Any]) -> Counter[str]:
    """Bicubic resampling that reads 4 × 4 pixels, and more along a side that shrinks, as often as it does."""
    *rows, H, W = _shape(given[0])
    *_, height, width = _shape(out[0])
    return Counter({"_upsample_bicubic2d_aa": 16 * prod(rows) * max(H, height) * max(W, width)})


def _einsum_macs(given: list[Any], _out: list[Any]) -> int:
    """Product of the sizes of all letters of a contraction of two tensors, and 0 for a plain product."""
    equation = given[0].toIValue().replace(" ", "")
    shapes = [_shape(tensor) for tensor in given[1].node().inputs()]
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
