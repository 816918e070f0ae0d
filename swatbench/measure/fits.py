"""The largest batch that fits into memory, by trying batches in processes of their own.

Batches are doubled until one fails, then the gap is halved down to a sixteenth of the batch. Each try is a
new process, so nothing of one is left in the next. An error that says that memory ran out, and a SIGKILL, by
which the system ends a process when it does, mean that a batch does not fit. Another error of torch, as of a
kernel whose grid or 32-bit index ends there, ends the search where a smaller batch has fitted. Any other
failure is an error.

CPU: the resident set may grow by so many bytes, counted as `peak_bytes` is; a process that grows beyond them
is ended at once, so that the system need not. Limits that the system itself keeps count memory that is mapped
and never touched: in training steps of ResNet-18, RLIMIT_DATA saw 318 MiB where 231 MiB were resident. What
the compiler holds belongs to no batch, so compiled models are rehearsed at the batch that is tried.
CUDA: torch's allocator may take so many bytes from the card.

Source: `torch.cuda.set_per_process_memory_fraction`.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from multiprocessing.context import BaseContext

import psutil
import torch
from torch import nn

from swatbench.errors import MachineError, first_line
from swatbench.measure.apart import default_start, run_apart
from swatbench.measure.calls import make_call
from swatbench.measure.condition import Condition
from swatbench.measure.machine import Device, threads
from swatbench.measure.memory import held_bytes, reset_peak, return_freed_blocks, trim
from swatbench.out_of_memory import let_go, out_of_memory
from swatbench.processes import ProcessDiedError, Say
from swatbench.spec.cost import Protocol
from swatbench.store.cost import LargestBatch

MOST = 65_536
"""Images beyond which nothing is tried."""
_SHARE = 0.9
"""Of a CPU's free memory, the share that is used where no limit is given; the rest is the system's."""
_REHEARSAL_SHARE = 0.95
"""Of a CPU's free memory, what a rehearsal may take, in which the compiler's comes on top of the batch's."""
_REHEARSED = 2
"""Images of the rehearsal where it need not be the batch's; batch norm may refuse to train on one."""
_CALLS = 2
"""Calls of a try; the second training step is the first with optimizer state and gradients at once."""
_WATCHED_EVERY_S = 0.005
"""In this time a processor touches some ten megabytes."""

Build = Callable[[], nn.Module]
Fits = Callable[[int], bool | None]
"""Batch → whether it fits; None where trying took too long. It may raise `RefusedError`."""


