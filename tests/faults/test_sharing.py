"""Runs that share one store do every cell once, take over what a killed one had, and measure alone."""

from contextlib import nullcontext

import pytest

from swatbench.store import turns
from swatbench.store.lock import take
from tests.faults.hammer import hammer
from tests.faults.readers import report_at_once
from tests.faults.sharing import CELLS, share, sound, write_suite


@pytest.mark.parametrize("processes", [2, 3])
def test_cells_of_milliseconds_are_done_once_by_processes_that_are_killed(tmp_path, processes):
    found = hammer(tmp_path, processes=processes, seeds=12, kills=8, seed=processes)
    assert sound(found), found


def test_the_journal_tells_where_claims_and_turns_are_not_kept(tmp_path, monkeypatch):
    """Of three processes at the same cells, some must meet: else the test above could not fail."""

    def granted(path, **_):
        return take(path, shared=True)

    monkeypatch.setattr("swatbench.sharing.take", granted)
    monkeypatch.setattr("swatbench.sharing.tidy", lambda _: None)
    monkeypatch.setattr(turns, "take", granted)
    found = hammer(tmp_path, processes=3, seeds=12, kills=0, seed=0)
    assert found.at_once > 0, found
    assert found.beside > 0, found
    assert found.done > found.cells, found


def test_three_runs_share_a_suite_and_take_over_what_a_killed_one_had(tmp_path):
    """Five starts of four cells: once each, and once more by whoever goes on from the checkpoint."""
    found = share(write_suite(tmp_path), "results", processes=3, kill=True)
    assert (found["killed"], found["finished"], found["not_whole"]) == (1, CELLS, 0), found
    assert found["started"] == CELLS + 1, found
    assert found["continued"] == 1, found


def test_two_reports_at_once_leave_whole_pages_that_lead_to_files(tmp_path):
    found = report_at_once(tmp_path, seconds=1.5)
    assert found["written"] >= 4, found
    assert found["read"] >= 10, found
    assert (found["torn"], found["missing"], found["stale"]) == (0, 0, 0), found


def test_pages_would_lead_nowhere_if_reports_did_not_wait_for_one_another(tmp_path, monkeypatch):
    monkeypatch.setattr("swatbench.report.writing.alone", lambda *_, **__: nullcontext(False))
    found = report_at_once(tmp_path, seconds=3)
    assert found["missing"] + found["stale"] > 0, found
