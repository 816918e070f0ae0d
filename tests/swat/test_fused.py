"""Fused forms: the numbers and gradients of the plainest form, whatever the sizes, and when they are used."""

import copy
import importlib
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import forward_ad

from swatbench.models.build import build_model
from swatbench.spec.catalog import PAIRS, parts_of
from swatbench.swat import cpu_mlp, cpu_stem
from swatbench.swat.cpu_depthwise import Shiftable, gradients, margin_of
from swatbench.swat.fuse import convolution_matrix
from swatbench.swat.geometry import TokenImage
from swatbench.swat.mixing import StructureAwareLinear
from swatbench.swat.tokenization import StructureAwareTokenization
from tests.swat.layers import drawn_form, mlp

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
reference = importlib.import_module("swat_reference").reference

CLOSE = 1e-5
MINI = ("deit_mini", "mixer_mini", "swin_mini")


def distance(found, expected):
    found, expected = found.detach().double(), expected.detach().double()
    return float((found - expected).norm() / expected.norm())


def compared(layer, x):
    """Outputs of a layer's fused and drawn forms, whose values and gradients are found to be the same."""
    drawn = drawn_form(layer)
    a, b = (x.clone().requires_grad_() for _ in range(2))
    found, expected = layer(a), drawn(b)
    assert distance(found, expected) < CLOSE
    weights = torch.randn_like(expected)
    (found * weights).sum().backward(retain_graph=True)
    (expected * weights).sum().backward(retain_graph=True)
    assert distance(a.grad, b.grad) < CLOSE
    for parameter, other in zip(layer.parameters(), drawn.parameters(), strict=True):
        assert distance(parameter.grad, other.grad) < CLOSE
    return found, expected


def model_of(pair, fused="auto"):
    row = PAIRS[pair].as_dict()
    model = build_model(
        row, parts_of(PAIRS[pair], "swat"), num_classes=7, seed=0, fused_attention=False, fused_swat=fused
    )
    torch.manual_seed(1)
    for parameter in model.parameters():  # none at zero, so that every gradient says something
        nn.init.normal_(parameter, std=0.05)
    return model


@pytest.fixture(params=["whole batch", "few images at a time"])
def memory(request, monkeypatch):
    """Both ways of the hand-written forms: what is before each GELU kept, and everything computed again."""
    if request.param == "few images at a time":
        for module in (cpu_mlp, cpu_stem):
            monkeypatch.setattr(module, "LARGE_BYTES", 1)
            monkeypatch.setattr(module, "CACHED_BYTES", 1)
        monkeypatch.setattr("swatbench.swat.tokenization.LARGE_BYTES", 1)


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize("pair", MINI)
def test_logits_and_gradients_are_those_of_the_plainest_form(pair):
    model = model_of(pair)
    plain = reference(model)
    images = torch.randn(3, 3, PAIRS[pair].img_size, PAIRS[pair].img_size)
    found, expected = model(images), plain(images)
    assert distance(found, expected) < CLOSE
    weights = torch.randn_like(expected)
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    for (name, parameter), other in zip(model.named_parameters(), plain.parameters(), strict=True):
        scale = other.grad.norm()
        if (
            scale > 1e-5 * weights.norm()
        ):  # not the dead directions: keys' biases, Mixer's second token biases
            assert distance(parameter.grad, other.grad) < 10 * CLOSE, name


@pytest.mark.parametrize("kernel", [1, 3, 5, 7, 9])
@pytest.mark.parametrize("prefix", [0, 2])
@pytest.mark.usefixtures("memory")
def test_an_mlp_by_hand_is_the_mlp_operator_by_operator(kernel, prefix):
    layer = mlp(kernel, prefix=prefix)
    compared(layer, torch.randn(4, 35 + prefix, 6))


def test_what_is_kept_for_backward_is_what_lies_before_each_gelu_and_of_a_large_batch_nothing(monkeypatch):
    def kept(layer, x):
        sizes = []
        hooks = torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t)
        with hooks:
            layer(x)
        return sum(size >= x.shape[0] * 35 * 16 for size in sizes)

    x = torch.randn(4, 35, 6, requires_grad=True)
    drawn = mlp(3)
    drawn.fused = False
    assert kept(drawn, x) == 4
    assert kept(mlp(3), x) == 2
    monkeypatch.setattr(cpu_mlp, "LARGE_BYTES", 1)
    monkeypatch.setattr(cpu_mlp, "CACHED_BYTES", 1)
    assert kept(mlp(3), x) == 0


