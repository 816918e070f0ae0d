"""What is told of the catalogue and of one model."""

import pytest

from swatbench.errors import ModelError
from swatbench.report.listing import (
    ARM_COLUMNS,
    PAIR_COLUMNS,
    arm_rows,
    catalogue,
    describe,
    describe_rows,
    pair_rows,
)
from swatbench.spec.catalog import ARMS, PAIRS, arms_of, model_name, parts_of


def told(name):
    return dict(describe_rows(describe(name)))


def test_the_table_has_every_pair_and_every_column():
    assert [row[0] for row in pair_rows()] == list(PAIRS)
    assert {len(row) for row in pair_rows()} == {len(PAIR_COLUMNS)}
    assert all(all(row) for row in pair_rows())


def test_arms_are_told_with_the_families_that_have_them():
    rows = {row[0]: row for row in arm_rows()}
    assert list(rows) == list(ARMS)
    assert {len(row) for row in rows.values()} == {len(ARM_COLUMNS)}
    assert rows["mixing"][1:] == ("token_mixing, channel_mixing", "deit, mixer, resmlp, swin")
    assert rows["swat"][1] == "all that the family has"
    assert rows["class_token"][2] == "deit"


def test_the_catalogue_says_which_arms_a_pair_has():
    pairs = {pair["name"]: pair["arms"] for pair in catalogue()["pairs"]}
    assert pairs["van_b2"] == ["baseline", "tokenization", "channel_mixing", "merging", "swat"]


def test_no_name_hides_what_is_in_it():
    for pair in PAIRS.values():
        for arm in arms_of(pair):
            found = describe(model_name(pair, arm))
            assert found["parts"] == list(parts_of(pair, arm))
            everything = {*found["parts"], *found["parts_not_in_it"], *found["parts_not_in_family"]}
            assert {"tokenization", "token_mixing", "channel_mixing", "merging"} <= everything
            assert len(describe_rows(found)) == len(dict(describe_rows(found)))


def test_sizes_are_told_of_the_parts_that_are_there_alone():
    one = told("channel_mixing_mixer_b32")
    assert one["kernels among tokens"] == "3 × 3"
    assert not {"tokenizer", "kernels within tokens", "kernels of merging"} & one.keys()
    assert told("tokenization_deit_b32")["tokenizer"] == (
        "3 → 128 by 4 × 4 stride 2, 128 → 12 by 2 × 2 stride 2"
    )
    assert told("merging_van_b2")["kernels of merging"] == "3 × 3, 3 × 3, 3 × 3"
    assert "alpha" not in told("swin_t")


def test_only_what_timm_knows_is_said_to_be_registered():
    assert told("swat_resmlp_s12")["timm.create_model"] == '"swat_resmlp_s12"'
    assert told("van_b2")["timm.create_model"] == '"van_b2"'
    assert told("mixing_deit_ti")["timm.create_model"].startswith("not registered")


def test_the_published_deit_is_told_with_its_class_token():
    found = describe("class_token_deit_s")
    assert (found["timm_kwargs"]["class_token"], found["timm_kwargs"]["global_pool"]) == (True, "token")
    assert found["geometry"] is None


def test_published_numbers_are_those_of_the_arm():
    assert told("swat_van_b2")["published"] == ("top-1 84.0 %, 27.0 M parameters, 5.80 G MACs (SWAT fig.1)")
    assert "published" not in told("mixing_deit_ti")
    assert "published" not in told("swat_deit_mini")


def test_an_unknown_name_is_refused():
    with pytest.raises(ModelError, match="Did you mean swat_swin_t"):
        describe("swat_swin_tt")
