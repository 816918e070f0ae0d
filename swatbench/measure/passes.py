"""The passes of a measurement: count, memory, time; each builds its own model.

A model that was counted or profiled is never timed, and memory is measured in processes of its own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from swatbench.measure.calls import forward_call, random_images, training_call
from swatbench.measure.counts import Counts, count
from swatbench.measure.latency import Call, Enough, Samples, interleave
from swatbench.measure.machine import Device, stopwatch
from swatbench.measure.machine import threads as cpu_threads
from swatbench.measure.memory import peak_bytes
from swatbench.precision import Precision
from swatbench.spec.suite import Cost

Build = Callable[[], nn.Module]
"""Makes a new model on the CPU in float32; picklable, because memory is measured in another process."""
Protocol = Literal["inference", "training"]

TWIN = "twin"
"""Name, among the samples, of the second copy of the reference arm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """The conditions that all passes share.

    Attributes:
        cost: Batch, rounds and budget.
        img_size: Height and width of the input in pixels.
        num_classes: Classes of the logits.
        device: Where to run.
        precision: Autocast type.
        threads: CPU threads.
        on_stage: Told what begins, in a few words.
        enough: Says from the seconds of one protocol whether they are precise enough.
        order_seed: Seed of the order of the calls within each round.
    """

    cost: Cost
    img_size: int
    num_classes: int
    device: Device
    precision: Precision
    threads: int
    on_stage: Callable[[str], None]
    enough: Enough | None = None
    order_seed: int = 0

    def count(self, name: str, build: Build) -> Counts:
        """Parameters and MACs of one image."""
        self.on_stage(f"count {name}")
        with cpu_threads(self.threads):
            return count(build(), (1, 3, self.img_size, self.img_size))

    def peak_bytes(self, name: str, build: Build, protocol: Protocol) -> int:
        """Peak memory of a few calls in a new process, in bytes."""
        self.on_stage(f"memory of {name}, {protocol}")
        return peak_bytes(
            build,
            input_shape=self._input_shape,
            device=self.device,
            precision=self.precision,
            training=protocol == "training",
            threads=self.threads,
        )

    def time(self, builds: Mapping[str, Build], protocol: Protocol, *, twin: bool) -> Samples:
        """Seconds of each model's calls, interleaved; `twin` adds a second copy of the first model."""
        self.on_stage(f"time {', '.join(builds)}, {protocol}")
        copies = {TWIN: next(iter(builds.values()))} if twin else {}
        with cpu_threads(self.threads):
            calls = {name: self._call(build(), protocol) for name, build in {**builds, **copies}.items()}
            return interleave(
                calls,
                order_seed=self.order_seed,
                max_rounds=self.cost.max_rounds,
                budget_s=self.cost.budget_s,
                stopwatch=stopwatch(self.device),
                enough=self.enough,
            )

    @property
    def _input_shape(self) -> tuple[int, int, int, int]:
        return (self.cost.batch_size, 3, self.img_size, self.img_size)

    def _call(self, model: nn.Module, protocol: Protocol) -> Call:
        model.to(self.device)
        images = random_images(self._input_shape, self.device)
        if protocol == "inference":
            return forward_call(model, images, self.precision)
        labels = torch.arange(self.cost.batch_size, device=self.device) % self.num_classes
        return training_call(model, images, labels, self.precision)
