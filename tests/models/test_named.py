"""Models by their names: found in the catalogue, in timm or in a folder, or refused."""

import json
from hashlib import sha256
from pathlib import Path

import pytest
import timm
import torch
from timm.layers import use_fused_attn

from swatbench.errors import MachineError, ModelError
from swatbench.models.build import build_model
from swatbench.models.named import build_named, find_named
from swatbench.spec.catalog import PAIRS, parts_of


def build(name, *, num_classes=10, seed=0, input_size=(3, 32, 32), fused_attention=False, place=None):
    return build_named(
        name,
        num_classes=num_classes,
        seed=seed,
        fused_attention=fused_attention,
        input_size=input_size,
        place=place,
    )


def equal(one, other):
    one, other = one.state_dict(), other.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("arm", ["baseline", "swat", "class_token"])
def test_a_name_of_the_catalogue_is_the_model_that_a_suite_trains(arm):
    pair = PAIRS["deit_mini"]
    name = "deit_mini" if arm == "baseline" else f"{arm}_deit_mini"
    found = find_named(name)
    assert (found.pair, found.arm, found.parts) == (pair.as_dict(), arm, parts_of(pair, arm))
    assert (found.input_size, found.num_classes, found.catalogued) == ((3, 32, 32), 10, True)
    suites = build_model(pair.as_dict(), found.parts, num_classes=10, seed=3, fused_attention=False)
    assert equal(build(name, seed=3), suites)
    assert not equal(build(name, seed=4), suites)


@pytest.mark.parametrize("name", ["swat_deit_mini", "swat_mixer_mini", "swat_swin_mini"])
def test_a_model_of_the_catalogue_takes_images_that_are_no_squares(name):
    found = find_named(name, size=(32, 64))
    assert (found.input_size, found.own_size) == ((3, 32, 64), (3, 32, 32))
    model = build(name, input_size=found.input_size).eval()
    assert model(torch.zeros(1, 3, 32, 64)).shape == (1, 10)


def test_another_size_changes_no_kernel_of_swat():
    kernels = [
        {key: value.shape for key, value in build("swat_swin_mini", input_size=size).named_parameters()}
        for size in ((3, 32, 32), (3, 64, 64))
    ]
    assert kernels[0] == kernels[1]


def test_a_model_of_timm_is_built_as_its_configuration_says():
    plain, tagged = find_named("test_vit"), find_named("vit_tiny_patch16_224.augreg_in21k")
    assert plain.input_size == timm.get_pretrained_cfg("test_vit").input_size
    assert (plain.catalogued, plain.arm, plain.parts) == (False, "test_vit", ())
    assert (tagged.input_size, tagged.num_classes) == ((3, 224, 224), 21_843)


def test_a_model_that_states_no_classes_gets_the_usual_number():
    assert timm.get_pretrained_cfg("vit_small_patch14_dinov2").num_classes == 0
    assert find_named("vit_small_patch14_dinov2", size=(28, 28)).num_classes == 1000


def test_size_and_classes_reach_a_model_of_timm():
    found = find_named("test_vit", size=(64, 96), num_classes=7)
    assert (found.input_size, found.num_classes, found.pair["img_size"]) == ((3, 64, 96), 7, 64)
    model = build("test_vit", num_classes=7, input_size=(3, 64, 96)).eval()
    assert model(torch.zeros(1, 3, 64, 96)).shape == (1, 7)
    assert model.patch_embed.img_size == (64, 96)


@pytest.mark.parametrize("fused", [False, True])
def test_attention_is_fused_where_that_is_asked(fused):
    before = use_fused_attn()
    model = build("test_vit", input_size=(3, 160, 160), fused_attention=fused)
    assert {block.attn.fused_attn for block in model.blocks} == {fused}
    timm.layers.set_fused_attn(before)


@pytest.fixture
def folder(tmp_path):
    """Write a folder as timm saves models, without weights, and return its name."""

    def write(**config):
        place = tmp_path / "saved" / "my_vit"
        place.mkdir(parents=True)
        (place / "config.json").write_text(json.dumps(config))
        return f"local-dir:{place}"

    return write


