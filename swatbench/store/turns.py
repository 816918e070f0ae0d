"""Turns on a machine: many runs may train on it at a time, and nothing goes on beside a measurement.

Runs share two locks in the root of all results, whatever their suite. The turn itself is shared by those who
train and had alone by one who measures. The place next in line is had by one who waits to measure: as long as
somebody has it no training begins, so that the wait is that for what is under way.

    results/.<machine>.turn    who trains or measures
    results/.<machine>.next    who measures next
"""

from pathlib import Path

from swatbench.store.lock import Held, take


class Turns:
    """One run's turns on a machine.

    Args:
        results: Root of all results.
        machine: Name of the machine.
    """

    def __init__(self, results: Path, machine: str) -> None:
        self._turn, self._next = results / f".{machine}.turn", results / f".{machine}.next"
        self._place: Held | None = None

    def train(self) -> Held | None:
        """A turn to train or test a model.

        Returns:
            The turn, which others may have too; None where another run measures, or waits for it.

        Raises:
            StoreError: The lock cannot be written, or the file system does not lock files.
        """
        self.step_back()
        place = take(self._next, shared=True)
        if place is None:
            return None
        try:
            return take(self._turn, shared=True)
        finally:
            place.close()

    def measure(self) -> Held | None:
        """A turn to measure; asked for again, it comes once all that trains has ended.

        Returns:
            The turn, which nobody else has; None where there is something under way. Then this run is next,
            unless another is, until it steps back.

        Raises:
            StoreError: The lock cannot be written, or the file system does not lock files.
        """
        self._place = self._place or take(self._next)
        turn = take(self._turn) if self._place else None
        if turn is not None:
            self.step_back()
        return turn

    def step_back(self) -> None:
        """Leave the place next in line, if this run has it."""
        if self._place is not None:
            self._place.close()
            self._place = None
