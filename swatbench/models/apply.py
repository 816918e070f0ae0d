"""SWAT as a function: a timm model in, the same model with structured parts out.

Every part takes the place of a layer that the timm model already calls, so the model's own forward,
features, checkpointing and classifier stay timm's. Parameters that both arms share keep their names, shapes
and values.

Source: SWAT (IJCAI 2023), section 4; sizes and initialisation of the released models.
"""

from collections.abc import Callable, Collection
from functools import partial
from typing import Any, cast

from timm.layers.mlp import Mlp
from timm.layers.patch_embed import PatchEmbed
from timm.layers.weight_init import lecun_normal_
from timm.models.mlp_mixer import MlpMixer, ResBlock
from timm.models.swin_transformer import PatchMerging, SwinTransformer
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from swatbench.errors import ModelError
from swatbench.spec.catalog import PARTS
from swatbench.swat.geometry import Geometry, TokenImage, grid_kernel, merge_kernel, token_image, token_kernel
from swatbench.swat.merging import StructureAwareMerging
from swatbench.swat.mixing import Combine, StructureAwareLinear, StructureAwareMlp, StructureAwareTokenLinear
from swatbench.swat.tokenization import StructureAwareTokenization

Grid = tuple[int, int]
# Modules of a timm model are `Any` below: torch types every attribute of a module as tensor or module.


def apply_swat(
    model: nn.Module,
    *,
    parts: Collection[str] = PARTS,
    geometry: Geometry | None = None,
    combine: Combine = "mean",
) -> nn.Module:
    """Give a timm model the structure-aware parts, in place.

    Args:
        model: A timm VisionTransformer, MlpMixer (Mixer or ResMLP) or SwinTransformer.
        parts: Any of `tokenization`, `token_mixing`, `channel_mixing`, `merging`; a part that the family
            does not have (merging outside Swin) changes nothing.
        geometry: Sizes; None for the paper's.
        combine: How linear map and convolution meet in attention.

    Returns:
        The same model.

    Raises:
        ModelError: The model is of no known family, or a part or size does not fit it.
    """
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        raise ModelError(f"Unknown SWAT parts {unknown}.", fix=f"Known: {', '.join(PARTS)}.")
    transform = _family(model)
    if not parts:
        return model
    try:
        transform(model, frozenset(parts), geometry or default_geometry(model), combine)
    except ValueError as error:
        raise ModelError(f"SWAT does not fit this {type(model).__name__}: {error}.") from error
    return model


def default_geometry(model: nn.Module) -> Geometry:
    """The paper's sizes: sub-patches of 2 × 2 pixels, but never more than 8 × 8 of them in a ViT."""
    patch = _square_patch(_patch_embed(model))
    alpha = patch // 2
    return Geometry(alpha=min(alpha, 8) if isinstance(model, VisionTransformer) else alpha)


def _family(model: nn.Module) -> Callable[[nn.Module, frozenset[str], Geometry, Combine], None]:
    for kind, transform in _FAMILIES:
        if type(model) is kind:
            return transform
    raise ModelError(
        f"SWAT cannot be applied to {type(model).__name__}.",
        fix=f"It is defined for timm's {', '.join(kind.__name__ for kind, _ in _FAMILIES)}.",
    )


def _structure_vit(model: Any, parts: frozenset[str], g: Geometry, combine: Combine) -> None:
    embed = _patch_embed(model)
    if "channel_mixing" in parts and model.num_prefix_tokens:
        raise ModelError(
            f"Channel mixing convolves over the token grid, and this model has {model.num_prefix_tokens} "
            "token(s) outside it.",
            fix="Build it with class_token=False, reg_tokens=0 and global_pool='avg'.",
        )
    if "tokenization" in parts:
        _tokenize(embed, g, overlap=True, position=True, norm_eps=None)
        model.no_weight_decay = partial(_position_embeddings, model.no_weight_decay())
    grid = _fixed_grid(embed)
    for block in model.blocks:
        image = token_image(model.embed_dim, g.alpha)
        if "token_mixing" in parts:
            _structure_attention(block.attn, image, g, combine)
        if "channel_mixing" in parts:
            block.mlp = _channel_mixing(block.mlp, grid, g)


def _structure_mixer(model: Any, parts: frozenset[str], g: Geometry, combine: Combine) -> None:
    del combine  # Mixer and ResMLP have no projection to combine.
    embed = _patch_embed(model)
    grid = _fixed_grid(embed)
    if "tokenization" in parts:
        _tokenize(embed, g, overlap=False, position=False, norm_eps=None)
        embed.proj.apply(_lecun)
    for block in model.blocks:
        image = token_image(model.embed_dim, g.alpha)
        if "token_mixing" in parts:
            _mix_tokens(block, image, g)
        if "channel_mixing" in parts:
            block.mlp_channels = _channel_mixing(block.mlp_channels, grid, g)
            _lecun(block.mlp_channels.dwconv)


