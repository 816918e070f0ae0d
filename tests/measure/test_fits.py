"""The largest batch: the search against thresholds, and tries against a model whose need is known."""

import os
import shutil
import signal
import time
from functools import partial

import pytest
import torch
from torch import nn

from swatbench.errors import MachineError, ModelError
from swatbench.measure import fits
from swatbench.measure.condition import Condition
from swatbench.measure.fits import RefusedError, largest_batch, search

MIB = 2**20
PIXELS = 3 * 4 * 4
FEATURES = 2**18
FLOAT_BYTES = 4


class Wide(nn.Module):
    """Makes one MiB of features of each image, and keeps them for nothing."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(PIXELS, FEATURES, bias=False)

    def forward(self, x):
        return self.linear(x.flatten(1))[:, :2]


WEIGHT_BYTES = PIXELS * FEATURES * FLOAT_BYTES
IMAGE_BYTES = FEATURES * FLOAT_BYTES


def found(build, *, protocol="inference", limit_bytes=None, device="cpu", mode="eager", **asked):
    condition = Condition(
        batch_size=7, input_size=(3, 4, 4), num_classes=2, device=device, precision="fp32", mode=mode
    )
    return largest_batch(build, condition=condition, protocol=protocol, limit_bytes=limit_bytes, **asked)


def searched(threshold, most=65_536):
    tried = []

    def fits_(batch):
        tried.append(batch)
        return batch <= threshold

    return search(fits_, most), tried


@pytest.mark.parametrize("threshold", [0, 1, 2, 3, 5, 16, 17, 31, 100, 1000, 1023, 1024, 40_000])
def test_the_found_batch_fits_and_one_a_sixteenth_larger_does_not(threshold):
    (batch, bounded), tried = searched(threshold)
    assert bounded
    assert batch <= threshold < batch + max(1, batch // 16) + (batch == 0)
    assert len(tried) == len(set(tried))


def test_batches_are_doubled_and_then_halved():
    assert searched(21)[1] == [2, 4, 8, 16, 32, 24, 20, 22, 21]


@pytest.mark.parametrize("most", [1, 2, 3, 64, 100])
def test_a_search_that_is_not_led_further_says_so(most):
    (batch, bounded), tried = searched(10**9, most)
    assert (batch, bounded) == (most, False)
    assert max(tried) == most


def test_a_try_that_torch_refuses_ends_the_search_with_what_fitted_if_any_did():
    def fits_(batch, most):
        if batch > most:
            raise RefusedError("too large a grid")
        return True

    assert search(partial(fits_, most=7), 64) == (4, False)
    with pytest.raises(RefusedError, match="too large a grid"):
        search(partial(fits_, most=0), 64)


def test_a_try_that_takes_too_long_ends_the_search_with_what_fitted():
    assert search(lambda batch: True if batch < 8 else None, 64) == (4, False)


@pytest.mark.parametrize(("protocol", "weights"), [("inference", 1), ("training", 4)])
def test_a_batch_of_known_need_is_found_within_a_step(protocol, weights):
    # Training holds weights, two moments and, beside the gradient of the features, that of the weights.
    limit_bytes = weights * WEIGHT_BYTES + 36 * IMAGE_BYTES
    result = found(Wide, protocol=protocol, limit_bytes=limit_bytes, most=256)
    step = max(1, result.batch_size // 16)
    # Less than four images' bytes go to heaps and to threads.
    assert 36 - 4 - step <= result.batch_size <= 36
    assert (result.protocol, result.limit_bytes) == (protocol, limit_bytes)
    assert result.bounded_by == "memory"


def test_where_weights_alone_do_not_fit_no_image_does():
    result = found(Wide, limit_bytes=WEIGHT_BYTES // 2)
    assert (result.batch_size, result.bounded_by) == (0, "memory")


def test_without_a_limit_it_is_that_of_free_memory(monkeypatch):
    class Free:
        available = 40 * MIB + WEIGHT_BYTES

    monkeypatch.setattr(fits.psutil, "virtual_memory", Free)
    result = found(Wide, most=2)
    assert result.limit_bytes == int(0.9 * (40 * MIB + WEIGHT_BYTES))
    assert (result.batch_size, result.bounded_by) == (2, "search")


def test_without_a_limit_it_is_what_is_free_on_a_card(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (3 * MIB, 5 * MIB))
    monkeypatch.setattr(fits, "run_apart", lambda call, **_: call(None))
    assert fits._free_bytes("cuda", None) == 3 * MIB


@pytest.mark.skipif(shutil.which("g++") is None, reason="no compiler")
def test_what_the_compiler_holds_is_no_part_of_a_batch_s_need():
    result = found(Wide, limit_bytes=WEIGHT_BYTES + 12 * IMAGE_BYTES, most=4, mode="compiled")
    assert (result.batch_size, result.bounded_by) == (4, "search")


class Reserving(Wide):
    """Maps a GiB as well, which it never touches."""

    def forward(self, x):
        self.untouched = torch.empty(2**28)
        return super().forward(x)


def test_memory_that_is_never_touched_is_no_need():
    result = found(Reserving, limit_bytes=WEIGHT_BYTES + 36 * IMAGE_BYTES, most=16)
    assert (result.batch_size, result.bounded_by) == (16, "search")


class Passing(Wide):
    """Takes a GiB for a moment, if it is let."""

    def __init__(self, file):
        super().__init__()
        self.file = file

    def forward(self, x):
        if len(x) > 2:
            for _ in range(16):
                self.blocks = [*getattr(self, "blocks", []), torch.ones(64 * MIB // FLOAT_BYTES)]
                time.sleep(0.1)
            self.file.write_text("survived")
        return super().forward(x)


def test_a_process_that_grows_beyond_the_limit_is_ended_at_once(tmp_path):
    file = tmp_path / "file"
    result = found(partial(Passing, file), limit_bytes=WEIGHT_BYTES + 36 * IMAGE_BYTES, most=4)
    assert (result.batch_size, result.bounded_by) == (2, "memory")
    assert not file.exists()


class Mortal(nn.Module):
    """Ends in a way of its own on more than three images."""

    def __init__(self, how):
        super().__init__()
        self.how = how
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, x):
        if len(x) > 3 and self.how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if len(x) > 3 and self.how == "memory":
            raise MemoryError
        if len(x) > 3 and self.how == "exit":
            os._exit(7)
        if self.how == "every" or (len(x) > 3 and self.how == "torch"):
            raise torch.AcceleratorError("CUDA error: invalid configuration argument")
        if len(x) > 3 and self.how == "user":
            raise ModelError("Three at most.")
        if len(x) > 3:
            raise ValueError("three at most")
        return x.flatten(1)[:, :2] * self.weight


@pytest.mark.parametrize("how", ["killed", "memory"])
def test_a_kill_and_an_error_of_memory_mean_that_a_batch_does_not_fit(how):
    result = found(partial(Mortal, how), limit_bytes=64 * MIB)
    assert (result.batch_size, result.bounded_by) == (3, "memory")


def test_an_error_of_torch_ends_the_search_with_what_fitted():
    result = found(partial(Mortal, "torch"), limit_bytes=64 * MIB)
    assert (result.batch_size, result.bounded_by) == (2, "search")


@pytest.mark.parametrize(
    ("how", "error", "words"),
    [
        ("every", MachineError, r"2 images\) failed: AcceleratorError: CUDA error: invalid configuration"),
        ("exit", MachineError, "exit code 7"),
        ("value", MachineError, r"largest batch in inference, 4 images\) failed: ValueError"),
        ("user", ModelError, "Three at most"),
    ],
)
def test_any_other_end_is_an_error(how, error, words):
    with pytest.raises(error, match=words):
        found(partial(Mortal, how), limit_bytes=64 * MIB)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_is_limited_by_what_its_allocator_may_take():
    limit_bytes = WEIGHT_BYTES + 36 * IMAGE_BYTES
    result = found(Wide, device="cuda", limit_bytes=limit_bytes, most=256)
    # The allocator takes memory in pieces of up to 20 MiB.
    assert 36 - 20 - 2 <= result.batch_size <= 36
    assert result.bounded_by == "memory"
