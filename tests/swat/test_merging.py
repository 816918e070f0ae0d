"""Merging: the sub-patch image, convolved and refolded."""

import pytest
import torch
import torch.nn.functional as F

from swatbench.swat.geometry import TokenImage
from swatbench.swat.merging import StructureAwareMerging


def merging(kernel=3):
    torch.manual_seed(0)
    module = StructureAwareMerging(TokenImage(c=4, h=2, w=2), kernel=kernel, norm_eps=1e-5).double()
    torch.nn.init.normal_(module.norm_c.weight)
    return module


def test_merging_convolves_the_unfolded_image_and_refolds_it_twice_as_large():
    module = merging()
    x = torch.randn(2, 4, 6, 16, dtype=torch.float64)
    pixels = F.pixel_shuffle(x.movedim(-1, 1), 2)  # (2, 4, 8, 12): tokens back to sub-patches
    normed = F.layer_norm(pixels.movedim(1, -1), (4,), module.norm_c.weight, module.norm_c.bias, 1e-5)
    out = F.conv2d(normed.movedim(-1, 1), module.conv.weight, padding=1)
    assert torch.allclose(module(x), F.pixel_unshuffle(out, 4).movedim(1, -1), atol=1e-12)


def test_an_odd_side_is_padded_with_zero_tokens():
    module = merging(kernel=1)
    x = torch.randn(1, 3, 3, 16, dtype=torch.float64)
    assert torch.equal(module(x), module(F.pad(x, (0, 0, 0, 1, 0, 1))))


def test_an_odd_number_of_segments_is_refused():
    with pytest.raises(ValueError, match="3 segments cannot be halved"):
        StructureAwareMerging(TokenImage(c=3, h=2, w=2), kernel=3, norm_eps=1e-5)
