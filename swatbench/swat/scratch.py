"""Memory that hand-written forms for a CPU write passing results to, kept for the thread's next call.

A C library gives the pages of a large block back when it is freed, and to map them anew takes longer than
the GELU that fills them. What is written here never leaves the call that asked for it, so every layer of a
model may use the same memory.

Source: `docs/log.md` for the measurements.
"""

import math
import threading
from typing import Literal

import torch
from torch import Tensor

MOST_BYTES = 32 * 2**20
"""Largest block that is kept; a larger one is given back like any tensor."""

Slot = Literal["before", "flat", "hidden", "grad"]
"""Blocks of one thread. What is asked for a second time under one name writes over what was there."""


class _Blocks(threading.local):
    def __init__(self) -> None:
        self.of_slot: dict[Slot, Tensor] = {}


_blocks = _Blocks()


def scratch(slot: Slot, shape: tuple[int, ...], *, like: Tensor) -> Tensor:
    """A contiguous tensor with any values, of another's type, valid until the slot is used again.

    Args:
        slot: Which of the thread's blocks it lies in.
        shape: Its shape.
        like: A tensor on a CPU, whose type it takes.
    """
    size_bytes = math.prod(shape) * like.element_size()
    if size_bytes > MOST_BYTES:
        return like.new_empty(shape)
    block = _blocks.of_slot.get(slot)
    if block is None or len(block) < size_bytes:
        _blocks.of_slot.pop(slot, None)  # before another is made, so that never both are there
        with torch.inference_mode(mode=False):  # what is made in that mode could not be written to later
            block = _blocks.of_slot[slot] = torch.empty(size_bytes, dtype=torch.uint8, device="cpu")
    return block[:size_bytes].view(like.dtype).view(shape)


def scratch_gelu(slot: Slot, x: Tensor) -> Tensor:
    """GELU in scratch memory, which has no gaps: torch's gelu.out is wrong where there are any."""
    return torch.ops.aten.gelu.out(x, out=scratch(slot, tuple(x.shape), like=x))


def forget() -> None:
    """Give back what this thread keeps."""
    _blocks.of_slot.clear()
