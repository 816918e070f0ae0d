"""Structured attention as trained and as deployed, in the report and in a profile."""

import numpy as np
import pytest

from swatbench.report.deployed import deployed_table
from swatbench.report.profile import profile_json, profile_tables
from swatbench.report.selection import parse
from swatbench.store.cost import Deployed
from tests.report.contents import quantiles_of
from tests.report.test_latencies import address

SECONDS = quantiles_of(np.full(30, 0.02))


@pytest.fixture
def measured(world):
    """A pair whose structured arm was timed in both forms, folded at four fifths of the time."""
    form = Deployed(arm="swat", params=200, macs=12_000_000, inference_s=SECONDS)
    world.cost(deployed=(form,))
    (section,) = world.gather()
    return section


def test_both_forms_stand_below_one_another_with_their_ratios(measured):
    table = deployed_table([measured], address)
    trained, deployed = table.frame.to_dict(orient="records")
    assert (trained["form"], deployed["form"]) == ("as trained", "as deployed")
    assert deployed["ratio"] == pytest.approx(0.8 * trained["ratio"], rel=1e-6)
    assert deployed["macs"] == 12_000_000
    assert deployed["record"] == trained["record"]


def test_without_a_deployed_form_there_is_no_table(world):
    world.cost()
    assert deployed_table(world.gather(), address).views() == []


def test_a_profile_tells_both_forms(measured):
    stored = [one.stored for runs in measured.pairs for one in runs.conditions]
    assert parse(stored).malformed == ()
    (table,) = [table for table in profile_tables(stored) if "as deployed" in table.title]
    assert [row[0] for row in table.rows] == ["swat, as trained", "swat, as deployed"]
    (told,) = profile_json(stored)["profiles"]
    assert [form["form"] for form in told["deployed"]] == ["as trained", "as deployed"]


def test_without_raw_samples_the_counts_are_left(world):
    form = Deployed(arm="swat", params=200, macs=12_000_000, inference_s=SECONDS)
    world.cost(deployed=(form,), keep_samples=False)
    rows = deployed_table(world.gather(), address).frame.to_dict(orient="records")
    assert [row["verdict"] for row in rows] == ["no samples"] * 2
    assert [row["macs"] for row in rows][1] == 12_000_000
