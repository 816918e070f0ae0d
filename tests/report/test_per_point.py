"""What a point costs: only where there is a gain, and with the range that both intervals leave."""

import pytest

from swatbench.report.per_point import per_point_table
from swatbench.report.published_table import published_table


def address(stored):
    return stored.folder.name


def rows(table, **where):
    found = table.frame.to_dict(orient="records")
    return [row for row in found if all(row[name] == value for name, value in where.items())]


def test_cost_is_divided_by_the_points_gained(world):
    world.quickstart(seeds=(0, 1, 2))
    table = per_point_table(world.gather(), address)
    (macs,) = rows(table, pair="deit_mini", quantity="MACs")
    assert macs["more_percent"] == pytest.approx(16.0)
    assert macs["per_point_percent"] == pytest.approx(16.0 / macs["points"])
    assert macs["low_percent"] < macs["per_point_percent"] < macs["high_percent"]
    assert (macs["source"], macs["verdict"]) == ("these runs", "decided if normal")
    (time,) = rows(table, pair="deit_mini", quantity="forward pass")
    assert time["per_point_percent"] == pytest.approx(time["more_percent"] / time["points"])
    (equal,) = rows(table, pair="mixer_mini", quantity="forward pass")
    assert equal["verdict"] == "cost not distinguishable"


def test_a_price_leads_to_the_runs_and_to_the_measurement_that_it_rests_on(world):
    folders = {
        f"{arm} {seed}": world.train(arm=arm, seed=seed, percent=percent + seed).name
        for seed in (0, 1)
        for arm, percent in (("baseline", 50.0), ("swat", 55.0))
    }
    folders["cost"] = world.cost().name
    for row in rows(per_point_table(world.gather(), address)):
        assert dict(row["records"]) == folders


def test_a_gain_that_is_not_decided_divides_nothing(world):
    for seed, gain in enumerate((6.0, -5.0, 1.0)):
        world.train(arm="baseline", seed=seed, percent=50.0)
        world.train(arm="swat", seed=seed, percent=50.0 + gain)
    world.cost()
    for row in rows(per_point_table(world.gather(), address)):
        assert (row["per_point_percent"], row["interval"], row["verdict"]) == (None, "–", "gain not decided")


def test_a_loss_has_no_price(world):
    for seed in range(3):
        world.train(arm="baseline", seed=seed, percent=50.0)
        world.train(arm="swat", seed=seed, percent=40.0 + seed / 2)
    world.cost()
    for row in rows(per_point_table(world.gather(), address)):
        assert (row["per_point_percent"], row["verdict"]) == (None, "no gain")


def test_published_gains_are_marked_and_have_no_range(world):
    world.cost("swin_t", slowdown=1.3)
    (macs,) = rows(per_point_table(world.gather(), address), quantity="MACs")
    assert (macs["points"], macs["source"]) == (pytest.approx(0.4), "published")
    assert (macs["verdict"], macs["interval"]) == ("published gain", "–")


def test_published_numbers_stand_beside_ours_with_their_notes(world):
    world.cost("deit_ti", macs=1_300_000_000)
    table = published_table(world.gather(), address)
    baseline, swat = rows(table)
    assert baseline["macs_ratio"] == pytest.approx(1.0)
    assert baseline["published_top1_percent"] == 72.2
    assert baseline["top1_percent"] is None
    assert "class token" in baseline["note"]
    assert "about 1 M too high" in swat["note"]
    assert swat["record"].startswith("deit_ti-cost-")


def test_pairs_that_the_paper_does_not_have_are_not_in_it(world):
    world.quickstart()
    assert rows(published_table(world.gather(), address)) == []
