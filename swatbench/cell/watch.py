"""Everybody who watches a training run: the parent process, the live file, the trackers, and the signals."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from swatbench.errors import StoreError
from swatbench.job import Job
from swatbench.processes import Say
from swatbench.progress import Progress
from swatbench.store.live import LiveWriter
from swatbench.store.record import CurvePoint
from swatbench.trackers.open import open_trackers
from swatbench.trackers.tracker import Tracker, epoch_values, training_values
from swatbench.train.state import Listener
from swatbench.world import World

GRACE_S = 8.0
"""Time between a request to stop and the end without a further checkpoint, where no step ends before."""
GRACE_TOGETHER_S = 20.0
"""The same where several processes train: they stop at a report alone, and torchrun waits for 30 s."""


@contextmanager
def watched(job: Job, say: Say, world: World) -> Iterator[Listener]:
    """Watch a run for the time of the block.

    Args:
        job: The cell and its folder.
        say: Takes (kind, content).
        world: The processes that train together; the first one tells, and all can be asked to stop.

    Yields:
        Whom `fit` tells.
    """
    with _stop_asked(world) as should_stop:
        if not world.first:
            yield Listener(
                progress=_untold, epoch=_untold, begin=_untold, note=_untold, should_stop=should_stop
            )
            return
        watch = _Watch(job, say)
        try:
            yield Listener(
                progress=watch.progress,
                epoch=watch.epoch,
                begin=watch.begin,
                note=watch.note,
                should_stop=should_stop,
            )
        finally:
            watch.close()


class _Watch:
    """Hands what happens to the parent process, the live file and the trackers."""

    def __init__(self, job: Job, say: Say) -> None:
        self._job, self._say = job, say
        self._live, self._live_works = LiveWriter(job.folder), True
        self._tracker: Tracker | None = None

    def begin(self, step: int) -> None:
        self._write(lambda: self._live.resume(step))
        self._tracker = open_trackers(
            self._job.execution.trackers,
            folder=self._job.folder,
            run_name=self._job.cell.id,
            suite=self._job.suite,
            config=self._job.cell.facts,
            step=step,
            on_note=self.note,
        )

    def progress(self, now: Progress) -> None:
        self._say(("progress", now))
        self._write(lambda: self._live.report(asdict(now)))
        self._track(now.step, training_values(now))

    def epoch(self, point: CurvePoint) -> None:
        self._write(lambda: self._live.epoch(point))
        self._track(point.step, epoch_values(point))

    def note(self, note: str) -> None:
        self._say(("note", note))

    def close(self) -> None:
        if self._tracker is not None:
            self._tracker.close()

    def _write(self, line: Callable[[], None]) -> None:
        """Write to the live file while that can be done; no run ends for want of it."""
        if not self._live_works:
            return
        try:
            line()
        except StoreError as error:
            self._live_works = False
            self.note(f"The live file is given up: {error.what}")

    def _track(self, step: int, values: Mapping[str, float]) -> None:
        if self._tracker is not None:
            self._tracker.log(step, values)


@contextmanager
def _stop_asked(world: World) -> Iterator[Callable[[], bool]]:
    """Take a signal as a request to stop at the next step, with a checkpoint."""
    asked = threading.Event()
    grace_s = GRACE_S if world.size == 1 else GRACE_TOGETHER_S
    last_resort = threading.Timer(grace_s, _give_up, [grace_s])
    last_resort.daemon = True

    def on_signal(*_: object) -> None:
        if not asked.is_set():
            asked.set()
            last_resort.start()

    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    # A cell's own process is deaf to Ctrl-C, and its parent asks it by SIGTERM; torchrun passes on both.
    heard = (signal.SIGTERM, signal.SIGINT) if world.size > 1 else (signal.SIGTERM,)
    before = {number: signal.signal(number, on_signal) for number in heard}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        last_resort.cancel()


def _give_up(grace_s: float) -> None:
    sys.stderr.write(f"Stopped without a further checkpoint: no step ended within {grace_s:.0f} s.\n")
    sys.stderr.flush()
    os._exit(128 + signal.SIGTERM)


def _untold(_: Any) -> None:
    """The other processes leave telling to the first."""
