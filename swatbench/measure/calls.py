"""What one timed call does: a forward pass over a batch, or one training step.

Shapes: images (B, C, H, W), labels (B,), logits (B, classes).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from swatbench.precision import Precision, autocast

MEASURED = (
    "Inference: one call of the model in evaluation mode on a batch that lies on the device, under "
    "torch.inference_mode and autocast. Training: forward in training mode under autocast, mean cross "
    "entropy, backward, one step of fused AdamW, gradients set to None. No data loading and no transfer. "
    "CPU: wall clock. CUDA: two events around the calls of a sample, one synchronisation at its end."
)
"""What lies inside the timed region."""

LEARNING_RATE = 1e-6
"""So small that hundreds of steps on one batch leave a model's numbers, and so its speed, as they were."""


def forward_call(model: nn.Module, batch: Tensor, precision: Precision) -> Callable[[], Tensor]:
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
    model: nn.Module, batch: Tensor, labels: Tensor, precision: Precision
) -> Callable[[], Tensor]:
    """A training step as `MEASURED` says, which gives the loss; the model is put in training mode here.

    Args:
        model: Lies on the device of `batch`; its parameters change with every call.
        batch: Images (B, C, H, W).
        labels: Classes (B,), int64.
        precision: Autocast type of the forward pass.
    """
    model.train()
    device = batch.device.type
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, fused=True)

    def call() -> Tensor:
        with autocast(device, precision):
            loss = F.cross_entropy(model(batch), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    return call


def random_images(shape: tuple[int, int, int, int], device: str) -> Tensor:
    """Images (B, C, H, W) of standard normal pixels, the same on every call, on `device`."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device)
