"""Parameters and MACs of every pair are those measured on the released code."""

from functools import partial

import pytest

from swatbench.models.build import build_model
from swatbench.spec.catalog import PAIRS, parts_of
from tests.models.counted import counted

# Parameters exactly, GMACs to the digits given: SWAT, then the baseline (for DeiT without class token).
RELEASED = {
    "deit_ti": ((5_827_883, 1.398183), (5_717_032, 1.251268)),
    "deit_s": ((22_264_910, 4.897737), (22_049_896, 4.583435)),
    "deit_b32": ((86_339_252, 4.519205), (88_222_696, 4.327131)),
    "mixer_ti": ((5_098_572, 0.984710), (5_071_112, 0.967900)),
    "mixer_s": ((18_583_696, 3.830249), (18_528_264, 3.785488)),
    "mixer_b32": ((58_423_863, 3.255636), (60_293_428, 3.242426)),
    "resmlp_s12": ((15_560_766, 3.079284), (15_350_872, 3.009740)),
    "swin_t": ((27_110_704, 4.706211), (28_288_354, 4.509194)),
    "swin_s": ((48_915_760, 9.153410), (49_606_258, 8.768535)),
}

# The published DeiT, with its class token.
WITH_CLASS_TOKEN = {
    "deit_ti": (5_717_416, 1.258411),
    "deit_s": (22_050_664, 4.608338),
    "deit_b32": (88_224_232, 4.413986),
}

ROWS = [
    *(
        (name, arm, *found)
        for name, arms in RELEASED.items()
        for arm, found in zip(("swat", "baseline"), arms, strict=True)
    ),
    *((name, "class_token", *found) for name, found in WITH_CLASS_TOKEN.items()),
]


@pytest.mark.parametrize(("name", "arm", "parameters", "macs_g"), ROWS)
def test_counts_are_the_released_ones(name, arm, parameters, macs_g):
    pair = PAIRS[name]
    settings = {"num_classes": 1000, "seed": 0, "fused_attention": False}
    counts = counted(partial(build_model, pair.as_dict(), parts_of(pair, arm), **settings), 224)
    assert counts.agree
    assert counts.params == parameters
    assert round(counts.macs / 1e9, 6) == macs_g
