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
from swatbench.spec.catalog import PAIRS, parts_of
from swatbench.swat.geometry import Geometry, TokenImage
from swatbench.swat.merging import StructureAwareMerging
from swatbench.swat.mixing import StructureAwareLinear, StructureAwareMlp, StructureAwareTokenLinear
from swatbench.swat.tokenization import StructureAwareTokenization

MINI = ("deit_mini", "mixer_mini")


def mini(pair, arm, seed=0):
    parts = parts_of(PAIRS[pair], arm)
    return build_model(PAIRS[pair].as_dict(), parts, num_classes=10, seed=seed, fused_attention=False)


def on_meta(name, **kwargs):
    """A timm model's shapes, without values."""
    with torch.device("meta"):
        return timm.create_model(name, **kwargs)


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


def test_a_part_that_the_family_lacks_changes_nothing():
    before = mini("deit_mini", "baseline")
    after = apply_swat(copy.deepcopy(before), parts=("merging",))
    assert kinds(after) == kinds(before)


@pytest.mark.parametrize(
    ("name", "alpha"),
    [
        ("deit_tiny_patch16_224", 8),
        ("vit_base_patch32_224", 8),
        ("vit_so400m_patch14_siglip_224", 2),
        ("mixer_b32_224", 16),
        ("resmlp_12_224", 8),
        ("swin_tiny_patch4_window7_224", 2),
    ],
)
def test_default_geometry_is_the_paper_s_or_the_nearest_that_fits(name, alpha):
    assert default_geometry(on_meta(name)) == Geometry(alpha=alpha)


def test_swin_is_structured_where_its_windows_are_not_shifted():
    model = apply_swat(on_meta("swin_tiny_patch4_window7_224"))
    structured = [
        [isinstance(block.attn.qkv, StructureAwareLinear) for block in layer.blocks] for layer in model.layers
    ]
    assert structured == [[True, False], [True, False], [True, False] * 3, [True, True]]
    tokens = [layer.blocks[0].attn.qkv for layer in model.layers]
    assert [layer.image.shape for layer in tokens] == [(24, 2, 2), (12, 4, 4), (6, 8, 8), (3, 16, 16)]
    assert [layer.conv.kernel_size[0] for layer in tokens] == [1, 1, 3, 5]
    assert [layer.blocks[0].mlp.dwconv.kernel_size[0] for layer in model.layers] == [5, 5, 5, 3]
    merged = [layer.downsample for layer in model.layers[1:]]
    assert [type(module) for module in merged] == [StructureAwareMerging] * 3
    assert [(module.image.shape, module.conv.kernel_size[0]) for module in merged] == [
        ((24, 2, 2), 3),
        ((12, 4, 4), 5),
        ((6, 8, 8), 9),
    ]


def test_the_designed_size_and_not_the_built_one_decides_kernels_and_blocks():
    small = on_meta("swin_tiny_patch4_window7_224", img_size=448)
    apply_swat(small, geometry=Geometry(alpha=2, img_size=224))
    last = small.layers[3]
    assert [isinstance(block.attn.qkv, StructureAwareLinear) for block in last.blocks] == [True, True]
    assert last.blocks[0].mlp.dwconv.kernel_size == (3, 3)
    own = apply_swat(on_meta("swin_tiny_patch4_window7_224", img_size=448)).layers[3]
    assert [isinstance(block.attn.qkv, StructureAwareLinear) for block in own.blocks] == [True, False]
    assert own.blocks[0].mlp.dwconv.kernel_size == (5, 5)


def test_alpha_kernels_and_stem_width_can_be_set():
    geometry = Geometry(
        alpha=2, stem_width=48, token_kernel=(3, 1, 1, 1), grid_kernel=7, merge_kernel=(1, 3, 5)
    )
    model = apply_swat(on_meta("swin_tiny_patch4_window7_224"), geometry=geometry)
    assert model.patch_embed.proj.conv1.out_channels == 48
    assert model.layers[0].blocks[0].attn.qkv.conv.kernel_size == (3, 3)
    assert model.layers[3].blocks[0].mlp.dwconv.kernel_size == (7, 7)
    assert [layer.downsample.conv.kernel_size[0] for layer in model.layers[1:]] == [1, 3, 5]
    vit = apply_swat(on_meta("deit_tiny_patch16_224"), geometry=Geometry(alpha=4))
    assert vit.blocks[0].attn.qkv.image == TokenImage(c=12, h=4, w=4)
    assert vit.patch_embed.proj.conv2.stride == (2, 2)


@pytest.mark.parametrize(
    "name", ["deit_tiny_patch16_224", "eva02_tiny_patch14_224", "vit_small_plus_patch16_dinov3"]
)
def test_parts_can_be_applied_one_after_the_other_but_none_twice(name):
    once, twice = (on_meta(name, depth=1) for _ in range(2))
    apply_swat(once)
    for part in ("tokenization", "token_mixing", "channel_mixing"):
        apply_swat(twice, parts=(part,))
        with pytest.raises(ModelError, match="structured already"):
            apply_swat(twice, parts=(part,))
    assert [*once.state_dict()] == [*twice.state_dict()]


