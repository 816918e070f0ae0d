"""A segmenter's backbone begins with a classifier's weights, all of them or none."""

import pytest
import torch

from swatbench.errors import CheckpointError, ModelError
from swatbench.models.build import build_model
from swatbench.models.segmenter import load_backbone
from swatbench.spec.catalog import parts_of
from tests.models.segmenters import SMALL, segmenter

LARGER = {"deit": 48, "mixer": 32, "swin": 96, "van": 96}
"""Crops of another size than the classifier's images where the family can take them."""


def weights(pair, arm="swat", seed=7):
    model = build_model(pair.as_dict(), parts_of(pair, arm), num_classes=3, seed=seed, fused_attention=False)
    return model.state_dict()


def moved_by(model, state_dict):
    """Names of what the weights changed, and what was raised."""
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises((CheckpointError, ModelError)) as raised:
        load_backbone(model, state_dict)
    after = model.state_dict()
    return {name for name in before if not torch.equal(before[name], after[name])}, raised.value


@pytest.mark.parametrize("family", SMALL)
@pytest.mark.parametrize("arm", ["baseline", "swat"])
def test_every_tensor_of_the_backbone_is_filled(family, arm):
    pair = SMALL[family]
    given, model = weights(pair, arm), segmenter(pair, arm, crop_size=LARGER[family])
    heads = {name: v.clone() for name, v in model.state_dict().items() if not name.startswith("backbone.")}
    filled = load_backbone(model, given)
    state = model.state_dict()
    assert sorted(filled) == sorted(name for name in state if name.startswith("backbone."))
    for name in filled:
        source = given[name.removeprefix("backbone.")]
        if name == "backbone.pos_embed":
            assert (state[name].shape, source.shape) == ((1, 144, 64), (1, 64, 64))
            assert torch.allclose(state[name].mean(), source.mean(), atol=1e-2)
        else:
            assert torch.equal(state[name], source), name
    assert all(torch.equal(state[name], value) for name, value in heads.items())


def test_the_row_of_a_class_token_is_kept():
    pair = SMALL["deit"]
    given, model = weights(pair, "class_token"), segmenter(pair, "class_token", crop_size=48)
    load_backbone(model, given)
    own = model.backbone.pos_embed
    assert own.shape == (1, 145, 64)
    assert torch.equal(own[:, 0], given["pos_embed"][:, 0])


@torch.inference_mode()
def test_a_filled_backbone_computes_what_the_classifier_does():
    pair = SMALL["deit"]
    model = segmenter(pair).eval()
    load_backbone(model, weights(pair))
    own = build_model(
        pair.as_dict(), parts_of(pair, "swat"), num_classes=3, seed=7, fused_attention=False
    ).eval()
    x = torch.randn(1, 3, 32, 32)
    expected = own.forward_intermediates(x, intermediates_only=True)[-1]
    assert torch.equal(model.backbone.forward_intermediates(x, intermediates_only=True)[-1], expected)


@pytest.mark.parametrize(
    ("given", "arm", "said"),
    [
        ("baseline", "swat", "lack .*conv.* and hold besides patch_embed.proj.weight"),
        ("swat", "channel_mixing", "lack patch_embed.proj.weight"),
        ("mixing", "baseline", "they hold besides .*conv"),
        ("class_token", "baseline", "they hold besides cls_token"),
    ],
)
def test_weights_of_another_arm_are_refused(given, arm, said):
    model = segmenter(SMALL["deit"], arm)
    moved, error = moved_by(model, weights(SMALL["deit"], given))
    assert isinstance(error, CheckpointError)
    assert not moved
    assert error.fix == "Give weights of a classifier of the same pair and arm."
    with pytest.raises(CheckpointError, match=said):
        load_backbone(model, weights(SMALL["deit"], given))


def test_weights_of_another_size_are_refused():
    swin = {**weights(SMALL["swin"])}
    swin["layers.0.blocks.0.norm1.weight"] = torch.ones(48)
    moved, error = moved_by(segmenter(SMALL["swin"]), swin)
    assert not moved
    assert "1 tensors have other shapes" in str(error)
    assert "layers.0.blocks.0.norm1.weight (48,) for (32,)" in str(error)
    deit = {**weights(SMALL["deit"]), "pos_embed": torch.zeros(1, 63, 64)}
    moved, error = moved_by(segmenter(SMALL["deit"], crop_size=48), deit)
    assert not moved
    assert "nor a square grid" in str(error)


def test_maps_over_another_number_of_tokens_are_refused():
    moved, error = moved_by(segmenter(SMALL["mixer"], crop_size=64), weights(SMALL["mixer"]))
    assert not moved
    assert isinstance(error, CheckpointError)
    assert "blocks.0.mlp_tokens.fc1.weight (32, 64) for (32, 256)" in str(error)
    assert "takes images of 64 × 64 pixels alone" in str(error)
    assert "set segmentation.crop_size to the classifier's size" in str(error)