def _structure_swin(model: Any, parts: frozenset[str], g: Geometry, combine: Combine) -> None:
    if "tokenization" in parts:
        _tokenize(_patch_embed(model), g, overlap=False, position=False, norm_eps=1e-5)
    side = g.alpha
    for stage in model.layers:
        if isinstance(stage.downsample, PatchMerging):
            if "merging" in parts:
                stage.downsample = _merging(stage.downsample, side, g)
            side *= 2
        for block in stage.blocks:
            image = token_image(block.dim, side)
            if "token_mixing" in parts and not any(block.shift_size):
                _structure_attention(block.attn, image, g, combine)
            if "channel_mixing" in parts:
                block.mlp = _channel_mixing(block.mlp, tuple(block.input_resolution), g)


_FAMILIES = (
    (VisionTransformer, _structure_vit),
    (MlpMixer, _structure_mixer),
    (SwinTransformer, _structure_swin),
)


def _tokenize(embed: Any, g: Geometry, *, overlap: bool, position: bool, norm_eps: float | None) -> None:
    proj = embed.proj
    assert isinstance(proj, nn.Conv2d)
    embed.proj = StructureAwareTokenization(
        in_chans=proj.in_channels,
        embed_dim=proj.out_channels,
        patch=_square_patch(embed),
        alpha=g.alpha,
        stem_width=g.stem_width,
        overlap=overlap,
        position=position,
        norm_eps=norm_eps,
        device=proj.weight.device,
        dtype=proj.weight.dtype,
    )


def _structure_attention(attn: Any, image: TokenImage, g: Geometry, combine: Combine) -> None:
    kernel = g.token_kernel or token_kernel(image.h)
    attn.qkv = StructureAwareLinear(attn.qkv, image, kernel=kernel, combine=combine)
    attn.proj = StructureAwareLinear(attn.proj, image, kernel=kernel, combine=combine)


def _mix_tokens(block: Any, image: TokenImage, g: Geometry) -> None:
    kernel = g.token_kernel or token_kernel(image.h)
    if isinstance(block, ResBlock):
        block.linear_tokens = StructureAwareTokenLinear(block.linear_tokens, image, kernel=kernel)
        _lecun(block.linear_tokens.dwconv)
        return
    block.mlp_tokens = _structured_mlp(block.mlp_tokens, image.c, image.h, image.w, kernel)
    _lecun(block.mlp_tokens.dwconv)


def _channel_mixing(mlp: Any, grid: Grid, g: Geometry) -> StructureAwareMlp:
    return _structured_mlp(mlp, 1, *grid, g.grid_kernel or grid_kernel(grid))


def _structured_mlp(mlp: Any, segments: int, height: int, width: int, kernel: int) -> StructureAwareMlp:
    if not (type(mlp) is Mlp and isinstance(mlp.fc1, nn.Linear) and isinstance(mlp.norm, nn.Identity)):
        raise ValueError(f"an MLP of type {type(mlp).__name__} is not a plain Linear → activation → Linear")
    fc1, fc2 = cast("nn.Linear", mlp.fc1), cast("nn.Linear", mlp.fc2)
    return StructureAwareMlp(
        fc1=fc1,
        fc2=fc2,
        act=mlp.act,
        drop1=mlp.drop1,
        drop2=mlp.drop2,
        segments=segments,
        height=height,
        width=width,
        kernel=kernel,
    )


def _merging(downsample: Any, side: int, g: Geometry) -> StructureAwareMerging:
    return StructureAwareMerging(
        token_image(downsample.dim, side),
        kernel=g.merge_kernel or merge_kernel(side),
        norm_eps=downsample.norm.eps,
        device=downsample.reduction.weight.device,
        dtype=downsample.reduction.weight.dtype,
    )


def _patch_embed(model: nn.Module) -> PatchEmbed:
    embed = getattr(model, "patch_embed", None) or getattr(model, "stem", None)
    if type(embed) is not PatchEmbed or not isinstance(embed.proj, nn.Conv2d | StructureAwareTokenization):
        raise ModelError(
            f"{type(model).__name__} here has a patch embedding of type {type(embed).__name__}.",
            fix="SWAT replaces timm's plain PatchEmbed only.",
        )
    return embed


def _square_patch(embed: PatchEmbed) -> int:
    height, width = (int(side) for side in embed.patch_size)
    if height != width:
        raise ModelError(f"Patches of {height} × {width} pixels are not square.")
    return height


def _fixed_grid(embed: PatchEmbed) -> Grid:
    if embed.grid_size is None:
        raise ModelError("The model has no fixed input size.", fix="Build it with an img_size.")
    return embed.grid_size


def _position_embeddings(own: set[str]) -> set[str]:
    """Names exempt from weight decay: the model's own and the position within the token."""
    return {*own, "patch_embed.proj.pos_embed"}


def _lecun(module: nn.Module) -> None:
    """LeCun normal weights and zero bias, as the released Mixer and ResMLP start every convolution."""
    if isinstance(module, nn.Conv2d):
        lecun_normal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
