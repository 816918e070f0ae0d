"""The catalogue's pairs and arms as torch modules."""

from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

import torch
from timm.layers.config import set_fused_attn
from timm.models import build_model_with_cfg, model_entrypoint
from timm.models.mlp_mixer import MlpMixer
from torch import nn

from swatbench.models.apply import apply_swat
from swatbench.models.fold import fold_attention
from swatbench.models.van import van_b2
from swatbench.models.warm_start import warm_start
from swatbench.spec.catalog import CLASS_TOKEN, PUBLISHED_DEIT
from swatbench.swat.geometry import Geometry
from swatbench.swat.mixing import Fused

_GEOMETRY = ("alpha", "stem_width", "token_kernel", "grid_kernel", "merge_kernel", "img_size")

_FEATURES: Mapping[str, Mapping[str, Any]] = {
    "deit": {"out_indices": 3, "feature_cls": "getter"},
    "mixer": {"out_indices": 3, "feature_cls": "getter"},
    "resmlp": {"out_indices": 3, "feature_cls": "getter"},
    "swin": {"flatten_sequential": True},
    "van": {"out_indices": (0, 1, 2, 3), "feature_cls": "getter"},
}
"""Family → how timm takes features of its models, which depends on its wrapper and not on the model."""


def build_model(
    pair: Mapping[str, Any],
    parts: Collection[str],
    *,
    num_classes: int,
    seed: int,
    fused_attention: bool,
    fused_swat: Fused = "auto",
    fold: bool = False,
) -> nn.Module:
    """Build one arm of a pair from a row of the catalogue.

    The timm model is drawn from the seed before any part is applied, so parameters that two arms share start
    from the same values.

    Args:
        pair: The row, as `Pair.as_dict` gives it.
        parts: Parts to apply; empty for the baseline.
        num_classes: Size of the classifier.
        seed: Seed of the initial values.
        fused_attention: Whether timm's attention calls the fused kernel.
        fused_swat: Whether structured layers compute by fused forms.
        fold: Whether attention's structured projections become plain linear maps, for inference alone.

    Raises:
        ModelError: SWAT does not fit the model.
    """
    set_fused_attn(fused_attention)
    torch.manual_seed(seed)
    size = pair["img_size"]
    model = create_model(pair, parts, fused_swat=fused_swat, num_classes=num_classes, img_size=size)
    return fold_attention(model) if fold else model


def create_model(
    pair: Mapping[str, Any], parts: Collection[str], *, fused_swat: Fused = "auto", **kwargs: Any
) -> nn.Module:
    """Create one arm of a pair with torch's random state and timm's settings as they are.

    Args:
        pair: The row, as `Pair.as_dict` gives it.
        parts: Parts to apply; empty for the baseline.
        fused_swat: Whether structured layers compute by fused forms.
        kwargs: Further arguments of the timm model, which go before those of the row.

    Raises:
        ModelError: SWAT does not fit the model.
    """
    model = _timm_model(pair, **kwargs)
    if CLASS_TOKEN in parts:
        control = model
        model = _timm_model(pair, **kwargs, **PUBLISHED_DEIT)
        warm_start(model, control.state_dict())
    geometry = Geometry(**{name: pair[name] for name in _GEOMETRY})
    return apply_swat(
        model,
        parts=set(parts) - {CLASS_TOKEN},
        geometry=geometry,
        combine=pair["combine"],
        fused=fused_swat,
    )


def create_registered(
    name: str,
    pair: Mapping[str, Any],
    parts: Collection[str],
    *,
    pretrained: bool,
    fold: bool = False,
    **kwargs: Any,
) -> nn.Module:
    """Create a SWAT model as timm creates its own: with features, weights and a config by its name.

    Args:
        name: Name in timm's registry.
        pair: The row, as `Pair.as_dict` gives it.
        parts: Parts to apply.
        pretrained: Whether to load the weights that the config names.
        fold: Whether attention's structured projections become plain linear maps, for inference alone;
            weights are loaded as they were trained, here or later.
        kwargs: What `timm.create_model` takes.
    """
    model = build_model_with_cfg(
        partial(_without_traits, pair, parts),
        name,
        pretrained,
        feature_cfg=_features(pair, kwargs),
        **kwargs,
    )
    return fold_attention(model) if fold else model


def _features(pair: Mapping[str, Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """How timm takes features of a model; of a Swin, one of every stage that it has."""
    depths = {"depths": (0, 0, 0, 0), **pair["timm_kwargs"], **kwargs}["depths"]
    return {"out_indices": tuple(range(len(depths))), **_FEATURES[pair["family"]]}


def _without_traits(pair: Mapping[str, Any], parts: Collection[str], **kwargs: Any) -> Any:
    """A model without what timm noted about its baseline, to be noted anew under its own name."""
    model: Any = create_model(pair, parts, **kwargs)
    del model._traits  # noqa: SLF001 (timm keeps what is noted there, and the first convolution is another)
    return model


def _timm_model(pair: Mapping[str, Any], **kwargs: Any) -> nn.Module:
    kwargs = {**pair["timm_kwargs"], **kwargs}
    if pair["family"] == "van":
        return van_b2(**kwargs)
    if pair["family"] == "mixer":
        # timm's own mixer entry points fix width and depth, and none has the paper's Mixer-Ti.
        return build_model_with_cfg(MlpMixer, pair["timm_model"], pretrained=False, **kwargs)
    return model_entrypoint(pair["timm_model"])(pretrained=False, **kwargs)
