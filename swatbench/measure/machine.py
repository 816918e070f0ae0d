"""What this machine offers to a measurement: its device, its arithmetic, its threads, its stopwatch."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import torch

from swatbench.errors import MachineError
from swatbench.measure.latency import Stopwatch, wall_stopwatch
from swatbench.precision import Precision

Device = Literal["cpu", "cuda"]

_CPUINFO = Path("/proc/cpuinfo")
_BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""Names that Linux gives to bf16 arithmetic: the first two on x86, the last on ARM."""

DTYPES: dict[Precision, str] = {"fp32": "float32", "bf16": "bfloat16"}
"""Precision → name of torch's type that matrix products are computed in."""


def resolve_device(device: Literal["auto", "cpu", "cuda"]) -> Device:
    """Choose the device: `auto` takes CUDA where torch can use it.

    Raises:
        MachineError: CUDA is asked for and missing.
    """
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise MachineError(
            "CUDA was asked for, and torch finds no CUDA device.",
            fix="Use `device: auto` or `device: cpu`, or install a torch built for this machine's driver.",
        )
    if device == "auto":
        return "cuda" if available else "cpu"
    return device


def resolve_precision(
    precision: Literal["auto", "fp32", "bf16"], device: Device, *, cpuinfo: Path = _CPUINFO
) -> Precision:
    """Choose the autocast type: `auto` takes bf16 only where the hardware computes in it.

    Args:
        precision: What was asked for; bf16 is granted on any machine, though emulated bf16 is slow.
        device: The device that `resolve_device` gave.
        cpuinfo: File in Linux's format that lists the processor's features.
    """
    if precision != "auto":
        return precision
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if _BF16_FLAGS & _cpu_features(cpuinfo) else "fp32"


def _cpu_features(cpuinfo: Path) -> frozenset[str]:
    try:
        text = cpuinfo.read_text()
    except OSError:
        return frozenset()
    lines = re.findall(r"^(?:flags|Features)\s*:(.*)$", text, flags=re.MULTILINE)
    return frozenset(" ".join(lines).split())


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Let torch use `n` CPU threads inside the block, and as many as before after it."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def stopwatch(device: Device, *, clock: Callable[[], float] = time.perf_counter) -> Stopwatch:
    """The way calls are timed on a device: CUDA events there, the wall clock on the CPU."""
    return _event_seconds if device == "cuda" else wall_stopwatch(clock)


def _event_seconds(call: Callable[[], object], times: int) -> float:
    """Seconds between two CUDA events around `times` calls, with one synchronisation at the end."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(times):
        call()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1000
