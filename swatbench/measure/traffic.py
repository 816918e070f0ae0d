"""Bytes that a model's operators read and write, each operand once per operator.

The model runs on fake tensors, which have shapes, types, strides and a device but no values, so that autocast
and the choice of fused kernels are those of the real call. Operators are those of eager mode, whatever the
mode: what a compiler fuses moves less.

Shapes: images (B, C, H, W), labels (B,), or masks (B, H, W).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from swatbench.errors import ModelError, first_line
from swatbench.measure.condition import Condition
from swatbench.measure.loss import label_shape, mean_loss
from swatbench.precision import autocast

_OVERWRITTEN = frozenset({"bernoulli_", "copy_", "fill_", "normal_", "random_", "uniform_", "zero_"})
"""Operators that write their first operand without reading it."""


class Traffic(TorchDispatchMode):
    """Sums the bytes that operators read and write while it is active.

    An operator reads each of its tensors once, and writes what it gives. What shares the memory of an
    operand (views) or has none yet (`empty`) costs nothing. A tensor that was broadcast counts as large as
    its memory. What is cached is not known: each operator reads its operands anew.

    Attributes:
        moved_bytes: The sum.
    """

    def __init__(self) -> None:
        super().__init__()
        self.moved_bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operator and add what it moves."""
        out = func(*args, **(kwargs or {}))
        if func.namespace != "prim":
            self.moved_bytes += _moved_bytes(func, args, kwargs or {}, out)
        return out


def moved_bytes(build: Callable[[], nn.Module], condition: Condition, *, training: bool) -> int:
    """Bytes that one forward pass on the whole batch moves; in training, with its backward pass.

    Autocast is that of `condition.precision`, and casts are counted as the operators that they are. A
    gather (`index`, `embedding`) counts its whole source. No optimizer step is counted. torch's fast path
    for whole layers of transformers is off in inference, as it has no stand-ins: they count step by step.

    Args:
        build: Makes the model on the CPU.
        condition: Batch, device, precision and layout.
        training: Whether it trains, with parameters trainable as they come.

    Raises:
        ModelError: The model does not run on tensors without values, or gives no logits.
    """
    channels_last = condition.layout == "channels_last"
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = build().train(training)
    if channels_last:
        model.to(memory_format=layout)
    gradients = torch.enable_grad() if training else _inference()
    with runs_without_values(), FakeTensorMode(allow_non_fake_inputs=True), gradients:
        _lose_values(model, condition.device)
        images = torch.empty(condition.input_shape, device=condition.device, memory_format=layout)
        labels = torch.empty(label_shape(condition), device=condition.device, dtype=torch.int64)
        with Traffic() as traffic:
            with autocast(condition.device, condition.precision):
                outputs = model(images)
                loss = None
                if training:
                    loss = mean_loss(outputs, labels, auxiliary_weight=condition.auxiliary_weight)
            if loss is not None:
                loss.backward()
    return traffic.moved_bytes


@contextmanager
def runs_without_values() -> Iterator[None]:
    """Tell a user why a model does not run on tensors that have shapes and no values.

    Raises:
        ModelError: It asks for a value, mixes devices, or cannot be trained on this batch.
    """
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise ModelError(
            f"The model cannot be counted on tensors without values: {first_line(error)}",
            fix="Its work must follow from shapes, not values, and its tensors be parameters or buffers; "
            "batch norm over single values trains only on a larger batch.",
        ) from error


@contextmanager
def _inference() -> Iterator[None]:
    """Keep no graph, as a call in inference: the choice of a fused kernel depends on who wants a gradient."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _lose_values(model: nn.Module, device: str) -> None:
    """Put stand-ins on a device in the place of parameters and buffers; what is shared stays shared.

    `torch.func.functional_call` would do so for the time of a call, but unties shared parameters for good.
    """
    stand_ins: dict[Tensor, Tensor] = {}
    for module in model.modules():
        for name, tensor in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
            if tensor not in stand_ins:
                stand_ins[tensor] = _stand_in(tensor, device)
            setattr(module, name, stand_ins[tensor])


def _stand_in(tensor: Tensor, device: str) -> Tensor:
    fake = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=device)
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(fake, requires_grad=tensor.requires_grad)
    return fake


def _moved_bytes(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> int:
    name = func.overloadpacket.__name__
    given = _tensors((args, kwargs))
    changed = _tensors(_changed(func, args, kwargs))
    storages = {StorageWeakRef(tensor.untyped_storage()) for tensor in given.values()}
    made = [
        tensor
        for tensor in _tensors(out).values()
        if StorageWeakRef(tensor.untyped_storage()) not in storages
    ]
    written = [*changed.values(), *made]
    if not written or name.startswith(("empty", "new_empty")):
        return 0
    read = [] if name.endswith("_like") or name.startswith("new_") else list(given)
    if name in _OVERWRITTEN:
        read = [key for key in read if key not in changed]
    return sum(_bytes(given[key]) for key in read) + sum(_bytes(tensor) for tensor in written)


def _changed(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    """Operands that the operator's signature says it writes."""
    signature = func._schema.arguments  # noqa: SLF001 (torch has no other way to tell)
    places = {argument.name: args[i] for i, argument in enumerate(signature) if i < len(args)} | kwargs
    return [
        places[argument.name]
        for argument in signature
        if argument.name in places and argument.alias_info is not None and argument.alias_info.is_write
    ]


def _tensors(tree: Any) -> dict[object, Tensor]:
    """Tensors by what of the memory they are, so that one that is named twice is there once."""
    return {
        (StorageWeakRef(leaf.untyped_storage()), leaf.storage_offset(), leaf.shape, leaf.stride()): leaf
        for leaf in tree_leaves(tree)
        if isinstance(leaf, Tensor)
    }


def _bytes(tensor: Tensor) -> int:
    """Bytes of memory behind a tensor's elements: each place once, however often it is broadcast."""
    sizes = zip(tensor.shape, tensor.stride(), strict=True)
    elements = prod(size for size, stride in sizes if stride or not size)
    return min(elements * tensor.element_size(), tensor.untyped_storage().nbytes())
