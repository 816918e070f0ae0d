"""A checkpoint of the paper's released code fits our model whole, for each variant, or is refused."""

import json
import sys
from math import prod
from pathlib import Path

import pytest
import timm
import torch

import swatbench  # noqa: F401 (registers the models with timm)
from swatbench.errors import ModelError
from swatbench.models.apply import apply_swat
from swatbench.models.build import build_model
from swatbench.models.release import RENAMES, _row, convert_state_dict, released_names
from swatbench.spec.catalog import PAIRS, parts_of

PARITY = Path(__file__).parent.parent / "parity"
sys.path.insert(0, str(PARITY))
from released import RELEASED, deit  # noqa: E402

FIXTURES = {
    "deit_ti": "vit_ti16",
    "mixer_ti": "mixer_ti16",
    "resmlp_s12": "resmlp_s12",
    "swin_t": "swin_t",
}


def bare(name, arm="swat", num_classes=1000):
    """One of our models, without values."""
    with torch.device("meta"):
        return build_model(
            PAIRS[name].as_dict(),
            parts_of(PAIRS[name], arm),
            num_classes=num_classes,
            seed=0,
            fused_attention=False,
        )


def checkpoint(name):
    """A checkpoint of the release, without values."""
    return {key: torch.empty(shape, device="meta") for key, shape in RELEASED[name][0].items()}


@pytest.fixture(scope="module")
def deit_ti():
    return bare("deit_ti")


@pytest.fixture(scope="module")
def swin_t():
    return bare("swin_t")


@pytest.mark.parametrize("name", FIXTURES)
def test_the_names_below_are_those_that_the_release_has(name):
    tensors = json.loads((PARITY / f"{FIXTURES[name]}.json").read_text())["tensors"]
    assert RELEASED[name][0] == {key: tuple(shape) for key, (shape, _, _) in tensors.items()}


@pytest.mark.parametrize("name", RELEASED)
def test_every_released_variant_fits_whole(name):
    shapes, parameters = RELEASED[name]
    assert sum(map(prod, shapes.values())) == parameters
    state, model = checkpoint(name), bare(name)
    found = convert_state_dict(state, model)
    assert list(found) == list(model.state_dict())
    model.load_state_dict(found, strict=True)
    used = {id(value if value._base is None else value._base) for value in found.values()}
    assert used == {id(value) for value in state.values()}  # each once, and none of them copied
    assert len(found) == len(state)
    assert set(released_names(model).values()) == set(state)


def test_every_row_of_the_table_is_needed_and_no_parameter_has_two_names():
    models = [bare(name) for name in FIXTURES]
    names = {name for model in models for name in model.state_dict()}
    for rename in RENAMES:
        *_, pattern = _row(rename)
        assert any(pattern.fullmatch(name) for name in names), rename
    for model in models:
        there = released_names(model)
        assert len(set(there.values())) == len(there)


def test_the_reading_of_the_table_that_is_easiest_to_get_wrong(swin_t):
    there = released_names(swin_t)
    assert there["layers.0.blocks.0.attn.qkv.weight"] == "layers.0.blocks.0.attn.qkv_linear.weight"
    assert there["layers.0.blocks.0.attn.qkv.conv.weight"] == "layers.0.blocks.0.attn.qkv.weight"
    assert there["layers.0.blocks.1.attn.qkv.weight"] == "layers.0.blocks.1.attn.qkv.weight"
    assert there["layers.3.blocks.1.attn.proj.weight"] == "layers.3.blocks.1.attn.proj_linear.weight"
    assert there["layers.1.downsample.norm_c.bias"] == "layers.0.downsample.norm.bias"
    assert there["head.fc.bias"] == "head.bias"


def test_order_and_wrapping_do_not_matter(deit_ti):
    state = checkpoint("deit_ti")
    expected = convert_state_dict(state, deit_ti)
    parallel = {f"module.{name}": state[name] for name in sorted(state, reverse=True)}
    for wrapped in (parallel, *({key: parallel, "epoch": 309} for key in ("state_dict", "model"))):
        found = convert_state_dict(wrapped, deit_ti)
        assert list(found) == list(expected)
        assert all(
            found[name] is value or found[name]._base is value._base for name, value in expected.items()
        )


