"""Energy of a call on an NVIDIA card, by the card's own counter.

NVML counts joules of the whole card since the driver was loaded, idle power included. The counter moves every
few tens of milliseconds, so it is read around a window of calls that lasts seconds. The arms' windows take
turns in random order, since a card draws more when it is warm.
"""

import time
from collections.abc import Callable, Mapping
from math import ceil
from types import ModuleType

import numpy as np

from swatbench.errors import MachineError
from swatbench.measure.clocks import NoCardError, card
from swatbench.measure.machine import Device

CALIBRATION_S = 0.2
"""Least time of the calls by which is learned how long one of an arm takes, after one that is not timed."""


def energy_counter(device: Device) -> Callable[[], float] | str:
    """What tells the joules that torch's card has used since some origin, or in words why nothing does.

    Where the card stops answering later on, what tells the joules raises MachineError.
    """
    if device != "cuda":
        return "no energy counter is read on a CPU: NVML counts NVIDIA cards alone"
    try:
        nvml, handle = card()
    except NoCardError as error:
        return f"no energy counter: {error}"
    try:
        if nvml.nvmlDeviceGetMigMode(handle)[0] == nvml.NVML_DEVICE_MIG_ENABLE:
            return (
                "no energy counter: the card is divided by MIG, and its counter tells of all slices together"
            )
    except nvml.NVMLError:
        pass  # Cards that know no MIG say so by an error.
    try:
        nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except nvml.NVMLError as error:
        return f"no energy counter: this card has none ({error})"
    return lambda: _joules(nvml, handle)


def measure_energy(
    calls: Mapping[str, Callable[[], object]],
    *,
    joules: Callable[[], float],
    images_per_call: int,
    order_seed: int,
    synchronize: Callable[[], None],
    window_s: float = 2.0,
    windows: int = 5,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, tuple[float, ...]]:
    """Joules per image of each arm, one number a window.

    Args:
        calls: Arm → what is called.
        joules: As `energy_counter` gives it.
        images_per_call: Images in one call.
        order_seed: Seed of the order of the arms in each turn.
        synchronize: Waits for queued work.
        window_s: Time of one window; it is a number of calls, chosen beforehand to last as long.
        windows: Windows of each arm.
        clock: Seconds from any origin.

    Raises:
        MachineError: The counter did not move during a window, or could not be read.
    """
    times = {arm: _calls_in(window_s, call, synchronize, clock) for arm, call in calls.items()}
    found: dict[str, list[float]] = {arm: [] for arm in calls}
    order, arms = np.random.default_rng(order_seed), list(calls)
    for _ in range(windows):
        for i in order.permutation(len(arms)):
            arm = arms[i]
            used_j = _window(calls[arm], times[arm], joules, synchronize)
            found[arm].append(used_j / (times[arm] * images_per_call))
    return {arm: tuple(values) for arm, values in found.items()}


def _joules(nvml: ModuleType, handle: object) -> float:
    try:
        return nvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000
    except nvml.NVMLError as error:
        raise MachineError(f"The card's energy counter could not be read ({error}).", where="cost") from error


def _calls_in(
    window_s: float, call: Callable[[], object], synchronize: Callable[[], None], clock: Callable[[], float]
) -> int:
    """Calls that last as long as a window.

    Their number is fixed beforehand: a loop that looks at the clock would queue work far faster than the card
    does it, or let the card wait after every call. They are queued as in a window, with one wait at the end.
    """
    call()
    synchronize()
    times, took_s = 1, _seconds(call, 1, synchronize, clock)
    while took_s < CALIBRATION_S:
        times *= 2
        took_s = _seconds(call, times, synchronize, clock)
    return max(1, ceil(window_s * times / took_s))


def _seconds(
    call: Callable[[], object], times: int, synchronize: Callable[[], None], clock: Callable[[], float]
) -> float:
    start = clock()
    for _ in range(times):
        call()
    synchronize()
    return clock() - start


def _window(
    call: Callable[[], object], times: int, joules: Callable[[], float], synchronize: Callable[[], None]
) -> float:
    synchronize()
    before = joules()
    for _ in range(times):
        call()
    synchronize()
    used_j = joules() - before
    if used_j <= 0:
        raise MachineError("The card's energy counter did not move while it worked.", where="cost")
    return used_j
