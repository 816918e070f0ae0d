"""Memory that ran out is recognised, and a batch that fits is found."""

import subprocess
import sys
import weakref

import pytest
import torch

from swatbench.out_of_memory import largest_batch, let_go, memory_error, out_of_memory

TRAIN_IN_LITTLE_MEMORY = """
import resource
from pathlib import Path
import torch
from swatbench.out_of_memory import largest_batch, let_go, memory_error, out_of_memory

torch.set_num_threads(1)
model = torch.nn.Sequential(torch.nn.Linear(64, 16_384), torch.nn.GELU(), torch.nn.Linear(16_384, 2))
tried = []

def step(batch):
    tried.append(batch)
    model(torch.ones(batch, 64)).sum().backward()

def release():
    model.zero_grad(set_to_none=True)

step(2), release(), tried.clear()
held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
# An image's activations and their gradients take 128 KiB at least, so 2048 of them never fit.
limit = held + 192 * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    step(2048)
except (RuntimeError, MemoryError) as error:
    assert out_of_memory(error), error
    let_go(error)
    found = largest_batch(step, below=2048, release=release)
    print(found, tried, memory_error(error, micro_batch_size=2048, fits=found))
"""


def takes(most, tried, *, error=None):
    def step(batch):
        tried.append(batch)
        if batch > most:
            raise error or torch.OutOfMemoryError("CUDA out of memory.")

    return step


@pytest.mark.parametrize(
    ("error", "is_it"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), True),
        (MemoryError(), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: not enough memory"), True),
        (RuntimeError("std::bad_alloc"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED"), False),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"), False),
        (ValueError("can't allocate memory"), False),
    ],
)
def test_memory_that_ran_out_is_recognised(error, is_it):
    assert out_of_memory(error) is is_it


@pytest.mark.parametrize(
    ("below", "most", "multiple_of", "found", "tries"),
    [
        (256, 64, 1, 64, [128, 64]),
        (256, 63, 1, 32, [128, 64, 32]),
        (256, 1000, 1, 128, [128]),
        (96, 0, 1, None, [48, 24, 12, 6, 3]),
        (8, 1, 1, 1, [4, 2, 1]),
        (8, 1, 2, None, [4, 2]),
        (1, 1, 1, None, []),
    ],
)
def test_the_largest_batch_that_fits_is_found(below, most, multiple_of, found, tries):
    tried = []
    assert (
        largest_batch(takes(most, tried), below=below, release=lambda: None, multiple_of=multiple_of) == found
    )
    assert tried == tries


def test_everything_is_released_before_each_try():
    events = []
    largest_batch(takes(1, events), below=8, release=lambda: events.append("release"))
    assert events == ["release", 4, "release", 2, "release", 1]


def test_other_errors_of_a_try_are_not_hidden():
    with pytest.raises(RuntimeError, match="shapes"):
        largest_batch(takes(0, [], error=RuntimeError("shapes")), below=8, release=lambda: None)


def test_what_an_error_holds_is_freed_while_it_is_handled():
    held = []

    def step():
        activations = torch.ones(8)
        held.append(weakref.ref(activations))
        raise MemoryError

    try:
        step()
    except MemoryError as error:
        assert held[0]() is not None
        let_go(error)
        assert held[0]() is None


def test_the_message_names_what_did_not_fit_and_what_does():
    error = memory_error(MemoryError("no more\nstack"), micro_batch_size=256, fits=64)
    assert error.where == "recipe.micro_batch_size"
    assert "micro-batch of 256; one of 64 fits (no more)" in error.what
    assert "recipe.micro_batch_size: 64 " in str(error.fix)
    assert "mixup" in str(error.fix)


def test_the_message_does_not_name_a_batch_where_none_fits():
    error = memory_error(MemoryError(), micro_batch_size=2, fits=None)
    assert "no smaller one fits (MemoryError)" in error.what
    assert "gradient_checkpointing" in str(error.fix)


@pytest.mark.skipif(sys.platform != "linux", reason="limits on memory are Linux's")
def test_a_real_step_in_little_memory_finds_what_fits():
    done = subprocess.run(
        [sys.executable, "-c", TRAIN_IN_LITTLE_MEMORY],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found, rest = done.stdout.split(" ", 1)
    assert 32 <= int(found) <= 1024
    assert f", {found}] recipe.micro_batch_size: Memory ran out" in rest
    assert f"one of {found} fits" in rest
