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
import multiprocessing as mp
import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from pathlib import Path

import psutil
import torch
from torch import nn

from swatbench.errors import MachineError, SwatbenchError
from swatbench.measure.calls import forward_call, random_images, training_call
from swatbench.measure.machine import Device, Precision, threads

_PRELOADED = ["torch", "timm", __name__]
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
    answer = _run_in_process(task, timeout_s)
    if isinstance(answer, Exception):
        raise answer
    return answer


def _run_in_process(task: _Task, timeout_s: float) -> int | Exception:
    context = _process_context()
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(sender, task), daemon=True)
    process.start()
    # The child must hold the only sender: then its death ends the pipe.
    sender.close()
    with receiver:
        try:
            return _answer(process, receiver, timeout_s)
        finally:
            process.kill()
            process.join()


def _process_context() -> ForkServerContext | SpawnContext:
    if "forkserver" not in mp.get_all_start_methods():
        return mp.get_context("spawn")
    context = mp.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context


def _answer(process: BaseProcess, receiver: Connection, timeout_s: float) -> int | Exception:
    if not receiver.poll(timeout_s):
        return MachineError(
            f"Measuring memory took longer than {timeout_s:g} s.",
            fix="Lower `cost.batch_size`, or measure on a faster machine.",
        )
    try:
        return receiver.recv()
    except EOFError:
        process.join()
        return _death(process.exitcode)


def _death(exitcode: int | None) -> MachineError:
    if exitcode is not None and exitcode < 0:
        how = f"was ended by {signal.Signals(-exitcode).name}"
        if -exitcode == signal.SIGKILL:
            how += ", as the system does when memory runs out"
    else:
        how = f"ended with exit code {exitcode}; its own message stands above"
    return MachineError(
        f"The process that measures memory {how}.", fix="Lower `cost.batch_size`, or free memory."
    )


def _child(sender: Connection, task: _Task) -> None:
    """Measure, and send the bytes or the failure back."""
    # Ctrl-C reaches the whole process group; the parent decides what ends, and nothing outlives it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    with sender:
        try:
            sender.send(_measure(task))
        except SwatbenchError as error:
            sender.send(error)
        except (MemoryError, RuntimeError) as error:
            sender.send(_out_of_memory(error) or RuntimeError(f"{type(error).__name__}: {error}"))


def _die_with_parent() -> None:
    parent = mp.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _out_of_memory(error: Exception) -> MachineError | None:
    text = str(error)
    if not isinstance(error, MemoryError | torch.OutOfMemoryError) and "can't allocate memory" not in text:
        return None
    reason = f" ({text.splitlines()[0]})" if text else ""
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
