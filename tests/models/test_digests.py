"""Digests of initial values tell which parameters two arms share, by name and shape."""

import pytest

from swatbench.models.build import build_model
from swatbench.models.digests import initial_digests
from swatbench.spec.catalog import PAIRS, arms_of, parts_of


def digests(pair, arm, seed=0):
    row = PAIRS[pair]
    model = build_model(row.as_dict(), parts_of(row, arm), num_classes=10, seed=seed, fused_attention=False)
    return initial_digests(model)


@pytest.mark.parametrize("pair", ["deit_mini", "mixer_mini"])
def test_every_arm_starts_from_the_baseline_s_values_wherever_it_shares_them(pair):
    baseline = digests(pair, "baseline")
    for arm in arms_of(PAIRS[pair]):
        own = digests(pair, arm)
        shared = baseline.keys() & own.keys()
        assert {name: own[name] for name in shared} == {name: baseline[name] for name in shared}, arm
        # Only tokens are made anew: by the tokenizer, or with one more for the class.
        lost = {name.split()[0] for name in baseline.keys() - own.keys()}
        assert lost <= {"patch_embed.proj.weight", "stem.proj.weight"} | {
            "patch_embed.proj.bias",
            "stem.proj.bias",
            "pos_embed",
        }, arm


def test_a_position_embedding_with_a_row_for_the_class_token_is_not_the_same_parameter():
    control, published = digests("deit_mini", "baseline"), digests("deit_mini", "class_token")
    assert published.keys() - control.keys() == {"cls_token 1×1×64", "pos_embed 1×65×64"}
    assert control.keys() - published.keys() == {"pos_embed 1×64×64"}


def test_another_seed_starts_elsewhere():
    one, other = digests("deit_mini", "swat"), digests("deit_mini", "swat", seed=1)
    assert one["head.weight 10×64"] != other["head.weight 10×64"]
