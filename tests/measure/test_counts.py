"""Counts against arithmetic, against published numbers, and against themselves."""

import gc
import warnings
import weakref

import pytest
import timm
import torch
from timm.layers import set_fused_attn, use_fused_attn
from timm.models.mlp_mixer import MlpMixer
from torch import nn
from torch.nn import functional as F

from swatbench.errors import ModelError
from swatbench.measure.condition import Condition
from swatbench.measure.counts import count

CONTROL = {"class_token": False, "global_pool": "avg", "fc_norm": False}


@pytest.fixture(params=[False, True], ids=["plain", "fused"])
def fused(request):
    before = use_fused_attn()
    set_fused_attn(request.param)
    yield request.param
    set_fused_attn(before)


def counted(build, input_size=(3, 224, 224), *, batch_size=1, num_classes=1000, training=False):
    condition = Condition(
        batch_size=batch_size,
        input_size=input_size,
        num_classes=num_classes,
        device="cpu",
        precision="fp32",
    )
    return count(build, condition, training=training)


def counted_timm(name, *, batch_size=1, training=False, **kwargs):
    return counted(lambda: timm.create_model(name, **kwargs), batch_size=batch_size, training=training)


def deit_macs(tokens, patches, width=192, depth=12):
    block = tokens * width * 12 * width + 2 * tokens**2 * width
    norms = 5 * tokens * width * (2 * depth + 1)
    return patches * 16 * 16 * 3 * width + depth * block + norms + width * 1000


def test_deit_without_class_token(fused):
    found = counted_timm("deit_tiny_patch16_224", **CONTROL)
    assert found.macs == deit_macs(196, 196) == 1_251_267_840
    assert found.params == 5_717_032
    assert found.agree
    attention = "scaled_dot_product_attention" if fused else "matmul"
    assert found.macs_by_operator[attention] == 12 * 2 * 196**2 * 192


@pytest.mark.usefixtures("fused")
def test_deit_with_class_token():
    found = counted_timm("deit_tiny_patch16_224", batch_size=2, training=True)
    # The class token is mixed and normed like the 196 others.
    assert found.macs == deit_macs(197, 196) == 1_258_411_200
    assert found.params == found.params_trainable == 5_717_416
    assert found.agree
    # Every product has two in the backward pass, but for the first, whose input wants no gradient.
    assert found.training_macs == 2 * (3 * found.macs_matmul - 196 * 768 * 192)
    block = 197 * (3 * 192 + 192 + 4 * 192 + 192) + 3 * (197**2 + 197 * 64)
    assert found.activations == 196 * 192 + 12 * block + 1000


def test_mixer_ti():
    found = counted(lambda: MlpMixer(patch_size=16, num_blocks=8, embed_dim=256))
    tokens, width = 196, 256
    block = tokens * width * 8 * width + 2 * tokens * width * (width // 2)
    norms = 5 * tokens * width * 17
    assert found.macs == tokens * 768 * width + 8 * block + norms + width * 1000 == 967_900_160
    assert found.params == 5_071_112
    assert found.agree


@pytest.mark.usefixtures("fused")
def test_swin_t():
    found = counted_timm("swin_tiny_patch4_window7_224")
    assert (found.params, found.macs) == (28_288_354, 4_509_194_496)
    assert found.agree


def test_resnet_50_trains_in_less_than_three_forward_passes():
    found = counted_timm("resnet50", batch_size=2, training=True)
    assert found.training_macs == 2 * (3 * found.macs_matmul - 112**2 * 64 * 7**2 * 3)
    assert round(found.training_macs / (2 * found.macs_matmul), 3) == 2.971


def test_operators_are_sorted_and_add_up():
    found = counted_timm("resnet18")
    macs = list(found.macs_by_operator.values())
    assert macs == sorted(macs, reverse=True)
    assert sum(macs) == found.macs
    # Batch norm (2 an element) and pooling (1 an element) are what torch's counter leaves out.
    assert found.macs - found.macs_torch == sum(
        found.macs_by_operator[name] for name in ("batch_norm", "adaptive_avg_pool2d")
    )


def test_a_larger_batch_costs_one_image_as_much():
    one, four = (
        counted_timm("deit_tiny_patch16_224", depth=1, batch_size=batch_size, training=True)
        for batch_size in (1, 4)
    )
    assert (four.macs, four.activations, four.modules) == (one.macs, one.activations, one.modules)
    assert four.training_macs == 4 * one.training_macs
    assert one.moved_bytes < four.moved_bytes < 4 * one.moved_bytes
    assert one.training_moved_bytes < four.training_moved_bytes < 4 * one.training_moved_bytes


def test_images_need_not_be_square():
    def build():
        return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten())

    found = counted(build, (3, 5, 8))
    assert found.macs_by_operator == {"conv": 5 * 8 * 4 * 3 * 9, "adaptive_avg_pool2d": 5 * 8 * 4}
    assert found.activations == 5 * 8 * 4
    assert found.agree


