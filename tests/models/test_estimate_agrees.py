"""What is told of a model without torch is true of the model: its operations and its sizes."""

from functools import partial

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from swatbench.models.build import create_model
from swatbench.report.listing import describe
from swatbench.spec.catalog import PAIRS, arms_of, model_name, parts_of
from swatbench.spec.estimate import forward_macs
from swatbench.spec.sizes import stages_of
from swatbench.swat.geometry import grid_kernel, token_kernel
from swatbench.swat.mixing import StructureAwareLinear
from swatbench.swat.tokenization import StructureAwareTokenization
from tests.models.counted import counted

MODELS = [(pair.name, arm) for pair in PAIRS.values() for arm in arms_of(pair)]


def on_meta(pair, arm):
    """A model of the catalogue without values."""
    row = PAIRS[pair]
    with torch.device("meta"):
        return create_model(
            row.as_dict(), parts_of(row, arm), num_classes=row.num_classes, img_size=row.img_size
        )


@pytest.mark.parametrize(("pair", "arm"), MODELS)
def test_the_estimate_is_what_torch_counts(pair, arm):
    row, counter = PAIRS[pair], FlopCounterMode(display=False)
    model = on_meta(pair, arm).eval()
    with counter:
        model(torch.zeros(1, 3, row.img_size, row.img_size, device="meta"))
    assert 2 * forward_macs(row, parts_of(row, arm)) == counter.get_total_flops()


@pytest.mark.parametrize(("pair", "arm"), [(pair, arm) for pair, arm in MODELS if pair.endswith("_mini")])
def test_the_estimate_is_what_both_counters_count(pair, arm):
    row = PAIRS[pair]
    settings = {"num_classes": row.num_classes, "img_size": row.img_size}
    counts = counted(partial(create_model, row.as_dict(), parts_of(row, arm), **settings), row.img_size)
    assert counts.agree
    assert forward_macs(row, parts_of(row, arm)) == counts.macs_matmul


@pytest.mark.parametrize("pair", PAIRS)
def test_the_sizes_that_are_told_are_those_of_the_model(pair):
    model = on_meta(pair, "swat")
    told = describe(model_name(PAIRS[pair], "swat"))["geometry"]
    stem = next(layer for layer in model.modules() if isinstance(layer, StructureAwareTokenization))
    convolutions = {
        "kernel1": stem.conv1.kernel_size[0],
        "stride1": stem.conv1.stride[0],
        "kernel2": stem.conv2.kernel_size[0],
        "stride2": stem.conv2.stride[0],
    }
    assert told["stem"] == convolutions
    assert (told["stem_width"], told["tokens"][0][0]) == (stem.conv1.out_channels, stem.conv2.out_channels)
    inside = [layer for layer in model.modules() if isinstance(layer, StructureAwareLinear)]
    cut = {(*layer.image.shape, layer.conv.kernel_size[0]) for layer in inside}
    assert cut <= {(*token, k) for token, k in zip(told["tokens"], told["token_kernels"] or [], strict=False)}


@pytest.mark.parametrize("pair", PAIRS)
def test_the_two_rules_for_kernels_are_one(pair):
    row = PAIRS[pair]
    for stage in stages_of(row):
        assert stage.token_kernel == (row.token_kernel or token_kernel(stage.side))
        assert stage.grid_kernel == (row.grid_kernel or grid_kernel((stage.H, stage.H)))
