"""A call as one CUDA graph: recorded once, and replayed as a single launch.

What the call reads and writes must lie at the same place each time: images, labels, weights and the
optimizer's state are made before it is recorded, and gradients live in the graph's own memory.

Source: PyTorch's notes on CUDA semantics, "Whole-network capture".
"""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from swatbench.errors import ModelError, first_line
from swatbench.measure.machine import Device, require_modes
from swatbench.out_of_memory import out_of_memory

WARMUP_CALLS = 3
"""Calls on a side stream before one is recorded: libraries choose kernels then, and the optimizer makes its
state."""


def capture(call: Callable[[], Tensor], device: Device) -> Callable[[], Tensor]:
    """A call that is recorded as a CUDA graph when it is made first, and replayed from then on.

    The first call makes `WARMUP_CALLS` calls and one replay, so a training step then takes that many and one
    more. Every call gives the same tensor, which the next one overwrites.

    Args:
        call: Always computes on the same tensors, in the same order, and never waits for the device; a
            training step with an optimizer that is `capturable`, setting gradients to None at its end.
        device: Where it computes.

    Returns:
        What does as `call` does; it raises ModelError where the call cannot be recorded.

    Raises:
        MachineError: The device is a CPU.
    """
    require_modes(["cuda_graph"], device)
    return _Captured(call)


class _Captured:
    """A call that is recorded when it is made first."""

    def __init__(self, call: Callable[[], Tensor]) -> None:
        self._call = call
        self._recorded: tuple[torch.cuda.CUDAGraph, Tensor] | None = None

    def __call__(self) -> Tensor:
        if self._recorded is None:
            self._recorded = _record(self._call)
        graph, output = self._recorded
        graph.replay()
        return output


def _record(call: Callable[[], Tensor]) -> tuple[torch.cuda.CUDAGraph, Tensor]:
    _warm_up(call)
    graph = torch.cuda.CUDAGraph()
    raised: Exception | None = None
    try:
        with torch.cuda.graph(graph):
            try:
                output = call()
            except Exception as error:
                raised = error
                raise
    except RuntimeError as error:
        first = raised or error  # Leaving a recording that failed raises an error of its own.
        if out_of_memory(first):
            raise first from None
        raise ModelError(
            f"This model cannot be recorded as a CUDA graph ({first_line(first)}).",
            where="cost.modes",
            fix="Leave `cuda_graph` out of `cost.modes`; what waits for the device cannot be recorded.",
        ) from first
    return graph, output


@cache
def _side_stream() -> torch.cuda.Stream:
    """The stream of all warm-ups: on each one cuBLAS keeps a workspace that torch's allocator handed out."""
    return torch.cuda.Stream()


def _warm_up(call: Callable[[], Tensor]) -> None:
    """Make some calls on a side stream, as recording does."""
    stream = _side_stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARMUP_CALLS):
            call()
    torch.cuda.current_stream().wait_stream(stream)
