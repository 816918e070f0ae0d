"""A run that is killed at random moments ends, once it is left alone, as one that was never disturbed."""

import signal
import time

import pytest

from tests.faults.blows import STOP_S
from tests.faults.kill_suite import write_suite
from tests.faults.kills import campaign
from tests.faults.starts import caught, cold, warm
from tests.faults.stopped import CODES, MESSAGE

KILLS = 20


@pytest.fixture(scope="module")
def tally(tmp_path_factory):
    with warm() as start:
        return campaign(tmp_path_factory.mktemp("killed"), kills=KILLS, seed=1, start=start)


def test_nothing_is_torn_lost_or_left_over(tally):
    assert tally.broken == []
    assert tally.counts["kills"] == KILLS
    assert tally.counts["cells_compared"] >= 5


def test_a_run_that_is_asked_to_stop_does_so_in_time(tally):
    assert tally.counts["sigterm"] + tally.counts["sigint"] > 0
    assert tally.longest_stop_s < STOP_S


def wait_until(run, true):
    until_s = time.monotonic() + 60
    while not true():
        assert run.poll() is None, run.errors.read_text()
        assert time.monotonic() < until_s
        time.sleep(0.001)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_modules_are_loaded_ends_the_program_as_it_does_any_other(tmp_path, number):
    run = cold(["run", "no.yaml"], tmp_path)
    wait_until(run, lambda: signal.SIGINT in caught(run.pid))
    wait_until(run, lambda: signal.SIGINT not in caught(run.pid))
    run.send(number, to_all=True)
    assert (run.ended(30), run.errors.read_text()) == (-number, "")


@pytest.mark.parametrize(("number", "code"), CODES.items())
def test_a_signal_to_a_program_that_has_begun_is_answered_in_one_line(tmp_path, number, code):
    run = cold(["run", "suite.yaml"], write_suite(tmp_path / "room"))
    wait_until(run, lambda: {signal.SIGINT, signal.SIGTERM} <= caught(run.pid))
    run.send(number, to_all=True)
    assert (run.ended(30), run.errors.read_text()) == (code, f"{MESSAGE}\n")
    assert run.survived_s(10) is not None
