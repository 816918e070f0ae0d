"""Processes that decode images ahead of the model, and what is said when they fail."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from swatbench.data.erasing import Batch
from swatbench.errors import DataError, MachineError, SwatbenchError


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
        try:
            for found in loader:
                if isinstance(found, SwatbenchError):
                    raise found
                pixels, labels, boxes, fillings = found
                yield Batch(self._moved(pixels), self._moved(labels), boxes, self._moved(fillings))
        except RuntimeError as error:
            explained = self._explained(str(error))
            if explained is None:
                raise
            raise explained from error

    def _moved(self, values: Tensor) -> Tensor:
        return values.to(self.device, non_blocking=True)

    def _explained(self, said: str) -> SwatbenchError | None:
        if said.startswith("DataLoader timed out"):
            return DataError(
                f"No batch came within {self.stall_s:g} s from {self.count} process(es) that decode images.",
                fix="See whether the disk still answers; where it is only slow, raise execution.stall_s or "
                "execution.workers.",
            )
        if said.startswith("DataLoader worker"):
            return MachineError(
                f"A process that decodes images died: {said.splitlines()[0].rstrip('. ')}.",
                fix="Lower execution.workers or free memory, shared memory (/dev/shm) above all.",
            )
        return None


def as_it_is(found: Any) -> Any:
    """What a dataset gives, unchanged."""
    return found
