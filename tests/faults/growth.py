"""How much memory, how many open files and processes a process has, and how fast they grow."""

import gc
import os
from dataclasses import dataclass, field

import numpy as np
import psutil


def resident_bytes(pid: int | None = None) -> int:
    """Memory of a process, of this one by default."""
    return psutil.Process(pid).memory_info().rss


def handles() -> int:
    """Open files of this process, the listing's own left out."""
    return len(os.listdir("/proc/self/fd")) - 1  # noqa: PTH208 (names are numbers)


def children() -> list[psutil.Process]:
    """Processes below this one that still run."""
    return [one for one in psutil.Process().children(recursive=True) if one.status() != psutil.STATUS_ZOMBIE]


@dataclass(slots=True, kw_only=True)
class Growth:
    """Samples of this process, taken as it works.

    Attributes:
        done: What was done at each sample: cells, or images.
        resident: Bytes of memory at each.
        handles: Open files at each.
    """

    done: list[int] = field(default_factory=list)
    resident: list[int] = field(default_factory=list)
    handles: list[int] = field(default_factory=list)

    def sample(self, done: int) -> None:
        """Take a sample, after whatever can be freed is."""
        gc.collect()
        self.done.append(done)
        self.resident.append(resident_bytes())
        self.handles.append(handles())

    def bytes_each(self) -> float:
        """Bytes by which memory grows with each thing done, as a line through the last two thirds has it."""
        settled = len(self.done) // 3
        slope, _ = np.polyfit(self.done[settled:], self.resident[settled:], 1)
        return float(slope)

    def more_handles(self) -> int:
        """Open files at the end, less those a third of the way on."""
        return self.handles[-1] - self.handles[len(self.handles) // 3]
