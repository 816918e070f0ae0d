"""Our models compute what the paper's released code computes, for the pairs of the catalogue."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from swatbench.models.build import build_model
from swatbench.spec.catalog import ARMS, PAIRS

PARITY = Path(__file__).parent.parent / "parity"
sys.path.insert(0, str(PARITY))
import fill  # noqa: E402

VARIANTS = {"deit_ti": "vit_ti16", "mixer_ti": "mixer_ti16"}


def ours(original: str) -> str:
    """The original's parameter name in our words."""
    if original == "patch_embed.pos_embed2":
        return "patch_embed.proj.pos_embed"
    name = re.sub(r"^(patch_embed|stem)\.proj2(\d)\.", r"\1.proj.conv\2.", original)
    name = re.sub(r"attn\.(qkv|proj)\.", r"attn.\1.conv.", name)
    name = re.sub(r"attn\.(qkv|proj)_linear\.", r"attn.\1.", name)
    return name.replace(".fc3.", ".dwconv.")


@pytest.fixture(scope="module", params=VARIANTS)
def filled(request):
    """Our model with the original's values, and the original's outputs."""
    variant = VARIANTS[request.param]
    tensors = json.loads((PARITY / f"{variant}.json").read_text())["tensors"]
    model = build_model(
        PAIRS[request.param].as_dict(), ARMS["swat"], num_classes=1000, seed=0, fused_attention=False
    )
    shapes = {name: value.shape for name, value in model.state_dict().items()}
    state = {
        ours(name): torch.from_numpy(fill.values(name, tuple(shape), loc, scale)).reshape(shapes[ours(name)])
        for name, (shape, loc, scale) in tensors.items()
    }
    model.load_state_dict(state, strict=True)
    with np.load(PARITY / f"{variant}.npz") as arrays:
        expected = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    return model.eval(), expected


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-5)])
def test_logits_equal_the_original(filled, dtype, tolerance):
    model, expected = filled
    with torch.inference_mode():
        logits = model.to(dtype)(torch.from_numpy(fill.image()).to(dtype))
    assert (logits.double() - expected["logits"]).abs().max() < tolerance


def test_tokens_and_first_block_equal_the_original(filled):
    model, expected = filled
    seen = {}
    stem = getattr(model, "patch_embed", None) or model.stem
    hooks = [
        module.register_forward_hook(lambda _m, _i, out, key=key: seen.__setitem__(key, out))
        for key, module in {"tokens": stem, "block0": model.blocks[0]}.items()
    ]
    with torch.inference_mode():
        model.double()(torch.from_numpy(fill.image()).double())
    for hook in hooks:
        hook.remove()
    for key in ("tokens", "block0"):
        sampled = seen[key].flatten(1)[:, ::997]
        assert (sampled - expected[key]).abs().max() < 1e-9, key
