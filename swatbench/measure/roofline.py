"""What a machine does at best: the two roofs under which every model stays.

Arithmetic: the best of several square matrix products, 2·n³ operations each, of several sizes and with either
factor transposed or none, which for an emulated type makes a tenfold difference. Memory: the best of copies
of a tensor that no cache holds, of which the bytes read and the bytes written are counted. Both are measured
with the threads and in the type of the cell, so they are what this machine gives to torch, not what it could.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch

from swatbench.measure.datasheet import datasheet_flops_per_s
from swatbench.measure.machine import Device, stopwatch
from swatbench.measure.machine import threads as cpu_threads
from swatbench.precision import DTYPES, Precision
from swatbench.store.cost import Peaks

SIDES = {"cpu": (128, 256, 512, 1024, 2048), "cuda": (2048, 4096, 8192)}
"""Device → sides n of the square matrices, the smallest first."""
CACHES = 8
"""A copied tensor is so many times as large as the largest cache."""
LEAST_COPIED_BYTES = {"cpu": 128 * 2**20, "cuda": 512 * 2**20}
MOST_COPIED_BYTES = {"cpu": 512 * 2**20, "cuda": 2**30}
_IN_A_ROW = {"cpu": 1, "cuda": 5}
"""Device → products or copies that are timed together; a launch takes some time on CUDA."""
_CPU_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_MOST_TRIES = 50


def measure_peaks(device: Device, precision: Precision, threads: int, *, budget_s: float = 2.0) -> Peaks:
    """Measure what a machine does at best.

    Args:
        device: Where to compute.
        precision: Type of the matrix products; fp32 is plain float32 without TF32.
        threads: CPU threads.
        budget_s: Time after which nothing further is tried; each of the two is tried at least once.
    """
    name = torch.cuda.get_device_name() if device == "cuda" else None
    with cpu_threads(threads), torch.inference_mode(), _without_tf32():
        return Peaks(
            flops_per_s=_best_product(device, precision, budget_s / 2),
            bytes_per_s=_best_copy(device, budget_s / 2),
            datasheet_flops_per_s=datasheet_flops_per_s(name, precision) if name else None,
        )


def copied_bytes(device: Device, cache_bytes: int) -> int:
    """Size of the tensor that is copied: many times the cache, within limits."""
    return min(max(CACHES * cache_bytes, LEAST_COPIED_BYTES[device]), MOST_COPIED_BYTES[device])


def best_rate(
    sizes: Sequence[int],
    work: Callable[[int], tuple[float, Callable[[], object]]],
    seconds_of: Callable[[Callable[[], object]], float],
    budget_s: float,
) -> float:
    """The highest rate that any size reaches, in units of work a second.

    The budget is shared by the sizes; each call is timed on its own, after one that is not counted. A size is
    skipped if, by what the size before took, it would not fit into what is left.

    Args:
        sizes: In ascending order.
        work: Size → units of work in one call, and the call.
        seconds_of: Times one call.
        budget_s: Time in seconds for all sizes.
    """
    rates, left_s = [0.0], budget_s
    for i, size in enumerate(sizes):
        amount, call = work(size)
        if rates[-1] and 2 * amount / max(rates) > left_s:
            break
        left_s -= seconds_of(call)
        share_s, tries = left_s / (len(sizes) - i), 0
        while tries == 0 or (share_s > 0 and tries < _MOST_TRIES):
            seconds = seconds_of(call)
            rates.append(amount / max(seconds, 1e-9))
            share_s, left_s, tries = share_s - seconds, left_s - seconds, tries + 1
    return max(rates)


def _best_product(device: Device, precision: Precision, budget_s: float) -> float:
    return max(
        best_rate(SIDES[device], partial(_product, device, precision, turned), _timer(device), budget_s / 3)
        for turned in ("neither", "left", "right")
    )


def _product(device: Device, precision: Precision, turned: str, n: int) -> tuple[float, Callable[[], object]]:
    left, right, product = (torch.randn(n, n, device=device).to(DTYPES[precision]) for _ in range(3))
    left = left.t() if turned == "left" else left
    right = right.t() if turned == "right" else right
    return _in_a_row(device, 2 * n**3, lambda: torch.mm(left, right, out=product))


def _best_copy(device: Device, budget_s: float) -> float:
    def work(size: int) -> tuple[float, Callable[[], object]]:
        source = torch.ones(size // 4, device=device)
        target = torch.zeros_like(source)
        return _in_a_row(device, 2 * 4 * source.numel(), lambda: target.copy_(source))

    return best_rate([copied_bytes(device, _cache_bytes(device))], work, _timer(device), budget_s)


def _in_a_row(device: Device, amount: int, call: Callable[[], object]) -> tuple[float, Callable[[], object]]:
    times = _IN_A_ROW[device]

    def calls() -> None:
        for _ in range(times):
            call()

    return float(amount * times), calls


def _timer(device: Device) -> Callable[[Callable[[], object]], float]:
    watch = stopwatch(device)
    return lambda call: watch(call, 1).seconds


def _cache_bytes(device: Device) -> int:
    if device == "cuda":
        return torch.cuda.get_device_properties(torch.cuda.current_device()).L2_cache_size
    units = {"K": 2**10, "M": 2**20, "G": 2**30}
    sizes = (file.read_text().strip() for file in _CPU_CACHES.glob("index*/size"))
    return max((int(size[:-1]) * units[size[-1]] for size in sizes if size[-1:] in units), default=0)


@contextmanager
def _without_tf32() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
