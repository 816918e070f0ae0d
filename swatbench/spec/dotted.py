"""Nested mappings under the dotted names that a suite's keys have, as `recipe.augmentation.crop`."""

from collections.abc import Mapping
from typing import Any


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted key → value; a value that is no mapping stands under the empty key.

    Args:
        value: Mappings within mappings, or anything else.
        prefix: What every key begins with.

    Example:
        >>> flat({"recipe": {"epochs": 3, "ema": None}, "seed": 0})
        {'recipe.epochs': 3, 'recipe.ema': None, 'seed': 0}
    """
    if not isinstance(value, Mapping):
        return {prefix: value}
    below = f"{prefix}." if prefix else ""
    return {name: item for key, inner in value.items() for name, item in flat(inner, f"{below}{key}").items()}
