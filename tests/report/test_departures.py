"""A report says where its models are not the catalogue's."""

from dataclasses import replace

from swatbench.report import departures as module
from swatbench.report.departures import departures
from swatbench.report.page import render
from swatbench.spec.catalog import PAIRS


def test_models_of_the_catalogue_depart_in_nothing(world):
    world.train()
    world.cost()
    assert departures(*world.gather()) == ()


def test_each_setting_is_named_once_with_both_values(world, monkeypatch):
    world.train()
    world.train(arm="swat")
    world.cost()
    other = replace(PAIRS["deit_mini"], stem_width=128, token_kernel=3, combine="sum")
    monkeypatch.setattr(module, "PAIRS", {"deit_mini": other})
    assert departures(*world.gather()) == (
        "deit_mini with stem_width 32 (128 in the catalogue)",
        "deit_mini with token_kernel by the paper's rule (3 in the catalogue)",
        "deit_mini with combine mean (sum in the catalogue)",
    )
    page = render(world.results, world.results.parent / "reports", world.suite)
    for text in (page.read_text(), page.with_name("report.md").read_text()):
        assert "Not the catalogue" in text
        assert "stem" in text


def test_a_pair_that_the_catalogue_has_lost_is_named(world, monkeypatch):
    world.train()
    monkeypatch.setattr(module, "PAIRS", {})
    assert departures(*world.gather()) == ("deit_mini (not in the catalogue)",)
