"""The catalogue's pairs and arms as torch modules."""

from collections.abc import Collection, Mapping
from typing import Any

import timm
import torch
from timm.layers.config import set_fused_attn
from timm.models import build_model_with_cfg
from timm.models.mlp_mixer import MlpMixer
from torch import nn

from swatbench.models.apply import apply_swat
from swatbench.swat.geometry import Geometry

_GEOMETRY = ("alpha", "stem_width", "token_kernel", "grid_kernel")


def build_model(
    pair: Mapping[str, Any],
    parts: Collection[str],
    *,
    num_classes: int,
    seed: int,
    fused_attention: bool,
) -> nn.Module:
    """Build one arm of a pair from a row of the catalogue.

    The timm model is drawn from the seed before any part is applied, so parameters that two arms share start
    from the same values.

    Args:
        pair: The row, as `Pair.as_dict` gives it.
        parts: SWAT parts to apply; empty for the baseline.
        num_classes: Size of the classifier.
        seed: Seed of the initial values.
        fused_attention: Whether timm's attention calls the fused kernel.

    Raises:
        ModelError: SWAT does not fit the model.
    """
    set_fused_attn(fused_attention)
    torch.manual_seed(seed)
    return create_model(pair, parts, num_classes=num_classes, img_size=pair["img_size"])


def create_model(pair: Mapping[str, Any], parts: Collection[str], **kwargs: Any) -> nn.Module:
    """Create one arm of a pair with torch's random state and timm's settings as they are.

    Args:
        pair: The row, as `Pair.as_dict` gives it.
        parts: SWAT parts to apply; empty for the baseline.
        kwargs: Further arguments of `timm.create_model`, which go before those of the row.

    Raises:
        ModelError: SWAT does not fit the model.
    """
    kwargs = {**pair["timm_kwargs"], **kwargs}
    if pair["family"] == "mixer":
        # timm's own mixer entry points fix width and depth, and none has the paper's Mixer-Ti.
        model = build_model_with_cfg(MlpMixer, pair["timm_model"], pretrained=False, **kwargs)
    else:
        model = timm.create_model(pair["timm_model"], pretrained=False, **kwargs)
    geometry = Geometry(**{name: pair[name] for name in _GEOMETRY})
    return apply_swat(model, parts=parts, geometry=geometry)
