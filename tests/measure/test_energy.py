"""Energy by a counter and a clock that only the calls advance."""

import pytest

from swatbench.errors import MachineError
from swatbench.measure import energy
from swatbench.measure.clocks import NoCardError
from swatbench.measure.energy import energy_counter, measure_energy


class Card:
    """A device that does queued work, in its own time and for its own joules, when it is waited for."""

    def __init__(self, waiting_s=0.0):
        self.waiting_s = waiting_s
        self.now = 0.0
        self.joules = 1000.0
        self.queue = []
        self.done = []

    def call(self, name, seconds, joules):
        return lambda: self.queue.append((name, seconds, joules))

    def synchronize(self):
        for name, seconds, joules in self.queue:
            self.now += seconds
            self.joules += joules
            self.done.append(name)
        self.queue.clear()
        self.now += self.waiting_s


def measured(card, calls, **changes):
    asked = {"images_per_call": 8, "order_seed": 0, "window_s": 2.0, "windows": 3} | changes
    return measure_energy(
        calls, joules=lambda: card.joules, synchronize=card.synchronize, clock=lambda: card.now, **asked
    )


def test_joules_per_image():
    card = Card()
    calls = {"a": card.call("a", 0.25, 3.0), "b": card.call("b", 0.5, 12.0)}
    assert measured(card, calls) == {"a": (3.0 / 8,) * 3, "b": (12.0 / 8,) * 3}


def test_a_window_is_as_many_calls_as_fill_it():
    card = Card()
    measured(card, {"a": card.call("a", 0.25, 1.0)}, windows=5)
    # One call to begin with, one that already lasts as long as the calibration, then five windows.
    assert card.done.count("a") == 1 + 1 + 5 * (2.0 / 0.25)


def test_a_window_lasts_as_long_as_it_says_where_waiting_takes_as_long_as_a_call():
    card = Card(waiting_s=1e-3)
    calls = {"a": card.call("a", 1e-3, 1.0)}
    measured(card, calls, windows=0)
    calibrating_s = card.now
    measured(card, calls, windows=5)
    assert card.now - 2 * calibrating_s == pytest.approx(5 * 2.0, rel=0.02)


def test_the_arms_take_turns_in_random_order():
    def windows(seed):
        card = Card()
        calls = {name: card.call(name, 2.0, 1.0) for name in "abc"}
        measured(card, calls, windows=20, order_seed=seed)
        rest = card.done[6:]
        return [tuple(rest[i : i + 3]) for i in range(0, len(rest), 3)]

    found = windows(0)
    assert all(sorted(turn) == ["a", "b", "c"] for turn in found)
    assert len(set(found)) > 3
    assert found == windows(0) != windows(1)


def test_a_window_counts_its_own_energy_alone():
    card = Card()
    calls = {"a": card.call("a", 2.0, 5.0), "b": card.call("b", 2.0, 50.0)}
    found = measured(card, calls, images_per_call=1, windows=4)
    assert set(found["a"]) == {5.0}
    assert set(found["b"]) == {50.0}


def test_a_counter_that_stands_still_is_told():
    card = Card()
    with pytest.raises(MachineError, match="did not move"):
        measured(card, {"a": card.call("a", 1.0, 0.0)})


def test_a_cpu_has_no_counter():
    assert energy_counter("cpu") == ("no energy counter is read on a CPU: NVML counts NVIDIA cards alone")


class NVMLError(Exception):
    pass


class Nvml:
    NVMLError = NVMLError
    NVML_DEVICE_MIG_ENABLE = 1

    def __init__(self, *, mig, millijoules):
        self.mig, self.millijoules = mig, millijoules

    def nvmlDeviceGetMigMode(self, _handle):
        if self.mig is None:
            raise NVMLError("Not Supported")
        return [self.mig, self.mig]

    def nvmlDeviceGetTotalEnergyConsumption(self, _handle):
        if self.millijoules is None:
            raise NVMLError("Not Supported")
        return self.millijoules


@pytest.mark.parametrize("mig", [None, 0])
def test_a_counter_tells_joules(monkeypatch, mig):
    nvml = Nvml(mig=mig, millijoules=1500)
    monkeypatch.setattr(energy, "card", lambda: (nvml, "handle"))
    joules = energy_counter("cuda")
    assert joules() == 1.5
    nvml.millijoules = 2750
    assert joules() == 2.75


def test_a_counter_that_stops_answering_is_told(monkeypatch):
    nvml = Nvml(mig=0, millijoules=1500)
    monkeypatch.setattr(energy, "card", lambda: (nvml, "handle"))
    joules = energy_counter("cuda")
    nvml.millijoules = None
    with pytest.raises(MachineError, match=r"could not be read \(Not Supported\)"):
        joules()


@pytest.mark.parametrize(
    ("nvml", "why"),
    [(Nvml(mig=1, millijoules=1500), "divided by MIG"), (Nvml(mig=None, millijoules=None), "has none")],
)
def test_a_card_that_cannot_count_says_why(monkeypatch, nvml, why):
    monkeypatch.setattr(energy, "card", lambda: (nvml, "handle"))
    assert why in energy_counter("cuda")


def test_a_card_that_does_not_answer_says_why(monkeypatch):
    def absent():
        raise NoCardError("nvidia-ml-py is not installed")

    monkeypatch.setattr(energy, "card", absent)
    assert energy_counter("cuda") == "no energy counter: nvidia-ml-py is not installed"