def test_a_folder_needs_no_weights_and_its_path_is_told_nowhere(folder):
    name = folder(
        architecture="test_vit",
        num_classes=6,
        model_args={"img_size": 64},
        pretrained_cfg={"input_size": [3, 160, 160], "num_classes": 6},
    )
    found = find_named(name)
    assert (found.input_size, found.num_classes) == ((3, 64, 64), 6)
    assert (found.arm, found.pair["name"]) == ("my_vit", "my_vit")
    assert f"local-dir:{found.place}" == name
    digest = sha256((Path(found.place) / "config.json").read_bytes()).hexdigest()
    assert found.name == f"local-dir:my_vit@{digest[:10]}"
    kept = build(found.name, num_classes=6, input_size=(3, 64, 64), place=found.place)
    assert kept.patch_embed.img_size == (64, 64)
    assert equal(kept, build(name, num_classes=6, input_size=(3, 64, 64)))


def test_a_folder_that_is_gone_is_told_without_its_path(tmp_path):
    gone = str(tmp_path / "gone")
    with pytest.raises(ModelError, match=r"net@0123456789: The folder cannot be read") as told:
        build("local-dir:net@0123456789", place=gone)
    assert gone not in str(told.value)


def test_a_folder_without_a_usable_configuration_is_refused(folder, tmp_path):
    with pytest.raises(ModelError, match=r"nothing: The folder cannot be read.*config\.json"):
        find_named(f"local-dir:{tmp_path / 'nothing'}")
    with pytest.raises(ModelError, match=r"timm cannot make it: .*no_such_net"):
        find_named(folder(architecture="no_such_net", pretrained_cfg={}))


def test_without_a_network_the_hub_is_no_fault_of_the_name(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(MachineError, match=r"The Hub gives no model 'hf-hub:org/net'.*local-dir"):
        find_named("hf-hub:org/net")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("merging_deit_ti", "deit_ti has no arm merging"),
        ("swat_swin_tt", "Did you mean swat_swin_t"),
        ("vit_tiny_patch16_225", "Did you mean vit_tiny_patch16_224"),
        ("resnet18.a9_in1k", r"resnet18 has no tag 'a9_in1k'. Its tags: .*a1_in1k"),
        ("timm/resnet18", "Write hf-hub:timm/resnet18"),
        ("qqqqqqqq", r"`swatbench models` and `timm.list_models\(\)`"),
    ],
)
def test_an_unknown_name_is_told_with_what_may_have_been_meant(name, words):
    with pytest.raises(ModelError, match=words):
        find_named(name)


def test_a_size_that_a_model_does_not_take_is_refused():
    with pytest.raises(ModelError, match=r"crossvit_tiny_240: It does not take images of 3 × 224 × 224"):
        find_named("crossvit_tiny_240", size=(224, 224))
    with pytest.raises(ModelError, match=r"swat_deit_mini: It does not take images of 3 × 2 × 2"):
        find_named("swat_deit_mini", size=(2, 2))


@pytest.mark.parametrize(
    ("name", "size", "words"),
    [
        ("deit_mini", (33, 33), "patches are of 4 × 4 pixels, .*--size 32 or 36[.]"),
        ("swat_mixer_mini", (32, 34), "patches are of 4 × 4 pixels, .*--size 32 or 32x36[.]"),
        ("vit_tiny_patch16_224", (225, 224), "patches are of 16 × 16 pixels, .*--size 224 or 240x224[.]"),
        ("vit_tiny_patch16_224", (8, 8), "patches are of 16 × 16 pixels, .*--size 16[.]"),
    ],
)
def test_a_size_whose_last_pixels_no_patch_would_hold_is_refused(name, size, words):
    with pytest.raises(ModelError, match=words):
        find_named(name, size=size)


def test_a_model_that_is_made_for_such_a_size_keeps_it(folder):
    name = folder(
        architecture="vit_tiny_patch16_224", model_args={"img_size": 70}, pretrained_cfg={"num_classes": 6}
    )
    assert find_named(name).input_size == (3, 70, 70)
    with pytest.raises(ModelError, match="patches are of 16 × 16 pixels"):
        find_named(name, size=(71, 71))


def test_a_model_that_takes_any_pixels_takes_them():
    assert find_named("resnet18", size=(33, 35)).input_size == (3, 33, 35)
