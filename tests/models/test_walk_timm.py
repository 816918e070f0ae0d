"""SWAT applies to every member of its families in timm's list, or says why not (shapes alone)."""

from fnmatch import fnmatch

import pytest
import timm
import torch

from swatbench.errors import ModelError
from swatbench.models.apply import apply_swat

PATTERNS = ("vit_*", "deit*", "eva*", "mixer_*", "resmlp_*", "swin_*")
NAMES = [name for pattern in PATTERNS for name in timm.list_models(pattern)]

REFUSED = {
    # No plain patch embedding: a convolutional network stands before the transformer.
    "vit_*_r_*": "HybridEmbed",
    "vit_*_r26_*": "HybridEmbed",
    "vit_*_r50_*": "HybridEmbed",
    "vit_*_resnet*": "HybridEmbed",
    "vit_*_mci_*": "HybridEmbed",
    # One linear map makes q, k, v and the MLP's hidden channels at once.
    "vit_*_xp_*": "ParallelScalingBlock",
    "vit_pwee_*": "ParallelScalingBlock",
    "vit_dpwee_*": "DiffParallelScalingBlock",
}


def reduced(name):
    """Two blocks of a timm model at its own width and input size, without values."""
    with torch.device("meta"):
        family = "num_blocks" if name.startswith(("mixer", "resmlp")) else "depth"
        if name.startswith("swin"):
            return timm.create_model(name, depths=(2, 2, 2, 2))
        try:
            return timm.create_model(name, **{family: 2})
        except (TypeError, AssertionError):  # mixer and sapiens fix the number of blocks
            return timm.create_model(name)


def reason(name):
    return next((why for pattern, why in REFUSED.items() if fnmatch(name, pattern)), None)


@pytest.mark.parametrize("name", [name for name in NAMES if reason(name) is None])
def test_a_member_of_the_families_is_structured_and_keeps_its_shapes(name):
    model = reduced(name).eval()
    size = (model.patch_embed if hasattr(model, "patch_embed") else model.stem).img_size
    images = torch.empty(2, 3, *size, device="meta")
    expected = model.forward_features(images).shape
    before = {key: value.shape for key, value in model.named_parameters()}
    apply_swat(model)
    assert model.forward_features(images).shape == expected
    after = {key: value.shape for key, value in model.named_parameters()}
    lost = {key for key in before if after.get(key) != before[key]}
    assert all("proj." in key or "downsample" in key for key in lost), lost  # the patch embedding and merging
    assert lost.isdisjoint(after), lost  # no name stands for two things
    assert {key for key in after if "conv" in key}


@pytest.mark.parametrize("name", [name for name in NAMES if reason(name) is not None])
def test_what_does_not_fit_is_refused_with_its_reason_and_left_as_it_was(name):
    model = reduced(name)
    before = [*model.state_dict()]
    with pytest.raises(ModelError, match=reason(name)):
        apply_swat(model)
    assert [*model.state_dict()] == before


def test_the_walk_is_long_and_few_are_refused():
    refused = [name for name in NAMES if reason(name) is not None]
    assert len(NAMES) > 200
    assert len(refused) < 25
