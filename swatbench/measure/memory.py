"""Peak memory of a model at work, measured in a process that does nothing else.

CPU: the largest resident set during a few calls, less the resident set after torch was imported and warmed up
and before the model was built. Weights, batch, activations, gradients and optimizer state are inside; what
building used for a while is not. CUDA: the most bytes that torch's allocator handed out during the calls.

On Linux with glibc the process gives every block of 128 KiB or more back to the system when it is freed. With
glibc's default, which raises that limit as it goes, freed activations stay in the heap or not by chance: five
runs of one model then differ by several per cent, and here by less than one.

Source: Linux's proc(5), `clear_refs` and `VmHWM`; glibc's mallopt(3).
"""

import ctypes
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
import torch
from torch import nn

from swatbench.errors import MachineError, first_line
from swatbench.measure.calls import forward_call, random_images, training_call
from swatbench.measure.machine import Device, threads
from swatbench.out_of_memory import out_of_memory
from swatbench.precision import Precision
from swatbench.processes import ProcessDiedError, Say, ask, context

_PRELOADED = ("torch", "timm", __name__)
"""Imported once by the server from which each measuring process is forked; it never computes itself."""
_M_MMAP_THRESHOLD = -3
_MMAP_THRESHOLD_BYTES = 128 * 1024
_CLEAR_REFS = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    build: Callable[[], nn.Module]
    input_shape: tuple[int, int, int, int]
    device: Device
    precision: Precision
    training: bool
    threads: int
    steps: int


def peak_bytes(
    build: Callable[[], nn.Module],
    *,
    input_shape: tuple[int, int, int, int],
    device: Device,
    precision: Precision,
    training: bool,
    threads: int = 1,
    steps: int = 3,
    timeout_s: float = 600.0,
) -> int:
    """Measure the peak memory of inference or of training steps, in bytes.

    Args:
        build: Makes the model, its logits (B, classes). It is pickled, so it is a function at the top of a
            module or a partial of one: `functools.partial(timm.create_model, "mixer_s16_224")`. Settings
            made in this process, such as timm's fused attention, do not reach it unless it makes them.
        input_shape: B, C, H, W.
        device: Where to run.
        precision: Autocast type.
        training: Whether to make training steps rather than forward passes.
        threads: CPU threads; each holds buffers of its own.
        steps: Calls; the second step is the first that holds optimizer state and gradients together.
        timeout_s: Time after which the process is ended.

    Raises:
        MachineError: The process ran out of memory or time, or died.
        SwatbenchError: Whatever `build` raised of that kind.
    """
    task = _Task(
        build=build,
        input_shape=input_shape,
        device=device,
        precision=precision,
        training=training,
        threads=threads,
        steps=steps,
    )
    try:
        return ask(partial(_in_process, task), start=context(*_PRELOADED), timeout_s=timeout_s)
    except ProcessDiedError as error:
        fix = "Lower `cost.batch_size`, or free memory."
        raise MachineError(f"The process that measures memory {error}.", fix=fix) from error
    except TimeoutError as error:
        raise MachineError(
            f"Measuring memory took longer than {timeout_s:g} s.",
            fix="Lower `cost.batch_size`, or measure on a faster machine.",
        ) from error


def _in_process(task: _Task, _: Say) -> int:
    try:
        return _measure(task)
    except (MemoryError, RuntimeError) as error:
        raise _out_of_memory(error) or MachineError(
            f"Measuring memory failed: {type(error).__name__}: {error}"
        ) from error


def _out_of_memory(error: Exception) -> MachineError | None:
    if not out_of_memory(error):
        return None
    reason = f" ({first_line(error)})" if str(error) else ""
    return MachineError(
        f"Memory ran out while it was measured{reason}.", fix="Lower `cost.batch_size`, or free memory."
    )


def _measure(task: _Task) -> int:
    _return_freed_blocks()
    with threads(task.threads):
        _warm_up(task)
        before = _held_bytes(task.device)
        call = _make_call(task.build(), task.input_shape, task)
        high_water = _reset_peak(task.device)
        for _ in range(task.steps):
            call()
        return high_water() - before


def _return_freed_blocks() -> None:
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is not None and hasattr(libc, "mallopt"):
        libc.mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD_BYTES)


def _warm_up(task: _Task) -> None:
    """Start thread pools, autograd and the libraries of the operators that vision models share."""
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.GELU(), nn.Conv2d(8, 8, 3, groups=8), nn.Flatten(), nn.Linear(8 * 12 * 12, 2)
    )
    call = _make_call(model, (2, 3, 16, 16), task)
    for _ in range(task.steps):
        call()


def _make_call(model: nn.Module, input_shape: tuple[int, int, int, int], task: _Task) -> Callable[[], object]:
    model.to(task.device)
    images = random_images(input_shape, task.device)
    if not task.training:
        return forward_call(model, images, task.precision)
    labels = torch.zeros(input_shape[0], dtype=torch.long, device=task.device)
    return training_call(model, images, labels, task.precision)


def _held_bytes(device: Device) -> int:
    return torch.cuda.memory_allocated() if device == "cuda" else psutil.Process().memory_info().rss


def _reset_peak(device: Device) -> Callable[[], int]:
    """Start a new peak, and give the function that reads it in bytes."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.max_memory_allocated
    try:
        _CLEAR_REFS.write_text("5")
        _resident_peak_bytes()
    except (OSError, LookupError):
        return _lifetime_peak_bytes
    return _resident_peak_bytes


def _resident_peak_bytes() -> int:
    found = re.search(r"^VmHWM:\s+(\d+) kB$", _STATUS.read_text(), flags=re.MULTILINE)
    if found is None:
        raise LookupError(f"{_STATUS} tells no VmHWM")
    return int(found[1]) * 1024


def _lifetime_peak_bytes() -> int:
    """The largest resident set since the process began: an upper bound where the peak cannot be reset."""
    import resource  # noqa: PLC0415  Windows has no such module, and only this fallback needs it.

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
