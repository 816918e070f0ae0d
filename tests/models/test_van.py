"""VAN and its structured form: what they compute, and what they cost by arithmetic."""

import copy
import re
from pathlib import Path

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

import swatbench  # noqa: F401 (registers the models)
from swatbench.errors import ModelError
from swatbench.models.apply import apply_swat
from swatbench.models.van import VAN, van_b2
from swatbench.models.van_layers import LargeKernelAttention, VANAttention, VANBlock, VANMlp
from swatbench.models.warm_start import warm_start
from swatbench.swat.geometry import Geometry
from tests.models.counted import counted

ADR = Path(__file__).parents[2] / "docs/adr/0009-swat-van.md"
SMALL = {
    "embed_dims": (8, 12, 16, 20),
    "mlp_ratios": (2, 2, 2, 2),
    "depths": (1, 1, 1, 1),
    "num_classes": 5,
}
PARTS = ("tokenization", "channel_mixing", "merging")
DOUBLE = torch.float64

# What VAN-B2 costs, from its sizes at 224 pixels.
WIDTHS, RATIOS, DEPTHS, SIDES = (64, 128, 320, 512), (8, 8, 4, 4), (3, 3, 12, 3), (56, 28, 14, 7)


class Cost:
    """Parameters, and MACs of convolutions and linear maps."""

    def __init__(self, params=0, macs=0):
        self.params, self.macs = params, macs

    def __add__(self, other):
        return Cost(self.params + other.params, self.macs + other.macs)

    def __sub__(self, other):
        return Cost(self.params - other.params, self.macs - other.macs)

    def __rmul__(self, times):
        return Cost(times * self.params, times * self.macs)


def conv(before, after, kernel, side, *, groups=1):
    weights = before // groups * after * kernel**2
    return Cost(weights + after, weights * side**2)


def total(costs):
    return sum(costs, Cost())


def depthwise(stage, kernel):
    D = WIDTHS[stage] * RATIOS[stage]
    return conv(D, D, kernel, SIDES[stage], groups=D)


def block(stage):
    C, side = WIDTHS[stage], SIDES[stage]
    D = C * RATIOS[stage]
    attention = 3 * conv(C, C, 1, side) + conv(C, C, 5, side, groups=C) + conv(C, C, 7, side, groups=C)
    mlp = conv(C, D, 1, side) + depthwise(stage, 3) + conv(D, C, 1, side)
    norms_and_scales = Cost(2 * 2 * C + 2 * C)
    return attention + mlp + norms_and_scales


def embedding(stage):
    before, kernel = (WIDTHS[stage - 1], 3) if stage else (3, 7)
    return conv(before, WIDTHS[stage], kernel, SIDES[stage])


BASELINE = total(
    embedding(stage) + Cost(2 * WIDTHS[stage]) + DEPTHS[stage] * block(stage) + Cost(2 * WIDTHS[stage])
    for stage in range(4)
) + Cost(512 * 1000 + 1000, 512 * 1000)


def mixing(*kernels):
    """Channel mixing with other depthwise kernels in place of 3, by stage."""
    return total(
        DEPTHS[stage] * (depthwise(stage, kernel) - depthwise(stage, 3))
        for stage, kernel in enumerate(kernels)
    )


def second_depthwise(*kernels):
    return total(DEPTHS[stage] * depthwise(stage, kernel) for stage, kernel in enumerate(kernels))


