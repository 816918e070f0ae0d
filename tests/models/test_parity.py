"""Our models compute what the paper's released code computes: with its weights, its outputs."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from swatbench.models.build import build_model
from swatbench.models.release import convert_state_dict
from swatbench.spec.catalog import PAIRS, parts_of

PARITY = Path(__file__).parent.parent / "parity"
sys.path.insert(0, str(PARITY))
import fill  # noqa: E402

VARIANTS = {
    "deit_ti": "vit_ti16",
    "mixer_ti": "mixer_ti16",
    "resmlp_s12": "resmlp_s12",
    "swin_t": "swin_t",
}


@pytest.fixture(scope="module", params=VARIANTS)
def converted(request):
    """Our model with the original's values, and the original's outputs."""
    variant, pair = VARIANTS[request.param], PAIRS[request.param]
    tensors = json.loads((PARITY / f"{variant}.json").read_text())["tensors"]
    state = {
        name: torch.from_numpy(fill.values(name, tuple(shape), loc, scale))
        for name, (shape, loc, scale) in tensors.items()
    }
    model = build_model(
        pair.as_dict(), parts_of(pair, "swat"), num_classes=1000, seed=0, fused_attention=False
    )
    model.load_state_dict(convert_state_dict(state, model), strict=True)
    with np.load(PARITY / f"{variant}.npz") as arrays:
        expected = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    return model.eval(), expected


def outputs(model, dtype):
    """Logits, and every 997th element per image of the tokens and of what the first block puts out."""
    layers = getattr(model, "layers", None)
    watched = {
        "tokens": getattr(model, "patch_embed", None) or model.stem,
        "block0": layers[0].blocks[0] if layers is not None else model.blocks[0],
    }
    seen = {}
    hooks = [
        module.register_forward_hook(lambda _m, _i, out, key=key: seen.__setitem__(key, out))
        for key, module in watched.items()
    ]
    with torch.inference_mode():
        logits = model.to(dtype)(torch.from_numpy(fill.image()).to(dtype))
    for hook in hooks:
        hook.remove()
    return {"logits": logits, **{key: out.flatten(1)[:, ::997] for key, out in seen.items()}}


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-5)])
def test_outputs_equal_the_original_s(converted, dtype, tolerance):
    model, expected = converted
    ours = outputs(model, dtype)
    assert ours.keys() == expected.keys()
    far = {key: (ours[key].double() - expected[key]).abs().max().item() for key in expected}
    assert all(ours[key].shape == expected[key].shape for key in expected)
    assert max(far.values()) < tolerance, far
