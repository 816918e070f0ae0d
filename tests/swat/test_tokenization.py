"""Tokenization: where each pixel goes."""

import pytest
import torch
import torch.nn.functional as F

from swatbench.swat.tokenization import StructureAwareTokenization


def tokenizer(**changes):
    sizes = {
        "in_chans": 3,
        "embed_dim": 48,
        "patch": 8,
        "alpha": 4,
        "stem_width": 5,
        "overlap": True,
        "position": True,
        "norm_eps": 1e-5,
    }
    torch.manual_seed(0)
    return StructureAwareTokenization(**{**sizes, **changes}).double()


def test_a_token_is_the_cut_of_the_feature_map_in_order_c_h_w():
    module = tokenizer(position=False, norm_eps=None)
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


def test_the_position_has_the_size_of_a_token_after_the_first_convolution():
    assert tokenizer(patch=32, alpha=8, embed_dim=128).pos_embed.shape == (1, 5, 16, 16)


@pytest.mark.parametrize(("overlap", "kernel", "padding"), [(True, 4, 1), (False, 2, 0)])
def test_the_first_convolution_halves_and_overlaps_only_where_asked(overlap, kernel, padding):
    conv = tokenizer(overlap=overlap).conv1
    assert (conv.kernel_size[0], conv.stride[0], conv.padding[0]) == (kernel, 2, padding)


def test_one_pixel_reaches_one_sub_patch_of_one_token_without_overlap():
    module = tokenizer(overlap=False, position=False, norm_eps=None)
    images = torch.zeros(1, 3, 16, 16, dtype=torch.float64)
    changed = images.clone()
    changed[0, 0, 9, 4] = 1.0
    moved = (module(changed) - module(images)).abs().reshape(3, 4, 4, 2, 2).amax(0).nonzero().tolist()
    assert moved == [[0, 2, 1, 0]]


def test_sizes_that_do_not_divide_are_named():
    with pytest.raises(ValueError, match="patch 8 cannot be cut into alpha 3"):
        tokenizer(alpha=3)
    with pytest.raises(ValueError, match="40 channels cannot be cut into segments of 4 × 4"):
        tokenizer(embed_dim=40)
