"""Limits on a report: what meets them, what breaks them, and that nothing is passed over in silence."""

import numpy as np
import pytest

from swatbench.errors import SuiteError
from swatbench.report.gates import as_json, judge, line, parse_gate, passes
from swatbench.store.files import read_record, write_arrays, write_record


def judged(world, *texts, waiting=None):
    return judge([parse_gate(text) for text in texts], world.gather(), waiting)


def verdicts(world, *texts, waiting=None):
    return {item.gate.text: item.verdict for item in judged(world, *texts, waiting=waiting)}


def test_a_gate_is_read_with_its_pair_and_arm():
    gate = parse_gate("swin_t:max_macs_ratio=1.25")
    assert (gate.pair, gate.arm, gate.name, gate.limit) == ("swin_t", None, "max_macs_ratio", 1.25)
    assert parse_gate("min_gain_points=-0.5").limit == -0.5
    assert parse_gate("a:b:max_params_ratio=2").arm == "b"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("max_latncy_ratio=1.1", "Did you mean max_latency_ratio"),
        ("max_latency_ratio", "this is no gate"),
        ("max_latency_ratio=", "this is no gate"),
        ("a:b:c:max_latency_ratio=1", "this is no gate"),
        ("max_latency_ratio=fast", "not a ratio above 0"),
        ("max_latency_ratio=-1", "not a ratio above 0"),
        ("max_latency_ratio=inf", "not a ratio above 0"),
        ("min_gain_points=nan", "not a number of points"),
    ],
)
def test_a_mistaken_gate_ends_with_what_to_do(text, words):
    with pytest.raises(SuiteError, match=words) as caught:
        parse_gate(text)
    assert caught.value.exit_code == 2
    assert text in str(caught.value)


def test_an_interval_is_met_broken_or_holds_the_limit(world):
    world.cost(slowdown=1.4)
    (found,) = (item.found for item in judged(world, "max_latency_ratio=2"))
    middle = (found.low + found.high) / 2
    assert verdicts(
        world, "max_latency_ratio=1.5", "max_latency_ratio=1.3", f"max_latency_ratio={middle}"
    ) == {
        "max_latency_ratio=1.5": "met",
        "max_latency_ratio=1.3": "broken",
        f"max_latency_ratio={middle}": "not decided",
    }


@pytest.mark.parametrize(
    ("limit", "verdict"), [(1.37, "not decided"), (1.43, "not decided"), (1.2, "broken"), (1.6, "met")]
)
def test_a_ratio_nearer_to_the_limit_than_its_floor_is_not_decided(world, limit, verdict):
    folder = world.cost(slowdown=1.4)
    with np.load(folder / "samples.npz") as samples:
        changed = dict(samples)
    # A second copy of the reference that takes 5 % longer: equal work differs by as much.
    changed["inference/twin"] = 1.05 * changed["inference/baseline"]
    sha = write_arrays(folder, "samples.npz", changed)
    record = read_record(folder / "record.json")
    write_record(folder, record.model_copy(update={"files": {"samples.npz": sha}}))
    (item,) = judged(world, f"max_latency_ratio={limit}")
    assert item.verdict == verdict
    assert not item.found.low <= limit <= item.found.high


def test_few_rounds_decide_nothing(world):
    world.cost(slowdown=3.0, rounds=5)
    (item,) = judged(world, "max_latency_ratio=1.1")
    assert (item.verdict, item.found.low) == ("not decided", None)
    assert "5 rounds: too few" in item.why


def test_counts_are_judged_exactly(world):
    world.cost(training=False)
    # The synthetic records have 140,000 parameters, and 30,000 more for each of the arm's four parts.
    assert verdicts(
        world, f"max_params_ratio={260 / 140}", "max_params_ratio=1.857", "max_macs_ratio=1.16"
    ) == {
        f"max_params_ratio={260 / 140}": "met",
        "max_params_ratio=1.857": "broken",
        "max_macs_ratio=1.16": "met",
    }


def test_counters_that_disagree_decide_nothing(world):
    world.cost(disagree=("swat",))
    assert verdicts(world, "max_macs_ratio=9", "max_params_ratio=9") == {
        "max_macs_ratio=9": "not decided",
        "max_params_ratio=9": "met",
    }


def test_memory_is_judged_by_its_one_measurement_and_what_repeated_ones_differ_by(world):
    world.cost()
    limits = (f"max_training_memory_ratio={limit}" for limit in (1.7, 1.9, 1.8))
    low, high, near = judged(world, *limits)
    assert (low.verdict, high.verdict, near.verdict) == ("broken", "met", "not decided")
    assert "one measurement, told apart from 1.5 % on" in line(low)
    # 3 MiB of the reference's 200.
    assert (near.found.low, near.found.high) == (pytest.approx(1.785), pytest.approx(1.815))


