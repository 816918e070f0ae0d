"""What needs a CUDA device: events, graphs, layouts, energy, clocks, roofs and memory."""

import copy
import dataclasses
import time

import numpy as np
import pytest
import torch
from torch import nn

from swatbench.errors import ModelError
from swatbench.measure import energy
from swatbench.measure.calls import make_call, optimizer_of
from swatbench.measure.clocks import card, device_state
from swatbench.measure.condition import Condition
from swatbench.measure.graphs import WARMUP_CALLS, capture
from swatbench.measure.latency import interleave
from swatbench.measure.machine import stopwatch, synchronizer
from swatbench.measure.roofline import measure_peaks

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

CONDITION = Condition(batch_size=8, input_size=(3, 32, 32), num_classes=10, device="cuda", precision="fp32")
GRAPH = dataclasses.replace(CONDITION, mode="cuda_graph")


@pytest.fixture
def model():
    torch.manual_seed(0)
    # A bias before a norm has no gradient but rounding errors, which Adam would make as large as any other.
    convolution = nn.Conv2d(3, 16, 4, 4, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(16), nn.GELU(), nn.Flatten(), nn.Linear(16 * 64, 10))


@pytest.fixture
def products():
    """A call that keeps the device busy for a while."""
    matrix = torch.randn(4096, 4096, device="cuda") / 64
    return lambda: matrix @ matrix


def test_events_agree_with_the_wall_clock_for_long_work(products):
    watch = stopwatch("cuda")
    watch(products, 20)
    start = time.perf_counter()
    elapsed = watch(products, 100)
    wall_s = time.perf_counter() - start
    assert elapsed.seconds == pytest.approx(wall_s, rel=0.05)
    assert 0 < elapsed.host_s < elapsed.seconds


def test_short_work_is_bound_by_the_host():
    one = torch.zeros(1, device="cuda")
    watch = stopwatch("cuda")
    watch(lambda: one.add_(1), 100)
    elapsed = watch(lambda: one.add_(1), 500)
    assert elapsed.host_s == pytest.approx(elapsed.seconds, rel=0.3)


def test_equal_calls_take_equal_time_and_tell_the_host_s_part(products):
    samples = interleave(
        {"a": products, "b": products},
        order_seed=0,
        max_rounds=20,
        budget_s=20.0,
        stopwatch=stopwatch("cuda"),
    )
    assert np.median(samples.seconds["b"] / samples.seconds["a"]) == pytest.approx(1, rel=0.1)
    assert {name: len(s) for name, s in samples.host_seconds.items()} == dict.fromkeys("ab", samples.rounds)
    assert set(samples.preparation_s) == {"a", "b"}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_graph_gives_the_logits_of_the_eager_call(model, precision):
    eager = make_call(copy.deepcopy(model), "inference", dataclasses.replace(CONDITION, precision=precision))
    graph = make_call(model, "inference", dataclasses.replace(GRAPH, precision=precision))
    for _ in range(3):
        torch.testing.assert_close(graph(), eager())


def test_a_graph_trains_as_the_eager_call_does(model):
    twin, before = copy.deepcopy(model), copy.deepcopy(model.state_dict())
    eager, graph = make_call(twin, "training", CONDITION), make_call(model, "training", GRAPH)
    calls = 4
    losses = [eager() for _ in range(WARMUP_CALLS + calls)]
    replayed = [graph().clone() for _ in range(calls)]
    torch.testing.assert_close(torch.stack(replayed), torch.stack(losses[WARMUP_CALLS:]))
    for name, value in twin.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value, msg=name)
    moved = (model[4].weight - before["4.weight"].cuda()).abs().max()
    # Each of Adam's first steps moves a weight by about the learning rate.
    assert moved == pytest.approx((WARMUP_CALLS + calls) * 1e-6, rel=0.3)
    assert optimizer_of(model).defaults["capturable"] is True


def test_a_call_that_waits_for_the_device_cannot_be_recorded():
    one = torch.ones(1, device="cuda")

    def call():
        return one * one.item()

    with pytest.raises(ModelError, match="cannot be recorded as a CUDA graph"):
        capture(call, "cuda")()
    torch.cuda.synchronize()
    assert (one + 1).item() == 2


@pytest.mark.parametrize("mode", ["eager", "compiled", "cuda_graph"])
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("protocol", ["inference", "training"])
def test_bf16_calls_run_in_every_mode_and_layout(model, mode, layout, protocol):
    asked = dataclasses.replace(CONDITION, precision="bf16", mode=mode, layout=layout)
    try:
        call = make_call(model, protocol, asked)
        for _ in range(3):
            assert torch.isfinite(call()).all()
    finally:
        torch.compiler.reset()


def test_the_card_tells_its_state(products):
    for _ in range(20):
        products()
    state = device_state("after", "cuda")
    synchronizer("cuda")()
    assert 1e8 < state.sm_hz < 4e9
    assert 1e8 < state.memory_hz < 2e10
    assert 5 < state.power_w < 2000
    assert 10 < state.temperature_c < 110
    assert 2**18 <= state.l2_bytes < 2**30


def test_the_card_that_nvml_tells_of_is_that_of_torch():
    nvml, handle = card()
    uuid = str(torch.cuda.get_device_properties(torch.cuda.current_device()).uuid)
    assert uuid in nvml.nvmlDeviceGetUUID(handle) or nvml.nvmlDeviceGetMigMode(handle)[0]


def test_work_takes_energy_and_more_work_takes_more(products):
    joules = energy.energy_counter("cuda")
    if isinstance(joules, str):
        pytest.skip(joules)
    found = energy.measure_energy(
        {"one": products, "two": lambda: (products(), products())},
        joules=joules,
        images_per_call=1,
        order_seed=0,
        synchronize=synchronizer("cuda"),
        window_s=1.0,
        windows=3,
    )
    assert all(value > 0 for values in found.values() for value in values)
    assert sorted(found["two"])[1] / sorted(found["one"])[1] == pytest.approx(2, rel=0.3)


def test_the_roofs_are_plausible():
    fp32, bf16 = (measure_peaks("cuda", precision, 1) for precision in ("fp32", "bf16"))
    assert 1e12 < fp32.flops_per_s < 5e14
    assert 1e11 < fp32.bytes_per_s < 2e13
    for peaks in (fp32, bf16):
        stated = peaks.datasheet_flops_per_s
        assert stated is None or 0.3 * stated < peaks.flops_per_s < 1.1 * stated


def test_a_call_holds_weights_and_images_and_no_more(model):
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    call = make_call(model, "inference", CONDITION)
    weights = sum(t.numel() * t.element_size() for t in (*model.parameters(), *model.buffers()))
    images = 8 * 3 * 32 * 32 * 4
    # torch hands memory out in pieces of 512 bytes, and there are nine tensors.
    assert weights + images <= torch.cuda.memory_allocated() - before <= weights + images + 9 * 512
    torch.cuda.reset_peak_memory_stats()
    call()
    features = 8 * 16 * 8 * 8 * 4
    assert torch.cuda.max_memory_allocated() - before >= weights + images + features
