"""Time of several calls, measured side by side so that the machine's moods meet all of them alike.

First every call is made on its own, once or as often as is asked for: torch.compile compiles then, and CUDA
graphs are captured. That is told as `preparation_s` and enters nothing; the budget begins after it. All calls
stay warm. A round times every call once, in an order drawn for that round; the paired values of a round are
what ratios are made of. A sample is the mean of `repeats` calls in a row, one number for all calls, chosen so
that even the shortest sample lasts `least_sample_s`, and no longer: a shared machine's speed wanders from one
sample to the next however long they are, so many short ones say more than few long ones.

Warm-up lasts two windows of `WINDOW` rounds at least. It ends when, for every call, the medians of the last
two windows lie within `TOLERANCE`, or within half the spread of the last one: a steady trend moves the median
by three steps while it spreads a window over two, so noise passes and a trend does not. Or it ends after
`MAX_WARMUP_ROUNDS`, or when it has used `WARMUP_SHARE` of the budget, and is then told as not settled; never
before `least_warmup_s`. Its samples are kept apart. What drifts later is found afterwards, by the slope of
the ratios over the rounds (`stats.ratios`).

Sampling ends after `max_rounds`, when the budget is used up, or when `enough` says that the ratios are
precise; never because a difference is significant, and never before `MIN_ROUNDS`.
"""

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil
from typing import Literal

import numpy as np

from swatbench.measure.hooks import refuse_typechecking
from swatbench.store.cost import Quantiles

MIN_ROUNDS = 6
"""Fewest rounds that are kept, whatever the budget says."""
WINDOW = 3
"""Rounds in each of the two medians that end the warm-up."""
TOLERANCE = 0.05
"""Largest relative difference of those medians where there is no noise."""
MAX_WARMUP_ROUNDS = 20
WARMUP_SHARE = 0.25
"""Part of the budget after which no further round of warm-up is begun."""
LEAST_SAMPLE_S = 0.0005
"""A call shorter than this is repeated until a sample lasts as long: the clock takes less than
0.1 % of it. On two shared cores the median ratio of equal calls, timed for 0.9 s, had a standard error of
0.4 % with samples of 0.4 ms, and of 1.3 % with samples of 4 ms."""
MAX_REPEATS = 1000
ASK_AGAIN = 1.1
"""Factor of rounds after which it is asked again whether they are precise enough, since asking takes time."""

