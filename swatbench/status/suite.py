"""How far a suite is on every machine that it was run on."""

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from swatbench.status import words
from swatbench.status.cell import CellStatus, State, cell_status
from swatbench.status.left import time_left
from swatbench.store.asked import read_asked
from swatbench.store.files import RECORD, SAFE, read_suite
from swatbench.visible import visible

STATES: tuple[State, ...] = ("done", "running", "interrupted", "failed", "waiting")


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineStatus:
    """How far a suite is on one machine.

    Attributes:
        machine: Name of the machine's folder.
        running: Whether a run has a cell under way now.
        cells: The cells that are asked for, in the order of the suite.
        left_s: Estimated time until all are done that have not failed, in seconds; None where unknown.
        left_out: Cells that this leaves out, since nothing like them has finished or runs.
    """

    machine: str
    running: bool
    cells: tuple[CellStatus, ...]
    left_s: float | None
    left_out: int

    def counts(self) -> dict[State, int]:
        """State → number of cells."""
        counted = Counter(cell.state for cell in self.cells)
        return {state: counted[state] for state in STATES}

    def as_dict(self) -> dict[str, Any]:
        """The status as JSON values."""
        return {**asdict(self), "counts": self.counts()}

    def sentence(self) -> str:
        """The status in a line."""
        counts = ", ".join(f"{count} {state}" for state, count in self.counts().items() if count)
        told = f"{visible(self.machine)}: {counts or 'no cells'}."
        if all(cell.state in ("done", "failed") for cell in self.cells):
            return told
        without = f", without {self.left_out} of which nothing alike has finished" if self.left_out else ""
        left = "unknown" if self.left_s is None else f"about {words.span(self.left_s)} (an estimate{without})"
        return (
            f"{told} {'Time left' if self.running else 'No run is under way. Time left once one is'}: {left}."
        )

    def table(self) -> str:
        """A line for each cell, below one of the columns' names."""
        return words.table(self.cells)


def suite_status(results: Path, suite: str) -> tuple[MachineStatus, ...]:
    """Look how far a suite is on every machine that it was run on.

    Args:
        results: Root of all results.
        suite: Name of the suite.

    Raises:
        StoreError: The suite has no folder of results; the nearest names are given.
    """
    folder = results / suite
    if not SAFE.match(suite) or not folder.is_dir():
        read_suite(results, suite)  # says so, and names those that have some
    machines = sorted(path for path in folder.iterdir() if path.is_dir())
    return tuple(_machine(machine) for machine in machines)


def _machine(folder: Path) -> MachineStatus:
    asked = read_asked(folder)
    names = _found(folder) if asked is None else (*asked.cells, *asked.named)
    cells = tuple(cell_status(folder, name) for name in dict.fromkeys(names))
    running = any(cell.state == "running" for cell in cells)
    left_s, left_out = time_left(cells, asked)
    return MachineStatus(machine=folder.name, running=running, cells=cells, left_s=left_s, left_out=left_out)


def _found(folder: Path) -> list[str]:
    return sorted(path.parent.name for path in folder.glob(f"*/{RECORD}"))
