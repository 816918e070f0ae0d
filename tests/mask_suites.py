"""Small suites of segmentation, over a folder that `tests.data.mask_folders` writes."""

import json
from pathlib import Path
from typing import Any

from tests.data.mask_folders import CLASSES

TRAIN, TEST = 12, 5
SEGMENTATION: dict[str, Any] = {
    "decoder_channels": 8,
    "auxiliary_channels": 8,
    "crop_size": 32,
    "short_side": 32,
    "long_side": 64,
}
DATA: dict[str, Any] = {
    "source": "masks",
    "root": "scenes",
    "train_images": TRAIN,
    "test_images": TEST,
    "num_classes": CLASSES,
    "train_split": "training",
    "test_split": "validation",
    "unlabelled": "zero",
}
RECIPE: dict[str, Any] = {"epochs": 1, "batch_size": 4, "learning_rate": 1e-3, "label_smoothing": 0.0}
EXECUTION: dict[str, Any] = {"device": "cpu", "precision": "fp32", "jobs": 2, "workers": 0}
QUICK: dict[str, Any] = {
    "batch_size": 2,
    "max_rounds": 6,
    "budget_s": 1,
    "threads": 1,
    "breakdown": False,
}
"""How cost is measured where it is."""


def write_suite(folder: Path, name: str, **changes: Any) -> str:
    """Write a suite file and return its name.

    Args:
        folder: Folder to write to, which holds `scenes`.
        name: Name of the suite.
        changes: Keys in place of the small suite's; mappings are merged, and None leaves a key out.
    """
    suite: dict[str, Any] = {
        "name": name,
        "pairs": ["swin_mini"],
        "arms": ["baseline", "swat"],
        "seeds": [0],
        "data": DATA,
        "segmentation": SEGMENTATION,
        "recipe": RECIPE,
        "execution": EXECUTION,
        "cost": None,
    }
    for key, value in changes.items():
        merged = isinstance(value, dict) and isinstance(suite.get(key), dict)
        suite[key] = {**suite[key], **value} if merged else value
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps({**_without_none(suite), "cost": suite["cost"]}))
    return path.name


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _without_none(value) if isinstance(value, dict) else value
        for key, value in values.items()
        if value is not None
    }