Call = Callable[[], object]
Enough = Callable[[Mapping[str, np.ndarray]], bool]
"""Says from the seconds measured so far whether they are precise enough."""
StoppedBy = Literal["rounds", "budget", "precision"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Elapsed:
    """Time of some calls in a row.

    Attributes:
        seconds: From before the first until the last had done its work, together.
        host_s: Part of that in which the host queued the calls; None where it computes them itself. If it is
            near `seconds`, the device waits for the host, or the queue of about a thousand kernels was full.
    """

    seconds: float
    host_s: float | None = None


Stopwatch = Callable[[Call, int], Elapsed]
"""Runs a call a number of times and tells how long they took together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Raw samples of one protocol.

    Attributes:
        seconds: Name → seconds for one call, float64, one entry a round.
        warmup_seconds: The same for the warm-up's rounds.
        repeats: Calls whose mean makes one sample.
        settled: Whether the warm-up ended by agreement, not by its limits.
        stopped_by: What ended the rounds.
        host_seconds: Name → seconds in which the host queued one call (`Elapsed.host_s`), one entry a round;
            empty where the host computes itself.
        preparation_s: Name → seconds of the calls before all others, which compile and record graphs.
    """

    seconds: Mapping[str, np.ndarray]
    warmup_seconds: Mapping[str, np.ndarray]
    repeats: int
    settled: bool
    stopped_by: StoppedBy
    host_seconds: Mapping[str, np.ndarray] = field(default_factory=dict)
    preparation_s: Mapping[str, float] = field(default_factory=dict)

    @property
    def rounds(self) -> int:
        """Rounds kept."""
        return len(next(iter(self.seconds.values())))


def wall_stopwatch(
    clock: Callable[[], float] = time.perf_counter, synchronize: Callable[[], None] | None = None
) -> Stopwatch:
    """A stopwatch that reads a clock before and after the calls.

    Args:
        clock: Seconds from any origin.
        synchronize: Waits for queued work; called before each reading, so that a sample holds its own work.
    """
    settle = synchronize or (lambda: None)

    def stopwatch(call: Call, times: int) -> Elapsed:
        settle()
        start = clock()
        for _ in range(times):
            call()
        settle()
        return Elapsed(seconds=clock() - start)

    return stopwatch


def interleave(
    calls: Mapping[str, Call],
    *,
    order_seed: int,
    max_rounds: int,
    budget_s: float,
    stopwatch: Stopwatch | None = None,
    enough: Enough | None = None,
    preparation_calls: int = 1,
    least_sample_s: float = LEAST_SAMPLE_S,
    least_warmup_s: float = 0.0,
    clock: Callable[[], float] = time.perf_counter,
) -> Samples:
    """Time calls in rounds until there are enough of them.

    Args:
        calls: Name → what is timed. Everything that it needs exists already.
        order_seed: Seed of the order within each round.
        max_rounds: Most rounds kept, at least `MIN_ROUNDS`.
        budget_s: Time after which no further round is begun, warm-up included and preparation not;
            `MIN_ROUNDS` are always kept.
        stopwatch: How one sample is timed; by default with `clock`.
        enough: Asked now and then whether to stop, for precision; it must never look at significance.
        preparation_calls: Times that each call is made before anything else (see `calls.PREPARATION_CALLS`).
        least_sample_s: Shortest sample; calls that are shorter are repeated within it.
        least_warmup_s: Shortest warm-up, in which a card's clocks rise.
        clock: Seconds from any origin, for the budget.

    Raises:
        MachineError: An import hook checks types at run time.
        ValueError: No calls, or fewer than `MIN_ROUNDS` rounds allowed.
    """
    if not calls or max_rounds < MIN_ROUNDS:
        raise ValueError(
            f"{len(calls)} calls and {max_rounds} rounds; at least 1 and {MIN_ROUNDS} are needed"
        )
    refuse_typechecking()
    watch = stopwatch or wall_stopwatch(clock)
    with _no_garbage_collection():
        preparation_s = {name: watch(call, preparation_calls).seconds for name, call in calls.items()}
        start = clock()
        timed = _Rounds(calls, watch, order_seed, least_sample_s)
        window = (start + least_warmup_s, start + WARMUP_SHARE * budget_s)
        warmup, settled = _warm_up(timed, window, clock)
        seconds, stopped_by = _collect(timed, max_rounds, start + budget_s, enough, clock)
    return Samples(
        seconds=seconds,
        warmup_seconds=warmup,
        repeats=timed.repeats,
        settled=settled,
        stopped_by=stopped_by,
        host_seconds=timed.host_seconds(len(next(iter(seconds.values())))),
        preparation_s=preparation_s,
    )


def quantiles(seconds: np.ndarray) -> Quantiles:
    """Number, median and 5 % and 95 % quantiles of samples in seconds."""
    p05, p50, p95 = np.quantile(seconds, (0.05, 0.5, 0.95)).tolist()
    return Quantiles(n=len(seconds), p50=p50, p05=p05, p95=p95)


class _Rounds:
    """Calls with their stopwatch, the number of repeats that suits the shortest, and the random orders."""

    def __init__(
        self, calls: Mapping[str, Call], stopwatch: Stopwatch, order_seed: int, least_sample_s: float
    ) -> None:
        self._calls = calls
        self._stopwatch = stopwatch
        self._rng = np.random.default_rng(order_seed)
        self._host: dict[str, list[float]] = {name: [] for name in calls}
        shortest = min(stopwatch(call, 1).seconds for call in calls.values())
        self.repeats = min(MAX_REPEATS, ceil(least_sample_s / max(shortest, least_sample_s / MAX_REPEATS)))

    def time_one(self) -> list[float]:
        """Seconds for one call, in the order of the mapping, measured in a random order."""
        names = list(self._calls)
        seconds = [0.0] * len(names)
        for i in self._rng.permutation(len(names)):
            elapsed = self._stopwatch(self._calls[names[i]], self.repeats)
            seconds[i] = elapsed.seconds / self.repeats
            if elapsed.host_s is not None:
                self._host[names[i]].append(elapsed.host_s / self.repeats)
        return seconds

    def by_name(self, rows: list[list[float]]) -> dict[str, np.ndarray]:
        """Rounds as one float64 array for each name."""
        return dict(zip(self._calls, np.array(rows, dtype=np.float64).T.copy(), strict=True))

    def host_seconds(self, rounds: int) -> dict[str, np.ndarray]:
        """Seconds in which the host queued one call, of the last rounds; empty where it told none."""
        told = {name: seconds[-rounds:] for name, seconds in self._host.items() if seconds}
        return {name: np.array(seconds, dtype=np.float64) for name, seconds in told.items()}


def _warm_up(
    timed: _Rounds, window: tuple[float, float], clock: Callable[[], float]
) -> tuple[dict[str, np.ndarray], bool]:
    """Time rounds that are not kept, until `window` has begun at least and has ended at most."""
    rows = [timed.time_one()]
    least, deadline = window
    while (
        len(rows) < 2 * WINDOW
        or clock() < least
        or (len(rows) < MAX_WARMUP_ROUNDS and not _settled(rows) and clock() < deadline)
    ):
        rows.append(timed.time_one())
    return timed.by_name(rows), _settled(rows)


def _settled(rows: list[list[float]]) -> bool:
    if len(rows) < 2 * WINDOW:
        return False
    earlier = np.median(rows[-2 * WINDOW : -WINDOW], axis=0)
    later = np.median(rows[-WINDOW:], axis=0)
    noise = np.ptp(rows[-WINDOW:], axis=0) / 2
    return bool(np.all(np.abs(later - earlier) <= np.maximum(TOLERANCE * earlier, noise)))


def _collect(
    timed: _Rounds, max_rounds: int, deadline: float, enough: Enough | None, clock: Callable[[], float]
) -> tuple[dict[str, np.ndarray], StoppedBy]:
    rows = [timed.time_one() for _ in range(MIN_ROUNDS)]
    asked_at = MIN_ROUNDS
    while True:
        seconds = timed.by_name(rows)
        if len(rows) >= max_rounds:
            return seconds, "rounds"
        if enough is not None and len(rows) >= asked_at:
            asked_at = ceil(ASK_AGAIN * len(rows))
            if enough(seconds):
                return seconds, "precision"
        if clock() >= deadline:
            return seconds, "budget"
        rows.append(timed.time_one())


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Collect once, then keep the collector from running inside a sample."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
