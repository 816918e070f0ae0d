"""SWAT as a transformation of timm models: parts, sharing, structure, refusals."""

import copy
import pickle

import pytest
import timm
import torch
from timm.models.vision_transformer import VisionTransformer

from swatbench.errors import ModelError
from swatbench.models.apply import apply_swat, default_geometry
from swatbench.models.build import build_model
from swatbench.spec.catalog import ARMS, PAIRS
from swatbench.swat.mixing import StructureAwareLinear, StructureAwareMlp
from swatbench.swat.tokenization import StructureAwareTokenization

MINI = ("deit_mini", "mixer_mini")


def mini(pair, arm, seed=0):
    return build_model(PAIRS[pair].as_dict(), ARMS[arm], num_classes=10, seed=seed, fused_attention=False)


def kinds(model):
    return {type(module) for module in model.modules()}


@pytest.mark.parametrize("pair", MINI)
def test_each_part_changes_only_its_own_layers(pair):
    assert StructureAwareTokenization in kinds(mini(pair, "tokenization"))
    assert not {StructureAwareLinear, StructureAwareMlp} & kinds(mini(pair, "tokenization"))
    assert StructureAwareTokenization not in kinds(mini(pair, "mixing"))
    assert StructureAwareMlp in kinds(mini(pair, "channel_mixing"))
    assert {type(module) for module in mini(pair, "baseline").modules()}.isdisjoint(
        {StructureAwareLinear, StructureAwareMlp, StructureAwareTokenization}
    )


@pytest.mark.parametrize("pair", MINI)
def test_arms_share_every_initial_value_but_the_patch_embedding(pair):
    baseline = dict(mini(pair, "baseline").named_parameters())
    swat = dict(mini(pair, "swat").named_parameters())
    stem = "stem" if pair == "mixer_mini" else "patch_embed"
    assert baseline.keys() - swat.keys() == {f"{stem}.proj.weight", f"{stem}.proj.bias"}
    assert all(torch.equal(swat[name], value) for name, value in baseline.items() if name in swat)


@pytest.mark.parametrize("pair", MINI)
def test_a_seed_fixes_every_initial_value(pair):
    first, again, other = (mini(pair, "swat", seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("pair", MINI)
def test_every_parameter_gets_a_gradient(pair):
    model = mini(pair, "swat")
    if model.head.weight.abs().sum() == 0:  # Mixer's head starts at zero and would hide the rest
        torch.nn.init.normal_(model.head.weight)
    model(torch.randn(2, 3, 32, 32)).square().mean().backward()
    assert [name for name, value in model.named_parameters() if value.grad is None] == []


@pytest.mark.parametrize("pair", MINI)
def test_models_can_be_copied_and_pickled(pair):
    model = mini(pair, "swat").eval()
    x = torch.randn(1, 3, 32, 32)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(twin(x), model(x))


def test_the_position_within_the_token_is_exempt_from_weight_decay():
    model = mini("deit_mini", "swat")
    assert "patch_embed.proj.pos_embed" in model.no_weight_decay()
    assert "pos_embed" in model.no_weight_decay()


@pytest.mark.parametrize(
    ("pair", "baseline", "swat"),
    [("deit_ti", 5_717_032, 5_827_883), ("mixer_ti", 5_071_112, 5_098_572)],
)
def test_parameters_equal_the_published_models(pair, baseline, swat):
    for arm, expected in {"baseline": baseline, "swat": swat}.items():
        model = build_model(PAIRS[pair].as_dict(), ARMS[arm], num_classes=1000, seed=0, fused_attention=False)
        assert sum(value.numel() for value in model.parameters()) == expected


def test_a_part_that_the_family_lacks_changes_nothing():
    before = mini("deit_mini", "baseline")
    after = apply_swat(copy.deepcopy(before), parts=("merging",))
    assert kinds(after) == kinds(before)


def test_default_geometry_is_the_paper_s():
    vit = VisionTransformer(patch_size=32, embed_dim=64, depth=1, num_heads=1)
    assert default_geometry(vit).alpha == 8


def test_what_swat_is_not_defined_for_is_refused_with_a_reason():
    with pytest.raises(ModelError, match="cannot be applied to ResNet"):
        apply_swat(timm.create_model("resnet18"))
    with pytest.raises(ModelError, match="1 token"):
        apply_swat(VisionTransformer(embed_dim=64, depth=1, num_heads=1), parts=("channel_mixing",))
    with pytest.raises(ModelError, match="65 channels"):
        apply_swat(
            VisionTransformer(embed_dim=65, depth=1, num_heads=1, class_token=False, global_pool="avg")
        )
    with pytest.raises(ModelError, match="Known: tokenization"):
        apply_swat(VisionTransformer(embed_dim=64, depth=1, num_heads=1), parts=("mixin",))
