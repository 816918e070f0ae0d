"""What this machine offers: its device, its arithmetic, its switches, its threads, its stopwatch."""

import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import torch

from swatbench.errors import MachineError
from swatbench.measure.latency import Elapsed, Stopwatch, wall_stopwatch
from swatbench.precision import DTYPES as TORCH_DTYPES
from swatbench.precision import Precision
from swatbench.spec.cells import Speed
from swatbench.spec.cost import Mode
from swatbench.spec.execution import Execution

Device = Literal["cpu", "cuda"]

_CPUINFO = Path("/proc/cpuinfo")
_BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""Names that Linux gives to bf16 arithmetic: the first two on x86, the last on ARM."""

DTYPES: dict[Precision, str] = {name: str(dtype).partition(".")[2] for name, dtype in TORCH_DTYPES.items()}
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
    precision: Literal["auto", "fp32", "bf16", "fp16"], device: Device, *, cpuinfo: Path = _CPUINFO
) -> Precision:
    """Choose the autocast type: `auto` takes bf16 only where the hardware computes in it, and never fp16.

    Args:
        precision: What was asked for. bf16 and fp16 are granted on any machine; where the hardware does not
            compute in them they are emulated, which is slower than fp32 (ADR 17 has numbers of a CPU).
        device: The device that `resolve_device` gave.
        cpuinfo: File in Linux's format that lists the processor's features.
    """
    if precision != "auto":
        return precision
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if _BF16_FLAGS & _cpu_features(cpuinfo) else "fp32"


def resolve_switches(execution: Execution, device: Device) -> Speed:
    """Choose what trades time and memory in training: `auto` as was measured (ADR 17).

    Args:
        execution: What was asked for.
        device: The device that `resolve_device` gave.

    Raises:
        MachineError: torch.compile is asked for, and what it needs is not here.
    """
    if execution.compile != "none":
        require_compiler(device)
    return Speed(
        tf32=execution.tf32,
        channels_last=execution.channels_last is True,
        compile=execution.compile,
        fused_optimizer=execution.fused_optimizer is not False,
        gradient_checkpointing=execution.gradient_checkpointing,
    )


def cpp_compiler() -> str | None:
    """Path of the C++ compiler that torch.compile calls for a CPU; None where there is none.

    It is what `CXX` names, else g++, clang++ on macOS or cl on Windows, as in `torch._inductor.config`.
    """
    usual = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    return shutil.which(os.environ.get("CXX", usual))


def require_compiler(
    device: Device, *, where: str = "execution.compile", instead: str = "use `compile: none`"
) -> None:
    """Make sure that torch.compile finds what it needs.

    Args:
        device: Where the compiled model runs.
        where: Key of the suite that asks for it.
        instead: What to do without it, for the error.

    Raises:
        MachineError: On a CPU there is no C++ compiler, or on CUDA no triton.
    """
    if device == "cpu" and cpp_compiler() is None:
        what = "torch.compile needs a C++ compiler on the CPU, and there is none."
        fix = f"Install g++, let CXX name a compiler, or {instead}."
    elif device == "cuda" and find_spec("triton") is None:
        what = "torch.compile needs triton on CUDA, and it is not installed."
        fix = f"Install the triton of this torch, or {instead}."
    else:
        return
    raise MachineError(what, where=where, fix=fix)


def require_modes(modes: Iterable[Mode], device: Device) -> None:
    """Make sure that calls can be made in these modes here.

    Args:
        modes: How calls are to reach the device.
        device: Where they run.

    Raises:
        MachineError: A CUDA graph is asked for on a CPU, or what torch.compile needs is not here.
    """
    for mode in modes:
        if mode == "cuda_graph" and device != "cuda":
            raise MachineError(
                "cuda_graph needs a CUDA device.",
                where="cost.modes",
                fix="Leave it out of cost.modes (--mode), or measure on a machine with a CUDA device.",
            )
        if mode == "compiled":
            require_compiler(
                device, where="cost.modes", instead="leave `compiled` out of cost.modes (--mode)"
            )


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
    """The way calls are timed on a device: CUDA events there, the wall clock on the CPU.

    Args:
        device: Where the calls compute.
        clock: Seconds from any origin; on CUDA it times what the host does.
    """
    return _event_stopwatch(clock) if device == "cuda" else wall_stopwatch(clock)


def synchronizer(device: Device) -> Callable[[], None]:
    """What waits for all work of a device; on a CPU there is nothing to wait for."""
    return torch.cuda.synchronize if device == "cuda" else lambda: None


def _event_stopwatch(clock: Callable[[], float]) -> Stopwatch:
    """Time between two CUDA events around some calls, with one synchronisation at the end."""

    def stopwatch(call: Callable[[], object], times: int) -> Elapsed:
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begun = clock()
        start.record()
        for _ in range(times):
            call()
        end.record()
        host_s = clock() - begun
        end.synchronize()
        return Elapsed(seconds=start.elapsed_time(end) / 1000, host_s=host_s)

    return stopwatch