@pytest.mark.parametrize("kernel", [5, 7, 9, 11])
@pytest.mark.parametrize("size", [(3, 4), (6, 13), (1, 1)])
def test_the_weight_gradient_in_strips_is_that_of_the_whole_kernel(kernel, size):
    torch.manual_seed(0)
    x, grad = torch.randn(2, 3, *size, 16, dtype=torch.float64)
    weight = torch.randn(16, 1, kernel, kernel, dtype=torch.float64, requires_grad=True)
    input_ = x.permute(0, 3, 1, 2).requires_grad_()
    y = F.conv2d(input_, weight, torch.zeros(16, dtype=torch.float64), padding=kernel // 2, groups=16)
    of_x, of_weight = torch.autograd.grad(y, (input_, weight), grad.permute(0, 3, 1, 2))
    shiftable = []
    for slot, values in (("hidden", x), ("grad", grad)):
        made = Shiftable.empty(slot, values, margin_of(weight))
        made.own.copy_(values)
        shiftable.append(made)
    found = gradients(*shiftable, weight.detach())
    assert torch.allclose(found[0].permute(0, 3, 1, 2), of_x, atol=1e-12)
    assert torch.allclose(found[1], of_weight, atol=1e-12)
    assert torch.allclose(found[2], grad.sum((0, 1, 2)), atol=1e-12)


def stem(*, position, norm, bias=True):
    torch.manual_seed(0)
    made = StructureAwareTokenization(
        in_chans=3,
        embed_dim=32,
        alpha=4,
        stem_width=8,
        kernel=4,
        strides=(2, 1),
        padding=1,
        position_side=4 if position else None,
        norm_eps=1e-5 if norm else None,
        bias=bias,
    )
    for parameter in made.parameters():
        nn.init.normal_(parameter)
    return made


@pytest.mark.parametrize("position", [True, False])
@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_a_stem_by_hand_is_the_stem_operator_by_operator(position, norm, bias, monkeypatch):
    monkeypatch.setattr("swatbench.swat.tokenization.LARGE_BYTES", 1)
    monkeypatch.setattr(cpu_stem, "CACHED_BYTES", 2 * 8 * 12 * 8 * 4)
    layer = stem(position=position, norm=norm, bias=bias)
    found, expected = compared(layer, torch.randn(5, 3, 16, 24))
    assert "Stem" in str(_functions(found))
    assert "Stem" not in str(_functions(expected))


def _functions(tensor):
    seen, left = [], [tensor.grad_fn]
    while left:
        function = left.pop()
        if function is not None and function not in seen:
            seen.append(function)
            left += [following for following, _ in function.next_functions]
    return [type(function).__name__ for function in seen]


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize(("h", "w"), [(4, 4), (2, 3), (1, 1)])
def test_the_matrix_of_a_convolution_does_what_it_does(kernel, h, w):
    torch.manual_seed(0)
    weight = torch.randn(6, 2, kernel, kernel, dtype=torch.float64)
    x = torch.randn(5, 2, h, w, dtype=torch.float64)
    expected = F.conv2d(x, weight, padding=kernel // 2).flatten(1)
    matrix = convolution_matrix(weight, TokenImage(c=2, h=h, w=w))
    assert torch.allclose(x.flatten(1) @ matrix.t(), expected, atol=1e-12)


def projection(*, bias=True, kernel=3):
    torch.manual_seed(0)
    return StructureAwareLinear(nn.Linear(32, 96, bias=bias), TokenImage(c=2, h=4, w=4), kernel=kernel)


@pytest.mark.parametrize("bias", [True, False])
def test_a_projection_is_one_map_in_training_where_tokens_are_many(bias):
    found, expected = compared(projection(bias=bias), torch.randn(2, 40, 32))
    assert "Convolution" in str(_functions(expected))
    assert "Convolution" not in str(_functions(found))


def test_few_tokens_are_not_worth_a_matrix():
    assert "Convolution" in str(_functions(projection()(torch.randn(1, 5, 32))))


@pytest.mark.parametrize("fused", [False, True])
def test_under_autocast_both_forms_compute_in_its_type(fused, monkeypatch):
    monkeypatch.setattr("swatbench.swat.tokenization.LARGE_BYTES", 1)
    exact = model_of("deit_mini", fused=False)
    model = model_of("deit_mini", fused=fused)
    images = torch.randn(2, 3, 32, 32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = model(images)
    found.float().square().sum().backward()
    assert found.dtype == torch.bfloat16
    assert distance(found, exact(images)) < 0.05
    assert all(parameter.grad.dtype == torch.float32 for parameter in model.parameters())


def test_a_hook_or_another_layer_in_the_way_is_called():
    layer = mlp(3)
    seen = []
    layer.dwconv.register_forward_hook(lambda *_: seen.append("dwconv"))
    layer(torch.randn(2, 35, 6))
    assert seen == ["dwconv"]
    layer = mlp(3)
    layer.fc2 = nn.Sequential(nn.Linear(16, 6))
    assert layer(torch.randn(2, 35, 6)).shape == (2, 35, 6)


def test_second_derivatives_are_refused_and_had_from_the_drawn_form():
    layer, x = mlp(3), torch.randn(2, 35, 6, requires_grad=True)
    (first,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()
    layer.fused = False
    (first,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
    first.sum().backward()


def test_transforms_of_torch_func_meet_the_drawn_form():
    layer = mlp(3)
    x = torch.randn(2, 35, 6)
    parameters = dict(layer.named_parameters())
    loss = lambda values: torch.func.functional_call(layer, values, (x,)).square().sum()  # noqa: E731
    found = torch.func.grad(loss)(parameters)
    layer(x).square().sum().backward()
    for name, parameter in layer.named_parameters():
        assert distance(found[name], parameter.grad) < CLOSE


def test_gradient_checkpointing_gives_the_same_gradients():
    model = model_of("swin_mini")
    other = copy.deepcopy(model)
    other.set_grad_checkpointing()
    images = torch.randn(2, 3, 32, 32)
    model(images).square().sum().backward()
    other(images).square().sum().backward()
    for parameter, same in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(parameter.grad, same.grad)


@pytest.mark.usefixtures("memory")
def test_a_backward_pass_under_autocast_has_the_types_of_its_forward_pass():
    layers = {
        "mlp": (mlp(5), torch.randn(4, 35, 6)),
        "stem": (stem(position=4, norm=True), torch.randn(2, 3, 16, 32)),
    }
    for layer, x in layers.values():
        layer(x).square().sum().backward()
        expected = [parameter.grad.clone() for parameter in layer.parameters()]
        layer.zero_grad()
        y = layer(x).square().sum()
        with torch.autocast("cpu", torch.bfloat16):
            y.backward()
        for parameter, wanted in zip(layer.parameters(), expected, strict=True):
            assert torch.equal(parameter.grad, wanted)


@pytest.mark.filterwarnings("ignore:.torch.jit.script")  # torch's own, when it loads forward derivatives
def test_transforms_of_any_parameter_and_forward_derivatives_take_the_drawn_form():
    layer, x = mlp(5), torch.randn(4, 35, 6)
    drawn = drawn_form(layer)
    name, weight = "fc1.weight", layer.fc1.weight.detach()

    def total(of):
        return lambda w: torch.func.functional_call(of, {name: w}, (x,)).square().sum()

    assert torch.equal(torch.func.grad(total(layer))(weight), torch.func.grad(total(drawn))(weight))
    tangents = []
    for of in (layer, drawn):
        with forward_ad.dual_level():
            y = of(forward_ad.make_dual(x, torch.ones_like(x)))
            tangents.append(forward_ad.unpack_dual(y).tangent)
    assert torch.equal(*tangents)


def test_a_stem_whose_convolution_does_not_halve_evenly_runs_as_drawn(monkeypatch):
    monkeypatch.setattr("swatbench.swat.tokenization.LARGE_BYTES", 0)
    layer = stem(position=None, norm=False)
    assert layer._is_large(torch.randn(2, 3, 16, 32))
    layer.conv1.kernel_size = (5, 5)
    assert not layer._is_large(torch.randn(2, 3, 16, 32))
