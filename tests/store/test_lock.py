"""Locks: had by one or shared, let go with their last holder however that ends, and missed in one line."""

import errno
import fcntl
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest

from swatbench.errors import StoreError
from swatbench.store import lock
from swatbench.store.lock import alone, is_held, take
from swatbench.store.turns import Turns

HOLD = """
import multiprocessing, os, sys, time
from pathlib import Path
from swatbench.store.lock import take

def child(held):
    print(os.getpid(), flush=True)
    if os.fork() == 0:
        time.sleep(60)  # what it forks holds nothing
    time.sleep(60)

if __name__ == "__main__":
    held = take(Path(sys.argv[1]))
    print("held", flush=True)
    if len(sys.argv) > 2:
        multiprocessing.get_context(sys.argv[2]).Process(target=child, args=(held,)).start()
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Starts a process that holds a lock, and hands it to a child where that is asked for."""
    script, started = tmp_path / "hold.py", []
    script.write_text(HOLD)

    def hold(path, *method):
        # A session of its own, so that whatever is left of it can be ended at the end.
        process = subprocess.Popen(
            [sys.executable, script, path, *method], stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield hold
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def got(held):
    """A lock that must have come."""
    assert held is not None
    return held


def soon(check):
    deadline = time.monotonic() + 10
    while not check():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)


def test_a_lock_is_had_by_one_until_that_one_is_killed(tmp_path, holder):
    path = tmp_path / "suite" / "machine" / "cell" / ".lock"
    assert not is_held(path)
    process = holder(path)
    assert is_held(path)
    assert take(path) is None
    assert take(path, shared=True) is None
    process.kill()
    process.wait()
    held = got(take(path))
    assert take(path) is None  # in the same process too
    held.close()
    held.close()
    assert not is_held(path)


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_a_child_that_was_handed_a_lock_holds_it_beyond_its_parent_s_death(tmp_path, holder, method):
    path = tmp_path / ".lock"
    parent = holder(path, method)
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    time.sleep(0.1)
    assert is_held(path)
    os.kill(child, signal.SIGKILL)
    soon(lambda: not is_held(path))  # though what the child forked lives on


def test_what_is_shared_is_had_by_many_but_not_beside_one_alone(tmp_path):
    path = tmp_path / ".lock"
    one, other = got(take(path, shared=True)), got(take(path, shared=True))
    assert take(path) is None
    one.close()
    other.close()
    own = got(take(path))
    own.close()


def test_whoever_only_looks_takes_nothing_from_whoever_claims(tmp_path):
    path, ended = tmp_path / ".lock", threading.Event()
    path.touch()

    def look():
        while not ended.is_set():
            is_held(path)

    lookers = [threading.Thread(target=look) for _ in range(2)]
    for one in lookers:
        one.start()
    try:
        for _ in range(200):
            held = take(path)
            assert held is not None
            held.close()
    finally:
        ended.set()
        for one in lookers:
            one.join()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_without_locks_is_told_in_one_line(tmp_path, monkeypatch, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    for call in (lambda: take(tmp_path / ".lock"), lambda: alone(tmp_path).__enter__()):
        with pytest.raises(StoreError, match="does not lock files") as caught:
            call()
        assert "\n" not in str(caught.value)
        assert "choose another --results" in str(caught.value)
    assert not is_held(tmp_path / ".lock")
    with alone(tmp_path, strictly=False) as certain:
        assert not certain


def test_a_lock_that_is_a_link_or_a_pipe_is_neither_followed_nor_waited_for(tmp_path):
    link, pipe, elsewhere = tmp_path / "link", tmp_path / "pipe", tmp_path / "elsewhere"
    link.symlink_to(elsewhere)
    with pytest.raises(StoreError, match="cannot be written"):
        take(link)
    assert not elsewhere.exists()
    os.mkfifo(pipe)
    assert not is_held(pipe)


def test_a_lock_of_another_user_can_be_taken_without_writing_to_it(tmp_path, monkeypatch):
    path, opened = tmp_path / ".lock", os.open
    path.touch()

    def open_(name, flags, *mode):
        if flags & os.O_RDWR:
            raise PermissionError(errno.EACCES, "Permission denied", str(name))
        return opened(name, flags, *mode)

    monkeypatch.setattr(lock.os, "open", open_)
    held = got(take(path))
    assert take(path) is None
    held.close()


def count_up(path, times):
    for _ in range(times):
        with alone(path):
            number = int((path / "number").read_text())
            (path / "number").write_text(str(number + 1))


def test_alone_in_a_folder_nobody_s_change_is_lost(tmp_path):
    (tmp_path / "number").write_text("0")
    context = multiprocessing.get_context("fork")
    counting = [context.Process(target=count_up, args=(tmp_path, 50)) for _ in range(3)]
    for process in counting:
        process.start()
    for process in counting:
        process.join(30)
    assert (tmp_path / "number").read_text() == "150"


def test_many_train_at_a_time_and_one_who_measures_comes_next(tmp_path):
    one, other, measuring = (Turns(tmp_path, "machine") for _ in range(3))
    first, second = got(one.train()), got(other.train())
    assert measuring.measure() is None
    assert one.train() is None  # nothing more begins, or the one who waits would wait for ever
    first.close()
    assert measuring.measure() is None
    second.close()
    alone_ = got(measuring.measure())
    assert one.train() is None
    assert other.measure() is None
    alone_.close()
    assert one.train() is None  # the other one is next
    again = got(other.measure())
    again.close()
    last = got(one.train())
    last.close()


def test_who_steps_back_or_would_train_first_lets_the_others_on(tmp_path):
    one, measuring = Turns(tmp_path, "machine"), Turns(tmp_path, "machine")
    first = one.train()
    assert measuring.measure() is None
    assert one.train() is None
    measuring.step_back()
    more = got(one.train())
    assert measuring.measure() is None
    own = got(measuring.train())  # its own place in line is not in its way
    for held in (first, more, own):
        held.close()


def test_turns_are_each_machine_s_own(tmp_path):
    training, other = got(Turns(tmp_path, "machine").train()), got(Turns(tmp_path, "other").measure())
    training.close()
    other.close()
