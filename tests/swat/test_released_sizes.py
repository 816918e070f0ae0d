"""Every released model has the sizes of the release: tokenizer, tokens, kernels within and among them."""

import pytest
import torch

from swatbench.models.build import create_model
from swatbench.spec.catalog import PAIRS, parts_of
from swatbench.swat.tokenization import StructureAwareTokenization

# E, conv 1's kernel, stride and padding, conv 2's, position, c × h × w, kernel within, kernel among tokens.
SIZES = {
    "deit_ti": (128, (4, 2, 1), (1, 1), 8, (3, 8, 8), 3, 5),
    "deit_s": (128, (4, 2, 1), (1, 1), 8, (6, 8, 8), 3, 5),
    "deit_b32": (128, (4, 2, 1), (2, 2), 16, (12, 8, 8), 3, 3),
    "mixer_ti": (64, (2, 2, 0), (1, 1), None, (4, 8, 8), 3, 5),
    "mixer_s": (128, (2, 2, 0), (1, 1), None, (8, 8, 8), 3, 5),
    "mixer_b32": (128, (2, 2, 0), (1, 1), None, (3, 16, 16), 5, 3),
    "resmlp_s12": (128, (2, 2, 0), (1, 1), None, (6, 8, 8), 3, 5),
    "swin_t": (128, (2, 2, 0), (1, 1), None, (24, 2, 2), 1, 5),
    "swin_s": (128, (2, 2, 0), (1, 1), None, (24, 2, 2), 1, 5),
}
FEWER = {"deit": {"depth": 1}, "mixer": {"num_blocks": 1}, "resmlp": {}, "swin": {"depths": (1, 1, 1, 1)}}


@pytest.mark.parametrize("name", SIZES)
def test_sizes_of_every_released_model(name):
    pair = PAIRS[name]
    row = pair.as_dict() | {"timm_kwargs": dict(pair.timm_kwargs) | FEWER[pair.family]}
    with torch.device("meta"):
        model = create_model(row, parts_of(pair, "swat"), img_size=pair.img_size)
    modules = dict(model.named_modules())
    stem = next(module for module in modules.values() if isinstance(module, StructureAwareTokenization))
    within, among = (
        next(module for key, module in modules.items() if key.endswith(ends))
        for ends in (
            ("qkv.conv", "mlp_tokens.dwconv", "linear_tokens.dwconv"),
            ("mlp.dwconv", "mlp_channels.dwconv"),
        )
    )
    assert (
        stem.conv1.out_channels,
        (stem.conv1.kernel_size[0], stem.conv1.stride[0], stem.conv1.padding[0]),
        (stem.conv2.kernel_size[0], stem.conv2.stride[0]),
        None if stem.pos_embed is None else stem.pos_embed.shape[-1],
        (stem.conv2.out_channels, stem.alpha, stem.alpha),
        within.kernel_size[0],
        among.kernel_size[0],
    ) == SIZES[name]
