"""What `check` estimates without torch is what the counters count."""

import pytest

from swatbench.measure.counts import count
from swatbench.models.build import build_model
from swatbench.spec.catalog import ARMS, PAIRS
from swatbench.spec.estimate import forward_macs


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("pair", ["deit_mini", "mixer_mini"])
def test_the_estimate_is_exact_for_convolutions_and_matrix_products(pair, arm):
    row = PAIRS[pair]
    model = build_model(row.as_dict(), ARMS[arm], num_classes=10, seed=0, fused_attention=False)
    counts = count(model, (1, 3, row.img_size, row.img_size))
    assert counts.agree
    assert forward_macs(row, ARMS[arm]) == counts.macs_matmul
