"""Counts of one square image's forward pass."""

from swatbench.measure.condition import Condition
from swatbench.measure.counts import count


def counted(build, side):
    condition = Condition(
        batch_size=1, input_size=(3, side, side), num_classes=1000, device="cpu", precision="fp32"
    )
    return count(build, condition, training=False)
