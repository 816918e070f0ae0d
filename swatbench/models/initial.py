"""Digests of a model's initial values, by which a report sees that two arms started alike."""

import hashlib

from torch import nn


def initial_digests(model: nn.Module) -> dict[str, str]:
    """Parameter → SHA-256 of its shape and float32 values.

    Args:
        model: A model on the CPU that has not been trained.
    """
    return {name: _digest(value) for name, value in model.named_parameters()}


def _digest(value: nn.Parameter) -> str:
    values = value.detach().float().contiguous().numpy()
    return hashlib.sha256(f"{values.shape}".encode() + values.tobytes()).hexdigest()
