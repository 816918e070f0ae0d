from dataclasses import replace

import pytest

from swatbench.spec.catalog import ARMS, PAIRS, PARTS, Pair
from swatbench.spec.estimate import forward_macs, training_macs
from swatbench.spec.suite import Suite

DEIT = PAIRS["deit_ti"]
MIXER = PAIRS["mixer_ti"]
SIZES = {
    "deit_ti": (DEIT, 1.251268, 1.398183),
    "deit_s": (
        replace(DEIT, timm_model="deit_small_patch16_224", timm_kwargs={}),
        4.583435,
        4.897737,
    ),
    "deit_b32": (
        replace(DEIT, timm_model="deit_base_patch16_224", timm_kwargs={"patch_size": 32}),
        4.327131,
        4.519205,
    ),
    "mixer_ti": (MIXER, 0.967900, 0.984710),
    "mixer_s": (replace(MIXER, timm_kwargs={}, stem_width=128), 3.785488, 3.830249),
    "mixer_b32": (
        replace(
            MIXER,
            timm_kwargs={"patch_size": 32, "embed_dim": 768, "num_blocks": 12},
            stem_width=128,
            alpha=16,
        ),
        3.242426,
        3.255636,
    ),
}


@pytest.mark.parametrize("name", SIZES)
def test_the_estimate_is_near_the_count_on_the_released_code(name: str) -> None:
    pair, baseline, swat = SIZES[name]
    assert forward_macs(pair, ()) == pytest.approx(baseline * 1e9, rel=0.01)
    assert forward_macs(pair, PARTS) == pytest.approx(swat * 1e9, rel=0.01)
    # What is left out (norm, pooling) is the same in both arms, so the difference is nearly exact.
    gain = forward_macs(pair, PARTS) - forward_macs(pair, ())
    assert gain == pytest.approx((swat - baseline) * 1e9, abs=0.0005e9)


def test_the_parts_add_up_to_the_whole() -> None:
    for pair in PAIRS.values():
        baseline = forward_macs(pair, ())
        gains = [forward_macs(pair, (part,)) - baseline for part in PARTS]
        assert sum(gains) == forward_macs(pair, PARTS) - baseline
        assert forward_macs(pair, ARMS["mixing"]) - baseline == gains[1] + gains[2]


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
    swin = Pair(name="x", family="swin", timm_model="swin_tiny_patch4_window7_224", alpha=2, stem_width=128)
    assert forward_macs(swin, PARTS) is None
    assert training_macs(swin, PARTS, suite.recipe, 100) is None
    assert forward_macs(replace(DEIT, timm_model="deit3_small_patch16_224"), ()) is None
    assert forward_macs(replace(MIXER, timm_kwargs={"mlp_ratio": 2}), ()) is None


def test_every_pair_of_the_two_families_is_estimated() -> None:
    for pair in PAIRS.values():
        if pair.family in ("deit", "mixer"):
            assert forward_macs(pair, PARTS) is not None, pair.name


def test_a_size_that_is_no_number_is_refused() -> None:
    with pytest.raises(TypeError, match="embed_dim"):
        forward_macs(replace(DEIT, timm_kwargs={"embed_dim": "wide"}), ())
