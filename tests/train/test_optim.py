import copy
import math

import pytest
import timm
import torch

import swatbench  # noqa: F401 (registers the models)
from swatbench.errors import SuiteError
from swatbench.train.optim import make_optimizer, make_scheduler


def rates(recipe, steps_per_epoch, steps=None):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=recipe.learning_rate)
    scheduler = make_scheduler(optimizer, recipe, steps_per_epoch=steps_per_epoch)
    found = []
    for step in range(recipe.epochs * steps_per_epoch) if steps is None else steps:
        scheduler.step_update(step)
        found.append(optimizer.param_groups[0]["lr"])
    return found


def by_hand(step, *, total, warmup, first, peak, last):
    if step < warmup:
        return first + (peak - first) * step / warmup
    return last + (peak - last) * (1 + math.cos(math.pi * (step - warmup) / (total - warmup))) / 2


@pytest.mark.parametrize("warmup_epochs", [0.0, 0.5, 1.0, 1.3])
def test_the_rates_are_those_computed_by_hand(recipe, warmup_epochs):
    changes = {"warmup_epochs": warmup_epochs, "warmup_learning_rate": 1e-5, "min_learning_rate": 1e-6}
    recipe = recipe.model_copy(update=changes)
    warmup = {0.0: 0, 0.5: 5, 1.0: 10, 1.3: 13}[warmup_epochs]
    expected = [by_hand(t, total=30, warmup=warmup, first=1e-5, peak=1e-3, last=1e-6) for t in range(30)]
    assert rates(recipe, 10) == pytest.approx(expected, rel=1e-12)
    assert max(rates(recipe, 10)) == pytest.approx(1e-3)
    assert rates(recipe, 10).index(max(rates(recipe, 10))) == warmup


def test_the_rate_of_a_step_does_not_depend_on_the_steps_before(recipe):
    assert rates(recipe, 10, steps=[17, 3, 17]) == [rates(recipe, 10)[t] for t in (17, 3, 17)]


def test_a_warm_up_of_nearly_all_steps_leaves_one_at_the_peak(recipe):
    assert rates(recipe.model_copy(update={"warmup_epochs": 2.99}), 2)[-1] == pytest.approx(1e-3)


def test_the_first_rate_of_the_optimizer_is_that_of_step_0(make_model, recipe):
    optimizer = make_optimizer(make_model(), recipe)
    make_scheduler(optimizer, recipe, steps_per_epoch=10)
    assert {group["lr"] for group in optimizer.param_groups} == {recipe.warmup_learning_rate}


def decayed(model, optimizer):
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        names[id(parameter)]
        for group in optimizer.param_groups
        for parameter in group["params"]
        if group["weight_decay"] > 0
    }


MATRICES = {
    "patch_embed.proj.weight",
    "blocks.0.attn.qkv.weight",
    "blocks.0.attn.proj.weight",
    "blocks.0.mlp.fc1.weight",
    "blocks.0.mlp.fc2.weight",
    "head.weight",
}


def test_weight_decay_reaches_the_matrices_and_nothing_else(make_model, recipe):
    model = make_model()
    optimizer = make_optimizer(model, recipe)
    assert decayed(model, optimizer) == MATRICES
    everything = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    assert len(everything) == len(list(model.parameters()))
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.0, 0.05}


def test_weight_decay_shrinks_exactly_those_parameters(make_model, recipe):
    # With zero gradients AdamW does nothing but decay: w becomes w (1 - lr × decay).
    model = make_model()
    before = copy.deepcopy(model.state_dict())
    optimizer = make_optimizer(model, recipe.model_copy(update={"learning_rate": 0.1, "weight_decay": 0.5}))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, after in model.state_dict().items():
        factor = 0.95 if name in MATRICES else 1.0
        assert torch.allclose(after, before[name] * factor, atol=1e-7), name


@pytest.mark.parametrize(
    ("name", "spared", "decayed_as_released"),
    [
        (
            "swat_deit_mini",
            {"pos_embed", "patch_embed.proj.pos_embed"},
            {"patch_embed.proj.pos_embed"},
        ),
        (
            "resmlp_12_224",
            {"norm.alpha", "norm.beta", "blocks.0.norm1.alpha", "blocks.0.ls1"},
            {"norm.alpha", "norm.beta", "blocks.0.norm1.alpha"},
        ),
        (
            "swat_swin_t",
            {"layers.0.blocks.0.attn.relative_position_bias_table"},
            {"layers.0.blocks.0.attn.relative_position_bias_table"},
        ),
    ],
)
def test_positions_and_scales_are_spared_unless_the_released_rule_is_asked_for(
    recipe, name, spared, decayed_as_released
):
    model = timm.create_model(name)
    ours = decayed(model, make_optimizer(model, recipe))
    theirs = decayed(
        model, make_optimizer(model, recipe.model_copy(update={"weight_decay_reaches": "as_released"}))
    )
    assert not spared & ours
    assert spared & theirs == decayed_as_released
    assert ours <= theirs
    assert any(name.endswith("conv.weight") or "mlp_channels.fc1" in name for name in ours)


def test_a_classifier_of_one_class_decays_as_any_other(recipe):
    model = timm.create_model("swat_deit_mini", num_classes=1)
    assert "head.weight" in decayed(model, make_optimizer(model, recipe))


def test_betas_and_the_fused_step_reach_adamw(make_model, recipe):
    optimizer = make_optimizer(make_model(), recipe.model_copy(update={"betas": (0.8, 0.95)}))
    assert isinstance(optimizer, torch.optim.AdamW)
    assert optimizer.defaults["betas"] == (0.8, 0.95)
    assert optimizer.defaults["fused"] is True


@pytest.mark.parametrize("name", ["sgd", "lamb", "lion", "nadamw", "adam", "rmsprop"])
def test_other_optimizers_of_timm_take_a_step(make_model, recipe, name):
    model = make_model()
    before = model.head.weight.detach().clone()
    optimizer = make_optimizer(model, recipe.model_copy(update={"optimizer": name}))
    model(torch.ones(2, 3, 32, 32)).square().sum().backward()
    optimizer.step()
    assert not (model.head.weight == before).all()


@pytest.mark.parametrize(("name", "message"), [("adamww", "adamw"), ("adahessian", "second derivatives")])
def test_an_optimizer_that_cannot_be_used_is_told_to_the_user(make_model, recipe, name, message):
    with pytest.raises(SuiteError) as caught:
        make_optimizer(make_model(), recipe.model_copy(update={"optimizer": name}))
    assert caught.value.where == "recipe.optimizer"
    assert message in str(caught.value)
