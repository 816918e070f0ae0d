"""The optimizer and the learning-rate schedule of a recipe, both timm's own."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Literal

import torch
from timm.optim import (  # pyright: ignore[reportPrivateImportUsage]
    OptimInfo,
    create_optimizer_v2,
    get_optimizer_info,
    list_optimizers,
    param_groups_weight_decay,
)
from timm.scheduler import create_scheduler_v2  # pyright: ignore[reportPrivateImportUsage]
from timm.scheduler.scheduler import Scheduler
from torch import nn
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer

from swatbench.errors import SuiteError
from swatbench.spec.catalog import suggest
from swatbench.spec.recipe import Recipe

MATRIX = 2
"""Dimensions larger than one that make a parameter a matrix or a kernel, and not a scale or a bias."""
FUSED = (Adam, AdamW, SGD, Adagrad)
"""Optimizers whose step torch does in one fused kernel on CPU and on CUDA alike."""
PACKAGES: Mapping[str, str] = MappingProxyType(
    {"apex": "apex", "bitsandbytes": "bitsandbytes", "timm.optim.kron": "opt_einsum"}
)
"""Where an optimizer's code is → the package it needs, which swatbench does not install."""
LENGTHS: Mapping[str, float] = MappingProxyType({"step": 90.0, "wsd": 0.2, "rsqrt": 0.2})
"""Schedules that take `decay_epochs`, and timm's own value of it (below 1, a share for wsd and rsqrt)."""
HOLDING = ("step", "multistep", "constant")
"""Schedules that have no last rate but that of their last step."""
BETAS = 2
_STEPS = 1000
"""Steps in an epoch of the schedule that is built on trial."""


def check_recipe(recipe: Recipe) -> None:
    """Refuse a recipe whose optimizer or schedule cannot be built, or would not use what the recipe states.

    Args:
        recipe: The recipe.

    Raises:
        SuiteError: timm has no such optimizer; it needs second derivatives, a closure or another package; it
            takes no eps or not two betas; or the schedule lacks a number or does not take one. `where` is
            the key, as `recipe.optimizer`.
    """
    _options(recipe, fused=False)
    make_scheduler(SGD([torch.zeros(1)], lr=1.0), recipe, steps_per_epoch=_STEPS)


