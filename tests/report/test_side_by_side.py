"""Work in other processes gives what it gives here, in order, whatever becomes of a process."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from swatbench.report.side_by_side import begun, side_by_side


def test_results_come_in_order_and_are_made_elsewhere():
    found = side_by_side([lambda n=n: (n, os.getpid()) for n in range(20)])
    assert [n for n, _ in found] == [*range(20)]
    if len(os.sched_getaffinity(0)) > 1:
        assert os.getpid() not in {process for _, process in found}


def test_little_work_is_done_here():
    assert side_by_side([os.getpid] * 3) == [os.getpid()] * 3
    assert side_by_side([]) == []


def test_an_error_is_the_caller_s():
    with pytest.raises(ZeroDivisionError):
        side_by_side([lambda: 1 // 0] * 9)


def test_work_of_a_process_that_is_killed_is_done_again():
    parent = os.getpid()

    def die_elsewhere():
        if os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return "done"

    assert side_by_side([die_elsewhere] * 9) == ["done"] * 9


def test_the_way_the_program_ends_is_not_a_worker_s():
    def handler(*_):
        raise AssertionError

    before = signal.signal(signal.SIGTERM, handler)
    try:
        found = side_by_side([lambda: signal.getsignal(signal.SIGTERM) == signal.SIG_DFL] * 9)
    finally:
        signal.signal(signal.SIGTERM, before)
    if len(os.sched_getaffinity(0)) > 1:
        assert found == [True] * 9


def test_many_in_a_row_and_at_once_leave_nothing_hanging():
    for _ in range(15):
        first, second = begun([lambda: 1] * 9), begun([lambda: 2] * 9)
        assert second() == [2] * 9
        assert first() == [1] * 9


def test_who_stops_the_program_does_not_wait_for_the_work():
    parent = os.getpid()

    def interrupt():
        raise KeyboardInterrupt

    def work():
        if os.getpid() != parent:
            time.sleep(60)

    began_s = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        side_by_side([interrupt, *[work] * 12])
    assert time.monotonic() - began_s < 30
    assert not multiprocessing.active_children()


ORPHANS = """
import time
from swatbench.report.side_by_side import side_by_side

def work():
    print("at work", flush=True)
    time.sleep(60)

side_by_side([work] * 9)
"""


def test_workers_end_with_a_parent_that_is_killed():
    """What they wait at, a pipe, tells them nothing: each of them holds the other end of it too."""
    with subprocess.Popen([sys.executable, "-c", ORPHANS], stdout=subprocess.PIPE, text=True) as parent:
        parent.stdout.readline()
        workers = psutil.Process(parent.pid).children()
        parent.kill()
        parent.stdout.close()
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not [one for one in alive if one.status() != psutil.STATUS_ZOMBIE]
