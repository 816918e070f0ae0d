"""Multiply-accumulates and parameters of Swin's segmenters are the published ones.

Counted are convolutions and matrix products of the forward pass in evaluation mode, which has no auxiliary
head; parameters are those of training, with it.
"""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from swatbench.models.segmenter import build_segmenter
from swatbench.spec.catalog import PAIRS
from swatbench.spec.segmentation import Segmentation

CLASSES = 150
PUBLISHED_MACS = {(512, 512): 236e9, (512, 2048): 945e9}
PUBLISHED_PARAMETERS = {"swin_t": 60e6, "swin_s": 81e6}


def on_meta(name, **settings):
    with torch.device("meta"):
        return build_segmenter(
            PAIRS[name].as_dict(),
            (),
            Segmentation(**settings).of(PAIRS[name]),
            num_classes=CLASSES,
            seed=0,
            fused_attention=False,
        ).eval()


def macs(model, size):
    with FlopCounterMode(display=False) as counter:
        model(torch.empty(1, 3, *size, device="meta"))
    return counter.get_total_flops() // 2


def of_backbone(height, width, *, C=96, window=7, depths=(2, 2, 6, 2)):
    grid = height // 4 * (width // 4)
    total = 3 * 4 * 4 * C * grid
    for stage, depth in enumerate(depths):
        if stage:
            total += 4 * C * 2 * C * grid // 4
            C, grid = 2 * C, grid // 4
        rows, columns = (-(-(side // (4 << stage)) // window) * window for side in (height, width))
        attention = (4 * C * C + 2 * C * window**2) * rows * columns
        total += depth * (attention + 8 * C * C * grid)
    return total


def of_head(height, width, *, D=512, channels=(96, 192, 384, 768)):
    grids = [height // stride * (width // stride) for stride in (4, 8, 16, 32)]
    lateral = sum((C + 9 * D) * D * grid for C, grid in zip(channels[:3], grids[:3], strict=True))
    rows, columns, last = height // 32, width // 32, channels[3]
    pooled = sum(side * side * last * D for side in (1, 2, 3, 6))
    means = sum(last * (side * rows * columns + side * side * columns) for side in (1, 2, 3, 6))
    pyramid = means + pooled + 9 * (last + 4 * D) * D * grids[3]
    return lateral + pyramid + (9 * 4 * D * D + D * CLASSES) * grids[0]


@pytest.mark.parametrize("size", PUBLISHED_MACS)
def test_macs_of_swin_t_are_the_published_ones_and_each_has_its_reason(size):
    counted = macs(on_meta("swin_t"), size)
    assert counted == of_backbone(*size) + of_head(*size)
    assert counted == pytest.approx(PUBLISHED_MACS[size], rel=0.005)


@pytest.mark.parametrize("name", PUBLISHED_PARAMETERS)
def test_parameters_of_training_are_the_published_ones(name):
    counted = sum(value.numel() for value in on_meta(name).parameters())
    assert round(counted / 1e6) == PUBLISHED_PARAMETERS[name] / 1e6


def test_the_auxiliary_head_is_not_counted():
    size = (512, 512)
    assert macs(on_meta("swin_t"), size) == macs(on_meta("swin_t", auxiliary_weight=0.0), size)
