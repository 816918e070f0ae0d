"""Steps under torch.profiler, in which the modules of a model and the phases of a step are ranges."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial, wraps
from time import perf_counter
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile, record_function, schedule

from swatbench.measure.calls import compiled, images_of, optimizer_of, place
from swatbench.measure.condition import Condition
from swatbench.measure.loss import labels_of, mean_loss
from swatbench.measure.machine import Device, require_modes, synchronizer, threads
from swatbench.measure.trace import MODULE, PHASE
from swatbench.precision import autocast
from swatbench.spec.cost import Protocol

Phase = Literal["forward", "backward", "optimizer"]

PHASES: dict[str, Phase] = {PHASE + phase: phase for phase in get_args(Phase)}
"""Name of a range → its phase."""

_WARMUP = 3
"""Steps before the profiler is started; it takes one more to warm up itself."""


def phase(name: Phase) -> AbstractContextManager[object]:
    """The range of one phase of a step."""
    return record_function(PHASE + name)


def ranged(function: Callable[..., Any], path: str) -> Callable[..., Any]:
    """The function, each call of it inside the range of the module at `path`."""
    name = MODULE + path

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with record_function(name):
            return function(*args, **kwargs)

    return call


@contextmanager
def module_ranges(model: nn.Module) -> Iterator[None]:
    """Inside the block every call of a module of the model is a range; after it the model is as before.

    `forward` of each module is wrapped, and no hook is registered: torch's own encoder layers leave their
    fast path where there is a hook. Scripted modules run as they are and belong to the module around them.
    """
    wrapped: list[tuple[nn.Module, Any]] = []
    try:
        for path, module in model.named_modules():
            if not isinstance(module, torch.jit.ScriptModule):
                wrapped.append((module, vars(module).get("forward")))
                module.forward = ranged(module.forward, path)
        yield
    finally:
        for module, own in wrapped:
            _restore(module, own)


def _restore(module: nn.Module, own: Any) -> None:
    """Give a module its `forward` back: what it had of its own, or else that of its class."""
    if own is None:
        vars(module).pop("forward", None)
    else:
        module.forward = own


@dataclass(frozen=True, slots=True, kw_only=True)
class Profiled:
    """Steps that were profiled.

    Attributes:
        profiler: What holds their events.
        wall_s: Wall time of all of them, in seconds.
    """

    profiler: profile
    wall_s: float


def profile_steps(model: nn.Module, *, condition: Condition, protocol: Protocol, steps: int) -> Profiled:
    """Profile steps of a model after a warm-up; it is moved, trained if so asked, and left without ranges.

    Raises:
        ValueError: No step is asked for.
    """
    if steps < 1:
        raise ValueError(f"{steps} steps cannot be profiled")
    with threads(condition.threads):
        step, ranges = _prepare(model, condition, protocol)
        synchronize = synchronizer(condition.device)
        with ranges:
            for _ in range(_WARMUP):
                step()
            return _profile(step, steps, synchronize, condition.device)


def _profile(
    step: Callable[[], None], steps: int, synchronize: Callable[[], None], device: Device
) -> Profiled:
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device == "cuda" else [])]
    plan = schedule(wait=0, warmup=1, active=steps, repeat=1)
    seconds = []
    with profile(activities=activities, schedule=plan, record_shapes=True) as profiler:
        for _ in range(1 + steps):
            synchronize()
            start = perf_counter()
            step()
            synchronize()
            seconds.append(perf_counter() - start)
            profiler.step()
    return Profiled(profiler=profiler, wall_s=sum(seconds[1:]))


def _prepare(
    model: nn.Module, condition: Condition, protocol: Protocol
) -> tuple[Callable[[], None], AbstractContextManager[None]]:
    """A step in phases, and the context that makes ranges of the model's modules."""
    model = place(model, condition).train(protocol == "training")
    call, ranges = model, module_ranges(model)
    if condition.mode == "compiled":
        require_modes([condition.mode], condition.device)
        call, ranges = ranged(compiled(model), ""), nullcontext()
    images = images_of(condition)
    if protocol == "inference":
        return partial(_infer, call, images, condition), ranges
    return partial(_train, call, images, labels_of(condition), optimizer_of(model), condition), ranges


def _infer(call: Callable[..., Tensor], images: Tensor, condition: Condition) -> None:
    with phase("forward"), torch.inference_mode(), autocast(condition.device, condition.precision):
        call(images)


def _train(
    call: Callable[..., Tensor],
    images: Tensor,
    labels: Tensor,
    optimizer: torch.optim.Optimizer,
    condition: Condition,
) -> None:
    with phase("forward"), autocast(condition.device, condition.precision):
        loss = mean_loss(call(images), labels, auxiliary_weight=condition.auxiliary_weight)
    with phase("backward"):
        loss.backward()
    with phase("optimizer"):
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
