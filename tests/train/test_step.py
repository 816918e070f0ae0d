"""What a step seeds, and what that may cost."""

import traceback

import pytest
import torch


@pytest.fixture
def stepper(make_stepper, make_model, recipe):
    return make_stepper(make_model(), recipe, seed=7)


def test_the_model_draws_what_torch_draws_after_the_same_seed(stepper):
    stepper._seed(1, 2, 3)
    drawn, seed = torch.rand(4), torch.initial_seed()
    torch.manual_seed(seed)
    assert torch.equal(drawn, torch.rand(4))
    stepper._seed(1, 2, 4)
    assert torch.initial_seed() != seed


def test_a_step_keeps_no_call_for_cards_that_are_not_here(stepper, noise, monkeypatch):
    def kept(*_, **__):
        raise AssertionError("a call is kept, with the way to it")

    monkeypatch.setattr(traceback, "format_stack", kept)
    monkeypatch.setattr(traceback, "extract_stack", kept)
    assert stepper.take([next(noise(0))], epoch=0, step=0, done=1).isfinite()


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_card_is_seeded_too(make_stepper, make_model, recipe):
    device = torch.device("cuda")
    stepper = make_stepper(make_model(), recipe, device=device)
    stepper._seed(0, 0, 0)
    drawn = torch.rand(4, device=device)
    torch.manual_seed(torch.initial_seed())
    assert torch.equal(drawn, torch.rand(4, device=device))
