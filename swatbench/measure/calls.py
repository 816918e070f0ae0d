"""What one timed call does: a forward pass over a batch, or one training step.

Shapes: images (B, C, H, W), labels (B,), logits (B, classes).
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from swatbench.measure.condition import Condition
from swatbench.measure.graphs import capture
from swatbench.measure.loss import labels_of, mean_loss
from swatbench.measure.machine import require_modes
from swatbench.precision import Precision, autocast
from swatbench.spec.cost import Mode, Protocol

MEASURED = (
    "Inference: one call of the model in evaluation mode on a batch that lies on the device, under "
    "torch.inference_mode and autocast. Training: forward in training mode under autocast, mean cross "
    "entropy, backward, one step of fused AdamW, gradients set to None. No data loading and no transfer. "
    "fp16: no loss scaling. Compiled: the model went through torch.compile with fixed shapes; loss and "
    "optimizer did not. CUDA graph: the whole call is one graph, replayed. Compilation and recording come "
    "before and are told apart. channels_last: images and convolutions lie so in memory beforehand. "
    "CPU: wall clock. CUDA: two events around the calls of a sample, one synchronisation at its end; caches "
    "stay warm from call to call."
)
"""What lies inside the timed region."""

MEASURED_OF_SEGMENTERS = MEASURED.replace(
    "mean cross entropy", "mean cross entropy over pixels with that of the auxiliary head"
)
"""The same of segmenters."""

LEARNING_RATE = 1e-6
"""So small that a thousand steps on one batch move a weight by a thousandth; speed rests on no number."""

PREPARATION_CALLS: Mapping[Mode, int] = {"eager": 1, "compiled": 3, "cuda_graph": 1}
"""Mode → calls after which all that is compiled or recorded is there. A second model of the same code and
shapes, as the twin, finds the first one's code compiled, and so does one that torch's cache on disk knows."""

_COMPILED_VARIANTS = 256
"""Ways in which one piece of code may be compiled: arms of one class share their code, and so do inference
and training. By default torch takes the ninth way uncompiled, with no more than a line in a log."""

Call = Callable[[], Tensor]
"""Gives the logits (B, classes), or the loss."""


def make_call(model: nn.Module, protocol: Protocol, condition: Condition) -> Call:
    """What is timed, with everything that it needs.

    Args:
        model: On the CPU and new; it is moved, and belongs to the call from now on.
        protocol: A forward pass or a training step.
        condition: Batch, device, precision, mode and layout.

    Raises:
        MachineError: The mode needs something that is not here.
    """
    require_modes([condition.mode], condition.device)
    model = place(model, condition)
    images = images_of(condition)
    ready = compiled(model) if condition.mode == "compiled" else model
    if protocol == "inference":
        call = forward_call(ready, images, condition.precision)
    else:
        optimizer = optimizer_of(model)
        call = training_call(
            ready,
            images,
            labels_of(condition),
            condition.precision,
            optimizer=optimizer,
            auxiliary_weight=condition.auxiliary_weight,
        )
    return capture(call, condition.device) if condition.mode == "cuda_graph" else call


def place(model: nn.Module, condition: Condition) -> nn.Module:
    """The model on the condition's device, with its convolutions in the condition's layout."""
    layout = torch.channels_last if condition.layout == "channels_last" else torch.preserve_format
    return model.to(condition.device, memory_format=layout)  # pyright: ignore[reportCallIssue]


def optimizer_of(model: nn.Module) -> torch.optim.AdamW:
    """Fused AdamW over the model's parameters, fit for a CUDA graph where they lie on CUDA."""
    on_cuda = any(parameter.is_cuda for parameter in model.parameters())
    return torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, fused=True, capturable=on_cuda)


def forward_call(model: nn.Module, batch: Tensor, precision: Precision) -> Call:
    """A forward pass as `MEASURED` says; the model is put in evaluation mode here, and stays in it.

    Args:
        model: Lies on the device of `batch`.
        batch: Images (B, C, H, W).
        precision: Autocast type.
    """
    model.eval()
    device = batch.device.type

    def call() -> Tensor:
        with torch.inference_mode(), autocast(device, precision):
            return model(batch)

    return call


def training_call(
    model: nn.Module,
    batch: Tensor,
    labels: Tensor,
    precision: Precision,
    *,
    optimizer: torch.optim.Optimizer | None = None,
    auxiliary_weight: float | None = None,
) -> Call:
    """A training step as `MEASURED` says, which gives the loss; the model is put in training mode here.

    Args:
        model: Lies on the device of `batch`; its parameters change with every call.
        batch: Images (B, C, H, W).
        labels: Classes (B,), int64; of a segmenter masks (B, H, W).
        precision: Autocast type of the forward pass.
        optimizer: Steps the model's parameters; by default that of `optimizer_of`.
        auxiliary_weight: Weight of a segmenter's auxiliary head; None where the model classifies.
    """
    model.train()
    device = batch.device.type
    stepped = optimizer_of(model) if optimizer is None else optimizer

    def call() -> Tensor:
        with autocast(device, precision):
            loss = mean_loss(model(batch), labels, auxiliary_weight=auxiliary_weight)
        loss.backward()
        stepped.step()
        stepped.zero_grad(set_to_none=True)
        return loss.detach()

    return call


def random_images(shape: tuple[int, int, int, int], device: str) -> Tensor:
    """Images (B, C, H, W) of standard normal pixels, the same on every call, on `device`."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device)


def images_of(condition: Condition) -> Tensor:
    """The images (B, C, H, W) that a call in this condition is made on, in its layout and on its device."""
    images = random_images(condition.input_shape, condition.device)
    channels_last = condition.layout == "channels_last"
    return images.contiguous(memory_format=torch.channels_last) if channels_last else images


def compiled(model: nn.Module) -> nn.Module:
    """The model through torch.compile with fixed shapes; that code goes uncompiled unsaid is an error."""
    config = torch._dynamo.config  # noqa: SLF001  torch.compile has no other place for these.
    config.recompile_limit = _COMPILED_VARIANTS
    config.fail_on_recompile_limit_hit = True
    return torch.compile(model, dynamic=False)  # pyright: ignore[reportReturnType]
