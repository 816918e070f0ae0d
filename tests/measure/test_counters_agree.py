"""Both counters agree on whole models, and what one of them leaves out are norms, pooling and resampling."""

from math import prod

import pytest
import timm
import torch
from torch import nn

from swatbench.measure.condition import Condition
from swatbench.measure.counts import count
from swatbench.measure.operators import MATMUL_CLASS
from swatbench.models.build import build_model
from swatbench.spec.catalog import PAIRS, parts_of

PER_ELEMENT = {
    nn.BatchNorm1d: 2,
    nn.BatchNorm2d: 2,
    nn.LayerNorm: 5,
    nn.GroupNorm: 5,
    nn.AdaptiveAvgPool2d: 1,
}
"""What fvcore counts for each element that goes into a module of these classes, in evaluation mode."""

OUTSIDE_OF_MODULES = {"crossvit_tiny_240": 16 * 3 * 224 * 224}
"""Resampling that models do without a module: bicubic, of the images for one of the branches."""

FAMILIES = """
    caformer_s18 cait_xxs24_224 convmixer_768_32 convnext_atto convnextv2_atto crossvit_tiny_240
    deit_tiny_patch16_224 densenet121 edgenext_xx_small efficientformer_l1 efficientnet_b0
    efficientvit_b0 eva02_tiny_patch14_224 fastvit_t8 focalnet_tiny_srf ghostnet_100 gmlp_s16_224
    hgnet_tiny hiera_tiny_224 hrnet_w18_small inception_next_tiny inception_v3 levit_128s mambaout_femto
    mixer_s16_224 mobilenetv2_100 mobilenetv3_small_100 mobilenetv4_conv_small mobilevit_s
    mobilevitv2_050 mvitv2_tiny pit_ti_224 poolformer_s12 pvt_v2_b0 regnety_004 resmlp_12_224 resnet18
    resnetv2_50 resnext50_32x4d swin_tiny_patch4_window7_224 swinv2_tiny_window8_256 tnt_s_patch16_224
    twins_svt_small vgg11 vit_tiny_patch16_224 xception41 xcit_nano_12_p16_224
""".split()  # noqa: SIM905 (a list of so many names is read more easily so)


def counted(build, input_size=(3, 224, 224)):
    condition = Condition(batch_size=1, input_size=input_size, num_classes=10, device="cpu", precision="fp32")
    return count(build, condition, training=False)


def norms_and_pooling(model, input_size):
    """Elements into each norm and pooling, times what one counts, and pixels that upsampling puts out."""
    macs = []

    def listen(module, images, out):
        if isinstance(module, nn.Upsample):
            assert module.mode == "nearest"
            macs.append(prod(out.shape))
        else:
            each = next(n for kind, n in PER_ELEMENT.items() if isinstance(module, kind))
            macs.append(each * prod(images[0].shape))

    for module in model.modules():
        if isinstance(module, (nn.Upsample, *PER_ELEMENT)):
            module.register_forward_hook(listen)
    model.eval().to("meta")(torch.empty(1, *input_size, device="meta"))
    return sum(macs)


def assert_agrees(build, input_size, *, outside=0):
    found = counted(build, input_size)
    assert found.agree
    assert found.macs_matmul > 0.9 * found.macs
    assert found.macs - found.macs_torch == norms_and_pooling(build(), input_size) + outside


@pytest.mark.parametrize(
    ("name", "arm"),
    [
        *((name, arm) for name in PAIRS for arm in ("baseline", "swat")),
        ("mixer_ti", "tokenization"),
        ("deit_ti", "mixing"),
        ("deit_ti", "class_token"),
    ],
)
def test_of_the_catalogue_only_norms_and_pooling_are_left(name, arm):
    pair = PAIRS[name]

    def build():
        return build_model(
            pair.as_dict(), parts_of(pair, arm), num_classes=10, seed=0, fused_attention=arm == "swat"
        )

    assert_agrees(build, (3, pair.img_size, pair.img_size))


@pytest.mark.parametrize("name", ["convnext_atto", "mobilenetv2_100", "poolformer_s12", "resnet18"])
def test_of_others_only_norms_and_pooling_are_left(name):
    assert_agrees(lambda: timm.create_model(name), (3, 160, 192))


@pytest.mark.parametrize("name", FAMILIES)
def test_counters_agree_across_families(name):
    def build():
        return timm.create_model(name, num_classes=10)

    outside = OUTSIDE_OF_MODULES.get(name, 0)
    assert_agrees(build, timm.get_pretrained_cfg(name).input_size, outside=outside)


def test_a_disagreement_is_seen(monkeypatch):
    def build():
        return nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten())

    assert counted(build, (3, 4, 4)).agree
    monkeypatch.setattr("swatbench.measure.counts._torch_macs", lambda *_: 3 * 4 * 16 - 1)
    assert not counted(build, (3, 4, 4)).agree


def test_an_operator_that_is_neither_product_nor_norm_is_no_agreement(monkeypatch):
    def build():
        return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Flatten())

    found = counted(build, (3, 4, 4))
    assert found.agree
    assert set(found.macs_by_operator) - MATMUL_CLASS == {"batch_norm"}
    monkeypatch.setattr("swatbench.measure.counts.NOT_MATMUL", frozenset())
    assert not found.agree
