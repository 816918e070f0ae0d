"""A suite's own structure: what it changes in the rows, and what it refuses."""

from dataclasses import replace

import pytest
from pydantic import ValidationError

from swatbench.spec.catalog import PAIRS
from swatbench.spec.expand import expand
from swatbench.spec.plan import plan
from swatbench.spec.sizes import patch_of, stages_of
from swatbench.spec.structure import Structure
from swatbench.spec.suite import Suite
from swatbench.swat.geometry import stem, token_image


def suite(**structure):
    return Suite(
        name="s",
        pairs=("deit_mini", "mixer_mini"),
        seeds=(0,),
        data={"source": "cifar10_subset"},
        recipe={"epochs": 1, "batch_size": 64, "learning_rate": 1e-3},
        structure=structure,
    )


def test_what_is_not_said_stays_the_pair_s_own():
    assert suite().row("mixer_mini") == PAIRS["mixer_mini"]
    assert suite(stem_width=16).row("mixer_mini").token_kernel == PAIRS["mixer_mini"].token_kernel


def test_structure_reaches_every_cell_its_digest_and_its_estimate(machine):
    plain, wide = suite(), suite(stem_width=64, combine="sum", grid_kernel=5)
    ours, theirs = (expand(asked, machine, cores=1) for asked in (plain, wide))
    assert all(cell.pair["stem_width"] == 64 and cell.pair["grid_kernel"] == 5 for cell in theirs)
    assert {cell.pair["name"]: cell.pair["combine"] for cell in theirs} == {
        "deit_mini": "sum",
        "mixer_mini": "mean",
    }
    assert not {cell.digest for cell in ours} & {cell.digest for cell in theirs}
    assert plan(plain)[1].forward_macs != plan(wide)[1].forward_macs
    assert plan(plain)[0].forward_macs == plan(wide)[0].forward_macs  # the baseline has no structure


@pytest.mark.parametrize(
    ("pair", "alpha", "message"),
    [
        ("deit_ti", 3, r"structure.alpha: 3 does not cut the patches of deit_ti \(16 × 16 pixels\)"),
        ("deit_ti", 16, "does not cut the patches of deit_ti"),
        ("mixer_b32", 8, None),
        ("deit_s", 4, None),
        ("deit_b32", 16, None),
        ("deit_ti", 2, None),
        ("swin_t", 4, "does not cut the patches of swin_t"),
    ],
)
def test_alpha_must_cut_patches_and_channels(pair, alpha, message):
    if message is None:
        assert Structure(alpha=alpha).of(PAIRS[pair]).alpha == alpha
    else:
        with pytest.raises(ValueError, match=message):
            Structure(alpha=alpha).of(PAIRS[pair])


def test_channels_that_do_not_fall_into_segments_are_named():
    with pytest.raises(ValueError, match="384 channels of deit_s into segments of 16 × 16 = 256"):
        Structure(alpha=16).of(
            PAIRS["deit_s"].__class__(
                **{
                    **PAIRS["deit_s"].as_dict(),
                    "timm_kwargs": {**PAIRS["deit_s"].timm_kwargs, "patch_size": 32},
                }
            )
        )


def test_a_setting_reaches_the_pairs_that_have_a_use_for_it():
    asked = Structure(combine="sum", merge_kernel=7, token_kernel=5)
    assert asked.of(PAIRS["mixer_ti"]) == Structure(token_kernel=5).of(PAIRS["mixer_ti"])
    assert asked.of(PAIRS["swin_t"]).merge_kernel == 7
    assert asked.of(PAIRS["van_b2"]) == Structure(merge_kernel=7).of(PAIRS["van_b2"])
    assert suite(combine="sum").row("mixer_mini") == PAIRS["mixer_mini"]
    with pytest.raises(
        ValidationError, match=r"structure\.merge_kernel: no pair has a use for it \(deit_mini, mixer_mini\)"
    ):
        suite(merge_kernel=7)


def test_a_kernel_that_is_the_pair_s_own_changes_nothing():
    assert Structure(token_kernel=3).of(PAIRS["deit_ti"]) == PAIRS["deit_ti"]
    assert Structure(grid_kernel=3).of(PAIRS["deit_b32"]) == PAIRS["deit_b32"]
    assert Structure(grid_kernel=3).of(PAIRS["swin_t"]).grid_kernel == 3


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("alpha", range(2, 33))
def test_what_is_refused_is_what_the_layers_refuse(name, alpha):
    row = replace(PAIRS[name], alpha=alpha)
    stages = stages_of(row)
    try:
        stem(patch_of(row), alpha, overlap=False)
        images = [token_image(stage.C, stage.side) for stage in stages]
        fits = row.family != "swin" or all(image.c % 2 == 0 for image in images[:-1])
    except ValueError:
        fits = False
    if fits:
        assert Structure(alpha=alpha).of(PAIRS[name]).alpha == alpha
    else:
        with pytest.raises(ValueError, match=r"structure\.alpha: "):
            Structure(alpha=alpha).of(PAIRS[name])


@pytest.mark.parametrize("wrong", [{"alpha": 1}, {"token_kernel": 4}, {"combine": "max"}, {"stem_width": 0}])
def test_impossible_structure_is_refused(wrong):
    with pytest.raises(ValidationError):
        Structure(**wrong)
