"""Which initial values structured layers have, by default and by the released code's rules."""

import math

import pytest
import timm
import torch

from swatbench.models.apply import apply_swat

DEIT = {"patch_size": 4, "img_size": 32, "embed_dim": 64, "depth": 2, "num_heads": 4, "num_classes": 10}


def structured(name, init, **kwargs):
    torch.manual_seed(0)
    baseline = timm.create_model(name, **kwargs)
    kept = {key: value.clone() for key, value in baseline.named_parameters()}
    return apply_swat(baseline, init=init), kept


def test_by_default_every_linear_map_keeps_the_baseline_s_values():
    model, kept = structured("deit_tiny_patch16_224", "shared", **DEIT)
    now = dict(model.named_parameters())
    assert all(torch.equal(now[key], kept[key]) for key in kept if key in now)
    assert model.blocks[0].mlp.fc1.bias.abs().max() == 0


def test_as_released_the_maps_of_a_deit_s_mlp_start_as_torch_starts_convolutions():
    model, kept = structured("deit_tiny_patch16_224", "released", **DEIT)
    mlp = model.blocks[0].mlp
    for layer in (mlp.fc1, mlp.fc2):
        bound = 1 / math.sqrt(layer.in_features)
        for values in (layer.weight, layer.bias):
            assert 0.9 * bound < values.abs().max() <= bound
    attn = model.blocks[0].attn
    assert torch.equal(attn.qkv.weight, kept["blocks.0.attn.qkv.weight"])


def test_as_released_a_later_part_leaves_the_maps_of_an_earlier_one_alone():
    model = apply_swat(timm.create_model("deit_tiny_patch16_224", **DEIT), parts=("channel_mixing",))
    trained = model.blocks[0].mlp.fc1.weight.clone()
    apply_swat(model, parts=("token_mixing",), init="released")
    assert torch.equal(model.blocks[0].mlp.fc1.weight, trained)


@pytest.mark.parametrize("name", ["resmlp_12_224", "mixer_s32_224"])
def test_as_released_the_maps_of_mixers_start_lecun_normal_with_zero_bias(name):
    model, _ = structured(name, "released", num_classes=10, img_size=64)
    block = model.blocks[0]
    token_map = block.linear_tokens if name.startswith("resmlp") else block.mlp_tokens.fc2
    for layer in (token_map, block.mlp_channels.fc1, block.mlp_channels.fc2):
        expected = 1 / math.sqrt(layer.in_features)
        tolerance = 6 * expected / math.sqrt(2 * layer.weight.numel())
        assert abs(layer.weight.std().item() - expected) < tolerance
        assert layer.bias.abs().max() == 0


@pytest.mark.parametrize("name", ["resmlp_12_224", "mixer_s32_224"])
def test_convolutions_of_mixers_start_with_zero_bias(name):
    model, _ = structured(name, "shared", num_classes=10, img_size=64)
    convolutions = [module for module in model.modules() if isinstance(module, torch.nn.Conv2d)]
    assert len(convolutions) > 2
    assert all(conv.bias.abs().max() == 0 for conv in convolutions)
