"""Processes that decode images ahead of the model, and what is said when they fail."""

import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from swatbench.data.erasing import Batch
from swatbench.errors import DataError, MachineError, SwatbenchError
from swatbench.processes import end_with_parent

REQUESTS = (signal.SIGTERM, signal.SIGINT)
"""What a process is asked to stop by."""
KILLED_WITHIN_S = 2.0
"""Longest wait for the end of a worker that was killed, which a disk may hold up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """How batches are made ahead of the model.

    Attributes:
        count: Worker processes; with none, images are read in this one, and a stall is not noticed.
        stall_s: Longest wait for one batch, in seconds.
        device: Where batches are returned.
    """

    count: int
    stall_s: float
    device: torch.device

    def options(self) -> dict[str, Any]:
        """Arguments of torch's DataLoader, which hands on whatever its dataset gives."""
        return {
            "collate_fn": as_it_is,
            "num_workers": self.count,
            # A cell's process would hand down its own way, by which every worker of every pass imports torch
            # and gets the list of files, or the decoded images, as a copy; forked ones share both.
            "multiprocessing_context": "fork" if self.count and sys.platform == "linux" else None,
            "worker_init_fn": heed_the_parent,
            "timeout": self.stall_s if self.count else 0,
            "pin_memory": self.device.type == "cuda",
            # Without one of its own, the loader draws from torch's global generator at every pass.
            "generator": torch.Generator(),
        }

    def fetch(self, loader: Iterable[Any]) -> Iterator[Batch]:
        """What the loader gives, on the device; the boxes of erased parts stay where they are.

        Raises:
            DataError: An image cannot be decoded, or no batch came in time.
            MachineError: A worker process died.
        """
        with explaining_workers():
            for found in self._in_time(loader):
                if isinstance(found, SwatbenchError):
                    raise found
                pixels, labels, boxes, fillings = found
                yield Batch(self._moved(pixels), self._moved(labels), boxes, self._moved(fillings))

    def _in_time(self, loader: Iterable[Any]) -> Iterator[Any]:
        batches = iter(loader)
        try:
            yield from batches
        except RuntimeError as error:
            if not str(error).startswith("DataLoader timed out"):
                raise
            _end_stuck(batches)
            raise DataError(
                f"No batch came within {self.stall_s:g} s from {self.count} process(es) that decode images.",
                fix="See whether the disk still answers; where it is only slow, raise execution.stall_s or "
                "execution.workers.",
            ) from error

    def _moved(self, values: Tensor) -> Tensor:
        return values.to(self.device, non_blocking=True)


def _end_stuck(batches: Any) -> None:
    """End workers, also those that hear nothing, for which the end of this process would wait for ever."""
    # It asks them, waits, and no longer counts their death as one that a step has to be told of.
    batches._shutdown_workers()  # noqa: SLF001
    for worker in batches._workers:  # noqa: SLF001
        worker.kill()
        worker.join(KILLED_WITHIN_S)


@contextmanager
def explaining_workers() -> Iterator[None]:
    """Turn what torch raises when a worker process died into one sentence; leave other errors alone.

    torch notices it in a signal handler, so that the error comes wherever the main thread is at that moment:
    in the middle of a training step, say, and not only where a batch is waited for. Also a decorator.

    Raises:
        MachineError: A worker process died.
    """
    try:
        yield
    except RuntimeError as error:
        said = str(error)
        if not said.startswith("DataLoader worker"):
            raise
        raise MachineError(
            f"A process that decodes images died: {said.splitlines()[0].rstrip('. ')}.",
            fix="Lower execution.workers or free memory, shared memory (/dev/shm) above all.",
        ) from error


def heed_the_parent(_: int = 0) -> None:
    """Let a worker process be asked to stop by its parent alone, and end with it.

    torchrun and batch systems ask all processes of a job at once. The parent then still needs batches for the
    step that it is in, and ends its workers itself.
    """
    if not hasattr(signal, "sigwaitinfo"):  # as on macOS, where workers are asked like any process
        return
    # First of all: threads begin with the mask of the one that starts them.
    signal.pthread_sigmask(signal.SIG_BLOCK, REQUESTS)
    end_with_parent()
    threading.Thread(target=_end_for_the_parent, daemon=True).start()


def _end_for_the_parent() -> None:
    while signal.sigwaitinfo(REQUESTS).si_pid != os.getppid():
        pass
    # With 0, as torch's own handler does: another code would count as a worker that died.
    os._exit(0)


def as_it_is(found: Any) -> Any:
    """What a dataset gives, unchanged."""
    return found
