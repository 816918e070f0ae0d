"""Memory of a model at work, measured in a process that does nothing else, and what it consists of.

The process rehearses first: it builds the model, takes a step, and drops everything, so that pages of code,
thread pools, workspaces of libraries and compiled code are there before anything is measured. Then it notes
what it holds, builds the model anew and calls it.

Parts do not add up to the peak: gradients come while what was saved for them goes. A training step's peak is
at least weights, optimizer state and the larger of gradients and saved bytes.

CPU: the largest resident set during a few calls, less the resident set before the model was built. Weights,
batch, activations, gradients and optimizer state are inside; what building used for a while is not. CUDA: the
same in bytes that torch's allocator handed out. As a CUDA graph takes its memory when it is captured, its
peak is that of the capture, eager warm-up included; what it keeps from others shows in the reserved bytes.

On Linux with glibc the process gives every block of 128 KiB or more back to the system when it is freed. With
glibc's default, which raises that limit as it goes, freed activations stay in the heap or not by chance: five
runs of one model then differ by several per cent, and here by less than one.

Source: Linux's proc(5), `clear_refs` and `VmHWM`; glibc's mallopt(3) and malloc_trim(3).
"""

import ctypes
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.context import BaseContext
from pathlib import Path

import psutil
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from swatbench.measure.apart import run_apart
from swatbench.measure.calls import (
    PREPARATION_CALLS,
    compiled,
    images_of,
    make_call,
    optimizer_of,
    place,
)
from swatbench.measure.condition import Condition
from swatbench.measure.loss import labels_of, mean_loss
from swatbench.measure.machine import Device, threads
from swatbench.measure.snapshot import snapshot_where_memory_runs_out
from swatbench.out_of_memory import free_memory
from swatbench.precision import DTYPES, autocast
from swatbench.processes import Say
from swatbench.spec.cost import Protocol
from swatbench.store.cost import Memory

STEPS = 3
"""Calls that the peak is taken over; the first training step lacks optimizer state beside its gradients."""
_M_MMAP_THRESHOLD = -3
_MMAP_THRESHOLD_BYTES = 128 * 1024
_CLEAR_REFS = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")

Build = Callable[[], nn.Module]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    build: Build
    condition: Condition
    protocol: Protocol
    snapshot: Path | None
    what: str


def measure_memory(
    build: Build,
    *,
    condition: Condition,
    protocol: Protocol,
    start: BaseContext | None = None,
    timeout_s: float | None = 1800.0,
    snapshot: Path | None = None,
) -> Memory:
    """Measure the peak memory of inference or of training steps, and its parts, in a new process.

    Args:
        build: Makes the model, its logits (B, classes). It is pickled, so it is a function at the top of a
            module or a partial of one: `functools.partial(timm.create_model, "mixer_s16_224")`. Settings
            made in this process, such as timm's fused attention, do not reach it unless it makes them.
        condition: What calls are made of.
        protocol: Whether to call it forward or to take training steps.
        start: How the process is started; see `run_apart`.
        timeout_s: Time after which the process is ended; None for never.
        snapshot: Folder for a file that tells what held the memory, should it run out; None for none.

    Raises:
        MachineError: The process ran out of memory or time, failed or died.
        SwatbenchError: Whatever `build` raised of that kind.
    """
    what = f"memory in {protocol}"
    task = _Task(build=build, condition=condition, protocol=protocol, snapshot=snapshot, what=what)
    return run_apart(partial(_in_process, task), what=what, start=start, timeout_s=timeout_s)


def _in_process(task: _Task, _: Say) -> Memory:
    at = task.condition
    guard = snapshot_where_memory_runs_out(task.snapshot, device=at.device, what=task.what)
    with threads(at.threads), guard:
        return_freed_blocks()
        parts = _rehearse(task)
        trim(at.device)
        return _measure(task, parts)


def _measure(task: _Task, parts: Mapping[str, int]) -> Memory:
    at = task.condition
    before = held_bytes(at.device)
    model = task.build()
    high_water = reset_peak(at.device)
    call = make_call(model, task.protocol, at)
    if at.mode == "compiled":
        for _ in range(PREPARATION_CALLS[at.mode]):
            call()
        trim(at.device)
    if at.mode != "cuda_graph":
        high_water = reset_peak(at.device)
    for _ in range(STEPS):
        call()
    peak = high_water()
    return Memory(
        peak_bytes=max(peak - before, 0),
        reserved_bytes=torch.cuda.max_memory_reserved() if at.device == "cuda" else None,
        working_bytes=max(peak - held_bytes(at.device), 0),
        **parts,
    )


