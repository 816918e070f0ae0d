"""Peak memory against models of known size, and the ways in which a measuring process can end."""

import multiprocessing
import os
import signal
import time
from functools import partial
from pathlib import Path

import psutil
import pytest
import timm
import torch
from torch import nn

from swatbench.errors import MachineError, ModelError
from swatbench.measure import memory
from swatbench.measure.memory import peak_bytes

MIB = 2**20
SLACK = 6 * MIB
"""Code pages and small blocks that the first call of a model brings in; more of them in a new environment."""


class Holding(nn.Module):
    """Holds one block of memory while it computes."""

    def __init__(self, mib):
        super().__init__()
        self.mib = mib
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, x):
        block = torch.ones(self.mib * MIB // 4)
        return x.flatten(1)[:, :2] * self.weight * block[-1]


class Weighing(nn.Module):
    """Has one parameter of a given size, which is used without any activation of that size."""

    def __init__(self, mib):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(mib * MIB // 4))

    def forward(self, x):
        return x.flatten(1)[:, :2] * self.weight.sum()


def wasteful():
    torch.ones(64 * MIB // 4)
    return Holding(1)


def measured(build, *, batch=2, size=8, **changes):
    asked = {"device": "cpu", "precision": "fp32", "training": False, "threads": 1} | changes
    return peak_bytes(build, input_shape=(batch, 3, size, size), **asked)


def vit(width, heads=2):
    return partial(
        timm.create_model,
        "deit_tiny_patch16_224",
        img_size=32,
        patch_size=4,
        embed_dim=width,
        depth=2,
        num_heads=heads,
        num_classes=10,
    )


def test_a_block_held_during_a_call_is_seen():
    small, large = measured(partial(Holding, 8)), measured(partial(Holding, 72))
    assert large - small == pytest.approx(64 * MIB, abs=SLACK)
    assert 8 * MIB <= small <= 8 * MIB + SLACK


def test_weights_are_held_once_in_inference_and_four_times_in_training():
    build = partial(Weighing, 48)
    assert measured(build) == pytest.approx(48 * MIB, abs=SLACK)
    assert measured(build, training=True) == pytest.approx(4 * 48 * MIB, abs=SLACK)


def test_what_building_used_for_a_while_is_not_counted():
    assert measured(wasteful) <= MIB + SLACK


@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
def test_more_images_and_wider_models_take_more_and_twice_the_same_takes_the_same(training):
    # Large enough that pages of code, which come in by chance, are a small share.
    base = measured(vit(64), batch=128, size=32, training=training)
    again = measured(vit(64), batch=128, size=32, training=training)
    assert again == pytest.approx(base, abs=SLACK / 2)
    assert measured(vit(64), batch=384, size=32, training=training) > 1.5 * base
    assert measured(vit(192), batch=128, size=32, training=training) > 1.5 * base


def tell_threads():
    raise ModelError(f"{torch.get_num_threads()} threads", where="here", fix="No way.")


def test_threads_reach_the_process_and_errors_of_a_build_come_back_whole():
    with pytest.raises(ModelError, match="3 threads") as caught:
        measured(tell_threads, threads=3)
    assert (caught.value.where, caught.value.fix) == ("here", "No way.")


def die(how):
    if how == "signal":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "exit":
        os._exit(7)
    elif how == "allocation":
        torch.empty(2**58)
    elif how == "memory":
        raise MemoryError
    raise RuntimeError("something else")


@pytest.mark.parametrize(
    ("how", "error", "words"),
    [
        ("signal", MachineError, "ended by SIGKILL, as the system does when memory runs out"),
        ("exit", MachineError, "exit code 7"),
        ("allocation", MachineError, r"Memory ran out.*can't allocate memory"),
        ("memory", MachineError, "Memory ran out"),
        ("other", MachineError, "RuntimeError: something else"),
    ],
)
def test_a_process_that_fails_says_how(how, error, words):
    with pytest.raises(error, match=words):
        measured(partial(die, how))
    assert not multiprocessing.active_children()


def sleep(file):
    file.write_text(str(os.getpid()))
    time.sleep(60)
    return Holding(1)


def test_a_process_that_takes_too_long_is_ended(tmp_path):
    file = tmp_path / "pid"
    with pytest.raises(MachineError, match="longer than 3 s"):
        measured(partial(sleep, file), timeout_s=3)
    assert not multiprocessing.active_children()
    # A busy machine may have ended the process before it came so far as to say its number.
    assert not file.exists() or not psutil.pid_exists(int(file.read_text()))


def test_where_the_peak_cannot_be_reset_the_lifetime_peak_is_read(monkeypatch):
    monkeypatch.setattr(memory, "_CLEAR_REFS", Path("/nowhere/at/all"))
    assert memory._reset_peak("cpu")() >= psutil.Process().memory_info().rss - MIB


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_counts_what_torch_hands_out():
    inference = measured(partial(Weighing, 24), device="cuda")
    assert inference == pytest.approx(24 * MIB, abs=SLACK)
    assert measured(partial(Weighing, 24), device="cuda", training=True) == pytest.approx(
        4 * 24 * MIB, abs=SLACK
    )
