"""The arithmetic of a forward pass."""

from typing import Literal

import torch

Precision = Literal["fp32", "bf16"]
"""Type that autocast computes in where it holds that to be safe."""


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """Compute in bfloat16 where autocast holds that to be safe, or in float32 throughout.

    Args:
        device: Where the computation runs.
        precision: The cell's precision.
    """
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")
