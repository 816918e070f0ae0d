"""A segmenter gives logits for every pixel, its arms start alike, and it trains as a timm model does."""

import copy
import pickle

import pytest
import torch
from segmentation_models_pytorch.decoders.upernet.decoder import UPerNetDecoder
from torch import nn

from swatbench.errors import ModelError
from swatbench.models.backbone import _taken
from swatbench.models.digests import initial_digests
from swatbench.models.segmenter import build_segmenter
from swatbench.models.taps import Taps
from swatbench.models.upernet import EvenPool, _groups, make_decoder
from swatbench.spec.catalog import PAIRS, arms_of
from swatbench.spec.segmentation import Segmentation
from tests.models.segmenters import CLASSES, SMALL, TWO_STAGES, segmenter

STRIDE = 16
"""Of the third map, whatever the size of a token."""


def images(batch=2, size=(32, 32)):
    return torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True)
def one_thread():
    """The models are small; other tests may run beside these."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("family", SMALL)
@pytest.mark.parametrize("arm", ["baseline", "swat"])
def test_logits_have_the_image_s_size_and_in_training_those_of_the_auxiliary_head_come_too(family, arm):
    model = segmenter(SMALL[family], arm, crop_size=64)
    size = (64, 64)
    logits, auxiliary = model.train()(images(size=size))
    side = 64 // STRIDE
    assert logits.shape == (2, CLASSES, 64, 64)
    assert auxiliary.shape == (2, CLASSES, side, side)
    model.eval()
    once, again = model(images(size=size)), model(images(size=size))
    assert once.shape == (2, CLASSES, 64, 64)
    assert torch.equal(once, again)


@pytest.mark.parametrize("name", PAIRS)
def test_every_pair_of_the_catalogue_has_a_segmenter_in_each_arm(name):
    for arm in ("baseline", "swat"):
        with torch.device("meta"):
            model = segmenter(PAIRS[name], arm, crop_size=128)
            assert model.eval()(torch.empty(1, 3, 128, 128)).shape == (1, CLASSES, 128, 128)


@pytest.mark.parametrize("family", SMALL)
def test_without_its_weight_there_is_no_auxiliary_head(family):
    model = segmenter(SMALL[family], auxiliary_weight=0.0)
    assert model.train()(images()).shape == (2, CLASSES, 32, 32)
    assert not [name for name in model.state_dict() if name.startswith("auxiliary")]


def test_a_backbone_of_two_stages_has_a_head_too():
    logits, auxiliary = segmenter(TWO_STAGES).train()(images())
    assert logits.shape == (2, CLASSES, 32, 32)
    assert auxiliary.shape == (2, CLASSES, 8, 8)


@pytest.mark.parametrize("family", SMALL)
def test_every_arm_starts_from_the_baseline_s_values_all_of_the_head_s_among_them(family):
    pair = SMALL[family]
    baseline = initial_digests(segmenter(pair, "baseline"))
    heads = {name for name in baseline if not name.startswith("backbone.")}
    assert {name.split(".")[0] for name in heads} >= {"decoder", "head", "auxiliary"}
    for arm in arms_of(pair):
        own = initial_digests(segmenter(pair, arm))
        shared = baseline.keys() & own.keys()
        assert {name: own[name] for name in shared} == {name: baseline[name] for name in shared}, arm
        assert heads <= shared, arm
        assert all(name.startswith("backbone.") for name in own.keys() - shared), arm


def test_a_seed_fixes_every_value_and_another_moves_backbone_and_head():
    first, again, other = (initial_digests(segmenter(SMALL["deit"], seed=seed)) for seed in (1, 1, 2))
    assert first == again
    assert first["head.1.weight 5×16×1×1"] != other["head.1.weight 5×16×1×1"]
    assert first["backbone.pos_embed 1×64×64"] != other["backbone.pos_embed 1×64×64"]


@pytest.mark.parametrize("family", SMALL)
def test_every_parameter_gets_a_gradient(family):
    pair = SMALL[family]
    for arm in {"baseline", "swat", "class_token"} & set(arms_of(pair)):
        model = segmenter(pair, arm).train()
        logits, auxiliary = model(images())
        (logits.square().mean() + auxiliary.square().mean()).backward()
        assert [name for name, value in model.named_parameters() if value.grad is None] == [], arm


@pytest.mark.parametrize("family", SMALL)
def test_with_group_norm_no_batch_norm_is_in_the_head(family):
    model = segmenter(SMALL[family], norm="groupnorm", auxiliary_channels=48, crop_size=64).train()
    heads = [model.taps, model.decoder, model.head, model.auxiliary]
    inside = [layer for head in heads if head is not None for layer in head.modules()]
    assert not [layer for layer in inside if isinstance(layer, nn.BatchNorm2d)]
    groups = {(layer.num_groups, layer.num_channels) for layer in inside if isinstance(layer, nn.GroupNorm)}
    assert {(2, 16), (6, 48)} <= groups
    # Of one image, a pooled map has one value for each channel.
    assert model(images(1, (64, 64)))[0].shape == (1, CLASSES, 64, 64)


def test_a_group_has_eight_channels_or_more_and_there_are_32_at_most():
    channels = (512, 256, 192, 100, 16, 8, 5)
    assert [_groups(C) for C in channels] == [32, 32, 24, 10, 2, 1, 1]


def test_the_decoder_is_that_of_segmentation_models_pytorch():
    torch.manual_seed(0)
    ours = make_decoder((8, 16, 24, 32), 16, norm="batchnorm").eval()
    theirs = UPerNetDecoder((0, 0, 8, 16, 24, 32), encoder_depth=5, decoder_channels=16).eval()
    theirs.load_state_dict(ours.state_dict())
    maps = [torch.randn(2, C, side, 2 * side) for C, side in ((8, 32), (16, 16), (24, 8), (32, 4))]
    assert torch.allclose(ours([None, None, *maps]), theirs([None, None, *maps]), atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (16, 16), (17, 32)])
def test_pooling_takes_the_means_that_torch_takes(size):
    x = torch.randn(2, 3, *size)
    for side in (1, 2, 3, 6):
        assert torch.allclose(EvenPool(side)(x), nn.AdaptiveAvgPool2d(side)(x), atol=1e-6)


def test_the_auxiliary_head_reads_the_third_map_as_the_decoder_norms_it():
    model = segmenter(SMALL["van"]).train()
    seen = []
    model.auxiliary.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        model(images())
    assert seen[0].shape == (2, 64, 2, 2)
    assert torch.allclose(seen[0].mean(dim=1), torch.zeros(2, 2, 2), atol=1e-5)


@pytest.mark.parametrize("family", SMALL)
@pytest.mark.parametrize("fused", [False, True])
def test_autocast_and_channels_last_compute_the_same(family, fused):
    model = segmenter(SMALL[family], fused=fused).eval()
    exact = model(images())
    apart = model.to(memory_format=torch.channels_last)
    assert torch.allclose(apart(images().to(memory_format=torch.channels_last)), exact, atol=1e-4)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = model(images())
        loss = rounded.float().square().mean()
    assert torch.nn.functional.cosine_similarity(rounded.float().flatten(), exact.flatten(), dim=0) > 0.99
    loss.backward()
    grads = {name: value.grad for name, value in model.named_parameters() if "auxiliary" not in name}
    assert all(grad is not None and grad.isfinite().all() for grad in grads.values())


@pytest.mark.parametrize("family", SMALL)
def test_gradient_checkpointing_computes_the_same_gradients(family):
    plain = segmenter(SMALL[family], norm="groupnorm").train()
    again = copy.deepcopy(plain)
    again.set_grad_checkpointing(True)
    calls = []
    for model in (plain, again):
        blocks = [layer for name, layer in model.backbone.named_modules() if name.endswith("norm1")]
        blocks[0].register_forward_hook(lambda *_: calls.append(1))
        torch.manual_seed(2)  # dropout draws alike
        logits, auxiliary = model(images())
        (logits.square().mean() + auxiliary.square().mean()).backward()
    assert len(calls) == 3  # once, and then twice
    for (name, value), other in zip(plain.named_parameters(), again.parameters(), strict=True):
        assert torch.allclose(value.grad, other.grad, atol=1e-5), name


@pytest.mark.parametrize("family", SMALL)
def test_models_can_be_copied_and_pickled(family):
    model = segmenter(SMALL[family]).eval()
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(twin(images(size=(32, 28))), model(images(size=(32, 28))))


def test_names_exempt_from_weight_decay_are_the_segmenter_s_own():
    deit, swin = segmenter(SMALL["deit"]), segmenter(SMALL["swin"])
    assert {"backbone.pos_embed", "backbone.patch_embed.proj.pos_embed"} <= deit.no_weight_decay()
    tables = {name for name, _ in swin.named_parameters() if name.endswith("bias_table")}
    assert tables == swin.no_weight_decay()
    assert segmenter(SMALL["mixer"]).no_weight_decay() == set()


def test_stochastic_depth_reaches_the_backbone():
    row = {**SMALL["swin"].as_dict(), "timm_kwargs": {**SMALL["swin"].timm_kwargs, "drop_path_rate": 0.3}}
    model = build_segmenter(row, (), Segmentation(), num_classes=2, seed=0, fused_attention=False)
    rates = [module.drop_prob for module in model.modules() if type(module).__name__ == "DropPath"]
    assert max(rates) == pytest.approx(0.3)


def test_taps_are_those_of_published_segmenters():
    assert _taken(12, isotropic=True) == (3, 5, 7, 11)
    assert _taken(24, isotropic=True) == (7, 11, 15, 23)
    assert _taken(8, isotropic=True) == (1, 3, 5, 7)
    assert _taken(4, isotropic=True) == (0, 1, 2, 3)
    assert _taken(4, isotropic=False) == (0, 1, 2, 3)
    with pytest.raises(ModelError, match="takes 4 maps or more, and this backbone has 3"):
        _taken(3, isotropic=True)


@pytest.mark.parametrize(("patch", "side"), [(4, 16), (8, 8), (16, 4), (32, 2)])
def test_taps_come_at_the_strides_of_stages_whatever_the_patch(patch, side):
    maps = Taps(6, patch)([torch.randn(1, 6, side, side) for _ in range(4)])
    assert [one.shape[-1] for one in maps] == [64 // stride for stride in (4, 8, 16, 32)]


def test_taps_of_patches_of_16_pixels_are_the_published_ones():
    kinds = [[type(layer).__name__ for layer in resize] for resize in Taps(6, 16).resize]
    twice, once = "ConvTranspose2d", ["ConvTranspose2d"]
    assert kinds == [[twice, "BatchNorm2d", "GELU", twice], once, [], ["MaxPool2d"]]


def test_taps_of_odd_patches_are_refused():
    with pytest.raises(ModelError, match="12 × 12 pixels"):
        Taps(6, 12)


def test_a_head_that_does_not_fit_is_refused():
    pair = SMALL["deit"].as_dict()
    with pytest.raises(ModelError, match=r"upernet does not fit deit_mini\. Write upernet_on_taps"):
        build_segmenter(pair, (), Segmentation(head="upernet"), num_classes=2, seed=0, fused_attention=False)
