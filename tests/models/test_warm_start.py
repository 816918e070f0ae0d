"""A model that starts from its baseline's weights takes all that the two share, and says what it took."""

import pytest
import timm
import torch

from swatbench.errors import ModelError
from swatbench.models.apply import apply_swat
from swatbench.models.build import build_model, create_model
from swatbench.models.warm_start import warm_start
from swatbench.spec.catalog import ARMS, PAIRS, arms_of, parts_of

FEWER = {
    "deit": {"depth": 2},
    "mixer": {"num_blocks": 2},
    "resmlp": {},
    "swin": {"depths": (2, 2, 2, 2)},
    "van": {"depths": (1, 1, 1, 1)},
}
"""Fewer blocks, whose parameters are named alike in all; timm's ResMLP takes no other number."""
IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def mini(pair, arm, seed=0):
    parts = parts_of(PAIRS[pair], arm)
    return build_model(PAIRS[pair].as_dict(), parts, num_classes=10, seed=seed, fused_attention=False).eval()


def seen(model, path, images=IMAGES):
    """What a module of the model puts out."""
    outputs = []
    hook = model.get_submodule(path).register_forward_hook(lambda _m, _i, out: outputs.append(out))
    with torch.inference_mode():
        model(images)
    hook.remove()
    return outputs[0]


@pytest.mark.parametrize("pair", ["deit_mini", "mixer_mini"])
def test_every_shared_parameter_is_filled_and_the_rest_is_named(pair):
    baseline, swat = mini(pair, "baseline", seed=1), mini(pair, "swat", seed=2)
    found = warm_start(swat, baseline.state_dict())
    ours, theirs = swat.state_dict(), baseline.state_dict()
    assert set(found.filled) == ours.keys() & theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in found.filled)
    assert set(found.new) == ours.keys() - theirs.keys()
    assert set(found.unused) == theirs.keys() - ours.keys()
    assert all("conv" in name or "pos_embed" in name for name in found.new)
    assert len(found.unused) == 2  # the patch embedding's one convolution
    assert str(found).startswith(f"{len(found.filled)} filled")


@pytest.mark.parametrize(
    ("arm", "untouched"),
    [("channel_mixing", "blocks.0.attn"), ("token_mixing", "patch_embed"), ("mixing", "patch_embed")],
)
def test_untouched_parts_put_out_what_the_baseline_does(arm, untouched):
    baseline, swat = mini("deit_mini", "baseline", seed=1), mini("deit_mini", arm, seed=2)
    assert not torch.equal(seen(baseline, untouched), seen(swat, untouched))
    found = warm_start(swat, baseline.state_dict())
    assert torch.equal(seen(baseline, untouched), seen(swat, untouched))
    assert found.unused == ()


def test_structured_attention_whose_convolution_is_silent_is_half_the_baseline_s():
    baseline, swat = mini("deit_mini", "baseline", seed=1), mini("deit_mini", "token_mixing", seed=2)
    warm_start(swat, baseline.state_dict())
    qkv = swat.blocks[0].attn.qkv
    torch.nn.init.zeros_(qkv.conv.weight)
    torch.nn.init.zeros_(qkv.conv.bias)
    assert torch.allclose(seen(swat, "blocks.0.attn.qkv"), seen(baseline, "blocks.0.attn.qkv") / 2)


def test_the_published_deit_gives_its_weights_without_its_class_token():
    published, control = mini("deit_mini", "class_token", seed=1), mini("deit_mini", "swat", seed=2)
    found = warm_start(control, published.state_dict())
    assert found.fitted == ("pos_embed",)
    assert torch.equal(control.pos_embed, published.pos_embed[:, 1:])
    assert "cls_token" in found.unused


def test_position_embeddings_of_another_size_are_interpolated():
    small, large = (timm.create_model("swat_deit_mini", img_size=size, num_classes=10) for size in (32, 48))
    found = warm_start(large, small.state_dict())
    assert found.fitted == ("pos_embed",)
    assert found.new == ()
    resized = torch.nn.functional.interpolate(
        small.pos_embed.reshape(1, 8, 8, -1).permute(0, 3, 1, 2),
        size=(12, 12),
        mode="bicubic",
        antialias=True,
    )
    assert torch.allclose(large.pos_embed, resized.permute(0, 2, 3, 1).flatten(1, 2), atol=1e-6)


