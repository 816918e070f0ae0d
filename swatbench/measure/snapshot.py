"""What held the memory when it ran out, left in a file.

CUDA: torch's own snapshot, `memory-snapshot.pickle`, which pytorch.org/memory_viz draws. CPU:
`memory-snapshot.json` with the resident set, the limit, and the largest tensors that Python still held; what
only autograd's graph held is in the resident set alone. Where the system ends the process (SIGKILL), nothing
can be left.
"""

import gc
import json
import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import torch

from swatbench.errors import first_line
from swatbench.measure.apart import LESS_MEMORY, memory_ran_out
from swatbench.measure.machine import Device
from swatbench.out_of_memory import let_go, out_of_memory

CUDA_NAME = "memory-snapshot.pickle"
CPU_NAME = "memory-snapshot.json"
_EVENTS = 100_000
"""Most allocations and releases that torch remembers; a step of a large model has about ten thousand."""
_TENSORS = 20


@contextmanager
def snapshot_where_memory_runs_out(folder: Path | None, *, device: Device, what: str) -> Iterator[None]:
    """Leave a file in `folder` if memory runs out inside the block, and name it in the error.

    Args:
        folder: Where the file goes, made if it is missing; None for no file.
        device: Where the block computes.
        what: The pass in a few words, for the message.

    Raises:
        MachineError: Memory ran out.
    """
    recorded = folder is not None and device == "cuda"
    if recorded:
        torch.cuda.memory._record_memory_history(max_entries=_EVENTS, stacks="python")  # noqa: SLF001
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        fix = LESS_MEMORY if folder is None else _leave(folder, device)
        let_go(error)
        raise memory_ran_out(error, what, fix=fix) from error
    finally:
        if recorded:
            torch.cuda.memory._record_memory_history(enabled=None)  # noqa: SLF001


def held_tensors(most: int = _TENSORS) -> list[dict[str, Any]]:
    """The tensors that Python holds, those of one shape and type together, largest first.

    Views are told as tensors of their own size, and each storage once.

    Args:
        most: Rows.

    Returns:
        Rows of `shape`, `dtype`, `bytes` of one such tensor, and `count`.
    """
    found: dict[int, tuple[int, tuple[int, ...], str]] = {}
    for tensor in gc.get_objects():
        # Asked of the type: isinstance would wake lazy proxies of other libraries.
        if not issubclass(type(tensor), torch.Tensor) or tensor.layout != torch.strided or tensor.is_meta:
            continue
        size = math.prod(tensor.shape) * tensor.element_size()
        row = (size, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))
        storage = tensor.untyped_storage()._cdata  # noqa: SLF001  The only name that a storage has.
        found[storage] = max(row, found.get(storage, row))
    rows = sorted(Counter(found.values()).items(), key=lambda item: -item[0][0] * item[1])
    return [
        {"shape": list(shape), "dtype": dtype, "bytes": size, "count": count}
        for (size, shape, dtype), count in rows[:most]
    ]


def _leave(folder: Path, device: Device) -> str:
    """Write the file, and say where; a disk that is full too must not hide what happened first."""
    file = folder / (CUDA_NAME if device == "cuda" else CPU_NAME)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if device == "cuda":
            torch.cuda.memory._dump_snapshot(str(file))  # noqa: SLF001  Documented under this name.
            return f"{LESS_MEMORY} {file} tells what held it; pytorch.org/memory_viz draws it."
        file.write_text(json.dumps(_resident(), indent=1) + "\n")
    except (OSError, RuntimeError, MemoryError) as error:
        return f"{LESS_MEMORY} (What held it could not be written to {file}: {first_line(error)}.)"
    return f"{LESS_MEMORY} {file} tells what held it."


def _resident() -> dict[str, Any]:
    return {
        "resident_bytes": psutil.Process().memory_info().rss,
        "limit_bytes": _limit_bytes(),
        "tensors": held_tensors(),
    }


def _limit_bytes() -> int:
    """What a process may hold: its own limit where one is set, else all memory of the machine."""
    machine_bytes = psutil.virtual_memory().total
    try:
        import resource  # noqa: PLC0415  Windows has no such module.
    except ImportError:
        return machine_bytes
    own = [resource.getrlimit(which)[0] for which in (resource.RLIMIT_AS, resource.RLIMIT_DATA)]
    return min([machine_bytes, *(one for one in own if one != resource.RLIM_INFINITY)])