def test_a_gain_over_several_seeds_is_judged_across_them(world):
    for seed, gain in enumerate((8.0, 9.0, 10.0, 9.5, 8.5)):
        world.train(arm="baseline", seed=seed, percent=50.0)
        world.train(arm="swat", seed=seed, percent=50.0 + gain)
    low, high, between = judged(world, "min_gain_points=7", "min_gain_points=11", "min_gain_points=9")
    assert (low.verdict, high.verdict, between.verdict) == ("met", "broken", "not decided")
    assert "across 5 seeds" in line(low)


def test_one_seed_is_judged_over_images_and_says_so(world):
    world.train(arm="baseline", percent=50.0)
    world.train(arm="swat", percent=70.0)
    (item,) = judged(world, "min_gain_points=5")
    assert item.verdict == "met"
    assert "1 seed, so these checkpoints" in item.why


def test_seeds_without_spread_decide_nothing(world):
    for seed in (0, 1):
        world.train(arm="baseline", seed=seed, percent=50.0)
        world.train(arm="swat", seed=seed, percent=60.0)
    (item,) = judged(world, "min_gain_points=1")
    assert item.verdict == "not decided"
    assert "no interval" in item.why


def test_a_gate_that_matches_nothing_is_no_pass(world):
    world.cost()
    for text in ("swin_t:max_macs_ratio=9", "deit_mini:tokens:max_macs_ratio=9"):
        (item,) = judged(world, text)
        assert (item.verdict, item.why) == ("nothing to judge", "no comparison that it is for")
        assert not passes([item], undecided=True)
    (item,) = judge([parse_gate("max_macs_ratio=2")], ())
    assert item.verdict == "nothing to judge"


def test_what_was_not_compared_is_no_pass(world):
    world.cost("deit_mini", keep_samples=False)
    world.train("mixer_mini", "baseline")
    world.train("mixer_mini", "swat", percent=60.0)
    found = {item.pair: item for item in judged(world, "max_latency_ratio=9")}
    assert {item.verdict for item in found.values()} == {"nothing to judge"}
    assert found["deit_mini"].why == "latency was not compared here"
    assert found.keys() == {"deit_mini", "mixer_mini"}


def test_failed_and_missing_cells_of_the_pair_are_no_pass(world):
    world.train("deit_mini", "baseline")
    world.train("deit_mini", "swat", percent=70.0)
    world.fail("mixer_mini", "swat")
    gain, deit, cost = "min_gain_points=1", "deit_mini:min_gain_points=1", "deit_mini:max_macs_ratio=9"
    found = judged(world, gain)
    assert [item.verdict for item in found] == ["met", "nothing to judge"]
    assert "cells failed: mixer_mini-swat-seed0" in line(found[1])
    assert verdicts(world, deit)[deit] == "met"
    waiting = {world.machine: ["deit_mini-cost-0123456789", "deit_mini-swat-seed1-0123456789"]}
    assert verdicts(world, deit, waiting=waiting)[deit] == "nothing to judge"
    # A gate of cost waits for no training.
    world.cost()
    training = {world.machine: ["deit_mini-swat-seed1-0123456789"]}
    assert verdicts(world, cost, waiting=training)[cost] == "met"


def test_each_machine_is_judged_by_itself(world):
    world.cost(slowdown=1.05)
    world.machine = "other-cpu-4-cores"
    world.cost(slowdown=2.0)
    found = {item.machine: item.verdict for item in judged(world, "max_latency_ratio=1.5")}
    assert found == {"some-cpu-2-cores": "met", "other-cpu-4-cores": "broken"}


def test_undecided_passes_only_where_that_is_asked_for(world):
    world.cost(slowdown=3.0, rounds=5)
    found = judged(world, "max_latency_ratio=1.1", "max_params_ratio=2")
    assert passes(found, undecided=True)
    assert not passes(found, undecided=False)


def test_a_line_has_the_effect_and_its_interval_first(world):
    world.cost(slowdown=1.4)
    (item,) = judged(world, "max_latency_ratio=1.1")
    assert line(item).startswith("1.39 × latency (95 % CI 1.38 to 1.40): broken")
    assert "broken, max_latency_ratio=1.1; deit_mini swat against baseline" in line(item)
    told = as_json(item)
    assert (told["verdict"], told["limit"]) == ("broken", 1.1)
    assert told["low"] < told["value"] < told["high"]


def test_every_condition_is_judged(world):
    world.cost(precision="fp32", slowdown=1.4)
    world.cost(precision="bf16", slowdown=1.8)
    found = judged(world, "max_latency_ratio=1.6", "max_params_ratio=2")
    assert sorted(item.verdict for item in found) == ["broken", "met", "met"]
