import multiprocessing
import os
import signal
import subprocess
import time

import psutil
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from swatbench.data.workers import Workers, explaining_workers
from swatbench.errors import DataError, MachineError

OPTIONS = Workers(count=1, stall_s=20, device=torch.device("cpu")).options()
linux = pytest.mark.skipif(not hasattr(signal, "sigwaitinfo"), reason="needs sigwaitinfo")


class Numbers(Dataset):
    """The numbers from 0 to 99, each in its own time."""

    def __init__(self, each_s=0.0):
        self.each_s = each_s

    def __len__(self):
        return 100

    def __getitem__(self, index):
        time.sleep(self.each_s)
        return index


@pytest.fixture
def started():
    """A loader that has given its first batch, and its worker."""
    batches = iter(DataLoader(Numbers(), **OPTIONS))
    assert next(batches) == [0]
    yield batches, batches._workers[0]
    batches._shutdown_workers()


@linux
@pytest.mark.parametrize("request_to_stop", ["TERM", "INT"])
def test_a_worker_goes_on_where_all_processes_of_a_job_are_asked_to_stop(started, request_to_stop):
    batches, worker = started
    subprocess.run(["kill", f"-{request_to_stop}", str(worker.pid)], check=True, timeout=10)
    worker.join(0.3)
    assert [next(batches) for _ in range(20)] == [[i] for i in range(1, 21)]
    assert worker.is_alive()
    closed_s = time.monotonic()
    batches._shutdown_workers()
    assert not worker.is_alive()
    assert time.monotonic() - closed_s < 3


@linux
def test_the_parent_can_end_a_worker_that_is_busy():
    batches = iter(DataLoader(Numbers(each_s=60), **OPTIONS))
    worker = batches._workers[0]
    time.sleep(0.3)
    worker.terminate()
    worker.join(5)
    assert worker.exitcode == 0


def work_on(say):
    torch.set_num_threads(1)
    batches = iter(DataLoader(Numbers(), **OPTIONS))
    next(batches)
    say.send(batches._workers[0].pid)
    time.sleep(60)


@linux
def test_a_worker_ends_with_its_parent(monkeypatch):
    monkeypatch.setattr("torch.utils.data._utils.worker.MP_STATUS_CHECK_INTERVAL", 0.2)
    fork = multiprocessing.get_context("fork")
    hear, say = fork.Pipe(duplex=False)
    parent = fork.Process(target=work_on, args=(say,))
    parent.start()
    assert hear.poll(20)
    worker = psutil.Process(hear.recv())
    os.kill(parent.pid, signal.SIGKILL)
    parent.join(10)
    assert psutil.wait_procs([worker], timeout=5)[1] == [] or worker.status() == psutil.STATUS_ZOMBIE


@linux
@pytest.mark.parametrize("stopped", [False, True], ids=["busy", "stopped"])
def test_a_worker_that_hears_nothing_ends_with_its_parent(stopped):
    """Nothing but the kernel can end it: it is asked to look by no one, and cannot look."""
    fork = multiprocessing.get_context("fork")
    hear, say = fork.Pipe(duplex=False)
    parent = fork.Process(target=work_on, args=(say,))
    parent.start()
    assert hear.poll(60)
    worker = psutil.Process(hear.recv())
    if stopped:
        worker.suspend()
    began_s = time.monotonic()
    os.kill(parent.pid, signal.SIGKILL)
    parent.join(10)
    psutil.wait_procs([worker], timeout=3)
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE
    assert time.monotonic() - began_s < 4


@linux
@pytest.mark.parametrize("stopped", [False, True], ids=["asleep", "stopped"])
@pytest.mark.parametrize("persistent", [False, True])
def test_a_stuck_worker_is_told_of_and_gone(monkeypatch, stopped, persistent):
    monkeypatch.setattr("torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL", 0.2)
    workers = Workers(count=2, stall_s=1, device=torch.device("cpu"))
    numbers = Numbers(each_s=0.0 if stopped else 600.0)
    loader = DataLoader(numbers, persistent_workers=persistent, **workers.options())
    before = {child.pid for child in psutil.Process().children()}

    def go_through():
        for _ in workers._in_time(loader):
            for child in psutil.Process().children():
                if child.pid not in before:
                    child.suspend()

    with pytest.raises(DataError, match="No batch came within 1 s from 2 process"):
        go_through()
    left = [child for child in psutil.Process().children() if child.pid not in before]
    assert not [child for child in left if child.status() != psutil.STATUS_ZOMBIE]


def test_a_worker_that_dies_in_the_middle_of_a_step_is_told_in_one_sentence(started):
    _, worker = started

    @explaining_workers()
    def step():
        os.kill(worker.pid, signal.SIGKILL)
        time.sleep(10)

    with pytest.raises(MachineError, match=r"A process that decodes images died: .*Killed") as caught:
        step()
    assert "\n" not in str(caught.value)


def test_other_errors_of_a_step_stay_what_they_are():
    error = RuntimeError("no such thing")

    @explaining_workers()
    def step():
        raise error

    for _ in range(2):
        with pytest.raises(RuntimeError) as caught:
            step()
        assert caught.value is error
        assert error.__cause__ is None