class RefusedError(MachineError):
    """A try failed by an error of torch that is not one of memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    build: Build
    condition: Condition
    protocol: Protocol
    limit_bytes: int
    what: str


def largest_batch(
    build: Build,
    *,
    condition: Condition,
    protocol: Protocol,
    limit_bytes: int | None = None,
    start: BaseContext | None = None,
    most: int = MOST,
    timeout_s: float | None = 600.0,
) -> LargestBatch:
    """Search the largest batch whose inference or training steps fit into memory.

    Args:
        build: Makes the model; see `measure_memory`.
        condition: What calls are made of; its batch is not used.
        protocol: Whether to call the model forward or to take training steps.
        limit_bytes: Memory that weights, batch and all else of the model must fit into; None for nine tenths
            of what is free on a CPU, and all that is free on a CUDA card.
        start: How processes are started; see `run_apart`.
        most: Images beyond which nothing is tried.
        timeout_s: Time for one try; a batch that takes longer ends the search, and those that fit stand.

    Raises:
        MachineError: A try failed for another reason than memory: the first one, or not by an error of torch.
        SwatbenchError: Whatever `build` raised of that kind.
    """
    start = start or default_start()
    limit = limit_bytes or _free_bytes(condition.device, start)
    task = _Task(
        build=build,
        condition=condition,
        protocol=protocol,
        limit_bytes=limit,
        what=f"largest batch in {protocol}",
    )
    batch_size, bounded = search(partial(_fits, task, start=start, timeout_s=timeout_s), most)
    return LargestBatch(
        protocol=protocol,
        batch_size=batch_size,
        limit_bytes=limit,
        bounded_by="memory" if bounded else "search",
    )


def search(fits: Fits, most: int) -> tuple[int, bool]:
    """Double from 2 on, then halve the gap down to a sixteenth of the batch; 1 is tried where 2 fails.

    Args:
        fits: Whether a batch fits; whatever is larger than one that does not is not tried.
        most: Largest batch to try.

    Returns:
        The largest batch that fitted, 0 for none, and whether one failed that is larger by no more than a
        step, which is a sixteenth of the batch and at least 1.

    Raises:
        RefusedError: A try raised it, and no batch had fitted before.
    """
    good, bad = 0, most + 1
    while bad - good > max(1, good // 16):
        batch = min(max(2 * good, 2), most) if bad > most else (good + bad) // 2
        try:
            answer = fits(batch)
        except RefusedError:
            if good == 0:
                raise
            answer = None
        if answer is None:
            return good, False
        good, bad = (batch, bad) if answer else (good, batch)
    return good, bad <= most


def _fits(task: _Task, batch_size: int, *, start: BaseContext, timeout_s: float | None) -> bool | None:
    what = f"{task.what}, {batch_size} images"
    try:
        return run_apart(partial(_try, task, batch_size), what=what, start=start, timeout_s=timeout_s)
    except MachineError as error:
        match error.__cause__:
            case TimeoutError():
                return None
            case ProcessDiedError(exit_code=code) if code == -signal.SIGKILL:
                return False
        raise


def _try(task: _Task, batch_size: int, _: Say) -> bool:
    at = task.condition.at(batch_size)
    return_freed_blocks()
    try:
        with threads(at.threads):
            _rehearse(task, at)
            trim(at.device)
            return _stays_within(task, at)
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            words = f"{type(error).__name__}: {first_line(error)}"
            raise RefusedError(f"A pass ({task.what}, {batch_size} images) failed: {words}.") from error
        let_go(error)
        return False


def _rehearse(task: _Task, at: Condition) -> None:
    if at.device == "cuda" or at.mode != "compiled":
        make_call(task.build(), task.protocol, at.at(min(at.batch_size, _REHEARSED)))()
        return
    allowed = max(task.limit_bytes, int(psutil.virtual_memory().available * _REHEARSAL_SHARE))
    with _ended_beyond(held_bytes(at.device) + allowed):
        make_call(task.build(), task.protocol, at)()


def _stays_within(task: _Task, at: Condition) -> bool:
    before = held_bytes(at.device)
    if at.device == "cuda":
        _limit_allocator(task.limit_bytes)
    model = task.build()
    high_water = reset_peak(at.device)
    watch = nullcontext() if at.device == "cuda" else _ended_beyond(before + task.limit_bytes)
    with watch:
        call = make_call(model, task.protocol, at)
        for _ in range(_CALLS):
            call()
    return high_water() - before <= task.limit_bytes


def _limit_allocator(extra_bytes: int) -> None:
    card_bytes = torch.cuda.get_device_properties().total_memory
    allowed = torch.cuda.memory_reserved() + extra_bytes
    torch.cuda.set_per_process_memory_fraction(min(allowed / card_bytes, 1.0))


@contextmanager
def _ended_beyond(most_bytes: int) -> Iterator[None]:
    """End this process by SIGKILL when it holds more than so many bytes inside the block."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_WATCHED_EVERY_S):
            if held_bytes("cpu") > most_bytes:
                psutil.Process().kill()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def _free_bytes(device: Device, start: BaseContext) -> int:
    if device == "cpu":
        return int(psutil.virtual_memory().available * _SHARE)
    return run_apart(_free_on_card, what="memory of the card", start=start, timeout_s=600.0)


def _free_on_card(_: Say) -> int:
    return torch.cuda.mem_get_info()[0]