def test_a_classifier_of_other_classes_stays_new():
    baseline = timm.create_model("swat_deit_mini", num_classes=7)
    swat = timm.create_model("swat_deit_mini", num_classes=10)
    found = warm_start(swat, baseline.state_dict())
    assert found.new == ("head.weight", "head.bias") == found.unused


@pytest.mark.parametrize("name", PAIRS)
def test_every_arm_of_every_pair_starts_from_its_baseline(name):
    pair = PAIRS[name]
    fewer = {} if name == "swin_mini" else FEWER[pair.family]
    with torch.device("meta"):
        models = {arm: create_model(pair.as_dict(), parts_of(pair, arm), **fewer) for arm in arms_of(pair)}
    weights = models["baseline"].state_dict()
    for arm, model in models.items():
        found = warm_start(model, weights)
        ours = model.state_dict()
        same = {key for key in ours if key in weights and ours[key].shape == weights[key].shape}
        assert {*found.filled, *found.fitted} - {"pos_embed"} == same - {"pos_embed"}, arm
        # What one name stands for in both arms is one thing: it is filled or fitted.
        assert set(found.unused).isdisjoint(ours), arm


def test_a_grid_that_is_not_square_is_refused_and_not_scrambled():
    square = timm.create_model("swat_deit_mini", img_size=32)
    wide = timm.create_model("swat_deit_mini", img_size=(40, 48))
    with pytest.raises(ModelError, match="nor a square grid"):
        warm_start(square, wide.state_dict())


def test_positions_of_prefix_tokens_are_found_by_their_tokens():
    with torch.device("meta"):
        distilled = timm.create_model("deit_tiny_distilled_patch16_224", depth=1)
        registers = timm.create_model("vit_tiny_patch16_224", depth=1, reg_tokens=4, no_embed_class=True)
        control = timm.create_model(
            "deit_tiny_patch16_224", depth=1, img_size=160, class_token=False, global_pool="avg"
        )
    for source in (distilled, registers):
        found = warm_start(control, source.state_dict())
        assert found.fitted == ("pos_embed",)
    assert warm_start(distilled, distilled.state_dict()).new == ()


def test_weights_of_another_size_or_model_are_refused_and_change_nothing():
    swat = mini("deit_mini", "swat")
    before = {name: value.clone() for name, value in swat.state_dict().items()}
    wider = apply_swat(
        timm.create_model(
            "deit_tiny_patch16_224", patch_size=4, img_size=32, embed_dim=128, depth=4, num_heads=4
        )
    )
    with pytest.raises(
        ModelError, match=r"pos_embed of \(1, 65, 128\) fits neither the model's \(1, 64, 64\)"
    ):
        warm_start(swat, wider.state_dict())
    without = {name: value for name, value in wider.state_dict().items() if name != "pos_embed"}
    with pytest.raises(
        ModelError,
        match=r"other shapes .* patch_embed.proj.conv1.weight \(128, 3, 4, 4\) for \(32, 3, 4, 4\)",
    ):
        warm_start(swat, without)
    with pytest.raises(ModelError, match="share no parameter"):
        warm_start(swat, {"conv1.weight": torch.zeros(1)})
    assert all(torch.equal(before[name], value) for name, value in swat.state_dict().items())


def test_the_class_token_arm_starts_from_the_control_s_values():
    control, published = mini("deit_mini", "baseline"), mini("deit_mini", "class_token")
    assert ARMS["class_token"] == ("class_token",)
    ours, theirs = published.state_dict(), control.state_dict()
    assert ours.keys() - theirs.keys() == {"cls_token"}
    assert torch.equal(ours["pos_embed"][:, 1:], theirs["pos_embed"])
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs if name != "pos_embed")
    assert published.global_pool == "token"
