import copy
import math

import pytest
import timm
import torch
from timm.optim import get_optimizer_info, list_optimizers
from timm.scheduler import create_scheduler_v2
from torch import nn

import swatbench  # noqa: F401 (registers the models)
from swatbench.errors import SuiteError
from swatbench.spec.recipe import Recipe
from swatbench.train.optim import check_recipe, make_optimizer, make_scheduler


def rates(recipe, steps_per_epoch, steps=None):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=recipe.peak_learning_rate)
    scheduler = make_scheduler(optimizer, recipe, steps_per_epoch=steps_per_epoch)
    found = []
    for step in range(recipe.total_epochs * steps_per_epoch) if steps is None else steps:
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


RELEASED = {
    "epochs": 300,
    "cooldown_epochs": 10,
    "batch_size": 2048,
    "learning_rate": 3e-3,
    "learning_rate_scaling": "linear",
    "learning_rate_batch_size": 8192,
    "schedule_per": "epoch",
    "warmup_epochs": 8.0,
    "warmup_learning_rate": 1e-6,
    "warmup_prefix": False,
    "min_learning_rate": 1e-5,
}


def rates_of_timms_script(recipe):
    """The rate of each epoch where timm's schedule is called as timm's training script does."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=recipe.peak_learning_rate)
    scheduler, epochs = create_scheduler_v2(
        optimizer,
        sched=recipe.schedule,
        num_epochs=recipe.epochs,
        decay_epochs=recipe.decay_epochs,
        decay_milestones=recipe.decay_milestones,
        cooldown_epochs=recipe.cooldown_epochs,
        decay_rate=recipe.decay_rate,
        min_lr=recipe.min_learning_rate,
        warmup_lr=recipe.warmup_learning_rate,
        warmup_epochs=int(recipe.warmup_epochs),
        warmup_prefix=recipe.warmup_prefix,
        step_on_epochs=True,
    )
    found = []
    for epoch in range(epochs):
        found.append(optimizer.param_groups[0]["lr"])
        scheduler.step(epoch + 1)
    return found


def test_the_released_recipe_has_in_every_epoch_the_rate_that_timms_script_gives():
    recipe = Recipe(**RELEASED)
    assert recipe.peak_learning_rate == pytest.approx(7.5e-4, rel=1e-15)
    expected = rates_of_timms_script(recipe)
    assert len(expected) == recipe.total_epochs == 310
    assert rates(recipe, 1) == expected
    assert rates(recipe, 3) == [rate for rate in expected for _ in range(3)]


def test_the_released_recipe_has_the_rates_computed_by_hand():
    found = rates(Recipe(**RELEASED), 1)
    warmup = [1e-6 + (7.5e-4 - 1e-6) * epoch / 8 for epoch in range(8)]
    cosine = [1e-5 + (7.5e-4 - 1e-5) * (1 + math.cos(math.pi * epoch / 300)) / 2 for epoch in range(8, 300)]
    assert found == pytest.approx(warmup + cosine + [1e-5] * 10, rel=1e-12)


LENGTHS = [
    {"schedule": "cosine"},
    {"schedule": "tanh"},
    {"schedule": "poly", "decay_rate": 2.0},
    {"schedule": "step", "decay_epochs": 7.0},
    {"schedule": "step", "decay_epochs": 2.4, "decay_rate": 0.97},
    {"schedule": "multistep", "decay_milestones": (9, 15)},
    {"schedule": "wsd"},
    {"schedule": "wsd", "decay_epochs": 0.5},
    {"schedule": "rsqrt", "decay_epochs": 4.0},
    {"schedule": "constant"},
]
SHORT = {
    "epochs": 20,
    "batch_size": 8,
    "learning_rate": 1e-3,
    "schedule_per": "epoch",
    "min_learning_rate": 1e-5,
}


@pytest.mark.parametrize("warmup_epochs", [0.0, 3.0])
@pytest.mark.parametrize("length", LENGTHS)
def test_every_schedule_has_the_rates_of_timms_script(length, warmup_epochs):
    # rsqrt cannot do without a warm-up.
    warmup_epochs = warmup_epochs or (1.0 if length["schedule"] == "rsqrt" else 0.0)
    recipe = Recipe(**SHORT, **length, warmup_epochs=warmup_epochs, warmup_prefix=False)
    # timm's script leaves epoch 0 at the peak where there is no warm-up; tanh has 0.999999 of it there.
    assert rates(recipe, 2, steps=range(0, 40, 2)) == pytest.approx(
        rates_of_timms_script(recipe)[:20], rel=1e-6
    )


@pytest.mark.parametrize("length", LENGTHS)
def test_after_the_warm_up_a_schedule_per_step_begins_at_the_peak(length):
    recipe = Recipe(**(SHORT | {"schedule_per": "step"}), **length, warmup_epochs=3.0)
    found = rates(recipe, 10)
    assert found[:30] == pytest.approx([1e-6 + (1e-3 - 1e-6) * t / 30 for t in range(30)], rel=1e-12)
    assert found[30] == pytest.approx(1e-3, rel=1e-6)
    assert max(found) == pytest.approx(1e-3, rel=1e-6)


@pytest.mark.parametrize("schedule_per", ["step", "epoch"])
@pytest.mark.parametrize("length", LENGTHS)
def test_the_cool_down_stays_at_the_end_of_the_schedule(length, schedule_per):
    changes = {"schedule_per": schedule_per, "cooldown_epochs": 30}
    found = rates(Recipe(**(SHORT | changes), **length, warmup_epochs=3.0), 2)
    held = length["schedule"] in ("step", "multistep", "constant")
    assert set(found[40:]) == {found[39] if held else 1e-5}


def test_lengths_in_epochs_become_steps():
    per_step = SHORT | {"schedule_per": "step"}
    halved = rates(Recipe(**per_step, schedule="step", decay_epochs=2.5, decay_rate=0.5), 10)
    assert halved == [1e-3 * 0.5 ** (t // 25) for t in range(200)]
    # timm's own length of a step is 90 epochs.
    assert set(rates(Recipe(**per_step, schedule="step"), 10)) == {1e-3}
    # A milestone's epoch, counted from 1, ends with the first step of the lower rate.
    stairs = rates(Recipe(**per_step, schedule="multistep", decay_milestones=(15, 5)), 10)
    assert stairs == pytest.approx([1e-3] * 49 + [1e-4] * 100 + [1e-5] * 51)
    # A phase of 5 epochs, and one of a quarter of the 20.
    wsd = rates(Recipe(**per_step, schedule="wsd", decay_epochs=5.0), 10)
    assert wsd == rates(Recipe(**per_step, schedule="wsd", decay_epochs=0.25), 10)
    assert wsd.count(1e-3) == 151
    assert wsd[175] == pytest.approx(1e-5 + (1e-3 - 1e-5) * (1 - math.sqrt(0.5)))


def test_without_a_prefix_the_schedule_has_run_on_under_the_warm_up(recipe):
    changes = {"warmup_epochs": 1.0, "warmup_prefix": False}
    found = rates(recipe.model_copy(update=changes), 10)
    assert found[10:] == pytest.approx(
        [by_hand(t, total=30, warmup=0, first=0, peak=1e-3, last=0) for t in range(10, 30)]
    )


@pytest.mark.parametrize(
    ("changes", "key", "message"),
    [
        ({"schedule": "multistep"}, "decay_milestones", "needs milestones"),
        ({"decay_milestones": (3,)}, "decay_milestones", "takes no milestones"),
        ({"decay_epochs": 2.0}, "decay_epochs", "takes no `decay_epochs`"),
        ({"schedule_per": "epoch", "warmup_epochs": 1.5}, "warmup_epochs", "1.5 epochs"),
        ({"schedule": "wsd", "decay_epochs": 18.0, "warmup_epochs": 3.0}, "decay_epochs", "does not fit"),
        ({"schedule": "wsd", "decay_epochs": 0.01, "schedule_per": "epoch"}, "decay_epochs", "does not fit"),
        ({"schedule": "rsqrt", "warmup_epochs": 0.0}, "warmup_epochs", "needs a warm-up"),
    ],
)
def test_a_schedule_that_cannot_be_built_is_told_to_the_user(changes, key, message):
    values = SHORT | {"schedule_per": "step", "warmup_epochs": 1.0} | changes
    with pytest.raises(SuiteError, match=message) as caught:
        check_recipe(Recipe(**values))
    assert caught.value.where == f"recipe.{key}"
    assert caught.value.fix


@pytest.mark.parametrize("schedule", ["cosine", "tanh", "poly", "step", "constant"])
def test_a_run_of_a_single_step_has_a_rate(schedule):
    (rate,) = rates(Recipe(epochs=1, batch_size=8, learning_rate=1e-3, schedule=schedule), 1)
    assert rate == pytest.approx(1e-3, rel=1e-6)


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


def test_the_fused_step_can_be_left_out(make_model, recipe):
    optimizer = make_optimizer(make_model(), recipe, fused=False)
    assert not optimizer.defaults["fused"]


def test_the_optimizer_has_the_rate_for_the_recipes_batch_size(make_model, recipe):
    changes = {"learning_rate_scaling": "sqrt", "learning_rate_batch_size": 32}
    optimizer = make_optimizer(make_model(), recipe.model_copy(update=changes))
    assert optimizer.param_groups[0]["lr"] == pytest.approx(5e-4)


class Small(nn.Module):
    """A convolution, a position, a norm, a scale and a linear map: every kind of parameter there is."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.position = nn.Parameter(torch.randn(1, 16, 4) / 10)
        self.norm = nn.LayerNorm(4)
        self.scale = nn.Parameter(torch.ones(1, 1, 4))
        self.head = nn.Linear(4, 5)

    def forward(self, images):
        tokens = self.stem(images).flatten(2).mT + self.position
        return self.head((self.norm(tokens) * self.scale).mean(1))


