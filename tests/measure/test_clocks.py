"""The state of a machine, with NVML played by a stand-in."""

import sys
from types import SimpleNamespace

import psutil
import pytest
import torch

from swatbench.measure import clocks
from swatbench.measure.clocks import NoCardError, card, device_state


class NVMLError(Exception):
    pass


class Nvml:
    """The part of pynvml that is used; functions named in `refused` are not supported by the card."""

    NVMLError = NVMLError
    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0
    NVML_DEVICE_MIG_ENABLE = 1

    def __init__(self, refused=()):
        self.refused = refused

    def __getattribute__(self, name):
        if name in object.__getattribute__(self, "refused"):
            raise NVMLError("Not Supported")
        return object.__getattribute__(self, name)

    def nvmlInit(self):
        pass

    def nvmlDeviceGetHandleByPciBusId(self, address):
        return f"card at {address}"

    def nvmlDeviceGetClockInfo(self, handle, kind):
        assert handle == "card at 00000001:1B:00.0"
        return {1: 1980, 2: 3201}[kind]

    def nvmlDeviceGetPowerUsage(self, _handle):
        return 412_500

    def nvmlDeviceGetTemperature(self, _handle, _sensor):
        return 61

    def nvmlDeviceGetCurrentClocksEventReasons(self, _handle):
        return 0x1 | 0x4

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, _handle):
        return 0x8


@pytest.fixture
def use(monkeypatch):
    """Puts an NVML in place, beside a card that torch tells about."""

    def use(nvml):
        found = SimpleNamespace(pci_domain_id=1, pci_bus_id=0x1B, pci_device_id=0, L2_cache_size=50 * 2**20)
        monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _index: found)
        monkeypatch.setitem(sys.modules, "pynvml", nvml)

    return use


def test_a_card_tells_its_state_in_si_units(use):
    use(Nvml())
    state = device_state("after", "cuda")
    assert (state.moment, state.sm_hz, state.memory_hz) == ("after", 1980 * 1e6, 3201 * 1e6)
    assert (state.power_w, state.temperature_c) == (412.5, 61)
    assert state.throttled_by == ("power limit",)
    assert state.l2_bytes == 50 * 2**20


def test_what_a_card_does_not_support_is_left_out(use):
    use(Nvml(refused=("nvmlDeviceGetPowerUsage", "nvmlDeviceGetCurrentClocksEventReasons")))
    state = device_state("before", "cuda")
    assert state.power_w is None
    assert state.sm_hz == 1980 * 1e6
    assert state.throttled_by == ("hardware slowdown",)


def test_no_reason_is_told_apart_from_none_that_is_known(use, monkeypatch):
    monkeypatch.setattr(Nvml, "nvmlDeviceGetCurrentClocksEventReasons", lambda _self, _handle: 0x1)
    use(Nvml())
    assert device_state("after", "cuda").throttled_by == ()
    refused = (f"nvmlDeviceGetCurrentClocks{name}Reasons" for name in ("Event", "Throttle"))
    use(Nvml(refused=tuple(refused)))
    assert device_state("after", "cuda").throttled_by is None


@pytest.mark.parametrize("nvml", [None, Nvml(refused=("nvmlInit",))], ids=["not installed", "failing"])
def test_without_nvml_the_rest_is_told(use, nvml):
    use(nvml)
    state = device_state("before", "cuda")
    assert (state.sm_hz, state.power_w, state.throttled_by) == (None, None, None)
    assert state.l2_bytes == 50 * 2**20
    assert state.load_average is not None
    with pytest.raises(NoCardError, match="not installed" if nvml is None else "Not Supported"):
        card()


def test_a_cpu_tells_load_frequency_and_governor(monkeypatch, tmp_path):
    governor = tmp_path / "scaling_governor"
    governor.write_text("performance\n")
    monkeypatch.setattr(clocks, "_GOVERNOR", governor)
    monkeypatch.setattr(psutil, "getloadavg", lambda: (1.5, 9.0, 9.0))
    monkeypatch.setattr(psutil, "cpu_freq", lambda: SimpleNamespace(current=2450.0))
    state = device_state("before", "cpu")
    assert (state.load_average, state.cpu_hz, state.governor) == (1.5, 2450 * 1e6, "performance")
    assert (state.sm_hz, state.l2_bytes) == (None, None)


def _hidden():
    raise NotImplementedError


@pytest.mark.parametrize("cpu_freq", [lambda: None, lambda: SimpleNamespace(current=0.0), _hidden])
def test_a_hidden_frequency_and_governor_are_left_out(monkeypatch, tmp_path, cpu_freq):
    monkeypatch.setattr(clocks, "_GOVERNOR", tmp_path / "none")
    monkeypatch.setattr(psutil, "cpu_freq", cpu_freq)
    state = device_state("before", "cpu")
    assert (state.cpu_hz, state.governor) == (None, None)
