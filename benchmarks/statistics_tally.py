"""Rates of error of intervals and tests: how they are counted, and what is promised of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import sqrt

import numpy as np
from statsmodels.stats.proportion import proportion_confint

SIGMAS = 3
"""Standard errors by which a rate may exceed what is promised; 1.3 of 1,000 right ones exceed it by more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How often something happened.

    Attributes:
        errors: Times that it did.
        trials: Times that it could have.
    """

    errors: int
    trials: int

    @property
    def rate(self) -> float:
        """Share of the trials."""
        return self.errors / self.trials

    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the rate."""
        ends = proportion_confint(self.errors, self.trials, alpha=0.05, method="wilson")
        low, high = np.array(ends, dtype=float).tolist()
        return low, high

    def exceeds(self, promised: float) -> bool:
        """Whether the rate is too high for chance, were the promised one true."""
        return self.rate > promised + SIGMAS * sqrt(promised * (1 - promised) / self.trials)


def count(wrong: object) -> Tally:
    """Tally an array of whether each trial erred."""
    each = np.asarray(wrong, dtype=bool)
    return Tally(errors=int(each.sum()), trials=each.size)


Errors = Mapping[str, Tally]
"""For each method: how often its interval missed the truth, or its test was wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """One simulated situation.

    Attributes:
        setting: The situation in words.
        simulate: Generator, runs and alpha → errors by method; each is to err in at most alpha of its trials.
        no_promise: Methods that are known to err more often here, and are shown for that.
    """

    setting: str
    simulate: Callable[[np.random.Generator, int, float], Errors]
    no_promise: frozenset[str] = frozenset()
