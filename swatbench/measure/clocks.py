"""What state a machine is in while it measures: load, clocks, power, temperature, and what slows a card down.

CPU: psutil and Linux's /sys. CUDA: NVML, NVIDIA's management library, through the package nvidia-ml-py.
Whatever a machine does not tell is None; nothing here fails because of that.

Source: NVML API reference, device queries and clocks event reasons.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import psutil
import torch

from swatbench.measure.machine import Device
from swatbench.store.cost import DeviceState

_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")

# The card's being idle is no reason for low clocks under load, so NVML's 0x1 is not among them.
_REASONS = {
    0x2: "application clocks",
    0x4: "power limit",
    0x8: "hardware slowdown",
    0x10: "synchronised boost",
    0x20: "temperature, by the driver",
    0x40: "temperature, by the hardware",
    0x80: "power brake",
    0x100: "display clocks",
    0x200: "board limit",
    0x400: "voltage limit",
}
"""Bit of NVML's clocks event reasons → the reason in words."""


class NoCardError(Exception):
    """NVML does not tell about the card; the message says why."""


def device_state(moment: Literal["before", "after"], device: Device) -> DeviceState:
    """The machine's state now.

    Args:
        moment: Whether this is before or after the timing.
        device: Where is measured; the card's part is left out on a CPU.
    """
    return DeviceState(moment=moment, **_host_state(), **(_card_state() if device == "cuda" else {}))


def card() -> tuple[ModuleType, Any]:
    """NVML's module, and its handle of the card that torch uses.

    The card is found by its PCI address, so it is the same whatever `CUDA_VISIBLE_DEVICES` says; for a MIG
    slice it is the card that it is a slice of.

    Raises:
        NoCardError: nvidia-ml-py is not installed, or NVML or the card does not answer.
    """
    try:
        import pynvml  # noqa: PLC0415  Only a machine with an NVIDIA card needs it.
    except ImportError as error:
        raise NoCardError("nvidia-ml-py is not installed") from error
    try:
        pynvml.nvmlInit()
        return pynvml, _handle(pynvml)
    except pynvml.NVMLError as error:
        raise NoCardError(f"NVML says: {error}") from error


def throttle_reasons(bits: int) -> tuple[str, ...]:
    """NVML's clocks event reasons in words.

    >>> throttle_reasons(0x1 | 0x4 | 0x40)
    ('power limit', 'temperature, by the hardware')
    """
    return tuple(reason for bit, reason in _REASONS.items() if bits & bit)


def _handle(nvml: ModuleType) -> object:
    found: Any = torch.cuda.get_device_properties(torch.cuda.current_device())
    if not hasattr(found, "pci_bus_id"):  # older torch
        return nvml.nvmlDeviceGetHandleByUUID(f"GPU-{found.uuid}")
    address = f"{found.pci_domain_id:08X}:{found.pci_bus_id:02X}:{found.pci_device_id:02X}.0"
    return nvml.nvmlDeviceGetHandleByPciBusId(address)


def _host_state() -> dict[str, Any]:
    return {
        "load_average": psutil.getloadavg()[0],
        "cpu_hz": _cpu_hz(),
        "governor": _governor(),
    }


def _cpu_hz() -> float | None:
    # psutil fails in several ways where a virtual machine hides its frequency.
    with contextlib.suppress(OSError, NotImplementedError, AttributeError, RuntimeError):
        found = psutil.cpu_freq()
        return found.current * 1e6 if found is not None and found.current > 0 else None
    return None


def _governor() -> str | None:
    try:
        return _GOVERNOR.read_text().strip() or None
    except OSError:
        return None


def _card_state() -> dict[str, Any]:
    found = torch.cuda.get_device_properties(torch.cuda.current_device())
    return {"l2_bytes": found.L2_cache_size, **_nvml_state()}


def _nvml_state() -> dict[str, Any]:
    try:
        nvml, handle = card()
    except NoCardError:
        return {}
    clock, sensor = nvml.nvmlDeviceGetClockInfo, nvml.NVML_TEMPERATURE_GPU
    return {
        "sm_hz": _told(nvml, lambda: clock(handle, nvml.NVML_CLOCK_SM) * 1e6),
        "memory_hz": _told(nvml, lambda: clock(handle, nvml.NVML_CLOCK_MEM) * 1e6),
        "power_w": _told(nvml, lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000),
        "temperature_c": _told(nvml, lambda: nvml.nvmlDeviceGetTemperature(handle, sensor)),
        "throttled_by": _told(nvml, lambda: throttle_reasons(_reason_bits(nvml, handle))),
    }


def _reason_bits(nvml: ModuleType, handle: object) -> int:
    """The clocks event reasons, which older drivers call throttle reasons."""
    try:
        return nvml.nvmlDeviceGetCurrentClocksEventReasons(handle)
    except nvml.NVMLError:
        return nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle)


def _told(nvml: ModuleType, ask: Callable[[], Any]) -> Any:
    """What NVML answers; None where this card does not support the question."""
    try:
        return ask()
    except nvml.NVMLError:
        return None
