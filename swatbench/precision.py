"""The arithmetic of a forward pass, the same in training and in measuring."""

from typing import Literal

import torch

Precision = Literal["fp32", "bf16", "fp16"]
"""Type that autocast computes in where it holds that to be safe."""

DTYPES: dict[Precision, torch.dtype] = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
"""Precision → torch's type that matrix products are computed in."""


def autocast(device: str, precision: Precision) -> torch.autocast:
    """The context in which a model computes in `precision`; fp32 switches autocast off.

    Args:
        device: Type of the device, `cpu` or `cuda`.
        precision: The cell's precision.
    """
    return torch.autocast(device, dtype=DTYPES[precision], enabled=precision != "fp32")


def set_tf32(allowed: bool) -> None:
    """Say for this process whether CUDA may round the factors of float32 products to TF32.

    By default cuDNN's convolutions, of which a SWAT arm has more, are rounded so; float32 then means another
    thing for the two arms of a pair.
    """
    torch.set_float32_matmul_precision("high" if allowed else "highest")
    torch.backends.cudnn.allow_tf32 = allowed


def loss_scaler(device: str, precision: Precision) -> torch.amp.GradScaler:
    """What scales a loss so that its gradients do not vanish in fp16; for other types it changes nothing.

    It takes no step where a gradient overflowed, and halves its scale.

    Args:
        device: Type of the device, `cpu` or `cuda`.
        precision: The cell's precision.
    """
    return torch.amp.GradScaler(device, enabled=precision == "fp16")
