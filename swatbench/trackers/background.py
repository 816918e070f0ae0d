"""A tracker in a thread of its own: training never waits for it, and never fails with it."""

from collections.abc import Callable, Mapping
from queue import SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Self

from swatbench.trackers.tracker import Tracker


class Background:
    """Opens, feeds and closes a tracker in a thread of its own.

    The thread dies with the process: a service that does not answer holds nothing up.

    Args:
        name: What the tracker is called in messages.
        open_tracker: Opens it; called in the thread.

    Attributes:
        name: What the tracker is called in messages.
    """

    def __init__(self, name: str, open_tracker: Callable[[], Tracker]) -> None:
        self.name = name
        self._open = open_tracker
        self._calls: SimpleQueue[tuple[int, dict[str, float]] | None] = SimpleQueue()
        self._guard = _Guard()
        self._thread = Thread(target=self._work, name=f"tracker {name}", daemon=True)
        self._thread.start()

    @property
    def failure(self) -> Exception | None:
        """What ended the tracker before its time; None while all is well."""
        return self._guard.failure

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Hand values on and return at once.

        Args:
            step: Optimizer steps done in the run.
            values: Name → value.
        """
        self._calls.put((step, dict(values)))

    def finish(self) -> None:
        """Ask the tracker to close after what it was given, and return at once."""
        self._calls.put(None)

    def join(self, timeout_s: float) -> bool:
        """Wait until it has closed or failed.

        Args:
            timeout_s: Longest wait in seconds.

        Returns:
            Whether it has.
        """
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        with self._guard:
            tracker = self._open()
            while (call := self._calls.get()) is not None:
                tracker.log(*call)
            tracker.close()


class _Guard:
    """Keeps whatever exception ends its block.

    Services raise what they like, from errors of their own to those of the sockets below, and none of it
    concerns the training run beside them.
    """

    def __init__(self) -> None:
        self.failure: Exception | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if isinstance(error, Exception):
            self.failure = error
        return self.failure is not None