@pytest.mark.parametrize(("plain", "averaged"), [("state_dict", "state_dict_ema"), ("model", "model_ema")])
def test_averaged_weights_are_taken_where_a_checkpoint_has_them(deit_ti, plain, averaged):
    saved = {plain: checkpoint("deit_ti"), averaged: checkpoint("deit_ti"), "arch": "vit_tiny"}
    assert convert_state_dict(saved, deit_ti)["pos_embed"] is saved[averaged]["pos_embed"]
    assert convert_state_dict(saved, deit_ti, use_ema=False)["pos_embed"] is saved[plain]["pos_embed"]
    saved[averaged] = None
    assert convert_state_dict(saved, deit_ti)["pos_embed"] is saved[plain]["pos_embed"]
    with pytest.raises(ModelError, match="averaged weights only"):
        convert_state_dict({averaged: checkpoint("deit_ti")}, deit_ti, use_ema=False)


def test_only_swin_s_constants_are_left_out(swin_t, deit_ti):
    state = checkpoint("swin_t")
    state["layers.0.blocks.0.attn.relative_position_index"] = torch.zeros(49, 49, dtype=torch.long)
    state["layers.0.blocks.1.attn_mask"] = torch.zeros(64, 49, 49)
    assert len(convert_state_dict(state, swin_t)) == len(state) - 2
    state["layers.0.blocks.1.attn_masks"] = torch.zeros(64, 49, 49)
    with pytest.raises(
        ModelError, match=r"without a place layers\.0\.blocks\.1\.attn_masks \(64, 49, 49\)\."
    ):
        convert_state_dict(state, swin_t)
    with pytest.raises(ModelError, match=r"without a place attn_mask \(1,\)"):
        convert_state_dict(checkpoint("deit_ti") | {"attn_mask": torch.zeros(1)}, deit_ti)


def test_values_keep_their_type_and_their_memory():
    model = build_model(
        PAIRS["deit_ti"].as_dict() | {"timm_kwargs": PAIRS["deit_ti"].timm_kwargs | {"depth": 1}},
        parts_of(PAIRS["deit_ti"], "swat"),
        num_classes=1000,
        seed=0,
        fused_attention=False,
    )
    shapes = deit(192, 1, patch=16, c=3, grid_kernel=5)
    random = torch.Generator().manual_seed(0)
    state = {name: torch.randn(shape, generator=random).half() for name, shape in shapes.items()}
    found = convert_state_dict(state, model)
    fc1 = "blocks.0.mlp.fc1.weight"
    assert found[fc1].dtype is torch.float16
    assert found[fc1].data_ptr() == state[fc1].data_ptr()
    model.load_state_dict(found, strict=True)
    assert torch.equal(model.blocks[0].mlp.fc1.weight, state[fc1].float()[:, :, 0, 0])


def changed(**values):
    return checkpoint("deit_ti") | {name.replace("__", "."): value for name, value in values.items()}


def without(*dropped):
    return {name: value for name, value in checkpoint("deit_ti").items() if not name.startswith(dropped)}


def of_depth(blocks):
    shapes = deit(192, blocks, patch=16, c=3, grid_kernel=5)
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


