"""Every interval and test of a report, simulated: it errs in at most 5 %, and a 90 % one would not pass.

Of 1,000 runs that err with a probability of 5 % each, at most 5 % plus three standard errors err, which is
5 % + 3 × sqrt(0.05 × 0.95 / 1,000) = 7.1 %, but for one seed of the generator in 740. Each case is run a
second time at 10 %: of 500 runs, 10 % less two standard errors of 1.3 % err at least, which is more than
7.1 %, so the one bound tells the two apart. The seeds are fixed. The same simulations, in more situations and
more often, are `benchmarks/statistics_calibration.py`.
"""

import importlib
from math import sqrt
from pathlib import Path

import numpy as np
import pytest

from swatbench.stats import accuracy, miou, ratios

FOLDER = Path(__file__).parents[2] / "benchmarks"
RUNS = 1_000
FEWER_RUNS = 500
BOUND = 0.05 + 3 * sqrt(0.05 * 0.95 / RUNS)

CASES = [
    ("statistics_images", "one_accuracy", {"images": 2_000, "share": 0.6}, {"Wilson interval"}),
    (
        "statistics_images",
        "checkpoints",
        {"seeds": 1, "images": 1_000},
        {"bootstrap over images", "exact McNemar test"},
    ),
    ("statistics_images", "crossed", {"seeds": 3, "images": 2_500, "seed_sd": 0.3}, {"seeds × images"}),
    (
        "statistics_images",
        "same_on_images",
        {"seeds": 1, "images": 4_000, "margin_points": 5.0},
        {"same within a margin, on images"},
    ),
    ("statistics_rows", "across", {"seeds": 6}, {"paired t", "sign flips"}),
    ("statistics_rows", "same_across", {"seeds": 4}, {"same within a margin, across seeds"}),
    (
        "statistics_rows",
        "family",
        {"equal": 5, "different": 3, "shared": 0.2},
        {"Holm, any of the family"},
    ),
    ("statistics_rows", "quantile", {"n": 300, "q": 0.5}, {"quantile by order statistics"}),
    ("statistics_rows", "ratio", {"rounds": 40}, {"median of paired ratios"}),
    ("statistics_masks", "masks", {"seeds": 1, "images": 200}, {"bootstrap over images, mIoU"}),
    (
        "statistics_masks",
        "crossed_masks",
        {"seeds": 3, "images": 200, "seed_sd": 0.03},
        {"seeds × images, mIoU"},
    ),
]


@pytest.fixture
def simulate(monkeypatch):
    """Runs a simulation of the benchmark by its module and name."""
    monkeypatch.syspath_prepend(str(FOLDER))
    # Fewer resamples of the same code: their quantiles are a little coarser, and ten times as soon there.
    monkeypatch.setattr(accuracy, "RESAMPLES", 1_000)
    monkeypatch.setattr(ratios, "RESAMPLES", 500)
    monkeypatch.setattr(miou, "RESAMPLES", 500)
    monkeypatch.setattr(importlib.import_module("statistics_images"), "BOOTSTRAPS", 300)

    def run(module, name, alpha=0.05, runs=FEWER_RUNS, **setting):
        rng = np.random.default_rng(0)
        return getattr(importlib.import_module(module), name)(rng, runs, alpha, **setting)

    return run


@pytest.mark.parametrize(("module", "name", "setting", "methods"), CASES, ids=[case[1] for case in CASES])
def test_it_errs_in_five_percent_and_one_that_errs_in_ten_would_not_pass(
    simulate, module, name, setting, methods
):
    more = {"alternatives": False} if name == "crossed" else {}
    right = simulate(module, name, 0.05, RUNS, **setting, **more)
    wrong = simulate(module, name, 0.10, FEWER_RUNS, **setting, **more)
    for method in methods:
        assert right[method].trials > 0.99 * RUNS
        assert right[method].rate <= BOUND, f"{method} errs in {right[method].rate:.1%}"
        assert wrong[method].rate > BOUND, f"{method} at 10 % errs in {wrong[method].rate:.1%} alone"


def test_the_two_level_interval_is_not_so_wide_that_it_never_misses(simulate):
    setting = {"seeds": 10, "images": 500, "seed_sd": 0.1, "alternatives": False}
    errors = simulate("statistics_images", "crossed", **setting)["seeds × images"]
    assert errors.rate > 0.02
    assert not errors.exceeds(0.05)


def test_with_few_rounds_the_interval_of_a_ratio_misses_seven_percent_but_the_verdict_does_not(simulate):
    errors = simulate("statistics_rows", "ratio", rounds=12)
    assert not errors["median of paired ratios"].exceeds(0.07)
    # Both copies of the reference have to agree, so the rate lies far below 5 %.
    assert not errors["ratio called different"].exceeds(0.02)


def test_without_correction_a_family_errs_often(simulate):
    errors = simulate("statistics_rows", "family", equal=8, different=0, shared=0.0)
    # 1 - 0.95^8 = 34 % for independent tests.
    assert errors["no correction, any of the family"].rate == pytest.approx(
        1 - 0.95**8, abs=3 * sqrt(0.34 * 0.66 / FEWER_RUNS)
    )
    assert not errors["Holm, any of the family"].exceeds(0.05)


def test_two_seeds_undo_the_usual_intervals(simulate):
    errors = simulate("statistics_images", "crossed", seeds=2, images=300, seed_sd=0.2)
    assert not errors["seeds × images"].exceeds(0.05)
    assert errors["Satterthwaite (as Hillis)"].exceeds(0.05)
    assert errors["bootstrap of seeds, then images"].exceeds(0.05)
