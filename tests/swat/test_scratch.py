"""Scratch memory: shared by all layers of a thread, and never seen by anybody else."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from swatbench.swat import cpu_mlp, scratch
from tests.swat.layers import drawn_form, mlp


@pytest.fixture(autouse=True)
def nothing_kept():
    scratch.forget()
    yield
    scratch.forget()


@pytest.fixture(params=["kept", "computed again"], autouse=True)
def way(request, monkeypatch):
    """Both ways of an MLP by hand."""
    if request.param == "computed again":
        monkeypatch.setattr(cpu_mlp, "LARGE_BYTES", 1)
        monkeypatch.setattr(cpu_mlp, "CACHED_BYTES", 1)


def gradients(layers, x):
    for layer in layers:
        x = layer(x)
    x.square().sum().backward()
    return [parameter.grad.clone() for layer in layers for parameter in layer.parameters()]


def close(found, expected):
    return all(
        torch.allclose(one, other, rtol=1e-4, atol=1e-5) for one, other in zip(found, expected, strict=True)
    )


def test_a_slot_is_one_block_that_grows_and_forgets():
    like = torch.empty(0)
    small, large = scratch.scratch("flat", (2, 3), like=like), scratch.scratch("flat", (5, 7), like=like)
    again = scratch.scratch("flat", (4,), like=like.double())
    assert (again.dtype, tuple(again.shape)) == (torch.float64, (4,))
    assert again.data_ptr() == large.data_ptr()
    assert large.data_ptr() != scratch.scratch("grad", (5, 7), like=like).data_ptr()
    assert large.is_contiguous()
    assert small.untyped_storage().nbytes() == 24
    scratch.forget()
    assert scratch.scratch("flat", (1,), like=like).untyped_storage().nbytes() == 4


def test_what_is_larger_than_the_limit_is_not_kept(monkeypatch):
    monkeypatch.setattr(scratch, "MOST_BYTES", 16)
    scratch.scratch("flat", (5,), like=torch.empty(0))
    assert scratch.scratch("flat", (1,), like=torch.empty(0)).untyped_storage().nbytes() == 4


def test_outputs_and_what_is_kept_for_backward_outlive_the_next_call():
    layer, other = mlp(5), mlp(5, seed=1)
    x, y = torch.randn(2, 3, 35, 6)
    out = layer(x)
    before = out.clone()
    other(y).sum().backward()
    with torch.inference_mode():
        layer(y)
    assert torch.equal(out, before)
    out.square().sum().backward()
    found = [parameter.grad for parameter in layer.parameters()]
    assert close(found, gradients([drawn_form(mlp(5))], x))


def test_memory_that_inference_made_serves_training():
    layer, x = mlp(5), torch.randn(3, 35, 6)
    with torch.inference_mode():
        layer(x)
    assert close(gradients([layer], x), gradients([drawn_form(mlp(5))], x))


def test_threads_do_not_share_it():
    layers, xs = [mlp(5, seed=seed) for seed in range(4)], torch.randn(4, 40, 35, 6)
    expected = [gradients([drawn_form(layer)], x) for layer, x in zip(layers, xs, strict=True)]

    def many(layer, x):
        for _ in range(20):
            layer.zero_grad()
            found = gradients([layer], x)
        return found

    with ThreadPoolExecutor(4) as pool:
        for found, right in zip(pool.map(many, layers, xs), expected, strict=True):
            assert close(found, right)


def test_a_forward_pass_inside_a_backward_pass_is_harmless():
    layers, x = [mlp(5), mlp(5, seed=1)], torch.randn(3, 35, 6, requires_grad=True)
    expected = gradients([drawn_form(layer) for layer in layers], x.detach())
    y = x
    for layer in layers:
        y = checkpoint(layer, y, use_reentrant=False)
    y.square().sum().backward()
    assert close([parameter.grad for layer in layers for parameter in layer.parameters()], expected)


def test_it_lies_on_the_processor_whatever_the_default_device_is():
    layer, x = mlp(5), torch.randn(3, 35, 6)
    expected = layer(x)
    scratch.forget()
    with torch.device("meta"):
        scratch.scratch("flat", (2, 3), like=x)
    assert torch.equal(layer(x), expected)
