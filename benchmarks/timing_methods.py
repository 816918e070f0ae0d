"""Four ways to decide whether two calls differ, each within the same wall-clock time.

All give the ratio of the other call's time to the reference's.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import mannwhitneyu, ttest_ind
from timing_work import Call, Work
from torch.utils.benchmark import Timer

from swatbench.measure.latency import interleave
from swatbench.stats.ratios import paired_ratio

ALPHA = 0.05
OURS = "swatbench"
OUR_SHARE = 0.9
"""Part of the time for our rounds; what remains is for the last of them to end, and for the intervals."""
WARMUP_CALLS = 10
"""Calls before the loop of a method that has no warm-up of its own (timm's default)."""
BATCH = 10
"""Samples of each call between two looks at the p value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a method says.

    Attributes:
        different: Whether it calls the two different.
        ratio: Its estimate of other / reference.
        samples: Times of each call behind it; the fewer, where they differ.
    """

    different: bool
    ratio: float
    samples: int


Method = Callable[[Work, float, int], Verdict]
"""Decides about the work within seconds, with a seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """A verdict and how long it took to come by, in seconds."""

    verdict: Verdict
    wall_s: float


def decide(method: str, work: Work, *, budget_s: float, seed: int) -> Timed:
    """Let a method of `METHODS` decide.

    Args:
        method: Its name.
        work: What it times.
        budget_s: Time that it may take, warm-up and arithmetic included.
        seed: Seed of whatever it draws.
    """
    start = time.perf_counter()
    verdict = METHODS[method](work, budget_s, seed)
    return Timed(verdict=verdict, wall_s=time.perf_counter() - start)


def _ours(work: Work, budget_s: float, seed: int) -> Verdict:
    """Rounds in random order with a twin; the interval of the median ratio, and the run's own floor."""
    samples = interleave(
        {"reference": work.reference, "other": work.other, "twin": work.twin},
        order_seed=seed,
        max_rounds=100_000,
        budget_s=OUR_SHARE * budget_s,
    )
    seconds = samples.seconds
    ratio = paired_ratio(seconds["other"], seconds["reference"], seconds["twin"], seed=seed)
    return Verdict(different=ratio.distinguishable, ratio=ratio.ratio, samples=ratio.rounds)


def _means(work: Work, budget_s: float, seed: int) -> Verdict:  # noqa: ARG001  nothing is drawn
    """The mean of a loop over each call, one after the other, as timm's benchmark.py; Welch's t test."""
    reference, other = (_loop(call, budget_s / 2) for call in (work.reference, work.other))
    _, p = np.asarray(ttest_ind(other, reference, equal_var=False), dtype=np.float64).tolist()
    ratio = float(np.mean(other) / np.mean(reference))
    return Verdict(different=p < ALPHA, ratio=ratio, samples=min(len(other), len(reference)))


def _blocks(work: Work, budget_s: float, seed: int) -> Verdict:  # noqa: ARG001  nothing is drawn
    """torch.utils.benchmark, one call after the other; whether the interquartile ranges lie apart."""
    reference, other = (
        np.array(Timer("call()", globals={"call": call}).blocked_autorange(min_run_time=budget_s / 2).times)
        for call in (work.reference, work.other)
    )
    (low, high), (other_low, other_high) = (np.quantile(x, (0.25, 0.75)) for x in (reference, other))
    apart = bool(other_low > high or low > other_high)
    ratio = float(np.median(other) / np.median(reference))
    return Verdict(different=apart, ratio=ratio, samples=min(len(other), len(reference)))


def _sequential(work: Work, budget_s: float, seed: int) -> Verdict:  # noqa: ARG001  nothing is drawn
    """Batches of samples, one call after the other, until Mann and Whitney's p is small or time is up."""
    deadline = time.perf_counter() + budget_s
    for call in (work.reference, work.other):
        _repeat(call, WARMUP_CALLS)
    reference: list[float] = []
    other: list[float] = []
    while True:
        reference += _repeat(work.reference, BATCH)
        other += _repeat(work.other, BATCH)
        different = bool(mannwhitneyu(other, reference).pvalue < ALPHA)
        if different or time.perf_counter() >= deadline:
            ratio = float(np.median(other) / np.median(reference))
            return Verdict(different=different, ratio=ratio, samples=len(reference))


def _loop(call: Call, budget_s: float) -> list[float]:
    """Seconds of single calls until time is up, at least two of them, after a warm-up."""
    deadline = time.perf_counter() + budget_s
    _repeat(call, WARMUP_CALLS)
    seconds = _repeat(call, 2)
    while time.perf_counter() < deadline:
        seconds += _repeat(call, 1)
    return seconds


def _repeat(call: Call, times: int) -> list[float]:
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return seconds


METHODS: Mapping[str, Method] = {
    OURS: _ours,
    "means, Welch": _means,
    "torch.utils.benchmark": _blocks,
    "until p < .05": _sequential,
}
FIXED_LENGTH = ("means, Welch", "torch.utils.benchmark")
"""Methods that never end before their time."""
