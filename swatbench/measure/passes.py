"""The passes of a measurement, each of which builds its own model.

Counts, memory, breakdown, peaks and the largest batch are taken in processes of their own; the process that
times has counted nothing and profiled nothing, and no pass is handed a model that another one has used.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from swatbench.errors import ModelError, first_line
from swatbench.measure.apart import run_apart
from swatbench.measure.breakdown import break_down
from swatbench.measure.calls import PREPARATION_CALLS, Call, make_call
from swatbench.measure.condition import Condition
from swatbench.measure.counts import Counts, count
from swatbench.measure.energy import measure_energy
from swatbench.measure.fits import largest_batch
from swatbench.measure.latency import LEAST_SAMPLE_S, Enough, Samples, interleave
from swatbench.measure.machine import Device, stopwatch, synchronizer
from swatbench.measure.machine import threads as cpu_threads
from swatbench.measure.memory import measure_memory
from swatbench.measure.roofline import measure_peaks
from swatbench.out_of_memory import out_of_memory
from swatbench.processes import Say
from swatbench.spec.cost import Cost, Protocol
from swatbench.store.cost import DEPLOYED, TWIN, LargestBatch, Memory, Peaks, Spent

Build = Callable[[], nn.Module]
"""Makes a new model on the CPU in float32; picklable, because most passes run in other processes."""
Result = TypeVar("Result")

LEAST_SAMPLES_S: Mapping[Device, float] = {"cpu": LEAST_SAMPLE_S, "cuda": 0.002}
"""Shortest sample: on a card the first kernel starts some microseconds after its event."""
LEAST_WARMUP_S: Mapping[Device, float] = {"cpu": 0.0, "cuda": 0.5}
"""Shortest warm-up: a card's clocks take about so long to rise, and rounds of a small model far less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """The arms of a pair, and what all passes over them share.

    Attributes:
        arms: Arm → how to build it; the first is the reference.
        condition: What calls are made of.
        cost: Rounds, budget and what is asked for.
        on_stage: Told what begins, in a few words.
        enough: Says from the seconds of one protocol whether they are precise enough.
        order_seed: Seed of the order of the calls within each round.
        start: How processes are started; None for a fresh server.
        folder: Where a snapshot of memory is left when it runs out; None for nowhere.
        trace: Folder for traces; None for none.
        name: What the traces are called, before the arm.
        deployed: Arm → how to build the form that it is deployed in, where that is another one.
    """

    arms: Mapping[str, Build]
    condition: Condition
    cost: Cost
    on_stage: Callable[[str], None]
    enough: Enough | None = None
    order_seed: int = 0
    start: BaseContext | None = None
    folder: Path | None = None
    trace: Path | None = None
    name: str = "model"
    deployed: Mapping[str, Build] = field(default_factory=dict)

    def counts(self, arm: str) -> Counts:
        """Parameters and MACs of one image, and the MACs of a training step."""
        call = partial(count, self.arms[arm], self.condition, training=self.cost.training)
        return self._apart(f"count {arm}", call)

    def counts_deployed(self, arm: str) -> Counts:
        """Parameters and MACs of the form that an arm is deployed in."""
        call = partial(count, self.deployed[arm], self.condition, training=False)
        return self._apart(f"count {arm} as deployed", call)

    def memory(self, arm: str, protocol: Protocol) -> Memory:
        """Peak memory of a few calls, and what it consists of."""
        self.on_stage(f"memory of {arm}, {protocol}")
        return measure_memory(
            self.arms[arm],
            condition=self.condition,
            protocol=protocol,
            start=self.start,
            snapshot=self.folder,
        )

    def largest_batch(self, arm: str, protocol: Protocol) -> LargestBatch:
        """The largest batch that fits into memory, by search."""
        self.on_stage(f"largest batch of {arm}, {protocol}")
        return largest_batch(
            self.arms[arm],
            condition=self.condition,
            protocol=protocol,
            limit_bytes=self.cost.memory_limit_bytes,
            start=self.start,
        )

    def breakdown(self, arm: str, protocol: Protocol) -> tuple[Spent, ...]:
        """Where the time of a call goes, by torch.profiler; traces are left on the way if asked for."""
        call = partial(
            break_down,
            self.arms[arm],
            arm=arm,
            condition=self.condition,
            protocol=protocol,
            trace=self.trace,
            name=f"{self.name}-{arm}-{protocol}",
        )
        return self._apart(f"profile {arm}, {protocol}", call)

    def peaks(self) -> Peaks:
        """What this machine does at best."""
        at = self.condition
        return self._apart(
            "peak arithmetic and bandwidth", partial(measure_peaks, at.device, at.precision, at.threads)
        )

    def time(self, protocol: Protocol, batch_size: int) -> Samples:
        """Seconds of each arm's calls and of the reference's twin, interleaved."""
        self.on_stage(f"time {', '.join(self.arms)}, {protocol}, batch {batch_size}")
        with cpu_threads(self.condition.threads):
            samples = self._time(protocol, batch_size)
        self._forget()
        return samples

    def _time(self, protocol: Protocol, batch_size: int) -> Samples:
        builds = {**self.arms, TWIN: next(iter(self.arms.values()))}
        if protocol == "inference":
            builds |= {f"{arm}{DEPLOYED}": build for arm, build in self.deployed.items()}
        try:
            return interleave(
                self._calls(builds, protocol, batch_size),
                order_seed=self.order_seed,
                max_rounds=self.cost.max_rounds,
                budget_s=self.cost.budget_s,
                stopwatch=stopwatch(self.condition.device),
                enough=self.enough,
                preparation_calls=PREPARATION_CALLS[self.condition.mode],
                least_sample_s=LEAST_SAMPLES_S[self.condition.device],
                least_warmup_s=LEAST_WARMUP_S[self.condition.device],
            )
        except (RuntimeError, ValueError) as error:
            if out_of_memory(error):
                raise
            raise ModelError(
                f"A call cannot be made ({protocol}, batch {batch_size}): {first_line(error)}",
                fix="Choose other batches (--batch, --sweep; cost.batch_size, cost.sweep) or --no-training.",
            ) from error

    def energy(self, protocol: Protocol, joules: Callable[[], float]) -> dict[str, tuple[float, ...]]:
        """Joules per image of each arm, one number a window.

        Args:
            protocol: What is called.
            joules: The card's counter.
        """
        self.on_stage(f"energy of {', '.join(self.arms)}, {protocol}")
        with cpu_threads(self.condition.threads):
            found = self._energy(protocol, joules)
        self._forget()
        return found

    def _energy(self, protocol: Protocol, joules: Callable[[], float]) -> dict[str, tuple[float, ...]]:
        calls = self._calls(self.arms, protocol, self.condition.batch_size)
        for call in calls.values():
            for _ in range(PREPARATION_CALLS[self.condition.mode]):
                call()
        return measure_energy(
            calls,
            joules=joules,
            images_per_call=self.condition.batch_size,
            order_seed=self.order_seed,
            synchronize=synchronizer(self.condition.device),
        )

    def _calls(self, builds: Mapping[str, Build], protocol: Protocol, batch_size: int) -> dict[str, Call]:
        at = self.condition.at(batch_size)
        return {name: make_call(build(), protocol, at) for name, build in builds.items()}

    def _forget(self) -> None:
        """Drop compiled code, so that the next models are compiled as if they were the first."""
        if self.condition.mode == "compiled":
            torch.compiler.reset()

    def _apart(self, what: str, call: Callable[[], Result]) -> Result:
        self.on_stage(what)
        return run_apart(partial(_with_threads, self.condition.threads, call), what=what, start=self.start)


def _with_threads(n: int, call: Callable[[], Result], _: Say) -> Result:
    with cpu_threads(n):
        return call()