def make_optimizer(model: nn.Module, recipe: Recipe, *, fused: bool = True) -> Optimizer:
    """Build the recipe's optimizer over a model's parameters, at the peak learning rate.

    Weight decay skips what `spared_names` lists. The recipe's betas go to optimizers that have two of their
    own by default, in place of those; its eps, where it states one, to those that have one.

    Args:
        model: The model, on the device that it will be trained on.
        recipe: The recipe.
        fused: Whether a step is one kernel, where torch has that for the optimizer (`FUSED`).

    Raises:
        SuiteError: The optimizer cannot be used (see `check_recipe`).
    """
    groups = partial(
        param_groups_weight_decay,
        weight_decay=recipe.weight_decay,
        no_weight_decay_list=spared_names(model, recipe.weight_decay_reaches),
    )
    return create_optimizer_v2(
        model,
        recipe.optimizer,
        lr=recipe.peak_learning_rate,
        param_group_fn=groups,
        **_options(recipe, fused=fused),
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
        released = ("pos_embed", "cls_token")
        # Of a segmenter they are its backbone's; the position within a token, which ends alike, is decayed.
        return {name for one in released for name in (one, f"backbone.{one}")}
    own: Any = getattr(model, "no_weight_decay", set)
    scales = {
        name for name, value in model.named_parameters() if sum(side > 1 for side in value.shape) < MATRIX
    }
    maps = {
        f"{name}.weight" for name, layer in model.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)
    }
    return {*own(), *(scales - maps)}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Schedule:
    """The learning rate of each step, numbered from 0; it has no state of its own.

    Attributes:
        scheduler: timm's schedule, in the unit in which the rate changes: steps or epochs.
        steps_per_unit: Optimizer steps in which the rate stays the same.
        last: The last unit of which the schedule is asked; those after it have the same rate.
    """

    scheduler: Scheduler
    steps_per_unit: int
    last: int

    def step_update(self, step: int) -> None:
        """Give the optimizer the rate of a step, whichever came before it."""
        self.scheduler.step_update(min(step // self.steps_per_unit, self.last))


def make_scheduler(optimizer: Optimizer, recipe: Recipe, *, steps_per_epoch: int) -> Schedule:
    """Build the recipe's schedule: timm's, counted in steps or, with `schedule_per: epoch`, in epochs.

    Let T be the steps of `epochs`, W those of the warm-up, and r, R, m the rates at the start of the warm-up,
    at the peak and at the end. Step t < W has r + (R - r) t/W. Step t >= W has s(t - W, T - W), where s is
    timm's schedule of that name: for the cosine s(u, U) = m + (R - m) (1 + cos(pi u/U)) / 2. So step W has
    exactly R. Without `warmup_prefix`, step t >= W has s(t, T) instead, but wsd and rsqrt always begin after
    the warm-up. A schedule per epoch has epoch numbers, lengths and warm-up in place of steps throughout;
    without `warmup_prefix`, all steps of epoch e, numbered from 0, so have the rate that timm's training
    script gives that epoch.

    In the cool-down, cosine, tanh, poly, wsd and rsqrt stay at m, the others at the rate of step T - 1.

    `decay_epochs` below 1 is for wsd and rsqrt a share of T - W, as in timm. Milestones are timm's too: per
    epoch, milestone n is the first epoch, counted from 1, that has the lower rate; per step, it is the last
    step of that epoch.

    Args:
        optimizer: The optimizer, whose rate is the peak, and is then set by `step_update(t)`.
        recipe: The recipe.
        steps_per_epoch: Optimizer steps in an epoch.

    Raises:
        SuiteError: The schedule lacks a number, does not take one, or its phases do not fit into its length.
    """
    _check_schedule(recipe)
    units = 1 if recipe.schedule_per == "epoch" else steps_per_epoch
    total = recipe.epochs * units
    return Schedule(
        scheduler=_timm_schedule(optimizer, recipe, units=units),
        steps_per_unit=steps_per_epoch // units,
        last=total - 1 if recipe.schedule in HOLDING else total,
    )


def _timm_schedule(optimizer: Optimizer, recipe: Recipe, *, units: int) -> Scheduler:
    total = recipe.epochs * units
    warmup = min(round(recipe.warmup_epochs * units), total - 1)
    try:
        scheduler, _ = create_scheduler_v2(
            optimizer,
            sched=recipe.schedule,
            num_epochs=total - warmup if recipe.warmup_prefix else total,
            decay_epochs=_decay_length(recipe, units),
            decay_milestones=[milestone * units for milestone in sorted(recipe.decay_milestones)],
            decay_rate=recipe.decay_rate,
            warmup_epochs=warmup,
            warmup_prefix=recipe.warmup_prefix,
            warmup_lr=recipe.warmup_learning_rate,
            min_lr=recipe.min_learning_rate,
            # Everything is counted in units already.
            updates_per_epoch=1,
            step_on_epochs=False,
        )
    except ValueError as error:
        raise _unfit(recipe) from error
    assert scheduler is not None
    return scheduler


def _options(recipe: Recipe, *, fused: bool) -> dict[str, Any]:
    """What the optimizer takes beside rate and decay, once it is known that it can be used."""
    name, info = recipe.optimizer, _usable(recipe.optimizer)
    options: dict[str, Any] = {}
    own = _default(info.opt_class, "betas")
    if isinstance(own, tuple) and len(own) == BETAS:
        options["betas"] = recipe.betas
    elif recipe.betas != Recipe.model_fields["betas"].default:
        raise _refusal("betas", f"Optimizer {name!r} has no two betas.", "Leave `betas` out.")
    if recipe.eps is not None:
        if not info.has_eps:
            raise _refusal("eps", f"Optimizer {name!r} has no eps.", "Leave `eps` out.")
        options["eps"] = recipe.eps
    # Where it is not asked for, torch is left to choose: False would also keep it from its foreach kernels.
    if fused and info.opt_class in FUSED:
        options["fused"] = True
    return options


def _usable(name: str) -> OptimInfo:
    """What timm knows of an optimizer that a training step can use."""
    try:
        info = get_optimizer_info(name)
    except ValueError as error:
        fix = suggest(name, {str(known): None for known in list_optimizers()})
        raise _refusal("optimizer", f"Unknown optimizer {name!r}.", fix) from error
    code = info.opt_class if isinstance(info.opt_class, str) else info.opt_class.__module__
    package = next((package for place, package in PACKAGES.items() if code.startswith(place)), None)
    if package is not None:
        raise _refusal("optimizer", f"Optimizer {name!r} needs {package}, which swatbench does not install.")
    if info.second_order:
        raise _refusal("optimizer", f"Optimizer {name!r} needs second derivatives.")
    step = getattr(info.opt_class, "step")  # noqa: B009  (typed as a callable that returns an optimizer)
    if _default(step, "closure") is inspect.Parameter.empty:
        raise _refusal("optimizer", f"Optimizer {name!r} computes the loss several times in a step.")
    return info


def _default(kind: Any, name: str) -> Any:
    parameter = inspect.signature(kind).parameters.get(name)
    return None if parameter is None else parameter.default


def _check_schedule(recipe: Recipe) -> None:
    name = recipe.schedule
    if recipe.decay_epochs is not None and name not in LENGTHS:
        raise _refusal("decay_epochs", f"Schedule {name!r} takes no `decay_epochs`.", "Leave it out.")
    if recipe.decay_milestones and name != "multistep":
        raise _refusal("decay_milestones", f"Schedule {name!r} takes no milestones.", "Leave them out.")
    if name == "multistep" and not recipe.decay_milestones:
        fix = "Name the epochs, as [30, 60]."
        raise _refusal("decay_milestones", "Schedule 'multistep' needs milestones.", fix)
    if recipe.schedule_per == "epoch" and recipe.warmup_epochs % 1:
        what = f"A schedule per epoch cannot warm up in {recipe.warmup_epochs:g} epochs."
        raise _refusal("warmup_epochs", what, "Choose whole epochs, or `schedule_per: step`.")


def _decay_length(recipe: Recipe, units: int) -> float | None:
    if recipe.schedule not in LENGTHS:
        return None
    length = recipe.decay_epochs or LENGTHS[recipe.schedule]
    return length if recipe.schedule != "step" and length < 1 else length * units


def _unfit(recipe: Recipe) -> SuiteError:
    if recipe.schedule == "rsqrt" and recipe.warmup_epochs == 0:
        fix = "Give it one: its length is the scale of the decay."
        return _refusal("warmup_epochs", "Schedule 'rsqrt' needs a warm-up.", fix)
    what = f"The last phase of schedule {recipe.schedule!r} does not fit between the warm-up and the end."
    return _refusal("decay_epochs", what, "Choose one that does, of at least one step or epoch.")


def _refusal(key: str, what: str, fix: str = "Choose another, as adamw.") -> SuiteError:
    return SuiteError(what, where=f"recipe.{key}", fix=fix)
