"""What a timed call does, against the same done by hand."""

import copy

import pytest
import torch
from torch import nn

from swatbench.measure.calls import LEARNING_RATE, forward_call, random_images, training_call

IMAGES = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(3))
LABELS = torch.tensor([0, 1, 2, 0])


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
