"""The interleaved timer on a clock that only the calls advance."""

import gc

import numpy as np
import pytest
import torch

from swatbench.measure.latency import (
    MAX_REPEATS,
    MAX_WARMUP_ROUNDS,
    MIN_ROUNDS,
    WINDOW,
    Elapsed,
    interleave,
    quantiles,
    wall_stopwatch,
)
from swatbench.measure.machine import stopwatch

CALIBRATION_CALLS = 2
"""Every call is made once to prepare it, and once more to choose the repeats."""


class Clock:
    """Seconds that pass only when told to, and the order of the calls that made them pass."""

    def __init__(self):
        self.now = 0.0
        self.log = []

    def __call__(self):
        return self.now

    def call(self, name, seconds):
        """A call that takes `seconds`, or what `seconds` gives for the number of calls made before."""
        made = 0

        def run():
            nonlocal made
            self.now += seconds(made) if callable(seconds) else seconds
            self.log.append(name)
            made += 1

        return run

    def rounds(self, names):
        """The log after calibration, cut into rounds."""
        log = self.log[CALIBRATION_CALLS * names :]
        return [tuple(log[i : i + names]) for i in range(0, len(log), names)]


def timed(clock, calls, **changes):
    asked = {"order_seed": 0, "max_rounds": 8, "budget_s": 1e9} | changes
    return interleave(calls, clock=clock, **asked)


def test_ten_per_cent_are_recovered():
    clock = Clock()
    samples = timed(clock, {"a": clock.call("a", 0.01), "b": clock.call("b", 0.011)})
    np.testing.assert_allclose(samples.seconds["b"] / samples.seconds["a"], 1.1, rtol=1e-9)
    assert samples.seconds["a"].dtype == np.float64
    assert samples.repeats == 1


def test_a_round_meets_one_mood_of_the_machine():
    moods = np.random.default_rng(1).uniform(1, 4, 500)
    clock = Clock()
    calls = {
        "a": clock.call("a", lambda n: 0.01 * moods[n]),
        "b": clock.call("b", lambda n: 0.02 * moods[n]),
    }
    samples = timed(clock, calls, max_rounds=40)
    np.testing.assert_allclose(samples.seconds["b"] / samples.seconds["a"], 2, rtol=1e-9)
    first = CALIBRATION_CALLS + len(samples.warmup_seconds["a"])
    np.testing.assert_allclose(samples.seconds["a"], 0.01 * moods[first : first + 40], rtol=1e-9)


def test_every_round_holds_every_call_in_an_order_of_its_own():
    def order(seed):
        clock = Clock()
        timed(clock, {n: clock.call(n, 0.01) for n in "abc"}, max_rounds=40, order_seed=seed)
        return clock.rounds(3)

    rounds = order(0)
    assert all(sorted(one) == ["a", "b", "c"] for one in rounds)
    assert len(set(rounds)) == 6
    assert rounds == order(0) != order(1)


def test_it_stops_at_the_most_rounds():
    clock = Clock()
    samples = timed(clock, {"a": clock.call("a", 0.01), "b": clock.call("b", 0.01)}, max_rounds=7)
    assert (samples.rounds, samples.stopped_by) == (7, "rounds")
    assert {len(seconds) for seconds in samples.seconds.values()} == {7}


def test_it_stops_at_the_budget():
    clock = Clock()
    samples = timed(clock, {"a": clock.call("a", 1.0)}, max_rounds=100, budget_s=30.0)
    # After preparation: one call of calibration, six rounds of warm-up, then rounds until 30 s have passed.
    assert (samples.rounds, samples.stopped_by) == (30 - 1 - 6, "budget")


def test_a_spent_budget_leaves_the_fewest_rounds():
    clock = Clock()
    samples = timed(clock, {"a": clock.call("a", lambda n: 1.1**n)}, budget_s=1e-9)
    assert (samples.rounds, samples.stopped_by) == (MIN_ROUNDS, "budget")
    assert len(samples.warmup_seconds["a"]) == 2 * WINDOW
    assert not samples.settled


