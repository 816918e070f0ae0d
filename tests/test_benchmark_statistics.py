"""The benchmark of error rates: its bookkeeping, and a run that is too short to prove anything."""

import importlib
import json
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

FOLDER = Path(__file__).parents[1] / "benchmarks"
REPORTED = {
    "Wilson interval",
    "bootstrap over images",
    "exact McNemar test",
    "same within a margin, on images",
    "paired t",
    "sign flips",
    "same within a margin, across seeds",
    "detectable difference overlooked",
    "seeds × images",
    "Holm, any of the family",
    "quantile by order statistics",
    "ratio called different",
    "bootstrap over images, mIoU",
    "seeds × images, mIoU",
}


@pytest.fixture
def benchmark(monkeypatch):
    """Imports a module of the benchmark by name, as its own files do."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setattr(importlib.import_module("statistics_images"), "BOOTSTRAPS", 20)
    return importlib.import_module


def always_wrong(_rng, runs, _alpha, *, wrong, tally):
    return {"paired t": tally(errors=wrong, trials=runs)}


def test_a_run_shows_every_method_and_writes_what_it_shows(benchmark, monkeypatch, tmp_path, capsys):
    out = tmp_path / "new" / "rates.json"
    monkeypatch.setattr(sys, "argv", ["statistics_calibration.py", "--runs", "2", "--json", str(out)])
    benchmark("statistics_calibration").main()
    shown, written = capsys.readouterr().out, json.loads(out.read_text())
    rows = written["rows"]
    assert {row["method"] for row in rows if row["promised"]} == REPORTED
    assert len({(row["method"], row["setting"]) for row in rows}) == len(rows)
    assert all(method in shown for method in {*REPORTED, "median of paired ratios"})
    assert (written["runs"], written["alpha"]) == (2, 0.05)
    assert all(row["rate"] == row["errors"] / row["trials"] for row in rows)
    assert all(row["low"] <= row["rate"] <= row["high"] for row in rows)


def test_a_broken_promise_ends_with_one(benchmark, monkeypatch):
    calibration, tally = benchmark("statistics_calibration"), benchmark("statistics_tally")
    monkeypatch.setattr(sys, "argv", ["statistics_calibration.py", "--runs", "1000"])

    def ends(wrong, **changes):
        simulate = partial(always_wrong, wrong=wrong, tally=tally.Tally)
        only = [tally.Study(setting="made up", simulate=simulate, **changes)]
        monkeypatch.setattr(calibration, "studies", lambda: only)
        return calibration.main()

    # 5 % and three standard errors of 0.69 % are 7.07 %.
    assert (ends(70), ends(71)) == (0, 1)
    assert ends(500, no_promise=frozenset({"paired t"})) == 0


def test_a_study_does_not_depend_on_the_others(benchmark):
    calibration = benchmark("statistics_calibration")
    study = calibration.studies()[3]
    first, again = ([*calibration.rows(study, runs=3, seed=1)] for _ in range(2))
    assert first == again


def test_simulated_answers_are_as_accurate_as_is_said(benchmark):
    images = benchmark("statistics_images")
    rng = np.random.default_rng(0)
    reference, arm = images.answers(rng, np.full(2, -0.6), np.full(2, -0.2), 40_000)
    assert reference.mean() == pytest.approx(images.accuracy(-0.6), abs=0.01)
    assert arm.mean() == pytest.approx(images.accuracy(-0.2), abs=0.01)
    assert images.accuracy(-0.6) == pytest.approx(norm.cdf(-0.6 / np.sqrt(4 + 0.36 + 1)))
    assert images.accuracy(images.level_for(0.7)) == pytest.approx(0.7)
    assert (reference != arm).mean() == pytest.approx(0.235, abs=0.02)


@pytest.mark.parametrize("present", ["COMMON", "RARE"])
def test_simulated_pixels_have_the_mean_iou_that_is_said(benchmark, present):
    masks = benchmark("statistics_masks")
    shares = getattr(masks, present)
    both = masks.pixels(np.random.default_rng(0), np.zeros(1), np.full(1, 0.03), 50_000, shares)
    for counts, level in zip(both, (0.0, 0.03), strict=True):
        found, whole = counts.intersection.sum(axis=1), counts.union.sum(axis=1)
        assert (found / whole).mean() == pytest.approx(masks.mean_iou(level, present=shares), abs=0.004)
        assert counts.predicted.sum() == counts.labelled.sum()
    assert masks.mean_iou(0.0, 0.02) == pytest.approx(masks.mean_iou(0.0), abs=1e-3)


def test_the_alternatives_are_what_they_are_called(benchmark):
    images = benchmark("statistics_images")
    rng = np.random.default_rng(0)
    difference = (rng.random((40, 300)) < 0.3).astype(np.int8) - (rng.random((40, 300)) < 0.3)
    # Without effects of seeds or images the variance is that of all differences together.
    low, high = images.satterthwaite(difference, 0.05)
    plain = 2 * norm.ppf(0.975) * difference.std() / np.sqrt(difference.size)
    assert high - low == pytest.approx(plain, rel=0.3)
    monkey = images.pigeonhole(rng, difference, 0.05)
    # Owen: the bootstrap counts what is left three times.
    assert monkey[1] - monkey[0] == pytest.approx(plain * np.sqrt(3), rel=0.5)
