"""The optimizer and the learning-rate schedule of a recipe, both timm's own."""

from typing import Any

from timm.optim import create_optimizer_v2, get_optimizer_info, list_optimizers  # pyright: ignore[reportPrivateImportUsage]
from timm.scheduler import create_scheduler_v2  # pyright: ignore[reportPrivateImportUsage]
from timm.scheduler.scheduler import Scheduler
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from swatbench.errors import SuiteError
from swatbench.spec.catalog import suggest
from swatbench.spec.suite import Recipe

FUSED = (Adam, AdamW, SGD)
"""Optimizers whose step torch does in one fused kernel on CPU and on CUDA alike."""


def make_optimizer(model: nn.Module, recipe: Recipe) -> Optimizer:
    """Build the recipe's optimizer over a model's parameters.

    Weight decay skips biases, one-dimensional parameters and those that the model's `no_weight_decay` names
    (timm's rule). The recipe's betas go to optimizers that take two of them, and the step is fused where
    torch can do that.

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
    return create_optimizer_v2(
        model, recipe.optimizer, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, **options
    )


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
