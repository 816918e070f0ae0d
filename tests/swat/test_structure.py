"""What the layers of whole models see and compute, against independent cuts of the tokenizer's feature map.

A shape test cannot tell (c h w) from (h w c), nor H × W from W × H. Here each layer's input is compared with
pixels of the feature map, and whole parts are computed a second time with torch's functions.
"""

import pytest
import timm
import torch
import torch.nn.functional as F
from timm.models.mlp_mixer import MlpMixer, ResBlock
from torch import nn

from swatbench.models.apply import apply_swat
from swatbench.models.build import create_model
from swatbench.spec.catalog import PAIRS, parts_of
from swatbench.swat.geometry import Geometry
from swatbench.swat.mixing import StructureAwareLinear
from swatbench.swat.tokenization import StructureAwareTokenization

VIT = {"patch_size": 8, "embed_dim": 32, "depth": 1, "num_heads": 2, "num_classes": 5, "pos_embed": "none"}
MIXER = {"patch_size": 8, "embed_dim": 32, "num_blocks": 1, "mlp_ratio": (6 / 32, 2.0), "num_classes": 5}
SWIN = {"embed_dim": 16, "depths": (2, 2), "num_heads": (1, 2), "window_size": 2, "num_classes": 5}
GEOMETRY = Geometry(alpha=4, stem_width=6, token_kernel=3, grid_kernel=3)
SIZE = (16, 24)  # a grid of 2 × 3 tokens


def vit(**changes):
    """A ViT of one block, without class token and position of the token."""
    kwargs = {**VIT, "img_size": SIZE, "class_token": False, "global_pool": "avg", "fc_norm": False}
    return timm.create_model("deit_tiny_patch16_224", **{**kwargs, **changes})


def swin(**changes):
    """A Swin of two stages whose second grid fits one window."""
    return timm.create_model("swin_tiny_patch4_window7_224", img_size=(16, 24), **{**SWIN, **changes})


def mixer(**changes):
    """A Mixer of one block with as many hidden channels as tokens."""
    return MlpMixer(**{**MIXER, "img_size": SIZE, **changes})


def resmlp(**changes):
    """A ResMLP of one block."""
    return mixer(**{"block_layer": ResBlock, "mlp_ratio": 2.0, **changes})


def structured(model, parts=("tokenization", "token_mixing", "channel_mixing", "merging"), geometry=GEOMETRY):
    """A model with every parameter drawn anew, so that no zero and no one hides a mistake."""
    torch.manual_seed(0)
    model = apply_swat(model, parts=parts, geometry=geometry).double().eval()
    for value in model.parameters():
        nn.init.normal_(value, std=0.3)
    return model