FC1 = "blocks.0.mlp.fc1.weight"
WRONG = {
    "other classes": (
        lambda: changed(head__weight=torch.empty(10, 192), head__bias=torch.empty(10)),
        r"not like ours head\.weight \(10, 192\) \(ours head\.weight \(1000, 192\)\), "
        r"head\.bias \(10,\) .*num_classes",
    ),
    "other image size": (
        lambda: changed(pos_embed=torch.empty(1, 576, 192)),
        r"not like ours pos_embed \(1, 576, 192\) .*img_size",
    ),
    "deeper": (
        lambda: of_depth(13),
        r"VisionTransformer: without a place blocks\.12\.attn\.proj\.bias \(3,\).* and 15 more\. Give",
    ),
    "shallower": (
        lambda: of_depth(11),
        r"missing blocks\.11\.norm1\.weight \(ours blocks\.11\.norm1\.weight \(192,\)\).* and 15 more\. Give",
    ),
    "other size": (lambda: checkpoint("deit_s"), r"not like ours pos_embed \(1, 196, 384\) .* and 219 more"),
    "other family": (
        lambda: checkpoint("mixer_ti"),
        r"missing pos_embed .*without a place .*mlp_channels\.fc1\.bias \(1024,\)",
    ),
    "truncated": (
        lambda: without("blocks.3.attn.qkv_linear.bias", "norm."),
        r"missing blocks\.3\.attn\.qkv_linear\.bias \(ours blocks\.3\.attn\.qkv\.bias \(576,\)\), norm",
    ),
    "wrong shape": (
        lambda: checkpoint("deit_ti") | {FC1: torch.empty(768, 192, 3, 3)},
        r"not like ours blocks\.0\.mlp\.fc1\.weight \(768, 192, 3, 3\) \(ours .* \(768, 192\)\)\.",
    ),
    "same number of values in a larger kernel": (
        lambda: checkpoint("deit_ti") | {FC1: torch.empty(768, 48, 2, 2)},
        r"not like ours blocks\.0\.mlp\.fc1\.weight \(768, 48, 2, 2\) \(ours .* \(768, 192\)\)\.",
    ),
    "same number of values": (
        lambda: checkpoint("deit_ti") | {"blocks.0.attn.qkv_linear.weight": torch.empty(192, 576)},
        r"not like ours blocks\.0\.attn\.qkv_linear\.weight \(192, 576\) \(ours .*qkv\.weight \(576, 192\)",
    ),
    "one more": (
        lambda: changed(cls_token=torch.empty(1, 1, 192)),
        r"without a place cls_token \(1, 1, 192\)\.",
    ),
    "quantized": (
        lambda: changed(pos_embed=torch.zeros(1, 196, 192, dtype=torch.int8)),
        r"pos_embed \(1, 196, 192\) of torch\.int8 .*floating-point",
    ),
    "no tensor": (lambda: changed(epoch=3), r"without a place epoch of type int"),
    "no tensor in its place": (
        lambda: checkpoint("deit_ti") | {FC1: [1.0]},
        r"not like ours blocks\.0\.mlp\.fc1\.weight of type list",
    ),
    "half prefixed": (
        lambda: {f"module.{k}" if "attn" in k else k: v for k, v in checkpoint("deit_ti").items()},
        r"missing blocks\.0\.attn.*without a place module\.blocks\.0\.attn",
    ),
    "optimizer only": (lambda: {"optimizer": {}}, r"missing pos_embed .*without a place optimizer of type"),
    "numbered": (lambda: {0: torch.empty(1)}, "holds no state dict"),
    "a model": (lambda: torch.nn.Linear(1, 1), "holds no state dict"),
    "baseline": (lambda: bare("deit_ti", "baseline").state_dict(), r"proj\.weight.*warm_start"),
    "ours": (lambda: bare("deit_ti").state_dict(), r"our own names.*load_state_dict"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_refused_by_name(deit_ti, case):
    build, said = WRONG[case]
    with pytest.raises(ModelError, match=said):
        convert_state_dict(build(), deit_ti)


def test_a_swin_of_another_depth_is_refused(swin_t):
    with pytest.raises(ModelError, match=r"without a place layers\.2\.blocks\.10\.attn\.proj\.bias \(6,\)"):
        convert_state_dict(checkpoint("swin_s"), swin_t)


def other(name, **kwargs):
    with torch.device("meta"):
        return timm.create_model(name, **kwargs)


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: bare("deit_ti", "baseline"), "no structured tokenization, token_mixing, channel_mixing;"),
        (lambda: bare("deit_ti", "mixing"), "no structured tokenization;"),
        (lambda: bare("mixer_ti", "tokenization"), "no structured token_mixing, channel_mixing;"),
        (lambda: bare("swin_t", "merging"), "no structured tokenization, token_mixing, channel_mixing;"),
        (lambda: bare("swin_t", "baseline"), "tokenization, token_mixing, channel_mixing, merging;"),
        (lambda: other("swat_van_b2"), "no structured token_mixing"),
        (lambda: other("resnet18"), "This ResNet has no structured tokenization"),
        (lambda: apply_swat(other("deit_tiny_patch16_224")), "knows no parameter cls_token"),
        (lambda: apply_swat(bare("deit_ti", "baseline"), combine="sum"), "sums linear map and convolution"),
    ],
)
def test_a_model_that_the_release_does_not_have_is_refused(build, said):
    with pytest.raises(ModelError, match=said):
        convert_state_dict(checkpoint("deit_ti"), build())


def test_without_a_classifier_the_release_s_has_no_place():
    with pytest.raises(ModelError, match=r"without a place head\.bias \(1000,\), head\.weight"):
        convert_state_dict(checkpoint("swin_t"), bare("swin_t", num_classes=0))