def _rehearse(task: _Task) -> dict[str, int]:
    """Do once all that will be measured, and count on the way what can be counted exactly."""
    model = place(task.build(), task.condition)
    parts = {"weights_bytes": _bytes([*model.parameters(), *model.buffers()])}
    if task.protocol == "training":
        parts |= _training_parts(model.train(), task.condition)
        model.zero_grad(set_to_none=True)
    make_call(model, task.protocol, task.condition)()
    return parts


def _training_parts(model: nn.Module, at: Condition) -> dict[str, int]:
    images = images_of(at)
    labels = labels_of(at)
    optimizer = optimizer_of(model)
    forward = compiled(model) if at.mode == "compiled" else model
    saved: dict[int, int] = {}
    kept = _saved_by(saved, weights=[*model.parameters(), *model.buffers()], given=[images, labels], at=at)
    with kept, autocast(at.device, at.precision):
        loss = mean_loss(forward(images), labels, auxiliary_weight=at.auxiliary_weight)
    loss.backward()
    gradients = _bytes(p.grad for p in model.parameters() if p.grad is not None)
    optimizer.step()
    state = [value for one in optimizer.state.values() for value in one.values()]
    return {
        "saved_bytes": sum(saved.values()),
        "gradients_bytes": gradients,
        "optimizer_bytes": _bytes(value for value in state if isinstance(value, Tensor)),
    }


def _saved_by(
    found: dict[int, int], *, weights: Sequence[Tensor], given: Sequence[Tensor], at: Condition
) -> saved_tensors_hooks:
    """Note in `found` what storages autograd keeps, less weights, autocast's copies of them, and `given`."""
    known = {tensor.untyped_storage().data_ptr() for tensor in [*weights, *given]}
    low = DTYPES[at.precision] if at.precision != "fp32" else None
    copies = {_values(one.detach().to(low)) for one in weights if low and one.dtype == torch.float32}

    def pack(tensor: Tensor) -> Tensor:
        # All of them stay until the backward pass, so no address comes twice.
        storage = tensor.untyped_storage()
        where = storage.data_ptr()
        if where not in known and where not in found:
            if tensor.dtype == low and _values(tensor) in copies:
                known.add(where)
            else:
                found[where] = storage.nbytes()
        return tensor.detach()  # An operator's output would hold itself.

    return saved_tensors_hooks(pack, lambda tensor: tensor)


def _values(tensor: Tensor) -> tuple[int, ...]:
    """What tells a tensor of a 16-bit type by its values in any order, as a transposed one is the same."""
    bits = tensor.detach().view(torch.int16)
    return bits.numel(), int(bits.sum(dtype=torch.int64)), int((bits >> 8).sum(dtype=torch.int64))


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def return_freed_blocks() -> None:
    """Have this process give every larger block back to the system as soon as it is freed, where it can."""
    libc = _libc()
    if libc is not None and hasattr(libc, "mallopt"):
        libc.mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD_BYTES)


def trim(device: Device) -> None:
    """Give all freed memory back, the pages of small blocks too."""
    free_memory()
    libc = _libc()
    if device == "cpu" and libc is not None and hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


def held_bytes(device: Device) -> int:
    """What this process holds: its resident set, or what torch's allocator has handed out on CUDA."""
    return torch.cuda.memory_allocated() if device == "cuda" else psutil.Process().memory_info().rss


def reset_peak(device: Device) -> Callable[[], int]:
    """Start a new peak, and give the function that reads it in bytes.

    Where the resident set's peak cannot be reset it is that of the process's whole life: an upper bound.

    Args:
        device: Where the peak is.
    """
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.max_memory_allocated
    try:
        _CLEAR_REFS.write_text("5")
        _resident_peak_bytes()
    except (OSError, LookupError):
        return _lifetime_peak_bytes
    return _resident_peak_bytes


def _libc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if sys.platform == "linux" else None


def _resident_peak_bytes() -> int:
    found = re.search(r"^VmHWM:\s+(\d+) kB$", _STATUS.read_text(), flags=re.MULTILINE)
    if found is None:
        raise LookupError(f"{_STATUS} tells no VmHWM")
    return int(found[1]) * 1024


def _lifetime_peak_bytes() -> int:
    import resource  # noqa: PLC0415  Windows has no such module, and only this fallback needs it.

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
