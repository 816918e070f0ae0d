"""The two questions of accuracy stand in two tables, each with its own pairs, corrections and records."""

import pytest
from scipy.stats import ttest_rel
from statsmodels.stats.multitest import multipletests

from swatbench.report.differences import across_seeds_table, these_images_table
from swatbench.report.families import families


def address(stored):
    return stored.folder.name


def rows(table, **where):
    found = table.frame.to_dict(orient="records")
    return [row for row in found if all(row[name] == value for name, value in where.items())]


@pytest.fixture
def found(world):
    world.quickstart(seeds=(0, 1, 2))
    return world.gather()


def test_across_seeds_each_seed_is_a_pair(found):
    (row,) = rows(across_seeds_table(found, address), pair="deit_mini")
    # Differences 9, 10.5 and 13 (44.25, 45, 46 and 53, 55.5, 58 of 400 images).
    (first,) = [item for item in found[0].comparisons if item.pair == "deit_mini"]
    assert (row["seeds"], row["points"]) == (3, pytest.approx(first.accuracy.seeds.points))
    assert row["low"] < row["points"] < row["high"]
    assert row["both_low"] < row["low"], "letting the images vary too widens the interval"
    assert row["smallest_p"] == 0.25
    assert row["sign_flip_p"] == pytest.approx(0.25)
    assert row["verdict"] == "decided if normal"
    assert [text for text, _ in row["records"]][:2] == ["baseline 0", "swat 0"]
    assert len(row["records"]) == 6


def test_p_values_are_corrected_for_all_comparisons_of_the_table(found):
    table = rows(across_seeds_table(found, address))
    runs = {runs.pair: runs for runs in found[0].pairs}
    alone = []
    for row in table:
        reference, arm = (
            [run.result.top1_percent for run in runs[row["pair"]].runs(name).values()]
            for name in ("baseline", "swat")
        )
        alone.append(ttest_rel(arm, reference).pvalue)
    assert [row["t_p"] for row in table] == pytest.approx(alone)
    assert [row["holm_t_p"] for row in table] == pytest.approx(multipletests(alone, method="holm")[1])
    assert {row["comparisons"] for row in table} == {2}


def test_on_these_images_each_image_is_a_pair_and_each_checkpoint_a_row(found):
    table = rows(these_images_table(found, address), pair="deit_mini")
    assert [row["seed"] for row in table] == ["all", "0", "1", "2"]
    every, *single = table
    assert every["low"] < every["points"] < every["high"]
    for row in single:
        assert row["points"] == pytest.approx(100 * (row["won"] - row["lost"]) / 400)
        assert row["mcnemar_p"] <= row["holm_mcnemar_p"] <= 1
        assert [text for text, _ in row["records"]] == [f"baseline {row['seed']}", f"swat {row['seed']}"]
    assert {row["image_tests"] for row in single} == {6}


def test_a_single_seed_has_its_interval_in_its_own_row(world):
    world.quickstart(seeds=(0,))
    table = rows(these_images_table(world.gather(), address), pair="deit_mini")
    assert [row["seed"] for row in table] == ["0"]
    assert table[0]["low"] < table[0]["points"] < table[0]["high"]


def test_what_was_not_compared_has_no_corrected_p(world):
    world.train(arm="baseline")
    world.train(arm="swat", percent=60.0)
    world.cost("mixer_mini")
    (section,) = world.gather()
    assert [adjusted is None for adjusted in families(section.comparisons)] == [False, True]


def test_one_seed_has_no_p_across_seeds(world):
    world.quickstart(seeds=(0,))
    for row in rows(across_seeds_table(world.gather(), address)):
        assert (row["t_p"], row["sign_flip_p"], row["low"], row["verdict"]) == (
            None,
            None,
            None,
            "not decided",
        )
