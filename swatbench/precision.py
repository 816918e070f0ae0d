"""The arithmetic of a forward pass, the same in training and in measuring."""

from typing import Literal

import torch

Precision = Literal["fp32", "bf16"]
"""Type that autocast computes in where it holds that to be safe."""


def autocast(device: str, precision: Precision) -> torch.autocast:
    """The context in which a model computes in `precision`; fp32 switches autocast off.

    Args:
        device: Type of the device, `cpu` or `cuda`.
        precision: The cell's precision.
    """
    return torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bf16")
