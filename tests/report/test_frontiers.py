"""Cost against accuracy: only what was made alike stands in one ranking, one plot, one line."""

import pytest

from swatbench.report.axes import AXES, BY_NAME, placed, unbeaten
from swatbench.report.figures import figures
from swatbench.report.frontiers import frontiers_table, on_frontier, unlike_points
from swatbench.report.ledger import refusals_table
from swatbench.report.points import points, published_points
from swatbench.spec.cost import Cost
from swatbench.store.cost import Energy
from swatbench.store.record import Record


def address(stored):
    return stored.folder.name


def trained(world, pair, base, gain=9.0, **how):
    world.train(pair, "baseline", percent=base, **how)
    world.train(pair, "swat", percent=base + gain, **how)


def rows(table, **where):
    found = table.frame.to_dict(orient="records")
    return [row for row in found if all(row[name] == value for name, value in where.items())]


def names(found):
    return [point.name for point in found]


def test_a_point_is_beaten_by_one_that_is_better_and_no_dearer(world):
    world.quickstart()
    table = frontiers_table(world.gather(), address)
    standing = {(row["pair"], row["arm"]): row["standing"] for row in rows(table, cost="MACs an image")}
    # The Mixer of this world has 9 M MACs and 48 %, the DeiT 13 M and 44 %; each gains with SWAT.
    assert standing == {
        ("mixer_mini", "baseline"): "not beaten",
        ("mixer_mini", "swat"): "not beaten",
        ("deit_mini", "baseline"): "beaten by mixer_mini swat",
        ("deit_mini", "swat"): "beaten by mixer_mini swat",
    }
    for row in rows(table):
        assert row["records"]


def test_of_throughput_more_is_better(world):
    world.quickstart()
    (section,) = world.gather()
    (group,) = placed(BY_NAME["throughput"], points(section))
    best = unbeaten(BY_NAME["throughput"], group.items)
    fastest = max(group.items, key=lambda item: item[0])
    assert fastest in best
    slowest = min(group.items, key=lambda item: (item[0], item[1].percent))
    assert slowest[1].percent < max(point.percent for _, point in best)
    assert slowest not in best


def test_latency_is_that_of_the_smallest_batch_and_throughput_the_best(world):
    trained(world, "deit_mini", 50.0)
    world.cost(sweep=(1, 16))
    (section,) = world.gather()
    point = points(section)[0]
    times = {
        call.batch_size: call.seconds.p50
        for call in point.measured.calls("baseline")
        if call.protocol == "inference"
    }
    assert {1, 16, 64} <= times.keys()
    assert BY_NAME["latency"].value(point) == times[1]
    assert BY_NAME["throughput"].value(point) == max(batch / s for batch, s in times.items())
    (group,) = placed(BY_NAME["latency"], points(section))
    assert "1 image (median)" in BY_NAME["latency"].label(group.setting)
    assert "best of batches 1, 16 and 64" in BY_NAME["throughput"].label(group.setting)


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"recipe": {"epochs": 5}}, "recipe.epochs: 3 and 5"),
        ({"resolution": {"precision": "fp32"}}, "resolution.precision: bf16 and fp32"),
        ({"resolution": {"device": "cuda"}}, "resolution.device: cpu and cuda"),
        ({"resolution": {"data_digest": "e" * 64}}, "resolution.data_digest: dddddddddd… and eeeeeeeeee…"),
        ({"cell": {"protocol_version": 1}}, "protocol_version: 3 and 1"),
        ({"cell": {"micro_batch_size": 16}}, "micro_batch_size: 32 and 16"),
    ],
)
def test_pairs_that_were_trained_otherwise_stand_in_no_ranking_together(world, how, told):
    trained(world, "deit_mini", 44.0)
    trained(world, "mixer_mini", 48.0)
    trained(world, "swin_mini", 70.0, **how)
    (section,) = world.gather()
    assert names(on_frontier(section, BY_NAME["params"])) == ["mixer_mini baseline", "mixer_mini swat"]
    refused = list(unlike_points(section))
    assert {item.pair for item in refused} == {"swin_mini"}
    assert all(told in item.why for item in refused)
    table = rows(refusals_table([section]), pair="swin_mini")
    assert any(told in row["why"] for row in table)
    drawn = {drawing.name: drawing for drawing in figures(section)}
    assert "swin_mini" not in drawn["accuracy_params"].alt
    assert "swin_mini" in drawn["accuracy_params_2"].alt
    assert told in drawn["accuracy_params_2"].caption


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"batch_size": 8}, "batches: (64,) and (8,)"),
        ({"device": "cuda"}, "device: cpu and cuda"),
        ({"dtype": "float16"}, "dtype: bfloat16 and float16"),
        ({"threads": 1}, "threads: 2 and 1"),
        ({"input_size": (3, 64, 64)}, "input_size: (3, 32, 32) and (3, 64, 64)"),
    ],
)
def test_costs_that_were_measured_otherwise_stand_in_no_ranking_together(world, how, told):
    for pair in ("deit_mini", "mixer_mini", "swin_mini"):
        trained(world, pair, 44.0)
    world.cost("deit_mini")
    world.cost("mixer_mini")
    world.cost("swin_mini", cost=Cost(max_rounds=77), **how)
    (section,) = world.gather()
    refused = [item for item in unlike_points(section) if "latency" in item.what]
    assert {item.pair for item in refused} == {"swin_mini"}
    assert all(told in item.why for item in refused)
    # Parameters do not depend on how time was measured.
    assert not any("parameters" in item.what for item in refused)


def test_energy_is_an_axis_where_it_was_measured(world):
    trained(world, "deit_mini", 50.0)
    folder = world.cost()
    record = Record.model_validate_json((folder / "record.json").read_text())
    energy = (Energy(protocol="inference", joules_per_image=0.02, windows=(0.02, 0.021)),)
    arms = tuple(arm.model_copy(update={"energy": energy}) for arm in record.cost.arms)
    changed = record.model_copy(update={"cost": record.cost.model_copy(update={"arms": arms})})
    (folder / "record.json").write_text(changed.model_dump_json())
    drawn = {drawing.name: drawing for drawing in figures(world.gather()[0])}
    assert "20.0 mJ" in drawn["accuracy_energy"].alt


def test_where_nothing_is_trained_published_accuracies_stand_against_costs_measured_here(world):
    for pair in ("deit_ti", "mixer_ti"):
        world.cost(pair)
    (section,) = world.gather()
    found = published_points(section)
    assert names(found) == ["deit_ti baseline", "deit_ti swat", "mixer_ti baseline", "mixer_ti swat"]
    assert [point.percent for point in found] == [72.2, 75.7, 68.3, 72.3]
    drawn = {drawing.name: drawing for drawing in figures(section)}
    latency = drawn["accuracy_latency"]
    assert latency.title == "Published accuracy against latency."
    assert "nothing was trained here" in latency.caption
    assert "† deit_ti baseline: trained with class token." in latency.caption
    assert "about 1 M too high" not in latency.caption
    assert "about 1 M too high" in drawn["accuracy_params"].caption
    for row in rows(frontiers_table([section], address)):
        assert row["source"] == "published"


def test_where_anything_is_trained_no_published_accuracy_takes_its_place(world):
    world.cost("deit_ti")
    world.train("mixer_mini")
    assert published_points(world.gather()[0]) == ()


def test_every_axis_has_a_name_of_its_own():
    assert len(BY_NAME) == len(AXES)
