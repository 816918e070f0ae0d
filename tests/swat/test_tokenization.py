"""Tokenization: where each pixel goes."""

import pytest
import torch
import torch.nn.functional as F

from swatbench.swat.tokenization import StructureAwareTokenization


def tokenizer(**changes):
    sizes = {
        "in_chans": 3,
        "embed_dim": 48,
        "alpha": 4,
        "stem_width": 5,
        "kernel": 4,
        "strides": (2, 1),
        "padding": 1,
        "position_side": 4,
        "norm_eps": 1e-5,
    }
    torch.manual_seed(0)
    module = StructureAwareTokenization(**{**sizes, **changes}).double()
    if module.pos_embed is not None:
        torch.nn.init.normal_(module.pos_embed)
    return module


def test_a_token_is_the_cut_of_the_feature_map_in_order_c_h_w():
    module = tokenizer(position_side=None, norm_eps=None)
    images = torch.randn(2, 3, 24, 16, dtype=torch.float64)
    tokens = module(images)
    features = module.conv2(F.gelu(module.conv1(images)))
    assert tokens.shape == (2, 48, 3, 2)
    for row in range(3):
        for column in range(2):
            cell = features[:, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
            assert torch.equal(tokens[:, :, row, column], cell.flatten(1))


def test_the_position_is_tiled_and_added_before_the_activation_and_the_norm_follows_it():
    module = tokenizer()
    torch.nn.init.normal_(module.norm.weight)
    images = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    x = F.gelu(module.conv1(images) + module.pos_embed.tile(1, 1, 2, 2))
    x = F.layer_norm(x.movedim(1, -1), (5,), module.norm.weight, module.norm.bias, 1e-5).movedim(-1, 1)
    expected = F.pixel_unshuffle(module.conv2(x), 4)
    assert torch.allclose(module(images), expected, atol=1e-12)


def test_the_second_convolution_takes_the_rest_of_the_stride():
    module = tokenizer(strides=(2, 2), position_side=8)  # patch 16 = 4 sub-patches of 2 · 2 pixels
    assert module(torch.randn(1, 3, 32, 48, dtype=torch.float64)).shape == (1, 48, 2, 3)


def test_the_image_is_padded_with_zeros():
    module = tokenizer(position_side=None, norm_eps=None)
    images = torch.randn(1, 3, 16, 16, dtype=torch.float64)
    features = F.conv2d(F.pad(images, (1, 1, 1, 1)), module.conv1.weight, module.conv1.bias, stride=2)
    expected = F.pixel_unshuffle(module.conv2(F.gelu(features)), 4)
    assert torch.allclose(module(images), expected, atol=1e-12)


def test_one_pixel_reaches_one_sub_patch_of_one_token_without_overlap():
    module = tokenizer(kernel=2, padding=0, position_side=None, norm_eps=None)
    images = torch.zeros(1, 3, 16, 16, dtype=torch.float64)
    changed = images.clone()
    changed[0, 0, 9, 4] = 1.0
    moved = (module(changed) - module(images)).abs().reshape(3, 4, 4, 2, 2).amax(0).nonzero().tolist()
    assert moved == [[0, 2, 1, 0]]


def test_sizes_that_do_not_divide_are_named():
    with pytest.raises(ValueError, match="40 channels cannot be cut into segments of 4 × 4"):
        tokenizer(embed_dim=40)