@pytest.mark.parametrize(
    ("layer", "macs", "gradients"),
    [
        # Each convolution of (4, 6, 6) stands twice in a row, and the first one's input wants no gradient.
        (lambda: nn.Conv2d(4, 4, 3, padding=1), 36 * 4 * 4 * 9, 3),
        (lambda: nn.Conv2d(4, 4, 3, padding=1, groups=4), 36 * 4 * 9, 3),
        (lambda: nn.Conv2d(4, 4, 3, padding="same", groups=2), 36 * 4 * 2 * 9, 3),
        (lambda: nn.ConvTranspose2d(4, 4, 3, padding=1, groups=2), 36 * 4 * 2 * 9, 3),
        (lambda: nn.Linear(6, 6), 4 * 6 * 6 * 6, 3),
        # Frozen ones pass the gradient on and have none of their own, as long as something below trains.
        (lambda: nn.Conv2d(4, 4, 3, padding=1).requires_grad_(False), 36 * 4 * 4 * 9, 0),
    ],
)
def test_training_by_hand(layer, macs, gradients):
    def build():
        return nn.Sequential(layer(), layer(), nn.Flatten(), nn.Linear(144, 5))

    found = counted(build, (4, 6, 6), batch_size=3, num_classes=5, training=True)
    head = 144 * 5
    assert found.agree
    assert found.macs == 2 * macs + head
    head_gradients = 2 if gradients else 1
    assert found.training_macs == 3 * (2 * macs + head + gradients * macs + head_gradients * head)


def test_frozen_parameters_are_told_apart():
    def build():
        return nn.Sequential(nn.Linear(4, 3).requires_grad_(False), nn.Linear(3, 2))

    found = counted(build, (1, 1, 4))
    assert (found.params, found.params_trainable) == (4 * 3 + 3 + 3 * 2 + 2, 3 * 2 + 2)
    assert found.training_macs is None
    assert found.training_moved_bytes is None


def test_frozen_transformer_layers_are_counted_whole():
    def build():
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).requires_grad_(False)
        return nn.Sequential(nn.Flatten(2), layer)

    found = counted(build, (5, 2, 4))
    assert found.macs_matmul == 5 * 8 * (3 * 8 + 8 + 2 * 16) + 2 * 5 * 5 * 8
    assert found.agree


class SelfAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x):
        tokens = x.flatten(2)
        return self.attention(tokens, tokens, tokens, need_weights=False)[0].mean(1)


def test_multi_head_attention_is_counted_whole():
    found = counted(SelfAttention, (5, 2, 4), batch_size=2, num_classes=8, training=True)
    assert found.macs_matmul == 5 * 8 * (3 * 8 + 8) + 2 * 5 * 5 * 8
    assert found.training_macs == 2 * (3 * found.macs_matmul - 5 * 8 * 3 * 8)
    assert found.agree


def test_models_are_built_anew_and_not_kept():
    built = []

    def build():
        model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
        built.append(weakref.ref(model))
        return model

    counted(build, (3, 2, 2), num_classes=2, training=True)
    gc.collect()
    assert built
    assert all(reference() is None for reference in built)


class Apply(nn.Module):
    """A function of the input (B, C, H, W) as a model."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def test_a_model_that_asks_for_values_says_so():
    with pytest.raises(ModelError, match="tensors without values"):
        counted(lambda: Apply(lambda x: x * x.sum().item()), (1, 3, 3))


def test_batch_norm_over_single_values_needs_a_larger_batch():
    def build():
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3, 2))

    with pytest.raises(ModelError, match=r"more than 1 value per channel.*larger batch"):
        counted(build, (3, 4, 4), num_classes=2, training=True)
    assert counted(build, (3, 4, 4), num_classes=2).training_macs is None
    assert (
        counted(build, (3, 4, 4), batch_size=2, num_classes=2, training=True).training_macs == 2 * 3 * 2 * 3
    )


def test_a_model_without_logits_cannot_train():
    with pytest.raises(ModelError, match="gives a tuple"):
        counted(lambda: Apply(lambda x: (F.relu(x), x)), (1, 3, 3), training=True)


def test_other_warnings_are_not_hidden():
    def warn(x):
        warnings.warn("something else ends", FutureWarning, stacklevel=1)
        return torch.relu(x)

    with pytest.warns(FutureWarning, match="something else"):
        counted(lambda: Apply(warn), (1, 2, 2))
