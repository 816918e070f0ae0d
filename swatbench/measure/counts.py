"""Parameters and multiply-accumulates of a model, by two counters that check one another.

One MAC is one multiplication with its addition; biases are not counted, and of the rest only what
`measure.operators` names. The first counter, fvcore, traces one image's forward pass; the second, torch's,
watches the operators run on the meta device, and knows convolutions and matrix products alone.

Source: fvcore 0.1.5 (`fvcore.nn.FlopCountAnalysis`) and `torch.utils.flop_counter.FlopCounterMode`.
"""

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from swatbench.measure.condition import Condition
from swatbench.measure.loss import label_shape, mean_loss
from swatbench.measure.modules import ModuleCounts, count_modules
from swatbench.measure.operators import (
    ACTIVATIONS,
    MATMUL_CLASS,
    NOT_MATMUL,
    RefuseUncounted,
    handles,
    refuse_unknown,
)
from swatbench.measure.traffic import moved_bytes, runs_without_values


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What a model's work is, independent of any machine.

    Attributes:
        params: Parameters, trained or not.
        params_trainable: Those that are trained.
        macs: Multiply-accumulates of one image's forward pass in evaluation mode.
        macs_by_operator: Operator → its part of `macs`, the largest first.
        macs_matmul: The part of convolutions and matrix products.
        macs_torch: The same by torch's counter (FLOPs halved), which sees no norm and no pooling.
        activations: Elements that convolutions and matrix products put out for one image.
        training_macs: MACs of forward and backward on the whole batch, by torch's counter; None where
            training was not asked for. Attention's backward is four products, as where it is not fused.
        moved_bytes: Bytes that one forward pass on the whole batch reads and writes.
        training_moved_bytes: The same of forward and backward; None where training was not asked for.
        modules: Who has the parameters and the MACs.
    """

    params: int
    params_trainable: int
    macs: int
    macs_by_operator: Mapping[str, int]
    macs_matmul: int
    macs_torch: int
    activations: int
    training_macs: int | None
    moved_bytes: int
    training_moved_bytes: int | None
    modules: tuple[ModuleCounts, ...]

    @property
    def agree(self) -> bool:
        """Whether both counters see the same products, and all else is a norm, pooling or resampling."""
        known = MATMUL_CLASS | NOT_MATMUL
        return self.macs_matmul == self.macs_torch and known.issuperset(self.macs_by_operator)


def count(build: Callable[[], nn.Module], condition: Condition, *, training: bool) -> Counts:
    """Count parameters, MACs, activations and moved bytes of a model.

    What is per image is counted at a batch of 1. The models that are built here are counted and dropped: a
    compiled module stays slow once `FlopCounterMode` has seen it.

    Args:
        build: Makes the model on the CPU in float32; called once for each thing that is counted.
        condition: Batch, image size, classes, device, precision and layout.
        training: Whether to count a training step as well.

    Raises:
        ModelError: An operator is not known to either count something or cost nothing, or the model does
            not run without values, or cannot be trained on this batch.
    """
    return Counts(
        training_macs=_training_macs(build(), condition) if training else None,
        moved_bytes=moved_bytes(build, condition, training=False),
        training_moved_bytes=moved_bytes(build, condition, training=True) if training else None,
        **_of_one_image(build(), (1, *condition.input_size)),
    )


def _of_one_image(model: nn.Module, input_shape: tuple[int, ...]) -> dict[str, Any]:
    trainable = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    # Where parameters are trainable, torch's modules keep off fused inference paths that no counter knows.
    model.eval().requires_grad_(True)
    by_module = _traced(model, torch.zeros(input_shape))
    macs = {operator: n for operator, n in by_module[""].items() if operator != ACTIVATIONS}
    totals = {path: found.total() - found[ACTIVATIONS] for path, found in by_module.items()}
    return {
        "params": sum(parameter.numel() for parameter in model.parameters()),
        "params_trainable": trainable,
        "macs": sum(macs.values()),
        "macs_by_operator": dict(sorted(macs.items(), key=lambda item: (-item[1], item[0]))),
        "macs_matmul": sum(n for operator, n in macs.items() if operator in MATMUL_CLASS),
        "activations": by_module[""][ACTIVATIONS],
        "modules": count_modules(model, totals),
        "macs_torch": _torch_macs(model.to("meta"), input_shape),
    }


def _traced(model: nn.Module, images: Tensor) -> dict[str, Counter[str]]:
    """Path of a module → operator → MACs, with the activations as one more operator."""
    with _quiet_tracer():
        # Its import warns seven times and takes time, so whoever never counts does not pay for it.
        from fvcore.nn import FlopCountAnalysis  # noqa: PLC0415

        analysis = FlopCountAnalysis(model, images).set_op_handle(**handles())
        analysis.unsupported_ops_warnings(enabled=False).uncalled_modules_warnings(enabled=False)
        with torch.enable_grad():
            found = analysis.by_module_and_operator()
    refuse_unknown(analysis.unsupported_ops())
    return {path: Counter({name: int(n) for name, n in macs.items()}) for path, macs in found.items()}


@contextmanager
def _quiet_tracer() -> Iterator[None]:
    """Hide the deprecation of torch.jit, on which fvcore rests, and nothing else."""
    with warnings.catch_warnings():
        for category in (FutureWarning, DeprecationWarning):
            warnings.filterwarnings("ignore", message=r"`torch\.jit\.", category=category)
        yield


def _torch_macs(model: nn.Module, input_shape: tuple[int, ...]) -> int:
    with runs_without_values(), torch.enable_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(input_shape, device="meta"))
    return counter.get_total_flops() // 2


def _training_macs(model: nn.Module, condition: Condition) -> int:
    model.train().to("meta")
    images = torch.empty(condition.input_shape, device="meta")
    labels = torch.empty(label_shape(condition), device="meta", dtype=torch.int64)
    counter = FlopCounterMode(
        display=False, custom_mapping={torch.ops.aten.convolution_backward: _convolution_backward_flops}
    )
    # The counter, which is the inner one, splits what it can split before the other sees it.
    with runs_without_values(), torch.enable_grad(), RefuseUncounted(counter.flop_registry), counter:
        mean_loss(model(images), labels, auxiliary_weight=condition.auxiliary_weight).backward()
    return counter.get_total_flops() // 2


def _convolution_backward_flops(
    grad: Sequence[int], images: Sequence[int], filters: Sequence[int], *rest: Any, **_shapes: Any
) -> int:
    """Each of the two gradients, where it is asked for, takes the products of the forward pass.

    torch's own formula multiplies the filters' gradient by the number of groups: for a depthwise
    convolution, by the number of channels.
    """
    transposed, wanted = rest[4], rest[7][:2]
    return 2 * prod(images if transposed else grad) * prod(filters[1:]) * sum(wanted)
