"""Reports of records that older versions of swatbench wrote, alone and beside those of today."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from swatbench.report.page import render
from swatbench.store.files import read_record
from tests.older import as_layout_1, as_layout_2


def rows_of(folder: Path, table: str) -> list[dict[str, Any]]:
    with (folder / "tables" / f"{table}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def report_of(world: Any, tmp_path: Path) -> Path:
    return render(world.results, tmp_path / "reports", world.suite).parent


@pytest.fixture
def mixed(world):
    """One pair in each layout."""
    for pair, lay in (("deit_mini", as_layout_1), ("mixer_mini", as_layout_2), ("swin_mini", None)):
        for seed in (0, 1):
            for arm, percent in (("baseline", 50.0), ("swat", 55.0 + seed)):
                folder = world.train(pair, arm, seed, percent=percent)
                if lay:
                    lay(folder)
        folder = world.cost(pair)
        if lay:
            lay(folder)
    return world


@pytest.mark.parametrize(("lay", "version"), [(as_layout_1, 1), (as_layout_2, 2)])
def test_a_training_of_an_older_layout_is_read(world, lay, version):
    folder = world.train(percent=61.0)
    before = read_record(folder / "record.json")
    lay(folder)
    assert json.loads((folder / "record.json").read_text())["schema_version"] == version
    found = read_record(folder / "record.json")
    assert found.train is not None
    assert before.train is not None
    assert (found.schema_version, found.train.top1_percent) == (3, before.train.top1_percent)
    # A layout that did not know how long was waited must not say that nothing was.
    assert ("data_s" in found.train.model_fields_set) == (version == 2)


@pytest.mark.parametrize("lay", [as_layout_1, as_layout_2])
def test_a_cost_of_an_older_layout_is_read(world, lay):
    folder = world.cost()
    lay(folder)
    assert "input_size" not in json.loads((folder / "record.json").read_text())["cost"]
    cost = read_record(folder / "record.json").cost
    assert cost is not None
    assert cost.input_size == (3, 32, 32)
    assert len(cost.timings) == (0 if lay is as_layout_1 else 2)


def test_costs_of_layout_1_that_tell_their_timing_keep_it(world):
    folder = world.cost()
    as_layout_1(folder, timings=True)
    cost = read_record(folder / "record.json").cost
    assert cost is not None
    assert [timing.protocol for timing in cost.timings] == ["inference", "training"]


def test_a_report_holds_records_of_all_layouts(mixed, tmp_path):
    report = report_of(mixed, tmp_path)
    assert rows_of(report, "damaged") == []
    pairs = {"deit_mini", "mixer_mini", "swin_mini"}
    for table in ("accuracy", "means", "across_seeds", "cost", "training", "evaluations"):
        assert {row["pair"] for row in rows_of(report, table)} == pairs, table
    times = [row for row in rows_of(report, "ratios") if row["quantity"] == "forward pass"]
    assert {row["pair"]: float(row["ratio"]) for row in times} == {
        pair: pytest.approx(1.4, rel=0.02) for pair in pairs
    }
    waited = {row["pair"]: row["data_s"] for row in rows_of(report, "training")}
    assert waited == {"deit_mini": "", "mixer_mini": "1.0", "swin_mini": "1.0"}


def test_runs_of_different_layouts_are_compared_only_by_what_both_tell(world, tmp_path):
    """An old run does not say with which switches it was trained, so the two may not have trained alike."""
    as_layout_1(world.train(arm="baseline"))
    world.train(arm="swat")
    report = report_of(world, tmp_path)
    assert rows_of(report, "across_seeds") == []
    refusal, beside = rows_of(report, "not_compared")
    assert refusal["what"] == "accuracy"
    assert beside["what"].startswith("accuracy against")
    for words in ("speed differs", "micro_batch_size differs", "recipe differs"):
        assert words in refusal["why"]
