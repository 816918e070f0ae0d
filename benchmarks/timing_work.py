"""What the timing benchmark times: one small block, repeated; and the process that disturbs it.

Shapes: the block's input (B, C), its weight (C, C).
"""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

B = 64
C = 48
REPETITIONS = {"identical": (33, 33), "3 % more": (33, 34)}
"""Case → repetitions of the block in a call of the reference and of the other."""
STRETCH_S = (0.05, 0.5)
"""Shortest and longest time for which the disturbing process is busy, or idle."""
STRETCHES = 64
"""Times drawn for one disturbing process, as often busy as idle."""

Call = Callable[[], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Calls that are compared, each on tensors of its own.

    Attributes:
        reference: What the ratio is taken to.
        other: What may take longer.
        twin: The reference's work once more.
    """

    reference: Call
    other: Call
    twin: Call


def work(case: str) -> Work:
    """Make the calls of one case of `REPETITIONS` anew, so that every comparison meets other addresses."""
    less, more = REPETITIONS[case]
    return Work(reference=block(less), other=block(more), twin=block(less))


def block(repetitions: int) -> Call:
    """A call that does gelu(x w) some number of times, for equal x (B, C) and w (C, C)."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(B, C, generator=generator)
    w = torch.randn(C, C, generator=generator) / C**0.5

    @torch.inference_mode()
    def call() -> None:
        for _ in range(repetitions):
            F.gelu(torch.mm(x, w))

    return call


def operations(call: Call) -> Counter[str]:
    """Times that a call reaches each of torch's operators."""
    with _Counted() as counted:
        call()
    return counted.calls


class _Counted(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls[str(func)] += 1
        return func(*args, **(kwargs or {}))


@contextmanager
def disturbance(rng: np.random.Generator) -> Iterator[None]:
    """Run the disturbing process, with busy and idle times drawn anew, for as long as this lasts."""
    stretches_s = rng.uniform(*STRETCH_S, size=STRETCHES)
    first = int(rng.integers(2))
    drawn = [0.0] * first + stretches_s.tolist() + [0.0] * first
    script = Path(__file__).with_name("timing_disturbance.py")
    command = [sys.executable, "-I", "-S", str(script), *map(str, drawn)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield
        finally:
            process.kill()
