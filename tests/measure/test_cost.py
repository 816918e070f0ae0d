"""A pair and a single model measured from end to end, on nets whose counts are known."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from swatbench.measure import cost as measuring
from swatbench.measure import passes
from swatbench.measure.condition import Condition
from swatbench.measure.cost import measure_pair
from swatbench.measure.latency import quantiles
from swatbench.measure.passes import Bench
from swatbench.spec.cost import Cost
from swatbench.store.cost import LargestBatch, Memory, Peaks, Spent

COST = Cost(batch_size=4, max_rounds=6, budget_s=0.5)
CONDITION = Condition(
    batch_size=4, input_size=(3, 8, 8), num_classes=10, device="cpu", precision="fp32", threads=1
)
BUILT = []
"""Every net that was built in this process, in order."""


class Net(nn.Module):
    """A linear map of each pixel and a classifier; it remembers in which modes and on what it was called."""

    def __init__(self, width):
        super().__init__()
        self.pixel = nn.Conv2d(3, width, 1)
        self.head = nn.Linear(width, 10)
        self.calls = []
        BUILT.append(self)

    def forward(self, x):
        self.calls.append((self.training, len(x)))
        return self.head(self.pixel(x).mean((2, 3)))


ARMS = {"baseline": partial(Net, 8), "swat": partial(Net, 32)}


def macs(width):
    return 8 * 8 * 3 * width + width * 10


def pair(arms=ARMS, cost=COST, on_stage=str, enough=None, trace=None, **changes):
    condition = Condition(
        **{name: getattr(CONDITION, name) for name in CONDITION.__slots__}
        | {"batch_size": cost.batch_size}
        | changes
    )
    return measure_pair(
        Bench(arms=arms, condition=condition, cost=cost, on_stage=on_stage, enough=enough, trace=trace)
    )


@pytest.fixture
def quick(monkeypatch):
    """Leave the processes out; what they would give then tells what it was asked about."""

    def memory(build, *, condition, protocol, **_):
        return Memory(
            peak_bytes=build.args[0] * 10 + (protocol == "training") + 1000 * (condition.batch_size != 4),
            weights_bytes=1,
            working_bytes=2,
        )

    def broken_down(build, *, arm, protocol, **_):
        row = {"path": "", "part": "head", "operator": "add", "phase": "forward", "calls": 1.0}
        return (Spent(arm=arm, protocol=protocol, self_s=float(build.args[0]), **row),)

    def largest(build, *, protocol, limit_bytes, **_):
        size = build.args[0]
        return LargestBatch(protocol=protocol, batch_size=size, limit_bytes=limit_bytes, bounded_by="memory")

    monkeypatch.setattr(passes, "run_apart", lambda call, **_: call(print))
    monkeypatch.setattr(passes, "measure_memory", memory)
    monkeypatch.setattr(passes, "break_down", broken_down)
    monkeypatch.setattr(passes, "largest_batch", largest)
    monkeypatch.setattr(
        passes, "measure_peaks", lambda *asked: Peaks(flops_per_s=1e9, bytes_per_s=float(asked[2]))
    )
    BUILT.clear()


def test_a_pair_from_end_to_end():
    found = pair()
    result, samples = found.result, found.samples
    assert result.reference == "baseline"
    assert [arm.arm for arm in result.arms] == ["baseline", "swat"]
    assert [arm.macs for arm in result.arms] == [macs(8), macs(32)]
    assert [arm.params for arm in result.arms] == [width * 4 + width * 10 + 10 for width in (8, 32)]
    assert all(arm.macs_agree and arm.macs_torch == arm.macs for arm in result.arms)
    # Backward: the weights' gradients of both layers, and the pixels' through the head.
    assert [arm.training_macs for arm in result.arms] == [
        4 * (2 * macs(width) + width * 10) for width in (8, 32)
    ]
    assert (result.batch_size, result.img_size, result.threads) == (4, 8, 1)
    assert (result.device, result.dtype, result.memory_kind) == ("cpu", "float32", "resident growth")
    assert (result.mode, result.layout, result.input_size) == ("eager", "contiguous", (3, 8, 8))
    for arm in result.arms:
        assert arm.inference_peak_bytes > 0
        assert arm.training_peak_bytes > 0
        assert arm.training_memory.weights_bytes == 4 * arm.params
        assert arm.inference_s == quantiles(samples[f"inference/{arm.arm}"])
        assert arm.training_s == quantiles(samples[f"training/{arm.arm}"])
        assert {(row.arm, row.protocol) for row in found.breakdown} >= {(arm.arm, "training")}
        assert sum(row.macs for row in found.modules if row.arm == arm.arm) == arm.macs
    assert result.peaks.flops_per_s > 1e8
    assert [state.moment for state in result.states] == ["before", "after"]
    assert "NVIDIA" in result.energy_absent


@pytest.mark.usefixtures("quick")
def test_samples_have_their_twin_and_their_warm_up():
    samples = pair().samples
    arms = {"baseline", "swat", "twin"}
    protocols = {"inference", "training", "inference_warmup", "training_warmup"}
    assert set(samples) == {f"{protocol}/{arm}" for protocol in protocols for arm in arms}
    for protocol in ("inference", "training"):
        assert {len(samples[f"{protocol}/{arm}"]) for arm in arms} == {6}
    assert all(seconds.dtype == np.float64 and (seconds > 0).all() for seconds in samples.values())


@pytest.mark.usefixtures("quick")
def test_no_net_that_was_counted_is_timed():
    pair()
    timed = [net for net in BUILT if {size for _, size in net.calls} == {4}]
    assert [(net.head.in_features, {mode for mode, _ in net.calls}) for net in timed[-6:]] == [
        *((width, {False}) for width in (8, 32, 8)),
        *((width, {True}) for width in (8, 32, 8)),
    ]
    counted = [net for net in BUILT if net not in timed[-6:]]
    assert len(counted) == len(BUILT) - 6
    # Nothing that the passes before used was called as often as a net that is timed.
    assert max(len(net.calls) for net in counted) < 6 <= min(len(net.calls) for net in timed[-6:])


@pytest.mark.usefixtures("quick")
def test_stages_are_told_in_order_and_timing_comes_last():
    stages = []
    pair(on_stage=stages.append)
    assert stages == [
        "count baseline",
        "count swat",
        "memory of baseline, inference",
        "memory of baseline, training",
        "memory of swat, inference",
        "memory of swat, training",
        "profile baseline, inference",
        "profile baseline, training",
        "profile swat, inference",
        "profile swat, training",
        "peak arithmetic and bandwidth",
        "time baseline, swat, inference, batch 4",
        "time baseline, swat, training, batch 4",
    ]


@pytest.mark.usefixtures("quick")
def test_what_other_processes_give_is_that_of_its_arm_and_protocol():
    found = pair()
    assert [(arm.inference_peak_bytes, arm.training_peak_bytes) for arm in found.result.arms] == [
        (80, 81),
        (320, 321),
    ]
    assert [(row.arm, row.protocol, row.self_s) for row in found.breakdown] == [
        ("baseline", "inference", 8),
        ("baseline", "training", 8),
        ("swat", "inference", 32),
        ("swat", "training", 32),
    ]
    assert found.result.peaks.bytes_per_s == 1


@pytest.mark.usefixtures("quick")
def test_further_batches_are_timed_with_twins_of_their_own():
    found = pair(cost=COST.model_copy(update={"sweep": (2, 8)}))
    assert {len(found.samples[f"{p}@{b}/twin"]) for p in ("inference", "training") for b in (2, 8)} == {6}
    asked = [(timing.protocol, timing.batch_size) for timing in found.result.timings]
    assert asked == [
        ("inference", None),
        ("training", None),
        ("inference", 2),
        ("training", 2),
        ("inference", 8),
        ("training", 8),
    ]
    for arm in found.result.arms:
        assert [(swept.protocol, swept.batch_size) for swept in arm.sweep] == asked[2:]
        assert arm.sweep[0].seconds == quantiles(found.samples[f"inference@2/{arm.arm}"])
    sizes = [{size for _, size in net.calls} for net in BUILT]
    assert sizes[-12:] == [{2}] * 6 + [{8}] * 6


@pytest.mark.usefixtures("quick")
def test_what_is_not_asked_for_is_not_done():
    cost = COST.model_copy(update={"training": False, "breakdown": False})
    found = pair(cost=cost)
    assert all(arm.training_s is None and arm.training_peak_bytes is None for arm in found.result.arms)
    assert all(arm.training_macs is None and arm.largest_batches == () for arm in found.result.arms)
    assert not any(name.startswith("training") for name in found.samples)
    assert found.breakdown == ()


@pytest.mark.usefixtures("quick")
def test_traces_need_a_breakdown_even_where_none_is_asked_for(tmp_path):
    cost = COST.model_copy(update={"breakdown": False})
    assert len(pair(cost=cost, trace=tmp_path).breakdown) == 4


@pytest.mark.usefixtures("quick")
def test_the_largest_batch_is_searched_where_it_is_asked_for():
    cost = COST.model_copy(update={"largest_batch": True, "memory_limit_bytes": 10**9})
    found = [one for arm in pair(cost=cost).result.arms for one in arm.largest_batches]
    assert [(one.protocol, one.batch_size) for one in found] == [
        ("inference", 8),
        ("training", 8),
        ("inference", 32),
        ("training", 32),
    ]
    assert {one.limit_bytes for one in found} == {10**9}


@pytest.mark.usefixtures("quick")
def test_energy_is_kept_by_arm_and_protocol_where_there_is_a_counter(monkeypatch):
    def measured(calls, *, images_per_call, **_):
        return dict.fromkeys(calls, (1.0 * images_per_call, 3.0, 2.0))

    monkeypatch.setattr(measuring, "energy_counter", lambda _: lambda: 0.0)
    monkeypatch.setattr(passes, "measure_energy", measured)
    result = pair().result
    assert result.energy_absent is None
    for arm in result.arms:
        assert [(one.protocol, one.joules_per_image, one.windows) for one in arm.energy] == [
            ("inference", 3.0, (4.0, 3.0, 2.0)),
            ("training", 3.0, (4.0, 3.0, 2.0)),
        ]


@pytest.mark.usefixtures("quick")
def test_precision_ends_the_rounds():
    asked = []

    def enough(seconds):
        asked.append(list(seconds))
        return True

    cost = COST.model_copy(update={"max_rounds": 50, "budget_s": 60.0})
    samples = pair(cost=cost, enough=enough).samples
    assert asked == [["baseline", "swat", "twin"]] * 2
    assert len(samples["inference/swat"]) == 6


@pytest.mark.usefixtures("quick")
def test_threads_hold_while_measuring_and_not_longer(monkeypatch):
    before, seen = torch.get_num_threads(), []
    real = passes.make_call
    monkeypatch.setattr(
        passes, "make_call", lambda *args: (seen.append(torch.get_num_threads()), real(*args))[1]
    )
    pair(threads=before + 1)
    assert seen == [before + 1] * 6
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("arms", [{}, {"twin": partial(Net, 8)}])
def test_arms_that_cannot_be_told_apart_are_refused(arms):
    with pytest.raises(ValueError, match="twin"):
        pair(arms)


@pytest.mark.usefixtures("quick")
def test_bf16_is_named():
    assert pair(precision="bf16").result.dtype == "bfloat16"
