"""The optimizer and the learning-rate schedule of a recipe, both timm's own."""

from functools import partial
from typing import Any, Literal

from timm.optim import (  # pyright: ignore[reportPrivateImportUsage]
    create_optimizer_v2,
    get_optimizer_info,
    list_optimizers,
    param_groups_weight_decay,
)
from timm.scheduler import create_scheduler_v2  # pyright: ignore[reportPrivateImportUsage]
from timm.scheduler.scheduler import Scheduler
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from swatbench.errors import SuiteError
from swatbench.spec.catalog import suggest
from swatbench.spec.suite import Recipe

MATRIX = 2
"""Dimensions larger than one that make a parameter a matrix or a kernel, and not a scale or a bias."""
FUSED = (Adam, AdamW, SGD)
"""Optimizers whose step torch does in one fused kernel on CPU and on CUDA alike."""


def make_optimizer(model: nn.Module, recipe: Recipe) -> Optimizer:
    """Build the recipe's optimizer over a model's parameters.

    Weight decay skips what `spared_names` lists. The recipe's betas go to optimizers that take two of them,
    and the step is fused where torch can do that.

    Args:
        model: The model, on the device that it will be trained on.
        recipe: The recipe.

    Raises:
        SuiteError: timm has no such optimizer, or it needs second derivatives, which no step computes.
    """
    try:
        info = get_optimizer_info(recipe.optimizer)
    except ValueError as error:
        fix = suggest(recipe.optimizer, {str(name): None for name in list_optimizers()})
        raise _refusal(f"Unknown optimizer {recipe.optimizer!r}.", fix) from error
    if info.second_order:
        raise _refusal(
            f"Optimizer {recipe.optimizer!r} needs second derivatives.", "Choose another, as adamw."
        )
    options: dict[str, Any] = {}
    if info.has_betas and info.num_betas == 2:
        options["betas"] = recipe.betas
    if info.opt_class in FUSED:
        options["fused"] = True
    groups = partial(
        param_groups_weight_decay,
        weight_decay=recipe.weight_decay,
        no_weight_decay_list=spared_names(model, recipe.weight_decay_reaches),
    )
    return create_optimizer_v2(
        model, recipe.optimizer, lr=recipe.learning_rate, param_group_fn=groups, **options
    )


def spared_names(model: nn.Module, reach: Literal["matrices", "as_released"]) -> set[str]:
    """Parameters that weight decay skips, beside biases and those of one dimension, which it always skips.

    Args:
        model: The model, whose `no_weight_decay` names its positions and its tokens.
        reach: `matrices` spares those and every parameter with fewer than two dimensions larger than one that
            is no weight of a linear map or convolution, as ResMLP's affine scales of (1, 1, C); `as_released`
            spares what the released SWAT code does.
    """
    if reach == "as_released":
        return {"pos_embed", "cls_token"}
    own: Any = getattr(model, "no_weight_decay", set)
    scales = {
        name for name, value in model.named_parameters() if sum(side > 1 for side in value.shape) < MATRIX
    }
    maps = {
        f"{name}.weight" for name, layer in model.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)
    }
    return {*own(), *(scales - maps)}


def make_scheduler(optimizer: Optimizer, recipe: Recipe, *, steps_per_epoch: int) -> Scheduler:
    """Build the recipe's schedule, which gives the learning rate of each step, numbered from 0.

    With T steps in all, W of them warm-up, rates r from `warmup_learning_rate`, R from `learning_rate` and m
    from `min_learning_rate`, step t < W has r + (R - r) t/W, and step t >= W of the cosine schedule has
    m + (R - m) (1 + cos(pi (t - W) / (T - W))) / 2. So step W has exactly R.

    Args:
        optimizer: The optimizer whose rate is set by `step_update(t)`.
        recipe: The recipe.
        steps_per_epoch: Optimizer steps in an epoch.

    Returns:
        A schedule without state of its own: `step_update(t)` may be called with any step.
    """
    total = recipe.epochs * steps_per_epoch
    warmup = min(round(recipe.warmup_epochs * steps_per_epoch), total - 1)
    scheduler, _ = create_scheduler_v2(
        optimizer,
        sched=recipe.schedule,
        num_epochs=total - warmup,
        warmup_epochs=warmup,
        warmup_prefix=True,
        warmup_lr=recipe.warmup_learning_rate,
        min_lr=recipe.min_learning_rate,
        # Both are counted in steps already.
        updates_per_epoch=1,
        step_on_epochs=False,
    )
    assert scheduler is not None
    return scheduler


def _refusal(what: str, fix: str) -> SuiteError:
    return SuiteError(what, where="recipe.optimizer", fix=fix)
