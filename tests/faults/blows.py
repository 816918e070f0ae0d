"""Signals to a run at random moments, half of which are aimed at something that is being written."""

import random
import re
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from tests.faults.kill_suite import seen
from tests.faults.starts import Start, Started

STOP_S = 10.0
"""Time in which a run that is asked to stop must have ended."""
LONGEST_S = 900.0
"""Longest time that a run takes which is left alone."""
AIMS = {
    "checkpoint being written": r"\.incoming\.ckpt\..*\.tmp",
    "checkpoint written": r"newest\.ckpt",
    "weights being written": r"\.weights.*\.tmp",
    "predictions being written": r"\.predictions.*\.tmp",
    "record being written": r"\.record\.json\..*\.tmp",
    "record written": r"record\.json",
    "first line of a cell": r"live\.jsonl",
    "report being written": r"\.report\.md\..*\.tmp",
}
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blow:
    """One signal and its moment.

    Attributes:
        number: The signal.
        to_all: Whether the whole process group gets it.
        aim: What it waits for; None for `after_s` alone.
        after_s: Seconds since the start, or since the aim was seen.
        jobs: Cells that the run trains side by side.
    """

    number: signal.Signals
    to_all: bool
    aim: str | None
    after_s: float
    jobs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A blow that a running process got.

    Attributes:
        run: The run.
        blow: The blow.
        since_ns: When the run was started.
        code: Its exit code; None where it did not end in time.
        took_s: Time from the signal to the end.
    """

    run: Started
    blow: Blow
    since_ns: int
    code: int | None
    took_s: float


def drawn(rng: random.Random, span_s: float) -> Blow:
    """A signal at a random moment.

    Args:
        rng: Where from.
        span_s: Time that an undisturbed run takes.
    """
    aim = rng.choice([None, *AIMS]) if rng.random() < 0.6 else None
    after_s = rng.uniform(0, span_s) if aim is None else rng.choice([0.0, rng.expovariate(500)])
    return Blow(
        number=rng.choice(SIGNALS),
        to_all=rng.random() < 0.5,
        aim=aim,
        after_s=after_s,
        jobs=rng.choice([1, 2]),
    )


def strike(start: Start, folder: Path, blow: Blow) -> Hit | Started:
    """Start the run and hit it; the run alone where it ended before."""
    aim = None if blow.aim is None else re.compile(AIMS[blow.aim])
    before = seen(folder, aim) if aim else set()
    since_ns = time.time_ns()
    run = start(["run", "suite.yaml", "--jobs", str(blow.jobs)], folder)
    until_s = time.monotonic() + (LONGEST_S if aim else blow.after_s)
    while run.poll() is None and time.monotonic() < until_s:
        if aim and seen(folder, aim) - before:
            time.sleep(blow.after_s)
            break
        time.sleep(0.001 if aim else 0.01)
    asked_s = time.monotonic()
    if run.poll() is not None:
        return run
    run.send(blow.number, to_all=blow.to_all)
    code = run.ended(STOP_S)
    if code in (0, 1):  # It was over, but for its last breath.
        return run
    return Hit(run=run, blow=blow, since_ns=since_ns, code=code, took_s=time.monotonic() - asked_s)