@pytest.mark.parametrize("fused", [False, "auto"])
def test_a_class_token_takes_the_plain_way_through_channel_mixing(fused):
    torch.manual_seed(0)
    plain = timm.create_model("deit_tiny_patch16_224", img_size=64, depth=1).eval()
    mixed = apply_swat(copy.deepcopy(plain), parts=("channel_mixing",), fused=fused)
    x = torch.randn(2, 17, 192)
    assert torch.allclose(mixed.blocks[0].mlp(x)[:, 0], plain.blocks[0].mlp(x)[:, 0], atol=1e-6)
    moved = x.clone()
    moved[:, 1] += 1.0
    assert torch.equal(mixed.blocks[0].mlp(moved)[:, 0], mixed.blocks[0].mlp(x)[:, 0])


def test_a_gated_mlp_is_convolved_before_its_last_map():
    torch.manual_seed(0)
    model = timm.create_model(
        "vit_giant_patch14_reg4_dinov2", img_size=56, depth=1, embed_dim=96, num_heads=2
    )
    plain = copy.deepcopy(model.eval())
    mlp = apply_swat(model, parts=("channel_mixing",)).blocks[0].mlp
    x = torch.randn(1, 5 + 16, 96)
    first, gate = plain.blocks[0].mlp.fc1(x).chunk(2, dim=-1)
    hidden = mlp.act(first) * gate
    last = mlp.fc2
    image = hidden[:, 5:].reshape(1, 4, 4, -1).permute(0, 3, 1, 2)
    mixed = mlp.act(last.dwconv(image)).permute(0, 2, 3, 1).flatten(1, 2)
    among = torch.cat((hidden[:, :5], mixed), dim=1)
    assert torch.allclose(mlp(x), torch.nn.functional.linear(among, last.weight, last.bias), atol=1e-5)
    assert set(plain.state_dict()) <= set(model.state_dict())


def test_biases_of_q_and_v_that_stand_apart_are_added_after_the_convolution():
    torch.manual_seed(0)
    model = timm.create_model("vit_medium_patch16_rope_reg1_gap_256", img_size=64, depth=1)
    attn = apply_swat(model, parts=("token_mixing",)).blocks[0].attn.eval()
    for bias in (attn.q_bias, attn.v_bias):
        torch.nn.init.normal_(bias)
    x = torch.randn(1, 17, 512)
    found = attn(x)
    joined = torch.cat((attn.q_bias, attn.k_bias, attn.v_bias))
    attn.qkv.register_forward_hook(lambda _m, _i, out: out + joined)
    attn.q_bias = attn.k_bias = attn.v_bias = None
    assert torch.allclose(found, attn(x), atol=1e-5)


def test_a_refused_model_is_left_as_it_was():
    model = VisionTransformer(embed_dim=64, depth=2, num_heads=1)
    model.blocks[1].mlp = torch.nn.Linear(64, 64)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ModelError, match="an MLP of type Linear"):
        apply_swat(model)
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_a_model_that_drops_tokens_has_no_grid():
    with pytest.raises(ModelError, match="patch_drop_rate removes tokens"):
        apply_swat(timm.create_model("deit_tiny_patch16_224", depth=1, patch_drop_rate=0.5))


def test_parts_may_come_from_any_iterable():
    model = apply_swat(on_meta("deit_tiny_patch16_224", depth=1), parts=(part for part in ("tokenization",)))
    assert isinstance(model.patch_embed.proj, StructureAwareTokenization)


def test_the_patch_size_of_a_structured_model_stays():
    with pytest.raises(ValueError, match="patch size of a structure-aware tokenization cannot be changed"):
        mini("deit_mini", "swat").set_input_size(patch_size=8)


def test_every_value_can_be_drawn_anew_after_building_without_values():
    with torch.device("meta"):
        model = timm.create_model("swat_deit_mini")
    model = model.to_empty(device="cpu")
    for value in model.parameters():
        torch.nn.init.constant_(value, 7.0)
    model.init_weights()
    assert [name for name, value in model.named_parameters() if (value == 7).all()] == []


def test_resmlp_keeps_its_map_over_tokens():
    model = apply_swat(on_meta("resmlp_12_224"))
    assert isinstance(model.blocks[0].linear_tokens, StructureAwareTokenLinear)
    assert model.blocks[0].linear_tokens.weight.shape == (196, 196)


def test_what_swat_is_not_defined_for_is_refused_with_a_reason():
    with pytest.raises(ModelError, match="cannot be applied to ResNet"):
        apply_swat(timm.create_model("resnet18"))
    with pytest.raises(ModelError, match="patches of 16 × 16 pixels and tokens of 65 channels"):
        apply_swat(VisionTransformer(embed_dim=65, depth=1, num_heads=1))
    with pytest.raises(ModelError, match="192 channels cannot be cut into segments of 16 × 16 = 256"):
        apply_swat(on_meta("deit_tiny_patch16_224", patch_size=32), geometry=Geometry(alpha=16))
    for wrong in ({"combine": "average"}, {"init": "relased"}):
        with pytest.raises(ModelError, match=r"Unknown (combine average|init relased)"):
            apply_swat(VisionTransformer(embed_dim=64, depth=1, num_heads=1), **wrong)
    with pytest.raises(ModelError, match="Known: tokenization"):
        apply_swat(VisionTransformer(embed_dim=64, depth=1, num_heads=1), parts=("mixin",))
