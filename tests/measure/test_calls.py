"""What a timed call does, against the same done by hand."""

import copy
import dataclasses

import pytest
import torch
from torch import nn

from swatbench.errors import MachineError
from swatbench.measure import machine
from swatbench.measure.calls import (
    LEARNING_RATE,
    PREPARATION_CALLS,
    forward_call,
    make_call,
    optimizer_of,
    place,
    random_images,
    training_call,
)
from swatbench.measure.condition import Condition

IMAGES = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(3))
LABELS = torch.tensor([0, 1, 2, 0])


CONDITION = Condition(batch_size=4, input_size=(3, 8, 8), num_classes=3, device="cpu", precision="fp32")


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, 3))


def test_inference(model):
    expected = copy.deepcopy(model).eval()(IMAGES)
    logits = forward_call(model, IMAGES, "fp32")()
    torch.testing.assert_close(logits, expected)
    assert logits.is_inference()
    assert not model.training


def test_inference_in_bf16(model):
    assert forward_call(model, IMAGES, "bf16")().dtype == torch.bfloat16


def test_a_training_step(model):
    twin = copy.deepcopy(model).train()
    optimizer = torch.optim.AdamW(twin.parameters(), lr=LEARNING_RATE)
    loss = nn.functional.cross_entropy(twin(IMAGES), LABELS)
    loss.backward()
    optimizer.step()

    before = copy.deepcopy(model.state_dict())
    model.eval()
    call = training_call(model, IMAGES, LABELS, "fp32")
    torch.testing.assert_close(call(), loss.detach())
    for name, value in twin.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value, rtol=0, atol=1e-8)
        assert not torch.equal(value, before[name]), name
    assert all(parameter.grad is None for parameter in model.parameters())


def test_training_in_bf16_keeps_the_parameters_in_float32(model):
    call = training_call(model, IMAGES, LABELS, "bf16")
    losses = [call().item() for _ in range(3)]
    assert losses[0] == pytest.approx(losses[-1], abs=1e-2)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_images_are_the_same_every_time_and_leave_randomness_alone():
    state = torch.get_rng_state()
    images = random_images((2, 3, 4, 4), "cpu")
    assert torch.equal(images, random_images((2, 3, 4, 4), "cpu"))
    assert torch.equal(state, torch.get_rng_state())
    assert images.std() > 0.5


def test_the_optimizer_is_fused_and_fit_for_a_graph_on_cuda_alone(model):
    optimizer = optimizer_of(model)
    assert (optimizer.defaults["lr"], optimizer.defaults["fused"]) == (LEARNING_RATE, True)
    assert optimizer.defaults["capturable"] is False


def test_an_optimizer_that_is_handed_in_is_stepped(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    before = model[3].bias.detach().clone()
    training_call(model, IMAGES, LABELS, "fp32", optimizer=optimizer)()
    assert (model[3].bias - before).abs().max() > 1000 * LEARNING_RATE


def test_a_call_is_made_of_its_condition(model):
    expected = copy.deepcopy(model).eval()(random_images((4, 3, 8, 8), "cpu"))
    torch.testing.assert_close(make_call(model, "inference", CONDITION)(), expected)
    assert make_call(model, "inference", CONDITION.at(2))().shape == (2, 3)


def test_labels_go_round_the_classes(model):
    logits = copy.deepcopy(model).train()(random_images((4, 3, 8, 8), "cpu"))
    expected = nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 0]))
    torch.testing.assert_close(make_call(model, "training", CONDITION)(), expected.detach())


class Layouts(nn.Module):
    """Notes how images and weights lie in memory."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.seen = []

    def forward(self, images):
        for tensor in (images, self.conv.weight):
            self.seen.append(tensor.is_contiguous(memory_format=torch.channels_last))
        return self.conv(images).mean((2, 3))


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_images_and_convolutions_lie_as_asked(layout):
    model = Layouts()
    condition = dataclasses.replace(CONDITION, layout=layout)
    make_call(model, "inference", condition)()
    assert model.seen == [layout == "channels_last"] * 2
    assert place(model, CONDITION) is model


def test_a_cuda_graph_is_refused_on_a_cpu(model):
    with pytest.raises(MachineError, match="cuda_graph needs a CUDA device"):
        make_call(model, "inference", dataclasses.replace(CONDITION, mode="cuda_graph"))


def test_compiling_without_a_compiler_is_refused(model, monkeypatch):
    monkeypatch.setattr(machine, "cpp_compiler", lambda: None)
    with pytest.raises(MachineError, match="needs a C\\+\\+ compiler") as refused:
        make_call(model, "inference", dataclasses.replace(CONDITION, mode="compiled"))
    assert refused.value.where == "cost.modes"
    assert "cost.modes" in refused.value.fix


@pytest.fixture
def compiler(monkeypatch):
    """A compiler that counts what it is given and changes nothing; torch forgets all of it afterwards."""
    given = []
    real = torch.compile

    def compiled(model, **asked):
        def backend(graph, _inputs):
            given.append(graph)
            return graph.forward

        return real(model, backend=backend, **asked)

    monkeypatch.setattr(machine, "cpp_compiler", lambda: "g++")
    monkeypatch.setattr(torch, "compile", compiled)
    config = torch._dynamo.config
    with config.patch(
        recompile_limit=config.recompile_limit,
        fail_on_recompile_limit_hit=config.fail_on_recompile_limit_hit,
    ):
        yield given
    torch.compiler.reset()


class Deep(nn.Module):
    """One code for models of several depths."""

    def __init__(self, depth):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), *(nn.Linear(192, 192) for _ in range(depth)), nn.Linear(192, 3)
        )

    def forward(self, images):
        return self.layers(images)


COMPILED = dataclasses.replace(CONDITION, mode="compiled")


@pytest.mark.parametrize("protocol", ["inference", "training"])
def test_a_compiled_call_gives_the_same(model, compiler, protocol):
    expected = make_call(copy.deepcopy(model), protocol, CONDITION)
    call = make_call(model, protocol, COMPILED)
    assert compiler == []
    for _ in range(PREPARATION_CALLS["compiled"]):
        torch.testing.assert_close(call(), expected())
    made = len(compiler)
    assert made > 0
    call()
    assert len(compiler) == made


def test_many_models_of_one_class_are_all_compiled(compiler):
    depths = range(1, 11)
    calls = [make_call(Deep(depth), "inference", COMPILED) for depth in depths]
    for call in calls * 2:
        call()
    assert len(compiler) == len(depths)


def test_another_batch_is_compiled_for_its_own_shape(compiler):
    model = Deep(1)
    for batch_size in (4, 6, 8):
        make_call(model, "inference", COMPILED.at(batch_size))()
    # A shape that may vary would be compiled for the second batch and be good for the third.
    assert len(compiler) == 3
