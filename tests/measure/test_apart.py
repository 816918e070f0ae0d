"""Passes in processes of their own: what comes back, and the ways in which one can end."""

import multiprocessing
import os
import signal
import time
from functools import partial

import psutil
import pytest
import torch

from swatbench.errors import MachineError, ModelError
from swatbench.measure import apart
from swatbench.measure.apart import run_apart


def add(a, b, _say):
    return a + b, os.getpid()


def test_what_a_pass_returns_comes_back_from_another_process():
    total, pid = run_apart(partial(add, 2, 3), what="adding")
    assert total == 5
    assert pid != os.getpid()


def add_in_a_fork(_say):
    return run_apart(
        partial(add, 2, 3), what="adding", start=multiprocessing.get_context("fork")
    ), os.getpid()


def test_a_process_that_has_computed_nothing_may_be_forked():
    (total, child), parent = run_apart(add_in_a_fork, what="adding in a fork")
    assert total == 5
    assert len({child, parent, os.getpid()}) == 3


def refuse(_say):
    raise ModelError("It cannot be counted.", where="here", fix="Do not.")


def test_errors_for_users_come_back_whole():
    with pytest.raises(ModelError, match=r"here: It cannot be counted\. Do not\.") as caught:
        run_apart(refuse, what="counting")
    assert (caught.value.where, caught.value.fix) == ("here", "Do not.")


def fail(how, _say):
    if how == "signal":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "exit":
        os._exit(7)
    elif how == "allocation":
        torch.empty(2**58)
    elif how == "memory":
        raise MemoryError
    raise TypeError("forward() takes\nno second line")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("signal", "ended by SIGKILL, as the system does when memory runs out"),
        ("exit", "exit code 7"),
        ("allocation", r"Memory ran out.*can't allocate memory"),
        ("memory", r"Memory ran out.*MemoryError"),
        ("other", r"failed: TypeError: forward\(\) takes\.$"),
    ],
)
def test_a_pass_that_fails_says_which_and_how(how, words):
    with pytest.raises(MachineError, match=words) as caught:
        run_apart(partial(fail, how), what="memory of swat")
    assert "(memory of swat)" in caught.value.what
    assert ("--batch" in (caught.value.fix or "")) == (how != "other")
    assert not multiprocessing.active_children()


def test_a_pass_may_take_any_time_unless_a_limit_is_given(monkeypatch):
    monkeypatch.setattr(apart, "ask", lambda _call, *, timeout_s, **_: timeout_s)
    assert run_apart(partial(add, 2, 3), what="adding") is None
    assert run_apart(partial(add, 2, 3), what="adding", timeout_s=3) == 3


def sleep(file, _say):
    file.write_text(str(os.getpid()))
    time.sleep(60)


def test_a_pass_that_takes_too_long_is_ended(tmp_path):
    file = tmp_path / "pid"
    with pytest.raises(MachineError, match=r"\(sleeping\) took longer than 3 s"):
        run_apart(partial(sleep, file), what="sleeping", timeout_s=3)
    assert not multiprocessing.active_children()
    # A busy machine may have ended the process before it came so far as to say its number.
    assert not file.exists() or not psutil.pid_exists(int(file.read_text()))
