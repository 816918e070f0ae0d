"""SWAT as a function: a timm model in, the same model with structured parts out.

Every part takes the place of a layer that the timm model already calls, so the model's own forward,
features, checkpointing and classifier stay timm's. Parameters that both arms share keep their names, shapes
and values. Which layers those are is written down for each family in `families/`.

Source: SWAT (IJCAI 2023), section 4; sizes and initialisation of the released models.
"""

import copy
from collections.abc import Callable, Collection
from typing import Any, get_args

from timm.models.eva import Eva
from timm.models.mlp_mixer import MlpMixer
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import VisionTransformer
from timm.models.vision_transformer_relpos import VisionTransformerRelPos
from torch import nn

from swatbench.errors import ModelError
from swatbench.models.families import mixer, swin, van, vit
from swatbench.models.initialization import Init, initialize_as_released
from swatbench.models.replace import PROJECTIONS, patch_embedding
from swatbench.models.van import VAN
from swatbench.spec.catalog import PARTS
from swatbench.swat.geometry import Geometry, widest_alpha
from swatbench.swat.mixing import Combine, Fused, StructureAwareLinear, StructureAwareMlp
from swatbench.swat.tokenization import StructureAwareTokenization

Structure = Callable[[Any, frozenset[str], Geometry, Combine], None]

_FAMILIES: tuple[tuple[type[nn.Module], Structure], ...] = (
    (VisionTransformer, vit.structure),
    (VisionTransformerRelPos, vit.structure),
    (Eva, vit.structure),
    (MlpMixer, mixer.structure),
    (SwinTransformer, swin.structure),
    (VAN, van.structure),
)

DEIT_ALPHA = 8
"""Most sub-patches along a side of a ViT's token: the paper keeps 8 for patches of 16 and of 32 pixels."""


def apply_swat(
    model: nn.Module,
    *,
    parts: Collection[str] = PARTS,
    geometry: Geometry | None = None,
    combine: Combine = "mean",
    init: Init = "shared",
    fused: Fused = "auto",
) -> nn.Module:
    """Give a timm model the structure-aware parts, in place.

    New layers are trainable and in training mode, whatever the model is; `torch.jit.script` cannot read them
    (`torch.compile` and `torch.export` can).

    Args:
        model: A timm ViT, DeiT, Eva, MLP-Mixer, ResMLP or Swin with a plain patch embedding, or our VAN.
        parts: Any of `tokenization`, `token_mixing`, `channel_mixing`, `merging`; a part that the family
            does not have (merging in a ViT) changes nothing.
        geometry: Sizes; None for the paper's.
        combine: How linear map and convolution meet in attention.
        init: `shared` keeps the baseline's initial values wherever both arms have a parameter; `released`
            starts the linear maps that the released code writes as convolutions as it does.
        fused: Whether the structured layers compute by fused forms, which give the same numbers up to
            rounding: `auto` where they were measured to be faster, False as the paper draws them.

    Returns:
        The same model.

    Raises:
        ModelError: The model is of no known family, or a part or size does not fit it; it is left as it was.
    """
    chosen = frozenset(parts)
    _check_names("part", chosen, PARTS)
    _check_names("combine", {combine}, get_args(Combine))
    _check_names("init", {init}, get_args(Init))
    structure = _family(model)
    if not chosen:
        return model
    geometry = geometry or default_geometry(model)
    try:
        structure(_without_values(model), chosen, geometry, combine)
    except ValueError as error:
        raise ModelError(f"SWAT does not fit this {type(model).__name__}: {error}.") from error
    before = set(model.modules())
    structure(model, chosen, geometry, combine)
    added = set(model.modules()) - before
    if init == "released":
        initialize_as_released(model, added)
    for module in added:
        if isinstance(module, StructureAwareTokenization | StructureAwareLinear | StructureAwareMlp):
            module.fused = fused
    return model


def default_geometry(model: nn.Module) -> Geometry:
    """The paper's sizes: sub-patches of 2 × 2 pixels, but never more than 8 × 8 of them in a ViT.

    Where the model's widths or patch do not allow that many, the most that they allow.

    Raises:
        ModelError: No cut into two or more sub-patches fits, or the patch embedding is not a plain one.
    """
    if isinstance(model, VAN):
        return Geometry(alpha=2)
    patch = int(patch_embedding(model).patch_size[0])
    most = patch // 2 if isinstance(model, MlpMixer | SwinTransformer) else min(patch // 2, DEIT_ALPHA)
    widths = _widths(model)
    alpha = widest_alpha(patch, widths, most=most)
    if alpha == 1:
        raise ModelError(
            f"No cut into sub-patches fits patches of {patch} × {patch} pixels and tokens of "
            f"{', '.join(map(str, sorted(widths)))} channels.",
            fix="Sub-patches need two or more pixels, and channels divisible by their number.",
        )
    return Geometry(alpha=alpha)


def _widths(model: Any) -> set[int]:
    """Channels that must fall into segments: of the tokens, and of attention where they differ."""
    if isinstance(model, SwinTransformer):
        return {model.embed_dim}
    projections = [getattr(module, name, None) for module in model.modules() for name in PROJECTIONS]
    inside = {layer.in_features for layer in projections if isinstance(layer, nn.Linear)}
    return {model.embed_dim} | inside


def _check_names(kind: str, given: Collection[str], known: Collection[str]) -> None:
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ModelError(f"Unknown {kind} {', '.join(unknown)}.", fix=f"Known: {', '.join(known)}.")


def _family(model: nn.Module) -> Structure:
    for kind, structure in _FAMILIES:
        if isinstance(model, kind):
            return structure
    raise ModelError(
        f"SWAT cannot be applied to {type(model).__name__}.",
        fix=f"It is defined for {', '.join(kind.__name__ for kind, _ in _FAMILIES)}.",
    )


def _without_values(model: nn.Module) -> nn.Module:
    """A copy without values, on which a structure is tried before the model itself is touched."""
    tensors = [*model.parameters(), *model.buffers()]
    return copy.deepcopy(model, {id(tensor): _on_meta(tensor) for tensor in tensors})


def _on_meta(tensor: Any) -> Any:
    bare = tensor.detach().to("meta")
    return nn.Parameter(bare, requires_grad=False) if isinstance(tensor, nn.Parameter) else bare