def test_it_stops_when_precise_enough_and_asks_only_of_whole_rounds():
    clock, seen = Clock(), []

    def enough(seconds):
        seen.append([len(values) for values in seconds.values()])
        return len(seconds["a"]) == 7

    samples = timed(clock, {"a": clock.call("a", 1.0), "b": clock.call("b", 1.0)}, enough=enough)
    assert (samples.rounds, samples.stopped_by) == (7, "precision")
    assert seen == [[6, 6], [7, 7]]


def test_warm_up_ends_when_medians_agree():
    clock = Clock()
    slow = CALIBRATION_CALLS + 4
    samples = timed(clock, {"a": clock.call("a", lambda n: 1.0 if n < slow else 0.5)})
    # Medians of rounds 1–3 | 4–6: 1 | 0.5; 2–4 | 5–7: 1 | 0.5; 3–5 | 6–8: 1 | 0.5; 4–6 | 7–9: 0.5 | 0.5.
    assert samples.warmup_seconds["a"].tolist() == [1.0] * 4 + [0.5] * 5
    assert samples.seconds["a"].tolist() == [0.5] * 8
    assert samples.settled


def test_warm_up_waits_for_the_slowest_to_settle():
    clock = Clock()
    slow = CALIBRATION_CALLS + 4
    calls = {"a": clock.call("a", 0.5), "b": clock.call("b", lambda n: 1.0 if n < slow else 0.5)}
    assert len(timed(clock, calls).warmup_seconds["a"]) == 9


def test_warm_up_takes_a_quarter_of_the_budget_at_most():
    clock = Clock()
    samples = timed(clock, {"a": clock.call("a", lambda n: 1.0 + n)}, max_rounds=100, budget_s=200.0)
    # After preparation (1 s): calibration ends at 2 s, the quarter is 50 s, the budget 200 s.
    assert samples.warmup_seconds["a"].tolist() == [3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0]
    assert 2 + sum(range(3, 10)) < 50 <= 2 + sum(range(3, 11))
    assert (samples.seconds["a"][-1], samples.stopped_by) == (20.0, "budget")
    assert 2 + sum(range(3, 20)) < 200 <= 2 + sum(range(3, 21))
    assert not samples.settled


def test_noise_settles_and_a_trend_does_not():
    noisy = (1.0, 1.3, 1.1, 1.2, 1.0, 1.4)
    clock = Clock()
    calls = {"a": clock.call("a", lambda n: noisy[n % 6])}
    assert timed(clock, calls).settled
    clock = Clock()
    assert not timed(clock, {"a": clock.call("a", lambda n: 1.0 + 0.1 * n)}).settled


def test_warm_up_of_a_call_that_never_settles_is_bounded():
    clock = Clock()
    samples = timed(clock, {"a": clock.call("a", lambda n: 1.1**n)})
    assert len(samples.warmup_seconds["a"]) == MAX_WARMUP_ROUNDS
    assert not samples.settled


def test_short_calls_are_repeated_and_all_equally():
    clock = Clock()
    calls = {"a": clock.call("a", 0.0005), "b": clock.call("b", 0.01)}
    samples = timed(clock, calls, least_sample_s=0.002)
    assert samples.repeats == 4
    assert clock.log.count("a") == clock.log.count("b")
    np.testing.assert_allclose(samples.seconds["a"], 0.0005, rtol=1e-9)
    np.testing.assert_allclose(samples.seconds["b"], 0.01, rtol=1e-9)


def test_a_call_without_duration_is_repeated_within_bounds():
    clock = Clock()
    assert timed(clock, {"a": clock.call("a", 0.0)}, max_rounds=6).repeats == MAX_REPEATS


def test_the_garbage_collector_sleeps_while_timing():
    clock, seen = Clock(), []
    run = clock.call("a", 0.01)
    timed(clock, {"a": lambda: (seen.append(gc.isenabled()), run())})
    assert not any(seen)
    assert gc.isenabled()


def test_the_garbage_collector_wakes_after_a_failure():
    def fail():
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        timed(Clock(), {"a": fail})
    assert gc.isenabled()