def tokens_of_swin(E):
    return conv(3, E, 2, 112) + conv(E, 64 // 4, 1, 112) - embedding(0)


def embedding_at_half_stride(stage, E=None):
    """Its own kernel at twice the resolution → 1 × 1 to a quarter of the channels → fold."""
    before, kernel = (WIDTHS[stage - 1], 3) if stage else (3, 7)
    C, side = WIDTHS[stage], 2 * SIDES[stage]
    E = E or C
    return conv(before, E, kernel, side) + conv(E, C // 4, 1, side) - embedding(stage)


def fold_of_one_convolution(stage):
    before, C = WIDTHS[stage - 1], WIDTHS[stage]
    return conv(before, C // 4, 3, 2 * SIDES[stage]) - embedding(stage)


def merging_of_swin(stage):
    """LayerNorm and a convolution without bias on the unfolded image of 112 × 112."""
    side = 2 ** (stage + 1)
    before, after = WIDTHS[stage - 1] // (side // 2) ** 2, WIDTHS[stage] // side**2
    weights = before * after * (side // 2 + 1) ** 2
    return Cost(weights + 2 * before, weights * 112**2) - embedding(stage)


def token_mixing(kernel):
    """Convolutions beside proj_1 and proj_2, on tokens of C/4 × 2 × 2."""
    return total(
        2 * DEPTHS[stage] * Cost((c := C // 4) * c * kernel**2 + c, 4 * c * c * kernel**2 * side**2)
        for stage, (C, side) in enumerate(zip(WIDTHS, SIDES, strict=True))
    )


MIXED = mixing(5, 5, 5, 3)
TOKENS = tokens_of_swin(128)
HALVED = total(embedding_at_half_stride(stage) for stage in (1, 2, 3))
FOLDED = total(fold_of_one_convolution(stage) for stage in (1, 2, 3))
NARROW = total(embedding_at_half_stride(stage, E=128) for stage in (1, 2, 3))
UNFOLDED = total(merging_of_swin(stage) for stage in (1, 2, 3))
READINGS = {
    "baseline": BASELINE,
    "chosen": BASELINE + MIXED + TOKENS + HALVED,
    "a": BASELINE + MIXED,
    "b": BASELINE + MIXED + TOKENS,
    "c": BASELINE + MIXED + embedding_at_half_stride(0),
    "d": BASELINE + MIXED + TOKENS + token_mixing(1),
    "e": BASELINE + MIXED + TOKENS + UNFOLDED,
    "f": BASELINE + MIXED + TOKENS + FOLDED,
    "g": BASELINE + MIXED + TOKENS + NARROW,
    "h": BASELINE + TOKENS + HALVED,
    "i": BASELINE + second_depthwise(5, 5, 5, 3) + TOKENS + HALVED,
    "j": BASELINE + MIXED + TOKENS + HALVED + token_mixing(1),
    "k": BASELINE + MIXED + HALVED + embedding_at_half_stride(0),
    "l": BASELINE + mixing(5, 5, 5, 5) + TOKENS + HALVED,
    "m": BASELINE + MIXED + HALVED + tokens_of_swin(64),
    "n": BASELINE + MIXED + HALVED,
}
"""The rows of the table in the decision about SWAT-VAN."""


@pytest.fixture(autouse=True)
def one_thread():
    """The models are small; other tests may run beside these."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def small(parts=(), *, geometry=None, dtype=torch.float32, **kwargs):
    """A narrow VAN whose branches are loud enough to be seen behind their layer scales."""
    torch.manual_seed(0)
    model = VAN(**{**SMALL, **kwargs}).to(dtype)
    apply_swat(model, parts=parts, geometry=geometry or Geometry(alpha=2, stem_width=8, img_size=224))
    for module in model.modules():
        if hasattr(module, "gamma"):
            nn.init.ones_(module.gamma)
    return model.eval()


def images(*size, channels=3, dtype=torch.float32):
    return torch.randn(2, channels, *size, generator=torch.Generator().manual_seed(1), dtype=dtype)


def noisy(module):
    """Every bias, which would start at zero, and every running statistic moved."""
    for name, value in [*module.named_parameters(), *module.named_buffers()]:
        if name.endswith(("bias", "running_mean")):
            nn.init.normal_(value)
        if name.endswith("running_var"):
            nn.init.uniform_(value, 0.5, 2)
    return module


def shapes(model):
    return {name: tuple(value.shape) for name, value in model.named_parameters()}


def built(parts, **geometry):
    with torch.device("meta"):
        model = VAN()
    return apply_swat(model, parts=parts, geometry=Geometry(alpha=2, **geometry))


# Counts


def test_van_b2_costs_what_was_published():
    assert (BASELINE.params, BASELINE.macs) == (26_578_472, 4_992_773_120)
    assert f"{BASELINE.params / 1e6:.1f} {BASELINE.macs / 1e9:.1f}" == "26.6 5.0"


@pytest.mark.parametrize(
    ("parts", "cost"),
    [
        ((), BASELINE),
        (("tokenization",), BASELINE + TOKENS),
        (("merging",), BASELINE + HALVED),
        (("channel_mixing",), READINGS["a"]),
        (("token_mixing",), BASELINE),
        (("tokenization", "channel_mixing"), READINGS["b"]),
        (("tokenization", "merging"), READINGS["h"]),
        (("merging", "channel_mixing"), READINGS["n"]),
        (PARTS, READINGS["chosen"]),
    ],
)
def test_counters_see_what_arithmetic_says(parts, cost):
    counts = counted(lambda: built(parts).to_empty(device="cpu"), 224)
    assert (counts.params, counts.macs_matmul) == (cost.params, cost.macs)
    assert counts.agree


@pytest.mark.parametrize(
    ("sizes", "row"), [({"grid_kernel": 5}, "l"), ({"stem_width": 64}, "m"), ({"img_size": 512}, "l")]
)
def test_sizes_can_be_chosen(sizes, row):
    counted = sum(value.numel() for value in built(PARTS, **sizes).parameters())
    assert counted == READINGS[row].params


def test_the_decision_s_table_is_what_arithmetic_gives():
    rows = re.findall(r"^\| (\w+) \| .* \| ([\d.]+) \| ([\d.]+) \| (\S+) \|$", ADR.read_text(), re.M)
    expected = [
        (key, f"{cost.params / 1e6:.2f}", f"{cost.macs / 1e9:.3f}", _as_the_figure(key, cost))
        for key, cost in READINGS.items()
    ]
    assert rows == expected


def _as_the_figure(key, cost):
    if key == "baseline":
        return "–"
    return "yes" if f"{cost.params / 1e6:.1f} {cost.macs / 1e9:.1f}" == "27.0 5.8" else "no"


# What VAN computes


def test_large_kernel_attention_is_the_product_written_out():
    torch.manual_seed(0)
    layer = noisy(LargeKernelAttention(3, dtype=DOUBLE))
    x = images(24, 20, dtype=DOUBLE)
    seen = x
    for conv_, reach, step in ((layer.conv0, 2, 1), (layer.conv_spatial, 9, 3)):
        padded = F.pad(seen, (reach,) * 4)
        seen = conv_.bias[:, None, None] + sum(
            conv_.weight[:, 0, i, j, None, None]
            * padded[:, :, i * step : i * step + 24, j * step : j * step + 20]
            for i in range(conv_.kernel_size[0])
            for j in range(conv_.kernel_size[1])
        )
    weight = layer.conv1.weight[:, :, 0, 0]
    seen = torch.einsum("dc,bchw->bdhw", weight, seen) + layer.conv1.bias[:, None, None]
    assert torch.allclose(layer(x), x * seen, atol=1e-12)


def test_large_kernel_attention_sees_23_positions_along_each_side():
    torch.manual_seed(0)
    layer = LargeKernelAttention(2, dtype=DOUBLE)
    x = images(41, 41, channels=2, dtype=DOUBLE)
    moved = x.clone()
    moved[:, :, 20, 20] += 1
    changed = (layer(moved) - layer(x)).abs().amax((0, 1)) > 1e-12
    assert changed[9:32, 9:32].all()  # 2 · (2 + 3 · 3) + 1 = 23
    assert changed.sum() == 23**2


def test_attention_is_a_gated_map_with_a_shortcut_around_it():
    torch.manual_seed(0)
    layer = noisy(VANAttention(3, dtype=DOUBLE))
    x = images(12, 12, dtype=DOUBLE)
    inner = F.gelu(F.conv2d(x, layer.proj_1.weight, layer.proj_1.bias))
    inner = layer.spatial_gating_unit(inner)
    expected = x + F.conv2d(inner, layer.proj_2.weight, layer.proj_2.bias)
    assert torch.allclose(layer(x), expected, atol=1e-12)


def test_the_mlp_has_one_activation_behind_its_depthwise_convolution():
    torch.manual_seed(0)
    mlp = noisy(VANMlp(3, 6, drop=0.0, dtype=DOUBLE))
    x = images(9, 9, dtype=DOUBLE)
    hidden = F.conv2d(x, mlp.fc1.weight, mlp.fc1.bias)
    hidden = F.gelu(F.conv2d(F.pad(hidden, (1,) * 4), mlp.dwconv.weight, mlp.dwconv.bias, groups=6))
    assert torch.allclose(mlp(x), F.conv2d(hidden, mlp.fc2.weight, mlp.fc2.bias), atol=1e-12)


def test_a_block_scales_and_adds_both_branches():
    torch.manual_seed(0)
    block_ = noisy(VANBlock(4, mlp_ratio=2, drop=0.0, drop_path=0.0, dtype=DOUBLE)).eval()
    assert torch.equal(block_.ls1.gamma, torch.full((4,), 1e-2, dtype=DOUBLE))
    for scale in (block_.ls1, block_.ls2):
        nn.init.normal_(scale.gamma)
    x = images(9, 9, channels=4, dtype=DOUBLE)
    expected = x + block_.ls1.gamma.view(4, 1, 1) * block_.attn(_normed(x, block_.norm1))
    expected = expected + block_.ls2.gamma.view(4, 1, 1) * block_.mlp(_normed(expected, block_.norm2))
    assert torch.allclose(block_(x), expected, atol=1e-12)


def _normed(x, norm):
    """Batch norm in evaluation, written out."""
    mean, var, weight, bias = (
        value.view(-1, 1, 1) for value in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    return (x - mean) / (var + 1e-5).sqrt() * weight + bias


def test_every_stage_ends_with_a_norm_over_channels_and_the_head_takes_the_mean():
    model = noisy(small(dtype=DOUBLE))
    x = images(64, 96, dtype=DOUBLE)
    for embed, blocks, norm in zip(model.patch_embeds, model.stages, model.norms, strict=True):
        x = blocks(embed(x))
        assert norm.eps == 1e-6
        x = F.layer_norm(x.movedim(1, -1), x.shape[1:2], norm.weight, norm.bias, 1e-6).movedim(-1, 1)
    assert torch.allclose(model.forward_features(images(64, 96, dtype=DOUBLE)), x, atol=1e-10)
    expected = F.linear(x.mean((2, 3)), model.head.weight, model.head.bias)
    assert torch.allclose(model(images(64, 96, dtype=DOUBLE)), expected, atol=1e-10)


def test_layers_start_as_published():
    torch.manual_seed(0)
    model = VAN(embed_dims=(64, 128, 160, 192), depths=(1, 1, 1, 1))
    apply_swat(model, parts=PARTS, geometry=Geometry(alpha=2, img_size=224))
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            height, width = module.kernel_size
            expected = (2 / (height * width * module.out_channels / module.groups)) ** 0.5
            assert module.weight.std().item() == pytest.approx(expected, rel=0.2), name
            assert not module.bias.any(), name
    assert model.head.weight.std().item() == pytest.approx(0.02, rel=0.05)


def test_stochastic_depth_rises_over_all_blocks():
    model = small(depths=(2, 1, 1, 2), drop_path_rate=0.5)
    rates = [getattr(block_.drop_path1, "drop_prob", 0.0) for stage in model.stages for block_ in stage]
    assert rates == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])


# What SWAT-VAN computes


def test_tokens_are_cuts_of_the_full_resolution_in_order_c_h_w():
    model = noisy(small(("tokenization", "merging"), dtype=DOUBLE))
    x = images(64, 96, dtype=DOUBLE)
    for stage, embed in enumerate(model.patch_embeds):
        proj, stride = embed.proj, 1 if stage else 2
        padded = F.pad(x, (1,) * 4) if stage else x
        features = F.gelu(F.conv2d(padded, proj.conv1.weight, proj.conv1.bias, stride))
        features = F.conv2d(features, proj.conv2.weight, proj.conv2.bias)
        tokens = embed.proj(x)
        H, W = tokens.shape[2:]
        assert features.shape[1:] == (tokens.shape[1] // 4, 2 * H, 2 * W)
        for row in range(H):
            for column in range(W):
                cut = features[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
                assert torch.allclose(tokens[:, :, row, column], cut.flatten(1), atol=1e-12)
        assert torch.allclose(embed(x), _normed(tokens, embed.norm), atol=1e-12)
        x = tokens


def test_channel_mixing_has_activations_on_both_sides_of_its_convolution():
    model = noisy(small(("channel_mixing",), dtype=DOUBLE))
    for stage, kernel in enumerate((5, 5, 5, 3)):
        mlp = model.stages[stage][0].mlp
        among = mlp.dwconv if kernel == 3 else mlp.dwconv_wide
        x = images(9, 7, channels=mlp.fc1.in_channels, dtype=DOUBLE)
        hidden = F.gelu(F.conv2d(x, mlp.fc1.weight, mlp.fc1.bias))
        padded = F.pad(hidden, (kernel // 2,) * 4)
        hidden = F.gelu(F.conv2d(padded, among.weight, among.bias, groups=hidden.shape[1]))
        assert among.kernel_size == (kernel, kernel)
        assert torch.allclose(mlp(x), F.conv2d(hidden, mlp.fc2.weight, mlp.fc2.bias), atol=1e-12)


def test_what_both_arms_have_keeps_its_name_shape_and_value():
    plain, structured = small(), small(PARTS)
    ours, theirs = plain.state_dict(), structured.state_dict()
    replaced = {name for name in ours if name not in theirs}
    assert replaced == {
        f"{layer}.{value}"
        for value in ("weight", "bias")
        for layer in (
            *(f"patch_embeds.{stage}.proj" for stage in range(4)),
            *(f"stages.{stage}.0.mlp.dwconv" for stage in range(3)),
        )
    }
    assert all(torch.equal(ours[name], theirs[name]) for name in ours.keys() & theirs.keys())
    assert structured.no_weight_decay() == plain.no_weight_decay()


def test_weights_of_the_plain_model_start_the_structured_one():
    plain, structured = noisy(small()), small(PARTS)
    report = warm_start(structured, plain.state_dict())
    new = {name.split(".")[-2] for name in report.new}
    assert new == {"conv1", "conv2", "dwconv_wide"}
    assert report.fitted == ()
    x = images(7, 7, channels=20)
    assert torch.equal(structured.stages[3][0].attn(x), plain.stages[3][0].attn(x))


def test_token_mixing_changes_nothing():
    assert torch.equal(small(("token_mixing",))(images(64, 64)), small()(images(64, 64)))


def test_kernels_follow_the_designed_size_and_not_the_input():
    assert shapes(small(PARTS, img_size=64)) == shapes(small(PARTS, img_size=512))
    by_model = small(PARTS, geometry=Geometry(alpha=2, stem_width=8), img_size=(320, 300))
    kernels = [by_model.stages[stage][0].mlp.dwconv_wide for stage in range(4)]
    assert [layer.kernel_size[0] for layer in kernels] == [5] * 4  # 300 / 32 is 10 when rounded up


@pytest.mark.parametrize("parts", [("tokenization",), ("merging",), ("channel_mixing",)])
def test_a_part_is_applied_once(parts):
    model = small(parts)
    with pytest.raises(ModelError, match="structured already"):
        apply_swat(model, parts=parts, geometry=Geometry(alpha=2, stem_width=8))


def test_widths_that_do_not_fold_are_refused_and_the_model_is_left_as_it_was():
    model = small(embed_dims=(8, 12, 18, 20))
    before = shapes(model)
    with pytest.raises(ModelError, match=r"18 channels cannot be cut into segments of 2 × 2"):
        apply_swat(model, parts=PARTS, geometry=Geometry(alpha=2, stem_width=8))
    assert shapes(model) == before


# What timm's models can do


@pytest.mark.parametrize("size", [(224, 224), (128, 128), (96, 160), (65, 99), (33, 1), (130, 126)])
@pytest.mark.parametrize("parts", [(), PARTS])
def test_any_size_gives_the_grids_of_a_4th_to_a_32nd_rounded_up(parts, size):
    model = small(parts)
    grids = [tuple(x.shape[2:]) for x in model.forward_intermediates(images(*size), intermediates_only=True)]
    assert grids == [tuple(-(-side // patch) for side in size) for patch in (4, 8, 16, 32)]
    assert model(images(*size)).shape == (2, 5)


def test_zeros_fill_up_a_cut_off_patch():
    model = small(PARTS)
    padded = F.pad(images(63, 94), (0, 2, 0, 1))
    assert torch.equal(model(images(63, 94)), model(padded))


@pytest.mark.parametrize("parts", [(), PARTS])
def test_intermediates_are_the_outputs_of_the_stages(parts):
    model = small(parts)
    last, taken = model.forward_intermediates(images(64, 64))
    assert [x.shape[1] for x in taken] == [8, 12, 16, 20]
    assert torch.equal(last, model.forward_features(images(64, 64)))
    assert torch.equal(taken[-1], last)
    early, some = model.forward_intermediates(images(64, 64), indices=[0, -2], stop_early=True)
    assert [torch.equal(x, taken[stage]) for x, stage in zip(some, (0, 2), strict=True)] == [True, True]
    assert torch.equal(early, taken[2])
    hooked = []
    model.get_submodule(model.feature_info[1]["module"]).register_forward_hook(
        lambda _module, _inputs, output: hooked.append(output)
    )
    model(images(64, 64))
    assert torch.equal(hooked[0], taken[1])
    with pytest.raises(ValueError, match="NHWC"):
        model.forward_intermediates(images(64, 64), output_fmt="NHWC")


@pytest.mark.parametrize("name", ["van_b2", "swat_van_b2"])
def test_timm_makes_it_a_backbone(name):
    sizes = {key: SMALL[key] for key in ("embed_dims", "mlp_ratios", "depths")}
    backbone = timm.create_model(name, features_only=True, out_indices=(1, 2), **sizes).eval()
    assert backbone.feature_info.channels() == [12, 16]
    assert backbone.feature_info.reduction() == [8, 16]
    assert [x.shape[1:] for x in backbone(images(64, 96))] == [(12, 8, 12), (16, 4, 6)]
    assert not any("stages.3" in key for key in backbone.state_dict())


def test_pruned_stages_are_gone_and_the_rest_is_unmoved():
    model = small(PARTS)
    expected = model.forward_intermediates(images(64, 64), indices=[1], intermediates_only=True)[0]
    assert model.prune_intermediate_layers([1]) == [1]
    assert len(model.stages) == len(model.patch_embeds) == len(model.norms) == 2
    assert torch.equal(model(images(64, 64)), expected)
    assert model.num_features == 12
    model.reset_classifier(3, "avg")
    assert model(images(64, 64)).shape == (2, 3)


def test_the_classifier_can_be_replaced_and_removed():
    model = small()
    pooled = model.forward_head(model.forward_features(images(64, 64)), pre_logits=True)
    assert pooled.shape == (2, 20)
    model.reset_classifier(7)
    assert torch.equal(model(images(64, 64)), F.linear(pooled, model.head.weight, model.head.bias))
    assert not model.head.bias.any()
    assert model.get_classifier() is model.head
    assert model.num_classes == 7
    model.reset_classifier(0)
    assert torch.equal(model(images(64, 64)), pooled)
    model.reset_classifier(0, "")
    assert model(images(64, 64)).shape == (2, 20, 2, 2)
    with pytest.raises(ModelError, match="7 classes with global_pool ''"):
        model.reset_classifier(7)
    with pytest.raises(ModelError, match="'catavgmax'"):
        small(global_pool="catavgmax")


@pytest.mark.parametrize("parts", [(), PARTS])
def test_checkpointing_computes_the_same_gradients(parts):
    plain = small(parts, drop_path_rate=0.2, drop_rate=0.1, proj_drop_rate=0.1, depths=(1, 2, 1, 1)).train()
    again = copy.deepcopy(plain)
    again.set_grad_checkpointing()
    for model, times in ((plain, 1), (again, 2)):
        calls = []
        model.stages[0][0].attn.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        torch.manual_seed(2)
        model(images(64, 64)).square().mean().backward()
        assert len(calls) == times
    for (key, value), other in zip(plain.named_parameters(), again.parameters(), strict=True):
        assert torch.allclose(value.grad, other.grad, atol=1e-6), key


@pytest.mark.parametrize("parts", [(), PARTS])
def test_every_parameter_gets_a_gradient(parts):
    model = small(parts).train()
    model(images(64, 64)).square().mean().backward()
    assert [name for name, value in model.named_parameters() if value.grad is None] == []


@pytest.mark.parametrize("parts", [(), ("channel_mixing",)])
def test_dropout_is_where_it_is_asked_for(parts):
    model = noisy(small(parts, drop_rate=0.3, proj_drop_rate=0.2)).train()
    rates = {name: module.p for name, module in model.named_modules() if isinstance(module, nn.Dropout)}
    assert rates.pop("head_drop") == 0.3
    assert rates == {f"stages.{stage}.0.mlp.drop{n}": 0.2 for stage in range(4) for n in (1, 2)}
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 1.0
    assert torch.equal(model(images(64, 64)), model.head.bias.expand(2, 5))
    for stage in model.stages:
        mlp = stage[0].mlp
        x = images(4, 4, channels=mlp.fc1.in_channels)
        assert not mlp(x).any()
        mlp.drop2.p = 0.0
        assert torch.equal(mlp(x), mlp.fc2.bias[:, None, None].expand_as(x))


@pytest.mark.parametrize("parts", [(), PARTS])
def test_a_seed_fixes_every_value(parts):
    first, again = small(parts).state_dict(), small(parts).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["head.weight"], VAN(**SMALL).head.weight)


def test_it_is_built_on_the_meta_device_and_in_other_types():
    model = built(PARTS)
    assert all(value.is_meta for value in model.parameters())
    half = VAN(**SMALL, dtype=torch.bfloat16)
    apply_swat(half, parts=PARTS, geometry=Geometry(alpha=2, stem_width=8))
    assert {value.dtype for value in half.parameters()} == {torch.bfloat16}


def test_other_channels_and_the_entry_point():
    model = van_b2(**SMALL, in_chans=1)
    assert model(images(64, 64, channels=1)).shape == (2, 5)
    apply_swat(model, parts=PARTS, geometry=Geometry(alpha=2, stem_width=8))
    assert model(images(64, 64, channels=1)).shape == (2, 5)


def test_groups_rise_with_depth():
    model = small(PARTS, depths=(1, 2, 1, 1))
    for coarse, blocks in ((True, [0, 1, 2, 3]), (False, [0, 1, 1, 2, 3])):
        groups = list(timm.models.group_parameters(model, model.group_matcher(coarse=coarse)).values())
        assert sorted(name for group in groups for name in group) == sorted(shapes(model))
        assert {name.split(".")[0] + name.split(".")[1] for name in groups[0]} == {"patch_embeds0"}
        stages = [{int(name.split(".")[1]) for name in group} for group in groups[1:-1]]
        assert stages == [{stage} for stage in blocks]
        assert groups[-1] == ["head.weight", "head.bias"]
        last = next(group for group in groups if "norms.1.weight" in group)
        assert "stages.1.1.norm1.weight" in last
        assert ("stages.1.0.norm1.weight" in last) == coarse
