"""When the layers run their hand-written forms: on a CPU, operator by operator, on ordinary tensors.

A compiler fuses for itself, and tracers and counters are to see the layers as the paper draws them.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad


def runs_eagerly_on_cpu(x: Tensor, parameters: Iterable[Tensor]) -> bool:
    """Whether x is computed at once and on a CPU, in a type that oneDNN has fast kernels for.

    False under torch.compile, torch.export, torch.jit.trace, torch.func's transforms, forward-mode
    derivatives, and for stand-ins without values.

    Args:
        x: Input of the layer.
        parameters: Those of the layer.
    """
    return (
        not torch.compiler.is_compiling()  # first: a compiler cannot read what follows
        and x.device.type == "cpu"
        and type(x) in {Tensor, nn.Parameter}
        and x.dtype in {torch.float32, torch.bfloat16}
        and torch.backends.mkldnn.is_available()
        and not torch.jit.is_tracing()
        and forward_ad._current_level < 0  # noqa: SLF001 (there is no public way to ask)
        and not any(_is_transformed(t) for t in (x, *parameters))
    )


def _is_transformed(x: Tensor) -> bool:
    """Whether one of torch.func's transforms is at work; there is no public way to ask."""
    return torch._C._functorch.is_functorch_wrapped_tensor(x)  # noqa: SLF001 # pyright: ignore[reportAttributeAccessIssue]


def is_traced(x: Tensor) -> bool:
    """Whether operations are only written down: for torch.jit.trace, or counted on the meta device."""
    return x.device.type == "meta" or torch.jit.is_tracing()


def autocast_type(x: Tensor) -> torch.dtype:
    """The type that a linear map or a convolution of x computes in."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


def zeros_to_sum_in(parameter: Tensor) -> Tensor:
    """What gradients of parts of a batch are summed in: never in less than float32."""
    return torch.zeros_like(parameter, dtype=torch.promote_types(parameter.dtype, torch.float32))


def linear_into(out: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    """Write a linear map of (..., features) to (..., outputs), which is contiguous."""
    rows, out_rows = x.reshape(-1, x.shape[-1]), out.view(-1, len(weight))
    if bias is None:
        torch.mm(rows, weight.t(), out=out_rows)
    else:
        torch.addmm(bias, rows, weight.t(), out=out_rows)


def is_plain(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a module is of just this class and nothing is hooked to it, so that it may be bypassed."""
    hooked = module._forward_hooks or module._forward_pre_hooks  # noqa: SLF001
    return type(module) is kind and not hooked
