"""Places among processes, what they tell one another, and what happens when one is lost."""

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from functools import partial

import pytest
import torch
from torch import distributed

from swatbench.errors import MachineError
from swatbench.world import ALONE, World, joined, lost_peer, world_of
from tests.worlds import in_world, torchrun_variables

SHORT = timedelta(seconds=1)


def test_without_torchrun_a_process_is_alone():
    assert world_of({}) == ALONE == World(rank=0, size=1, local_rank=0)
    assert world_of({"RANK": "3", "LOCAL_RANK": "1"}) == ALONE
    assert ALONE.first


def test_torchruns_variables_give_the_place():
    assert world_of({"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}) == World(
        rank=5, size=8, local_rank=1
    )
    assert world_of({"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}) == ALONE
    assert not world_of({"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}).first


@pytest.mark.parametrize(
    "wrong",
    [
        {"RANK": None},
        {"LOCAL_RANK": None},
        {"RANK": "one"},
        {"WORLD_SIZE": ""},
        {"WORLD_SIZE": "2.0"},
        {"RANK": "2"},
        {"RANK": "-1"},
        {"LOCAL_RANK": "-1"},
        {"RANK": "0", "LOCAL_RANK": "1"},
        {"WORLD_SIZE": "0"},
    ],
)
def test_variables_that_give_no_place_are_named(wrong):
    variables = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"} | wrong
    with pytest.raises(MachineError, match=r"no place among others: RANK=.*WORLD_SIZE=.*LOCAL_RANK=") as told:
        world_of({name: value for name, value in variables.items() if value is not None})
    assert "torchrun" in told.value.fix
    for value in wrong.values():
        assert repr(value or "") in told.value.what


def test_one_process_has_its_own_values_and_joins_nothing():
    values = torch.tensor([1.0, 2.0])
    with joined(ALONE, device="cpu"):
        assert not distributed.is_initialized()
        assert ALONE.mean(values) is values
        assert ALONE.gather("mine") == ["mine"]
        assert ALONE.from_first("mine") == "mine"


def test_a_place_is_read_without_torch():
    code = "import sys, swatbench.world as w; w.world_of(); w.ALONE.gather(1); print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "False"


def talk(world):
    values = torch.tensor([float(world.rank), 10.0])
    mean = world.mean(values).tolist()
    told = world.from_first({"rank": world.rank})
    return mean, values.tolist(), world.gather("x" * world.rank), told, distributed.get_backend()


def test_two_processes_mean_gather_and_hear_the_first():
    told = [([0.5, 10.0], [float(rank), 10.0], ["", "x"], {"rank": 0}, "gloo") for rank in range(2)]
    assert in_world(talk, 2) == told


WAYS = {
    "mean": lambda world: world.mean(torch.ones(3)),
    "gather": lambda world: world.gather(1),
    "from_first": lambda world: world.from_first(1),
}


def lose(world, *, way, how):
    world.gather("here")  # A group that is still forming fails in other words.
    if world.rank == (0 if way == "from_first" else 1):
        if how == "killed":
            time.sleep(0.5)
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(3)
        return None
    start = time.monotonic()
    try:
        WAYS[way](world)
    except MachineError as error:
        return str(error), lost_peer(error.__cause__), time.monotonic() - start
    return "it did not notice"


@pytest.mark.parametrize("way", WAYS)
def test_the_death_of_a_process_is_told_at_once_in_one_sentence(way):
    answers = in_world(partial(lose, way=way, how="killed"), 2)
    survivor = 1 if way == "from_first" else 0
    assert answers[1 - survivor] == -signal.SIGKILL
    told, known, took_s = answers[survivor]
    assert told.startswith(f"Process {survivor} of 2 lost the others: one of them has ended.")
    assert "start again with the same command" in told
    assert known
    assert took_s < 5


def test_a_process_that_does_not_answer_is_told_after_the_timeout():
    (told, known, took_s), _ = in_world(partial(lose, way="gather", how="silent"), 2, wait=SHORT)
    assert told.startswith("Process 0 of 2 lost the others: one of them did not answer in time.")
    assert known
    assert 0.5 < took_s < 5


def fail_alone(world):
    if world.rank == 1:
        raise MachineError("This one has a failure of its own.")
    return world.gather(1)


def test_a_process_that_leaves_with_an_error_keeps_it_and_the_others_do_not_hang():
    other, own = in_world(fail_alone, 2)
    assert own.what == "This one has a failure of its own."
    assert "Process 0 of 2 lost the others" in other.what


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (RuntimeError("[/a/gloo/transport/tcp/pair.cc:561] Connection closed by peer [127.0.0.1]:1"), True),
        (RuntimeError("[/a/gloo/transport/tcp/pair.cc:545] Read error: Connection reset by peer"), True),
        (RuntimeError("[/a/gloo/transport/tcp/unbound_buffer.cc:78] Timed out waiting 1ms for recv"), True),
        (RuntimeError("[enforce fail at /a/gloo/transport/tcp/pair.cc:446] op.nbytes. 8 vs 16"), False),
        (RuntimeError("DataLoader timed out after 60 seconds"), False),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (distributed.DistNetworkError("The client socket has failed to connect"), True),
        (distributed.DistStoreError("wait timeout after 1000ms"), True),
        (
            distributed.DistBackendError("ncclRemoteError: A call failed possibly due to a network error"),
            True,
        ),
        (distributed.DistBackendError("ncclInvalidUsage: Duplicate GPU detected"), False),
        (ConnectionResetError("Connection reset by peer, gloo"), False),
    ],
)
def test_a_loss_is_told_from_other_errors(error, lost):
    assert lost_peer(error) is lost


def test_other_errors_pass_as_they_are():
    with pytest.raises(RuntimeError, match="shapes"), World(size=2).needing_peers():
        raise RuntimeError("shapes")


def test_others_that_cannot_be_reached_are_an_error(monkeypatch):
    world = World(rank=1, size=2, local_rank=1)
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    told = "Process 1 of 2 cannot reach the others: .*MASTER_ADDR expected.* Start all of them by torchrun"
    with pytest.raises(MachineError, match=told), joined(world, device="cpu"):
        pass
    for name, value in torchrun_variables(1, 2, 1).items():
        monkeypatch.setenv(name, value)
    with (
        pytest.raises(MachineError, match="cannot reach the others"),
        joined(world, device="cpu", timeout=SHORT),
    ):
        pass


def test_each_process_needs_a_cuda_device_of_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    told = "Process 1 of this machine has no CUDA device of its own: there are 1.*at most 1 with"
    with (
        pytest.raises(MachineError, match=told),
        joined(World(rank=1, size=2, local_rank=1), device="cuda"),
    ):
        pass