@pytest.mark.parametrize(("calls", "max_rounds"), [({}, 10), ({"a": lambda: None}, MIN_ROUNDS - 1)])
def test_too_little_to_time_is_refused(calls, max_rounds):
    with pytest.raises(ValueError, match=f"{len(calls)} calls and {max_rounds} rounds"):
        timed(Clock(), calls, max_rounds=max_rounds)


def test_a_stopwatch_waits_for_its_own_work_and_not_for_earlier_work():
    clock, queue = Clock(), [100.0]

    def synchronize():
        clock.now += sum(queue)
        queue.clear()

    watch = wall_stopwatch(clock, synchronize)
    assert watch(lambda: queue.append(2.0), 3) == Elapsed(seconds=6.0)


def test_preparation_is_told_and_takes_nothing_from_the_budget():
    clock = Clock()
    calls = {
        "a": clock.call("a", lambda n: 60.0 if n == 0 else 1.0),
        "b": clock.call("b", lambda n: (30.0, 5.0, 5.0)[n] if n < 3 else 1.0),
    }
    samples = timed(clock, calls, max_rounds=100, budget_s=40.0, preparation_calls=3)
    assert samples.preparation_s == {"a": 60.0 + 1.0 + 1.0, "b": 30.0 + 5.0 + 5.0}
    assert clock.log[:6] == ["a"] * 3 + ["b"] * 3
    assert set(samples.warmup_seconds["b"]) == {1.0}
    # One call of each for calibration, then rounds of two seconds, the fewest of them for the warm-up.
    assert len(samples.warmup_seconds["a"]) == 2 * WINDOW
    assert samples.rounds == (40 - 2 - 2 * 2 * WINDOW) // 2


def test_host_seconds_are_those_of_the_rounds_that_are_kept():
    clock = Clock()
    wall = wall_stopwatch(clock)

    def watch(call, times):
        return Elapsed(seconds=wall(call, times).seconds, host_s=clock.now + times)

    calls = {n: clock.call(n, 0.0005) for n in "ab"}
    samples = timed(clock, calls, max_rounds=7, stopwatch=watch, order_seed=3, least_sample_s=0.002)
    assert samples.repeats == 4
    assert set(samples.host_seconds) == {"a", "b"}
    # A round lasts 2 × 4 calls of 0.5 ms; the last sample ends where the clock stands now.
    ends = clock.now - 0.004 * np.arange(6, -1, -1)
    latest = np.maximum(samples.host_seconds["a"], samples.host_seconds["b"])
    np.testing.assert_allclose(latest, (ends + 4) / 4, rtol=1e-9)


def test_a_cpu_has_no_host_beside_it():
    clock = Clock()
    assert timed(clock, {"a": clock.call("a", 0.01)}).host_seconds == {}


class Event:
    """A CUDA event of a device that begins its work when the host has queued all of it."""

    def __init__(self, device):
        self._device = device

    def record(self):
        self.at_ms = self._device.queued_ms

    def synchronize(self):
        self._device.clock.now += self._device.queued_ms / 1000

    def elapsed_time(self, end):
        return end.at_ms - self.at_ms


class FakeDevice:
    def __init__(self, clock):
        self.clock = clock
        self.queued_ms = 0.0

    def launch(self):
        self.clock.now += 0.001
        self.queued_ms += 5.0


def test_on_cuda_events_tell_the_time_and_the_clock_what_the_host_took(monkeypatch):
    clock = Clock()
    device = FakeDevice(clock)
    monkeypatch.setattr(torch.cuda, "Event", lambda **_: Event(device))
    elapsed = stopwatch("cuda", clock=clock)(device.launch, 4)
    assert elapsed.seconds == pytest.approx(4 * 0.005)
    assert elapsed.host_s == pytest.approx(4 * 0.001)


def test_quantiles():
    found = quantiles(np.arange(21) / 10)
    assert found.n == 21
    assert (found.p05, found.p50, found.p95) == pytest.approx((0.1, 1.0, 1.9))
