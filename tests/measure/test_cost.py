"""A pair and a single model measured from end to end, on nets whose counts are known."""

import json
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from swatbench.measure import passes
from swatbench.measure.cost import measure_pair, profile_model
from swatbench.measure.latency import quantiles
from swatbench.spec.suite import Cost

COST = Cost(batch_size=4, max_rounds=6, budget_s=0.5)
BUILT = []
"""Every net that was built in this process, in order."""


class Net(nn.Module):
    """A linear map of each pixel and a classifier; it remembers in which modes it was called."""

    def __init__(self, width):
        super().__init__()
        self.pixel = nn.Conv2d(3, width, 1)
        self.head = nn.Linear(width, 10)
        self.calls = []
        BUILT.append(self)

    def forward(self, x):
        self.calls.append(self.training)
        return self.head(self.pixel(x).mean((2, 3)))


ARMS = {"baseline": partial(Net, 8), "swat": partial(Net, 32)}


def macs(width):
    return 8 * 8 * 3 * width + width * 10


def pair(arms=ARMS, cost=COST, **changes):
    asked = {
        "img_size": 8,
        "num_classes": 10,
        "device": "cpu",
        "precision": "fp32",
        "threads": 1,
    } | changes
    return measure_pair(arms, cost=cost, **asked)


@pytest.fixture
def quick(monkeypatch):
    """Leave the processes out; a peak is then a number that tells what it was asked about."""
    monkeypatch.setattr(
        passes,
        "peak_bytes",
        lambda build, *, training, input_shape, **_: (
            build.args[0] * 10 + training if input_shape == (4, 3, 8, 8) else 0
        ),
    )
    BUILT.clear()


def test_a_pair_from_end_to_end():
    result, samples = pair()
    assert result.reference == "baseline"
    assert [arm.arm for arm in result.arms] == ["baseline", "swat"]
    assert [arm.macs for arm in result.arms] == [macs(8), macs(32)]
    assert [arm.params for arm in result.arms] == [width * 4 + width * 10 + 10 for width in (8, 32)]
    assert all(arm.macs_agree and arm.macs_torch == arm.macs for arm in result.arms)
    assert (result.batch_size, result.img_size, result.threads) == (4, 8, 1)
    assert (result.device, result.dtype, result.memory_kind) == ("cpu", "float32", "resident growth")
    for arm in result.arms:
        assert arm.inference_peak_bytes > 0
        assert arm.training_peak_bytes > 0
        assert arm.inference_s == quantiles(samples[f"inference/{arm.arm}"])
        assert arm.training_s == quantiles(samples[f"training/{arm.arm}"])


@pytest.mark.usefixtures("quick")
def test_samples_have_their_twin_and_their_warm_up():
    _, samples = pair()
    arms = {"baseline", "swat", "twin"}
    protocols = {"inference", "training", "inference_warmup", "training_warmup"}
    assert set(samples) == {f"{protocol}/{arm}" for protocol in protocols for arm in arms}
    for protocol in ("inference", "training"):
        assert {len(samples[f"{protocol}/{arm}"]) for arm in arms} == {6}
    assert all(seconds.dtype == np.float64 and (seconds > 0).all() for seconds in samples.values())


@pytest.mark.usefixtures("quick")
def test_no_net_that_was_counted_is_timed():
    pair()
    used = [(net.head.in_features, set(net.calls)) for net in BUILT]
    counted, inference, training = used[:2], used[2:5], used[5:]
    assert counted == [(8, set()), (32, set())]
    assert inference == [(8, {False}), (32, {False}), (8, {False})]
    assert training == [(8, {True}), (32, {True}), (8, {True})]


@pytest.mark.usefixtures("quick")
def test_stages_are_told_in_order():
    stages = []
    pair(on_stage=stages.append)
    assert stages == [
        "count baseline",
        "count swat",
        "memory of baseline, inference",
        "memory of swat, inference",
        "memory of baseline, training",
        "memory of swat, training",
        "time baseline, swat, inference",
        "time baseline, swat, training",
    ]


@pytest.mark.usefixtures("quick")
def test_peaks_are_those_of_their_arm_and_protocol():
    result, _ = pair()
    assert [(arm.inference_peak_bytes, arm.training_peak_bytes) for arm in result.arms] == [
        (80, 81),
        (320, 321),
    ]


@pytest.mark.usefixtures("quick")
def test_without_training_nothing_is_said_about_it():
    result, samples = pair(cost=COST.model_copy(update={"training": False}))
    assert all(arm.training_s is None and arm.training_peak_bytes is None for arm in result.arms)
    assert not any(name.startswith("training") for name in samples)


@pytest.mark.usefixtures("quick")
def test_precision_ends_the_rounds():
    asked = []

    def enough(seconds):
        asked.append(list(seconds))
        return True

    _, samples = pair(cost=COST.model_copy(update={"max_rounds": 50, "budget_s": 60.0}), enough=enough)
    assert asked == [["baseline", "swat", "twin"]] * 2
    assert len(samples["inference/swat"]) == 6


@pytest.mark.usefixtures("quick")
def test_threads_hold_while_measuring_and_not_longer(monkeypatch):
    before, seen = torch.get_num_threads(), []
    real = passes.forward_call
    monkeypatch.setattr(
        passes, "forward_call", lambda *args: (seen.append(torch.get_num_threads()), real(*args))[1]
    )
    pair(threads=before + 1)
    assert seen == [before + 1] * 3
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("arms", [{}, {"twin": partial(Net, 8)}])
def test_arms_that_cannot_be_told_apart_are_refused(arms):
    with pytest.raises(ValueError, match="twin"):
        pair(arms)


@pytest.mark.usefixtures("quick")
def test_bf16_is_named():
    result, _ = pair(precision="bf16")
    assert result.dtype == "bfloat16"


@pytest.mark.usefixtures("quick")
def test_a_profile_has_the_keys_of_the_command():
    found = profile_model(
        partial(Net, 16),
        model="net",
        cost=COST,
        img_size=8,
        device="cpu",
        precision="fp32",
        threads=1,
    ).as_dict()
    names = ["model", "params", "macs", "latency_s", "images_per_s", "peak_bytes", "batch", "device", "dtype"]
    assert list(json.loads(json.dumps(found))) == names
    assert found["latency_s"] * found["images_per_s"] == pytest.approx(4)
    assert (found["macs"], found["peak_bytes"], found["batch"]) == (macs(16), 160, 4)
    assert (found["model"], found["device"], found["dtype"]) == ("net", "cpu", "float32")
