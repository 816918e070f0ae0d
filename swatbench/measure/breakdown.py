"""Where the time of a step goes: by module, operator and phase, from torch.profiler.

Definitions. An operator is what a module calls: what it calls in turn is a part of it, but for copies inside
of a reshape and for casts, which are told apart. A backward node belongs to the operator whose gradient it
computes and to the module that called it (autograd numbers both alike). `calls` are calls by the module in
the forward phase and nodes in the backward phase. On a CPU the time is the wall time of the profiled steps,
and what passes in a module outside of its operators is `between operators`: Python, and the profiler's own
work, for which a profiled step is slower than a timed one. On CUDA the time is that of kernels and copies on
the card, and idle time is nobody's.

torch.compile fuses across modules, so nothing in a compiled model has a module: its part is `compiled
region`, and it is told by operator where one kept its name, or else as `fused kernels` (whose calls are those
of the region).
A CUDA graph replays the kernels of an eager call, and that call is what is profiled.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn
from torch.autograd import DeviceType
from torch.autograd.profiler_util import FunctionEvent

from swatbench.measure.condition import Condition
from swatbench.measure.machine import Device
from swatbench.measure.operator_names import BETWEEN, FUSED, GRADIENTS, OPTIMIZER, RESHAPE, operator_of
from swatbench.measure.parts import OTHER, part_of, place_of
from swatbench.measure.ranges import PHASES, Phase, profile_steps
from swatbench.measure.trace import MODULE, write_traces
from swatbench.spec.cost import Protocol
from swatbench.store.cost import Spent

COMPILED = "compiled region"
"""Part of what torch.compile made."""

_NODE = "autograd::engine::evaluate_function: "
_CAST = "aten::_to_copy"
_DRIVER = re.compile(r"cu(da)?[A-Z]")
"""How the names of CUDA's own calls begin: `cudaLaunchKernel`, `cuLaunchKernelEx`."""
_PERMEABLE = frozenset({BETWEEN, RESHAPE, FUSED})
"""What keeps no operator inside of it from being told by its own name."""

Spending = tuple[int, float]
"""Calls and seconds."""


