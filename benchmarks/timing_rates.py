"""How often each method of the timing benchmark was right, and what was promised of ours."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from statsmodels.stats.proportion import proportion_confint
from timing_methods import FIXED_LENGTH, METHODS, OURS
from timing_work import REPETITIONS

MOST_FALSE = 0.05
"""Promised of ours: the largest rate of identical calls that are called different."""
LEAST_FOUND = 0.8
"""Promised of ours: the smallest rate at which the true difference is found, with nothing else running."""
IDENTICAL, DIFFERENT = REPETITIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One method's decision in one experiment.

    Attributes:
        experiment: Number of the experiment.
        method: Key of `METHODS`.
        case: Key of `REPETITIONS`.
        disturbed: Whether the disturbing process ran.
        different: What was decided.
        ratio: Estimate of other / reference.
        samples: Times of each call behind it.
        wall_s: Time that it took, in seconds.
    """

    experiment: int
    method: str
    case: str
    disturbed: bool
    different: bool
    ratio: float
    samples: int
    wall_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One method in one case, disturbed or not.

    Attributes:
        method: Key of `METHODS`.
        case: Key of `REPETITIONS`.
        disturbed: Whether the disturbing process ran.
        experiments: Decisions behind the row.
        different: Share of them that said "different".
        different_low: Lower end of Wilson's 95 % interval of it.
        different_high: Upper end.
        beyond_one_percent: Share of estimates further than 1 % from 1.
        ratio_p50: Median estimate.
        ratio_p2_5: Quantile of the estimates.
        ratio_p97_5: Quantile of the estimates.
        samples: Median number of times of each call.
        wall_s: Median time, in seconds.
    """

    method: str
    case: str
    disturbed: bool
    experiments: int
    different: float
    different_low: float
    different_high: float
    beyond_one_percent: float
    ratio_p50: float
    ratio_p2_5: float
    ratio_p97_5: float
    samples: float
    wall_s: float


def rows(decisions: Sequence[Decision]) -> list[Row]:
    """Sum up by case, disturbance and method, in this order."""
    cells = [
        (case, disturbed, method) for case in REPETITIONS for disturbed in (False, True) for method in METHODS
    ]
    return [_row([d for d in decisions if (d.case, d.disturbed, d.method) == cell]) for cell in cells]


def _row(decisions: Sequence[Decision]) -> Row:
    first, n = decisions[0], len(decisions)
    found = sum(d.different for d in decisions)
    low, high = np.array(proportion_confint(found, n, alpha=0.05, method="wilson"), dtype=float).tolist()
    ratios = np.array([d.ratio for d in decisions])
    p2_5, p50, p97_5 = np.quantile(ratios, (0.025, 0.5, 0.975)).tolist()
    return Row(
        method=first.method,
        case=first.case,
        disturbed=first.disturbed,
        experiments=n,
        different=found / n,
        different_low=low,
        different_high=high,
        beyond_one_percent=float(np.mean(np.abs(ratios - 1) > 0.01)),
        ratio_p50=p50,
        ratio_p2_5=p2_5,
        ratio_p97_5=p97_5,
        samples=float(np.median([d.samples for d in decisions])),
        wall_s=float(np.median([d.wall_s for d in decisions])),
    )


def missed(table: Sequence[Row]) -> list[str]:
    """What was promised of our method and not kept, one sentence each."""
    return [sentence for row in table if row.method == OURS for sentence in _missed(row, table)]


def _missed(ours: Row, table: Sequence[Row]) -> list[str]:
    cell = f"{ours.case}, {'disturbed' if ours.disturbed else 'quiet'}"
    found = f"{cell}: called different in {ours.different:.1%}"
    sentences = []
    if ours.case == IDENTICAL and ours.different > MOST_FALSE:
        sentences.append(f"{found}, more than {MOST_FALSE:.0%}")
    if ours.case == DIFFERENT and not ours.disturbed and ours.different < LEAST_FOUND:
        sentences.append(f"{found}, less than {LEAST_FOUND:.0%}")
    for row in table:
        same_cell = (row.case, row.disturbed) == (ours.case, ours.disturbed)
        if same_cell and row.method in FIXED_LENGTH and ours.wall_s > row.wall_s:
            sentences.append(f"{cell}: took {ours.wall_s:.3f} s, {row.method} {row.wall_s:.3f} s")
    return sentences
