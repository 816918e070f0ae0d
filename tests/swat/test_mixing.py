"""Mixing: each layer against loops over the paper's indices, and which outputs a change reaches."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from swatbench.swat.geometry import TokenImage
from swatbench.swat.mixing import StructureAwareLinear, StructureAwareMlp, StructureAwareTokenLinear

IMAGE = TokenImage(c=2, h=4, w=4)


def linear(inputs, outputs):
    torch.manual_seed(0)
    return nn.Linear(inputs, outputs).double()


def mlp(features, hidden, *, segments, height, width, kernel=3, prefix=0, act=None):
    torch.manual_seed(0)
    parts = {"fc1": nn.Linear(features, hidden), "fc2": nn.Linear(hidden, features)}
    plain = {name: nn.Identity() for name in ("drop1", "norm", "drop2")}
    positions = TokenImage(c=segments, h=height, w=width)
    return StructureAwareMlp(
        **parts, **plain, act=act or nn.GELU(), kernel=kernel, positions=positions, prefix=prefix
    ).double()


def depthwise_by_hand(x, conv, rows, columns):
    """(positions, D) → (positions, D): zero-padded correlation, one position at a time."""
    reach = conv.kernel_size[0] // 2
    out = conv.bias.repeat(rows * columns, 1).clone()
    for row in range(rows):
        for column in range(columns):
            for i in range(-reach, reach + 1):
                for j in range(-reach, reach + 1):
                    if 0 <= row + i < rows and 0 <= column + j < columns:
                        weight = conv.weight[:, 0, i + reach, j + reach]
                        out[row * columns + column] += weight * x[(row + i) * columns + column + j]
    return out


@pytest.mark.parametrize(("combine", "scale"), [("mean", 0.5), ("sum", 1.0)])
def test_a_projection_is_the_mean_of_linear_and_convolution_with_q_first(combine, scale):
    layer = StructureAwareLinear(linear(32, 96), IMAGE, kernel=3, combine=combine).double()
    x = torch.randn(3, 5, 32, dtype=torch.float64)
    maps = F.conv2d(x.reshape(15, 2, 4, 4), layer.conv.weight, layer.conv.bias, padding=1)
    q, k, v = (group.reshape(3, 5, 32) for group in maps.split(2, dim=1))
    expected = scale * (F.linear(x, layer.weight, layer.bias) + torch.cat([q, k, v], dim=-1))
    assert torch.allclose(layer(x), expected, atol=1e-12)


def test_a_projection_keeps_the_parameters_it_replaces():
    plain = linear(32, 96)
    layer = StructureAwareLinear(plain, IMAGE, kernel=3)
    assert layer.weight is plain.weight
    assert layer.bias is plain.bias


def test_channel_mixing_is_fc1_gelu_depthwise_gelu_fc2_over_the_grid():
    layer = mlp(6, 8, segments=1, height=3, width=5)
    x = torch.randn(2, 15, 6, dtype=torch.float64)
    hidden = F.gelu(layer.fc1(x))
    mixed = torch.stack([depthwise_by_hand(image, layer.dwconv, 3, 5) for image in hidden])
    assert torch.allclose(layer(x), layer.fc2(F.gelu(mixed)), atol=1e-12)


def test_the_second_activation_is_the_first_one_s_kind():
    layer = mlp(6, 8, segments=1, height=3, width=5, act=nn.Tanh())
    x = torch.randn(1, 15, 6, dtype=torch.float64)
    mixed = depthwise_by_hand(torch.tanh(layer.fc1(x))[0], layer.dwconv, 3, 5)
    assert torch.allclose(layer(x)[0], layer.fc2(torch.tanh(mixed)), atol=1e-12)


def test_prefix_tokens_take_the_plain_way_and_reach_no_other_token():
    layer = mlp(6, 8, segments=1, height=3, width=5, prefix=2)
    x = torch.randn(2, 17, 6, dtype=torch.float64)
    hidden = F.gelu(layer.fc1(x))
    mixed = torch.stack([depthwise_by_hand(image[2:], layer.dwconv, 3, 5) for image in hidden])
    expected = torch.cat([layer.fc2(hidden[:, :2]), layer.fc2(F.gelu(mixed))], dim=1)
    assert torch.allclose(layer(x), expected, atol=1e-12)


def test_an_image_of_tokens_is_mixed_as_the_same_tokens_in_a_row():
    layer = mlp(6, 8, segments=1, height=3, width=5)
    x = torch.randn(2, 3, 5, 6, dtype=torch.float64)
    row = layer(x.flatten(1, 2))
    layer.positions = None
    assert torch.allclose(layer(x).flatten(1, 2), row, atol=1e-12)


def test_what_stood_before_the_last_map_stays_there():
    layer = mlp(6, 8, segments=1, height=3, width=5)
    x = torch.randn(1, 15, 6, dtype=torch.float64)
    hidden = depthwise_by_hand(F.gelu(layer.fc1(x))[0], layer.dwconv, 3, 5)
    layer.norm = nn.LayerNorm(8).double()
    assert torch.allclose(layer(x)[0], layer.fc2(layer.norm(F.gelu(hidden))), atol=1e-12)


def test_token_mixing_of_mixer_keeps_segments_apart():
    layer = mlp(7, 5, segments=2, height=3, width=3)  # 7 tokens, C = 2·3·3
    x = torch.randn(1, 18, 7, dtype=torch.float64)
    hidden = F.gelu(layer.fc1(x))[0].split(9)
    mixed = torch.cat([depthwise_by_hand(segment, layer.dwconv, 3, 3) for segment in hidden])
    assert torch.allclose(layer(x)[0], layer.fc2(F.gelu(mixed)), atol=1e-12)
    changed = x.clone()
    changed[0, 0] += 1.0  # channel (c 0, h 0, w 0): reaches its own segment's 2 × 2 corner only
    moved = (layer(changed) - layer(x))[0].abs().amax(-1).nonzero().flatten().tolist()
    assert moved == [0, 1, 3, 4]


def test_token_linear_of_resmlp_has_no_second_map_and_no_second_activation():
    layer = StructureAwareTokenLinear(linear(6, 6), IMAGE, kernel=3).double()
    x = torch.randn(1, 32, 6, dtype=torch.float64)
    hidden = F.gelu(F.linear(x, layer.weight, layer.bias))[0].split(16)
    expected = torch.cat([depthwise_by_hand(segment, layer.dwconv, 4, 4) for segment in hidden])
    assert torch.allclose(layer(x)[0], expected, atol=1e-12)


def test_sizes_that_disagree_are_named():
    with pytest.raises(ValueError, match="30 → 96 channels does not fit tokens of 2 × 4 × 4"):
        StructureAwareLinear(linear(30, 96), IMAGE, kernel=3)
    with pytest.raises(ValueError, match=r"14 positions do not form 1 images of 3 × 5 \(15\)"):
        mlp(6, 8, segments=1, height=3, width=5)(torch.zeros(1, 14, 6, dtype=torch.float64))
