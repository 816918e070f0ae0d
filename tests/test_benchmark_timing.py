"""The benchmark of timing: its bookkeeping, and one run that is too short to prove anything."""

import json
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import psutil
import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
METHODS = {"swatbench", "means, Welch", "torch.utils.benchmark", "until p < .05"}
CASES = {"identical", "3 % more"}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    out = tmp_path_factory.mktemp("timing") / "new" / "timing.json"
    command = [sys.executable, str(FOLDER / "timing.py"), "--quick", "--out", str(out)]
    ended = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=240, check=False)
    assert ended.returncode == 0, ended.stderr
    assert all(method in ended.stdout for method in METHODS)
    return json.loads(out.read_text())


def test_every_method_meets_every_case_quiet_and_disturbed(written):
    cells = [(d["experiment"], d["method"], d["case"], d["disturbed"]) for d in written["decisions"]]
    wanted = product(range(written["experiments"]), METHODS, CASES, (False, True))
    assert sorted(cells) == sorted(wanted)
    orders = {tuple(cell[1:] for cell in cells if cell[0] == number) for number in (0, 1)}
    assert len(orders) == 2, "the order is drawn for every experiment"


def test_rows_are_made_of_the_decisions(written):
    assert len(written["rows"]) == len(METHODS) * len(CASES) * 2
    for row in written["rows"]:
        of_row = [
            d for d in written["decisions"] if all(d[k] == row[k] for k in ("method", "case", "disturbed"))
        ]
        assert row["experiments"] == len(of_row) == written["experiments"]
        assert row["different"] == np.mean([d["different"] for d in of_row])
        assert row["different_low"] <= row["different"] <= row["different_high"]
        assert row["ratio_p50"] == pytest.approx(np.median([d["ratio"] for d in of_row]))
        assert row["wall_s"] > 0
        assert row["samples"] >= 1


def test_the_machine_and_what_was_asked_are_told(written):
    assert written["environment"]["packages"]["torch"]
    less, more = written["repetitions"]["3 % more"]
    assert more / less == pytest.approx(1.03, abs=0.001)
    assert written["not_kept"] == []


def test_three_per_cent_more_are_three_per_cent_more_of_every_operation(benchmark):
    work = benchmark("timing_work")
    less, more = (work.operations(work.block(n)) for n in work.REPETITIONS["3 % more"])
    assert {"aten.mm.default", "aten.gelu.default"} <= set(less)
    assert {name: count / less[name] for name, count in more.items()} == dict.fromkeys(less, 34 / 33)


def test_a_case_that_does_other_work_is_refused(benchmark, monkeypatch):
    timing = benchmark("timing")
    timing.verify("identical")
    monkeypatch.setattr(timing, "block", lambda repetitions: benchmark("timing_work").block(repetitions + 1))
    with pytest.raises(ValueError, match="33 repetitions"):
        timing.verify("identical")


def test_the_disturbance_keeps_a_core_busy_and_ends(benchmark):
    work = benchmark("timing_work")
    with work.disturbance(np.random.default_rng(0)):
        (process,) = [
            p for p in psutil.Process().children() if "timing_disturbance.py" in " ".join(p.cmdline())
        ]
        before = sum(process.cpu_times()[:2])
        psutil.Process().cpu_percent()
        while sum(process.cpu_times()[:2]) - before < 0.05:
            assert process.is_running()
    assert not process.is_running()


def decisions(benchmark, *, method, case, disturbed, found, wall_s=0.6, experiments=100):
    made = benchmark("timing_rates").Decision
    return [
        made(
            experiment=i,
            method=method,
            case=case,
            disturbed=disturbed,
            different=i < found,
            ratio=1.0 + 0.02 * (i < 30),
            samples=i,
            wall_s=wall_s,
        )
        for i in range(experiments)
    ]


def misses(benchmark, changes):
    """What is missed where 80 of 100 are found and 5 of 100 equal ones called different, but for changes."""
    rates = benchmark("timing_rates")
    made = []
    for method, case, disturbed in product(METHODS, CASES, (False, True)):
        usual = {"found": 5 if case == "identical" else 80}
        changed = usual | changes.get((method, case, disturbed), {})
        made += decisions(benchmark, method=method, case=case, disturbed=disturbed, **changed)
    return rates.missed(rates.rows(made))


@pytest.mark.parametrize(
    ("cell", "change", "names"),
    [
        (("swatbench", "identical", False), {"found": 6}, "identical, quiet: called different in 6.0%"),
        (("swatbench", "identical", True), {"found": 6}, "identical, disturbed: called different in 6.0%"),
        (("swatbench", "3 % more", False), {"found": 79}, "3 % more, quiet: called different in 79.0%"),
        (("means, Welch", "3 % more", True), {"wall_s": 0.5}, "took 0.600 s, means, Welch 0.500 s"),
    ],
)
def test_a_promise_that_is_not_kept_is_named(benchmark, cell, change, names):
    (sentence,) = misses(benchmark, {cell: change})
    assert names in sentence


@pytest.mark.parametrize(
    ("cell", "change"),
    [
        (("swatbench", "3 % more", True), {"found": 0}),
        (("means, Welch", "identical", True), {"found": 90}),
        (("until p < .05", "identical", True), {"wall_s": 0.1}),
    ],
)
def test_nothing_is_promised_of_power_when_disturbed_nor_of_the_others(benchmark, cell, change):
    assert misses(benchmark, {}) == []
    assert misses(benchmark, {cell: change}) == []


def test_a_row_sums_up_its_decisions(benchmark):
    rates = benchmark("timing_rates")
    made = [
        d
        for method, case, disturbed in product(METHODS, CASES, (False, True))
        for d in decisions(benchmark, method=method, case=case, disturbed=disturbed, found=5)
    ]
    row = rates.rows(made)[0]
    assert (row.different, row.beyond_one_percent, row.experiments) == (5 / 100, 30 / 100, 100)
    assert row.samples == (49 + 50) / 2
    # Wilson's centre: (found + z² / 2) / (n + z²), which is no centre of a plain interval.
    z = 1.959964
    assert (row.different_low + row.different_high) / 2 == pytest.approx((5 + z**2 / 2) / (100 + z**2))
