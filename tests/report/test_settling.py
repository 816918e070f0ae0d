"""What the runs at hand can decide, and equivalence within a margin that must have been set beforehand."""

from datetime import timedelta

import numpy as np
import pytest
from scipy.stats import nct, t

from swatbench.report.margin import Margin, margin_of
from swatbench.report.sentences import claims
from swatbench.report.settling import EXPLORATORY, settling_table
from swatbench.store.asked import read_asked
from tests.report.contents import START


def address(stored):
    return stored.folder.name


def train(world, gains, *, base=50.0):
    """One pair, a seed for each gain in points."""
    return [
        folder
        for seed, gain in enumerate(gains)
        for folder in (
            world.train(arm="baseline", seed=seed, percent=base),
            world.train(arm="swat", seed=seed, percent=base + gain),
        )
    ]


def row_of(world):
    (row,) = settling_table(world.gather(), address).frame.to_dict(orient="records")
    return row


def power(points, spread, seeds):
    """Power of the two-sided paired t test at 5 %, from the noncentral t."""
    bound, shift = t.ppf(0.975, seeds - 1), points / spread * np.sqrt(seeds)
    return nct.sf(bound, seeds - 1, shift) + nct.cdf(-bound, seeds - 1, shift)


def test_a_detectable_difference_is_found_in_four_of_five_cases(world):
    train(world, [1.0, 4.0, 2.5, 0.5])
    row = row_of(world)
    assert power(row["detectable_seeds_points"], row["spread_points"], 4) == pytest.approx(0.8, abs=1e-3)
    # 2.8 standard errors of a difference of which this share of images decides.
    assert row["detectable_images_points"] > 0


def test_more_seeds_are_as_many_as_the_difference_seen_needs(world):
    train(world, [1.0, 4.0, 0.5])
    row = row_of(world)
    total = row["seeds_to_settle"]
    assert row["more_seeds"] == str(total - 3)
    assert power(row["points"], row["spread_points"], total) >= 0.8
    assert power(row["points"], row["spread_points"], total - 1) < 0.8


def test_what_is_settled_needs_no_more_seeds(world):
    train(world, [9.0, 9.5, 9.25, 9.0, 9.5, 9.25])
    assert row_of(world)["more_seeds"] == "settled"


def test_one_seed_cannot_say_how_many_are_needed(world):
    train(world, [3.0])
    row = row_of(world)
    assert row["more_seeds"] == "unknown: one seed shows no spread"
    assert row["detectable_seeds_points"] is None


def test_just_as_accurate_is_said_where_the_margin_was_set_beforehand(world):
    world.ask(*train(world, [0.0, 0.25, -0.25, 0.0, 0.25, -0.25]), margin_points=1.0)
    row = row_of(world)
    assert (row["same_verdict"], row["margin_set_beforehand"]) == ("yes", True)
    assert -1.0 < row["same_low"] < row["same_high"] < 1.0
    (said,) = claims(world.gather()[0])
    assert ", just as accurate within ±1.00 points (p < 0.0001), " in said.support


def test_a_margin_set_after_the_runs_is_marked(world):
    folders = train(world, [0.0, 0.25, -0.25, 0.0, 0.25, -0.25])
    world.ask(*folders, margin_points=1.0, now=START + timedelta(hours=1))
    assert row_of(world)["same_verdict"] == f"yes ({EXPLORATORY})"
    (said,) = claims(world.gather()[0])
    assert EXPLORATORY in said.support


def test_a_difference_is_not_the_same(world):
    world.ask(*train(world, [3.0, 3.25, 2.75, 3.0, 3.25, 2.75]), margin_points=1.0)
    assert row_of(world)["same_verdict"] == "not decided"
    (said,) = claims(world.gather()[0])
    assert "just as accurate" not in said.support


def test_without_a_margin_nothing_is_called_the_same(world):
    world.ask(*train(world, [0.0, 0.25, -0.25]))
    table = settling_table(world.gather(), address)
    assert "sets no margin" in table.note
    assert "same_verdict" not in [column.name for column in table.columns]


def test_the_moment_of_a_margin_stays_until_it_changes(world):
    folders = train(world, [0.0])
    machine = folders[0].parent

    def set_at(margin, hours):
        world.ask(*folders, margin_points=margin, now=START + timedelta(hours=hours))
        found = margin_of(read_asked(machine))
        return found and found.set_at

    assert set_at(1.0, 0) == START.isoformat()
    assert set_at(1.0, 5) == START.isoformat()
    assert set_at(0.5, 6) == (START + timedelta(hours=6)).isoformat()
    assert set_at(None, 7) is None
    assert set_at(0.5, 8) == (START + timedelta(hours=8)).isoformat()


def test_a_moment_that_nobody_knows_is_not_beforehand(world):
    (stored,) = [run.stored for runs in _trained(world) for run in runs.trained]
    for moment in (None, "yesterday"):
        assert not Margin(points=1.0, set_at=moment).beforehand([stored])
    assert Margin(points=1.0, set_at="2020-01-01T00:00:00").beforehand([stored])


def _trained(world):
    world.train()
    return world.gather()[0].pairs