def images(size=SIZE):
    return torch.randn(2, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def input_of(module):
    """A list that takes what the module is given."""
    seen = []
    module.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    return seen


def output_of(module):
    """A list that takes what the module puts out."""
    seen = []
    module.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    return seen


def cell(features, row, column, side=4):
    """The side × side cut of a feature map that is one token."""
    return features[:, :, side * row : side * (row + 1), side * column : side * (column + 1)]


def test_attention_s_convolution_sees_each_token_as_its_cut_of_the_feature_map():
    model = structured(vit())
    model.blocks[0].norm1 = nn.Identity()
    features = output_of(model.patch_embed.proj.conv2)
    seen = input_of(model.blocks[0].attn.qkv.conv)
    model(images())
    tokens = seen[0].reshape(2, 6, 2, 4, 4)
    for n in range(6):
        assert torch.equal(tokens[:, n], cell(features[0], n // 3, n % 3))


@pytest.mark.parametrize("kind", ["mixer", "resmlp"])
def test_token_mixing_of_mixers_sees_each_segment_as_an_image_with_a_channel_for_each_token(kind):
    model = structured(resmlp() if kind == "resmlp" else mixer())
    block = model.blocks[0]
    block.norm1 = nn.Identity()
    mixing, first = (
        (block.linear_tokens, block.linear_tokens)
        if kind == "resmlp"
        else (block.mlp_tokens, block.mlp_tokens.fc1)
    )
    with torch.no_grad():  # hidden channel n is token n
        first.weight.copy_(torch.eye(6))
        first.bias.zero_()
    features = output_of(model.stem.proj.conv2)
    seen = input_of(mixing.dwconv)
    model(images())
    segments = seen[0].reshape(2, 2, 6, 4, 4)  # (B c) N h w
    for n in range(6):
        assert torch.allclose(segments[:, :, n], F.gelu(cell(features[0], n // 3, n % 3)), atol=1e-12)


def test_merging_sees_the_tokenizer_s_feature_map():
    model = structured(swin(), geometry=Geometry(alpha=2, stem_width=6))
    merging = model.layers[1].downsample
    model.patch_embed.norm = model.layers[0].blocks = merging.norm_c = nn.Identity()
    features, seen = output_of(model.patch_embed.proj.conv2), input_of(merging.conv)
    merged, tokens = output_of(merging.conv), output_of(merging)
    model(images())
    assert torch.equal(seen[0], features[0])
    for row in range(2):
        for column in range(3):
            assert torch.equal(tokens[0][:, row, column], cell(merged[0], row, column).flatten(1))


def test_swin_s_attention_sees_tokens_of_its_stage():
    model = structured(swin(), geometry=Geometry(alpha=2, stem_width=6))
    block = model.layers[1].blocks[0]
    block.norm1, block.attn.qkv.fused = nn.Identity(), False
    tokens, seen = output_of(model.layers[1].downsample), input_of(block.attn.qkv.conv)
    model(images())
    window = tokens[0][0, :2, :2].reshape(4, 2, 4, 4)  # the first window's 2 × 2 tokens of (c h w)
    assert torch.equal(seen[0][:4], window)


def test_the_second_convolution_sees_every_pixel_of_its_cell_and_no_other():
    torch.manual_seed(0)
    module = StructureAwareTokenization(
        in_chans=3, embed_dim=8, alpha=2, stem_width=5, kernel=4, strides=(2, 2), padding=1
    ).double()
    x = images((16, 24))
    hidden = F.gelu(F.conv2d(x, module.conv1.weight, module.conv1.bias, stride=2, padding=1))
    cells = hidden.unfold(2, 2, 2).unfold(3, 2, 2)  # B E y x 2 2
    features = torch.einsum("beyxij,ceij->bcyx", cells, module.conv2.weight)
    features = features + module.conv2.bias.view(1, -1, 1, 1)
    assert torch.allclose(module(x), F.pixel_unshuffle(features, 2), atol=1e-12)


def test_swin_s_tokenizer_has_a_norm_over_e_and_keeps_its_own_over_c():
    model = structured(swin(), geometry=Geometry(alpha=2, stem_width=6))
    embed, x = model.patch_embed, images()
    stem, norm, own = embed.proj, embed.proj.norm, embed.norm
    hidden = F.gelu(F.conv2d(x, stem.conv1.weight, stem.conv1.bias, stride=2)).movedim(1, -1)
    hidden = F.layer_norm(hidden, (6,), norm.weight, norm.bias, 1e-5).movedim(-1, 1)
    features = F.conv2d(hidden, stem.conv2.weight, stem.conv2.bias)
    tokens = F.pixel_unshuffle(features, 2).movedim(1, -1)
    expected = F.layer_norm(tokens, (16,), own.weight, own.bias, 1e-5)
    assert torch.allclose(embed(x), expected, atol=1e-12)


def test_only_deit_has_a_position_within_the_token_and_only_swin_a_norm_over_e():
    found = {}
    for name, model in (
        ("deit", vit(pos_embed="learn")),
        ("mixer", mixer()),
        ("swin", swin()),
    ):
        geometry = Geometry(alpha=2 if name == "swin" else 4)
        stem = next(
            module
            for module in apply_swat(model, geometry=geometry).modules()
            if isinstance(module, StructureAwareTokenization)
        )
        found[name] = (stem.pos_embed is not None, isinstance(stem.norm, nn.LayerNorm))
    assert found == {"deit": (True, False), "mixer": (False, False), "swin": (False, True)}


def test_structured_attention_is_attention_of_averaged_projections():
    model = structured(vit(), parts=("token_mixing",))
    attn = model.blocks[0].attn
    x = torch.randn(2, 6, 32, dtype=torch.float64)
    q, k, v = projected(attn.qkv, x).split(32, dim=-1)
    q, k, v = (part.reshape(2, 6, 2, 16).transpose(1, 2) for part in (q, k, v))
    weights = (q @ k.transpose(-2, -1) / 4).softmax(dim=-1)  # 4 is the root of a head's 16 channels
    mixed = (weights @ v).transpose(1, 2).reshape(2, 6, 32)
    assert torch.allclose(attn(x), projected(attn.proj, mixed), atol=1e-12)


def projected(layer, x):
    """½ · (linear + convolution within each token), written out."""
    linear = F.linear(x, layer.weight, layer.bias)
    maps = F.conv2d(F.pad(x.reshape(12, 2, 4, 4), (1, 1, 1, 1)), layer.conv.weight, layer.conv.bias)
    return (linear + maps.reshape(2, 6, -1)) / 2


@pytest.mark.parametrize("bias", [True, False])
def test_attention_s_convolutions_have_a_bias_where_the_linear_maps_have_one(bias):
    attn = apply_swat(vit(qkv_bias=bias), parts=("token_mixing",)).blocks[0].attn
    assert [layer.conv.bias is not None for layer in (attn.qkv, attn.proj)] == [bias, True]


def test_swin_structures_both_projections_of_a_block_or_none():
    model = apply_swat(swin())
    kinds = [
        (type(block.attn.qkv), type(block.attn.proj)) for layer in model.layers for block in layer.blocks
    ]
    plain, both = (nn.Linear, nn.Linear), (StructureAwareLinear, StructureAwareLinear)
    assert kinds == [both, plain, both, plain]  # a grid of 4 × 6, then one of 2 × 3: windows are 2 × 2


@pytest.mark.parametrize("dynamic", [False, True])
def test_channel_mixing_reaches_the_neighbours_of_a_token_on_a_grid_that_is_not_square(dynamic):
    model = structured(vit(img_size=(24, 40), dynamic_img_size=dynamic), parts=("channel_mixing",))
    mlp = model.blocks[0].mlp
    model(images((24, 40)))  # a model of any size learns its grid of 3 × 5 from the image
    x = torch.randn(1, 15, 32, dtype=torch.float64)
    changed = x.clone()
    changed[0, 7] += 1.0  # row 1, column 2
    moved = (mlp(changed) - mlp(x))[0].abs().amax(-1).nonzero().flatten().tolist()
    assert moved == [1, 2, 3, 6, 7, 8, 11, 12, 13]


@pytest.mark.parametrize("part", ["tokenization", "token_mixing", "channel_mixing"])
@pytest.mark.parametrize("build", [vit, swin, mixer, resmlp])
def test_no_image_reaches_another_of_its_batch(build, part):
    model = structured(build(), parts=(part,), geometry=Geometry(alpha=2, stem_width=6, token_kernel=3))
    alone = torch.cat([model(image[None]) for image in images()])
    assert torch.allclose(model(images()), alone, atol=1e-10)


def test_mixers_channel_mixing_reaches_the_neighbours_of_a_token():
    model = structured(mixer(img_size=(24, 40)), parts=("channel_mixing",))
    mlp = model.blocks[0].mlp_channels
    x = torch.randn(1, 15, 32, dtype=torch.float64)
    changed = x.clone()
    changed[0, 4] += 1.0  # row 0, column 4: a corner
    moved = (mlp(changed) - mlp(x))[0].abs().amax(-1).nonzero().flatten().tolist()
    assert moved == [3, 4, 8, 9]


def test_norms_have_the_released_epsilons():
    swat = structured(swin(), geometry=Geometry(alpha=2, stem_width=6))
    mixed = structured(mixer())
    eps = [
        {module.eps for module in model.modules() if isinstance(module, nn.LayerNorm)}
        for model in (swat, mixed, structured(vit()))
    ]
    assert eps == [{1e-5}, {1e-6}, {1e-6}]


@pytest.mark.parametrize("arm", ["baseline", "swat"])
def test_deit_has_no_class_token_and_the_classifier_reads_the_mean_after_the_norm(arm):
    pair = PAIRS["deit_mini"]
    model = create_model(pair.as_dict(), parts_of(pair, arm), num_classes=10, img_size=32, depth=1).eval()
    nn.init.normal_(model.norm.weight)
    nn.init.normal_(model.head.weight)
    assert model.pos_embed.shape == (1, 64, 64)  # N × C of an 8 × 8 grid
    assert "cls_token" not in model.state_dict()
    last = output_of(model.blocks)
    logits = model(images((32, 32)).float())
    tokens = F.layer_norm(last[0], (64,), model.norm.weight, model.norm.bias, 1e-6)
    assert torch.allclose(logits, model.head(tokens.mean(1)), atol=1e-5)