def small(state=None):
    torch.manual_seed(0)
    model = Small()
    model.load_state_dict(state or model.state_dict())
    return model


def take_steps(model, optimizer, numbers):
    for number in numbers:
        torch.manual_seed(number)
        model(torch.randn(4, 3, 4, 4)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()


def usable(name):
    info = get_optimizer_info(name)
    outside = isinstance(info.opt_class, str)
    return not (outside or info.second_order or info.opt_class.__name__ == "Kron")


USABLE = [name for name in list_optimizers() if usable(name)]
NAMES = {"weight_decay": 0.1, "epochs": 3, "batch_size": 4, "learning_rate": 1e-2}


@pytest.mark.parametrize("name", USABLE)
def test_an_optimizer_moves_every_parameter_and_goes_on_from_its_saved_state(tmp_path, name):
    recipe = Recipe(optimizer=name, **NAMES)
    check_recipe(recipe)
    model = small()
    optimizer = make_optimizer(model, recipe)
    take_steps(model, optimizer, range(2))
    torch.save((model.state_dict(), optimizer.state_dict()), tmp_path / "state.pt")
    take_steps(model, optimizer, range(2, 4))
    weights, state = torch.load(tmp_path / "state.pt", weights_only=True)
    other = small(weights)
    continued = make_optimizer(other, recipe)
    continued.load_state_dict(state)
    take_steps(other, continued, range(2, 4))
    for (key, value), start in zip(model.state_dict().items(), small().state_dict().values(), strict=True):
        assert value.isfinite().all(), key
        assert not value.equal(start), key
        assert value.equal(other.state_dict()[key]), key


REFUSED = {
    "adahessian": "second derivatives",
    "kron": "needs opt_einsum",
    "fusedlamb": "needs apex",
    "bnbadamw8bit": "needs bitsandbytes",
}


def test_an_optimizer_of_timm_is_either_usable_or_refused_with_a_reason():
    refused = [name for name in list_optimizers() if name not in USABLE]
    assert {*REFUSED} <= {*refused}
    assert len(USABLE) > 60
    for name in refused:
        with pytest.raises(
            SuiteError, match=r"needs (opt_einsum|apex|bitsandbytes|second derivatives)"
        ) as caught:
            check_recipe(Recipe(optimizer=name, **NAMES))
        assert caught.value.where == "recipe.optimizer"


@pytest.mark.parametrize("name", USABLE)
def test_betas_and_eps_reach_an_optimizer_or_are_refused(name):
    info = get_optimizer_info(name)
    recipe = Recipe(optimizer=name, **NAMES)
    groups = make_optimizer(small(), recipe).param_groups
    own = groups[0].get("betas")
    stated = recipe.model_copy(update={"betas": (0.8, 0.95)})
    if own == (0.9, 0.999):
        assert make_optimizer(small(), stated).param_groups[0]["betas"] == (0.8, 0.95)
    else:
        with pytest.raises(SuiteError, match="no two betas") as caught:
            check_recipe(stated)
        assert caught.value.where == "recipe.betas"
    stated = recipe.model_copy(update={"eps": 3e-5})
    if info.has_eps:
        assert make_optimizer(small(), stated).param_groups[0]["eps"] == 3e-5
    else:
        with pytest.raises(SuiteError, match="no eps") as caught:
            check_recipe(stated)
        assert caught.value.where == "recipe.eps"


@pytest.mark.parametrize(
    ("name", "message"), [("adamww", "adamw"), ("lookahead_adamw", "adamw"), *REFUSED.items()]
)
def test_an_optimizer_that_cannot_be_used_is_told_to_the_user(make_model, recipe, name, message):
    with pytest.raises(SuiteError) as caught:
        make_optimizer(make_model(), recipe.model_copy(update={"optimizer": name}))
    assert caught.value.where == "recipe.optimizer"
    assert message in str(caught.value)
