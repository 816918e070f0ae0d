"""Digests of a model's initial values, by which a report sees that two arms started alike."""

import hashlib

from torch import nn


def initial_digests(model: nn.Module) -> dict[str, str]:
    """Parameter with its shape → SHA-256 of its float32 values.

    The shape is in the key because a parameter is shared by two arms only if it has the same name and shape:
    with a class token, a position embedding has one row more.

    Args:
        model: A model on the CPU that has not been trained.

    Example:
        >>> [*initial_digests(nn.Linear(3, 2))]
        ['weight 2×3', 'bias 2']
    """
    return {_key(name, value): _digest(value) for name, value in model.named_parameters()}


def _key(name: str, value: nn.Parameter) -> str:
    return f"{name} {'×'.join(map(str, value.shape))}".rstrip()


def _digest(value: nn.Parameter) -> str:
    return hashlib.sha256(value.detach().float().contiguous().numpy().tobytes()).hexdigest()
