from dataclasses import replace

import pytest

from swatbench.spec.catalog import CLASS_TOKEN, PAIRS, PARTS, arms_of, parts_of
from swatbench.spec.estimate import forward_macs, training_macs
from swatbench.spec.suite import Suite

DEIT = PAIRS["deit_ti"]
MIXER = PAIRS["mixer_ti"]
RELEASED = {
    "deit_ti": (1.251268, 1.398183),
    "deit_s": (4.583435, 4.897737),
    "deit_b32": (4.327131, 4.519205),
    "mixer_ti": (0.967900, 0.984710),
    "mixer_s": (3.785488, 3.830249),
    "mixer_b32": (3.242426, 3.255636),
    "resmlp_s12": (3.009740, 3.079284),
    "swin_t": (4.509194, 4.706211),
    "swin_s": (8.768535, 9.153410),
}
"""Pair → GMACs counted on the released code, norm and pooling included: baseline and SWAT."""


@pytest.mark.parametrize("name", RELEASED)
def test_the_estimate_is_near_the_count_on_the_released_code(name: str) -> None:
    baseline, swat = RELEASED[name]
    pair = PAIRS[name]
    parts = parts_of(pair, "swat")
    assert forward_macs(pair, ()) == pytest.approx(baseline * 1e9, rel=0.01)
    assert forward_macs(pair, parts) == pytest.approx(swat * 1e9, rel=0.01)
    # What is left out is norm and pooling. Only Swin's arms differ in them, by the LayerNorm over E.
    norms = 5 * 112 * 112 * 128 if pair.family == "swin" else 0
    gain = forward_macs(pair, parts) - forward_macs(pair, ()) + norms
    assert gain == pytest.approx((swat - baseline) * 1e9, abs=2e3)


def test_the_class_token_costs_one_token_more() -> None:
    for name, counted in {"deit_ti": 1.258411, "deit_s": 4.608338, "deit_b32": 4.413986}.items():
        assert forward_macs(PAIRS[name], (CLASS_TOKEN,)) == pytest.approx(counted * 1e9, rel=0.01)
    # Each of the twelve blocks has the tokens n = 196 and 197.
    C, n = 192, 196
    block = 12 * C * C + 2 * C * ((n + 1) ** 2 - n**2)
    assert forward_macs(DEIT, (CLASS_TOKEN,)) - forward_macs(DEIT, ()) == 12 * block


def test_the_parts_add_up_to_the_whole() -> None:
    for pair in PAIRS.values():
        baseline = forward_macs(pair, ())
        gains = {part: forward_macs(pair, (part,)) - baseline for part in parts_of(pair, "swat")}
        assert sum(gains.values()) == forward_macs(pair, parts_of(pair, "swat")) - baseline
        if "mixing" in arms_of(pair):
            mixing = forward_macs(pair, parts_of(pair, "mixing")) - baseline
            assert mixing == gains["token_mixing"] + gains["channel_mixing"]


def test_a_small_pair_counted_by_hand() -> None:
    # 8 × 8 tokens of 64 channels, patch 4, four blocks, ten classes.
    N, C = 64, 64
    block = 4 * N * C * C + 2 * N * N * C + 8 * N * C * C
    assert forward_macs(PAIRS["deit_mini"], ()) == N * C * 3 * 16 + 4 * block + C * 10
    # Tokens are 16 × 2 × 2; the stem works on 16 × 16 pixels with E = 32.
    stem = 16 * 16 * (32 * 3 * 4 * 4 + 32 * 16)
    within = N * 4 * (16 * 48 + 16 * 16)  # 1 × 1 inside tokens so small
    among = N * 256 * 9
    swat = stem + 4 * (block + within + among) + C * 10
    assert forward_macs(PAIRS["deit_mini"], PARTS) == swat


def test_training_is_three_forwards_for_every_image_of_a_whole_batch(suite: Suite) -> None:
    pair = PAIRS["deit_mini"]
    # 3 epochs of 16 batches of 50: the last 30 of 830 images are dropped.
    assert training_macs(pair, (), suite.recipe, 830) == 3 * forward_macs(pair, ()) * 3 * 800


def test_what_the_tables_do_not_hold_is_unknown_not_guessed(suite: Suite) -> None:
    other = replace(DEIT, timm_model="deit3_small_patch16_224")
    assert forward_macs(other, ()) is None
    assert training_macs(other, PARTS, suite.recipe, 100) is None
    assert forward_macs(replace(MIXER, timm_kwargs={"mlp_ratio": 2}), ()) is None
    assert forward_macs(replace(DEIT, family="cnn"), ()) is None


def test_swin_s_padded_windows_are_unknown_not_guessed() -> None:
    assert forward_macs(replace(PAIRS["swin_t"], img_size=256), ()) is None
    assert forward_macs(replace(PAIRS["swin_t"], img_size=448), ()) is not None


def test_every_arm_of_every_pair_is_estimated() -> None:
    for pair in PAIRS.values():
        for arm in arms_of(pair):
            assert forward_macs(pair, parts_of(pair, arm)) is not None, (pair.name, arm)


def test_a_size_that_is_no_number_is_refused() -> None:
    with pytest.raises(TypeError, match="embed_dim"):
        forward_macs(replace(DEIT, timm_kwargs={"embed_dim": "wide"}), ())
