"""Folding: a trained SWAT model deployed with its baseline's attention."""

import copy

import pytest
import timm
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import swatbench
from swatbench.models.build import build_model
from swatbench.models.fold import fold_attention
from swatbench.spec.catalog import PAIRS, parts_of
from swatbench.swat.fuse import FoldedLinear


def build(pair, arm, **asked):
    pair = PAIRS[pair]
    return build_model(
        pair.as_dict(), parts_of(pair, arm), num_classes=10, seed=0, fused_attention=False, **asked
    )


@pytest.mark.parametrize("pair", ["deit_mini", "swin_mini"])
def test_a_folded_model_has_the_outputs_of_the_trained_one(pair):
    model = build(pair, "swat").eval()
    images = torch.randn(3, 3, 32, 32)
    expected = model(images)
    found = fold_attention(copy.deepcopy(model))(images)
    assert (found - expected).norm() < 1e-5 * expected.norm()
    assert not any(
        hasattr(module, "conv") for name, module in model.named_modules() if "attn" in name
    ) or any(isinstance(module, FoldedLinear) for module in fold_attention(model).modules())


@pytest.mark.parametrize("pair", ["deit_ti", "swin_t"])
def test_folded_attention_is_the_baseline_s_operator_by_operator(pair):
    def attention(model):
        with FlopCounterMode(display=False) as counter, torch.device("meta"):
            model.to("meta")(torch.empty(1, 3, 224, 224))
        counts = counter.get_flop_counts()
        return {name: dict(ops) for name, ops in counts.items() if name.endswith(".attn")}

    swat = build(pair, "swat", fold=True)
    plain = attention(build(pair, "baseline"))
    assert plain
    assert attention(swat) == plain
    shapes = {n: p.shape for n, p in build(pair, "baseline").named_parameters() if ".attn." in n}
    assert {
        n: p.shape for n, p in build(pair, "swat", fold=True).named_parameters() if ".attn." in n
    } == shapes


@pytest.mark.parametrize("pair", ["deit_mini", "swin_mini"])
def test_a_checkpoint_of_the_trained_form_fills_a_folded_model(pair):
    trained = build(pair, "swat").eval()
    for parameter in trained.parameters():
        nn.init.normal_(parameter, std=0.05)
    folded = build(pair, "swat", fold=True)
    folded.load_state_dict(trained.state_dict())
    images = torch.randn(2, 3, 32, 32)
    assert (folded(images) - trained(images)).norm() < 1e-5 * trained(images).norm()
    again = build(pair, "swat", fold=True)
    again.load_state_dict(folded.state_dict())
    assert torch.equal(again(images), folded(images))


def test_a_folded_model_has_no_gradient_in_what_was_folded():
    folded = build("deit_mini", "swat", fold=True)
    assert not folded.training
    assert not any(p.requires_grad for n, p in folded.named_parameters() if ".attn." in n)


def test_timm_makes_a_folded_model_and_fills_it_from_a_trained_checkpoint(tmp_path):
    trained = timm.create_model("swat_deit_mini").eval()
    torch.save(trained.state_dict(), tmp_path / "trained.pth")
    folded = timm.create_model("swat_deit_mini", fold=True, checkpoint_path=str(tmp_path / "trained.pth"))
    images = torch.randn(2, 3, 32, 32)
    assert (folded(images) - trained(images)).norm() < 1e-5 * trained(images).norm()
    assert swatbench.fold_attention is fold_attention


def test_a_model_without_structured_attention_is_left_as_it_is():
    model = build("mixer_mini", "swat")
    names = [type(module) for module in model.modules()]
    assert [type(module) for module in fold_attention(model).modules()] == names
