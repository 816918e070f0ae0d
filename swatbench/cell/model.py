"""The model of a cell, and what it is trained towards: classes of images, or masks of classes."""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from swatbench.models.build import build_model
from swatbench.models.segmenter import build_segmenter
from swatbench.spec.cells import EvaluateCell, TrainCell
from swatbench.train.objective import Classes, Masks, Objective


def builder(cell: TrainCell | EvaluateCell, *, num_classes: int, seed: int) -> Callable[[], nn.Module]:
    """What builds the model of a cell, on the CPU (see `build_model` and `build_segmenter`).

    Args:
        cell: The cell.
        num_classes: Classes of the data.
        seed: Seed of the initial values.
    """
    asked: dict[str, Any] = {
        "num_classes": num_classes,
        "seed": seed,
        "fused_attention": cell.resolution.fused_attention,
        "fused_swat": cell.resolution.fused_swat or False,
    }
    pair = _with_drop_path(cell) if isinstance(cell, TrainCell) else cell.pair
    if cell.segmentation is None:
        return partial(build_model, pair, cell.parts, **asked)
    return partial(build_segmenter, pair, cell.parts, cell.segmentation, **asked)


def objective_of(cell: TrainCell, *, num_classes: int) -> Objective:
    """What a cell's model is trained towards and tested by.

    Args:
        cell: The cell.
        num_classes: Classes of the data.
    """
    smoothing = cell.recipe.label_smoothing
    if cell.segmentation is None:
        return Classes(num_classes=num_classes, label_smoothing=smoothing)
    return Masks(num_classes=num_classes, label_smoothing=smoothing, segmentation=cell.segmentation)


def _with_drop_path(cell: TrainCell) -> dict[str, Any]:
    """The pair's row with the recipe's rate of dropped paths, where it states one."""
    if cell.recipe.drop_path_rate is None:
        return cell.pair
    return {
        **cell.pair,
        "timm_kwargs": {**cell.pair["timm_kwargs"], "drop_path_rate": cell.recipe.drop_path_rate},
    }