def break_down(
    build: Callable[[], nn.Module],
    *,
    arm: str,
    condition: Condition,
    protocol: Protocol,
    steps: int = 5,
    trace: Path | None = None,
    name: str = "model",
) -> tuple[Spent, ...]:
    """Profile a new model in this process and say where the time of a step goes, the longest first.

    Of the steps that are profiled the fastest is told: it is the one that least else got in the way of.

    Args:
        build: Makes a new model on the CPU in float32.
        arm: Name of the model, for the rows.
        condition: What a call is made of.
        protocol: A forward pass, or a training step.
        steps: Steps that are profiled.
        trace: Folder for the traces of those steps; see `swatbench.measure.trace`.
        name: What these traces are called in that folder.

    Raises:
        ValueError: No step is asked for.
    """
    found = profile_steps(build(), condition=condition, protocol=protocol, steps=steps)
    if trace is not None:
        write_traces(found.profiler, trace, name)
    compiled = condition.mode == "compiled"
    spent = min(
        (
            sum_up(events, device=condition.device, compiled=compiled)
            for events in steps_of(found.profiler.events() or ())
        ),
        key=lambda one: sum(self_s for _, self_s in one.values()),
    )
    rows = (
        Spent(arm=arm, protocol=protocol, calls=calls, self_s=self_s, **where.as_row())
        for where, (calls, self_s) in spent.items()
        if self_s > 0
    )
    return tuple(sorted(rows, key=lambda row: -row.self_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """What an event belongs to.

    Attributes:
        phase: Phase of the step.
        path: Module that called it, as its place.
        part: Part of the model that the module belongs to.
        compiled: Whether torch.compile made what it is in.
        operator: In plain words.
    """

    phase: Phase
    path: str = ""
    part: str = OTHER
    compiled: bool = False
    operator: str = BETWEEN

    def as_row(self) -> dict[str, Any]:
        """The fields of a row that tell it."""
        part = COMPILED if self.compiled else self.part
        return {"path": self.path, "part": part, "operator": self.operator, "phase": self.phase}


def steps_of(events: Iterable[FunctionEvent]) -> list[list[FunctionEvent]]:
    """The events of each step, which begins with its forward phase; what comes before the first is left out.

    Args:
        events: Of torch.profiler, by their start.
    """
    steps: list[list[FunctionEvent]] = []
    for event in events:
        if PHASES.get(event.name) == "forward":
            steps.append([])
        if steps:
            steps[-1].append(event)
    return steps


def sum_up(events: Iterable[FunctionEvent], *, device: Device, compiled: bool) -> dict[Where, Spending]:
    """Calls and seconds of all events that lie in a phase of a step.

    Args:
        events: Of torch.profiler, by their start.
        device: Where time is told: on the CPU that of the events, on CUDA that of the kernels they launched.
        compiled: Whether the model went through torch.compile.
    """
    seconds_of = _kernel_s if device == "cuda" else _self_s
    found: dict[Where, Spending] = defaultdict(lambda: (0, 0.0))
    for event, where, entered in _placed(events, compiled=compiled):
        calls, seconds = found[where]
        found[where] = (calls + entered, seconds + seconds_of(event))
    return dict(found)


def _placed(
    events: Iterable[FunctionEvent], *, compiled: bool
) -> Iterator[tuple[FunctionEvent, Where, bool]]:
    """Each event of a phase, what it belongs to, and whether it is a call of its own."""
    known: dict[int, Where] = {}
    sources: dict[int, Where] = {}
    for event in events:
        if event.device_type != DeviceType.CPU or event.is_async:
            continue
        around = known.get(id(event.cpu_parent))
        where = _where(event, around, sources, compiled=compiled)
        if where is None:
            continue
        known[id(event)] = where
        # Operators that make no node bear the next one's number, so of several the last is the one.
        if where.phase == "forward" and event.sequence_nr >= 0:
            sources[event.sequence_nr] = where
        yield event, where, where != around


def _where(
    event: FunctionEvent, around: Where | None, sources: Mapping[int, Where], *, compiled: bool
) -> Where | None:
    """What an event belongs to, by what it lies in; backward nodes by what was forward."""
    if event.name in PHASES:
        phase = PHASES[event.name]
        return Where(phase=phase, operator=OPTIMIZER if phase == "optimizer" else BETWEEN)
    if event.name.startswith(_NODE):
        return replace(sources.get(event.sequence_nr) or _sourceless(event), phase="backward")
    if around is None or _is_transparent(event, around):
        return around
    if event.name.startswith(MODULE):
        path = event.name.removeprefix(MODULE)
        operator = FUSED if compiled else BETWEEN
        return replace(around, path=place_of(path), part=part_of(path), compiled=compiled, operator=operator)
    if not _is_cast(event, around) and around.operator not in _PERMEABLE:
        return around
    word = operator_of(event.name, arguments=event.concrete_inputs, shapes=event.input_shapes)
    return replace(around, operator=word)


def _sourceless(node: FunctionEvent) -> Where:
    """What a backward node belongs to whose operator is not known, as those that keep gradients."""
    name = node.name.removeprefix(_NODE)
    return Where(phase="backward", operator=GRADIENTS if name.endswith("AccumulateGrad") else name)


def _is_cast(event: FunctionEvent, around: Where) -> bool:
    """Whether an event is autocast's, which lies inside of the operator; that of a number does not count."""
    return (
        around.phase == "forward"
        and event.name == _CAST
        and bool(event.input_shapes and event.input_shapes[0])
    )


def _is_transparent(event: FunctionEvent, around: Where) -> bool:
    """Whether an event only marks a range: of a user, of autograd, of torch.compile around kernels."""
    if event.is_user_annotation:
        return not event.name.startswith(MODULE)
    bare = "::" not in event.name and not event.name.startswith("triton_")
    return bare and (around.compiled or around.phase == "backward")


def _self_s(event: FunctionEvent) -> float:
    return event.self_cpu_time_total / 1e6


def _kernel_s(event: FunctionEvent) -> float:
    # torch 2.8 to 2.14 number CUDA's calls like operators, whose kernels they then seem to have launched too.
    if _DRIVER.match(event.name):
        return 0.0
    # A range has a shadow on the card, of its own name, beside the kernels launched inside of it.
    return sum(kernel.duration for kernel in event.kernels if kernel.name != event.name) / 1e6
