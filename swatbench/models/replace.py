"""Single layers of a timm model, replaced by their structured forms in place.

What a family replaces, and with which sizes, is in `families/`; how one layer is replaced is here. Modules of
a timm model are `Any`: torch types every attribute of a module as tensor or module.
"""

from typing import Any, cast

from timm.layers.mlp import GluMlp, Mlp, SwiGLU
from timm.layers.patch_embed import PatchEmbed
from timm.models import register_notrace_module
from torch import nn

from swatbench.errors import ModelError
from swatbench.swat.geometry import Geometry, stem, token_image
from swatbench.swat.merging import StructureAwareMerging
from swatbench.swat.mixing import (
    AmongPositions,
    Combine,
    Positions,
    StructureAwareLastLinear,
    StructureAwareLinear,
    StructureAwareMlp,
    StructureAwareTokenLinear,
)
from swatbench.swat.tokenization import StructureAwareTokenization

for _layer in (
    AmongPositions,
    StructureAwareLastLinear,
    StructureAwareLinear,
    StructureAwareMerging,
    StructureAwareMlp,
    StructureAwareTokenLinear,
    StructureAwareTokenization,
):
    register_notrace_module(_layer)  # einops cannot be traced by torch.fx, by which timm can take features

PROJECTIONS = ("qkv", "q_proj", "k_proj", "v_proj", "proj")
"""Names of attention's projections in timm: q, k, v in one or apart, and the output."""


def patch_embedding(model: Any) -> Any:
    """The plain patch embedding of a timm model.

    Raises:
        ModelError: It has another kind (hybrid, overlapping), or patches that are not square.
    """
    embed = getattr(model, "patch_embed", None) or getattr(model, "stem", None)
    if type(embed) is not PatchEmbed or not isinstance(embed.proj, nn.Conv2d | StructureAwareTokenization):
        raise ModelError(
            f"This {type(model).__name__} has a patch embedding of type {type(embed).__name__}.",
            fix="SWAT replaces timm's plain PatchEmbed only.",
        )
    height, width = embed.patch_size
    if height != width:
        raise ModelError(
            f"Patches of {height} × {width} pixels are not square.", fix="SWAT needs square ones."
        )
    return embed


def tokenize(embed: Any, g: Geometry, *, overlap: bool, position: bool) -> None:
    """Replace the one convolution of a patch embedding.

    Args:
        embed: A plain patch embedding.
        g: alpha and stem width.
        overlap: Whether the first convolution reaches over its stride.
        position: Whether the position within the token is learned.
    """
    proj = embed.proj
    if not isinstance(proj, nn.Conv2d):
        raise ValueError("its patch embedding is structured already")  # noqa: TRY004
    sizes = stem(embed.patch_size[0], g.alpha, overlap=overlap)
    embed.proj = StructureAwareTokenization(
        in_chans=proj.in_channels,
        embed_dim=proj.out_channels,
        alpha=g.alpha,
        stem_width=g.stem_width,
        kernel=sizes.kernel,
        strides=sizes.strides,
        padding=sizes.padding,
        position_side=sizes.token_side if position else None,
        norm_eps=None if isinstance(embed.norm, nn.Identity) else embed.norm.eps,
        bias=proj.bias is not None,
        device=proj.weight.device,
        dtype=proj.weight.dtype,
    )


def structure_attention(attn: Any, side: int, *, kernel: int, combine: Combine) -> None:
    """Replace the projections of attention.

    Biases of q and v that stand apart from the projection (Eva) are added after it, whole.

    Args:
        attn: A timm attention with q, k, v in one linear map or in three.
        side: h = w of the token image.
        kernel: Kernel over h, w.
        combine: How linear map and convolution meet.
    """
    names = [name for name in PROJECTIONS if isinstance(getattr(attn, name, None), nn.Linear)]
    if "proj" not in names or not {"qkv", "v_proj"} & set(names):
        raise ValueError(f"{type(attn).__name__} has no q, k, v and output projections")
    if getattr(attn, "q_bias", None) is not None:
        attn.qkv_bias_separate = True  # else timm passes qkv's weight alone to F.linear
    for name in names:
        linear = getattr(attn, name)
        if isinstance(linear, StructureAwareLinear):
            raise ValueError("its attention is structured already")  # noqa: TRY004
        image = token_image(linear.in_features, side)
        setattr(attn, name, StructureAwareLinear(linear, image, kernel=kernel, combine=combine))


def structure_mlp(mlp: Any, *, kernel: int, positions: Positions | None, prefix: int = 0) -> Any:
    """The structured form of an MLP, to put in its place.

    A gated MLP keeps its two first maps and is convolved before its last one.

    Args:
        mlp: timm's `Mlp`, `GluMlp` or `SwiGLU` of linear maps.
        kernel: Kernel of the depthwise convolution.
        positions: What the positions form.
        prefix: Tokens before the first position.
    """
    fc2 = getattr(mlp, "fc2", None)
    if isinstance(mlp, AmongPositions) or isinstance(fc2, AmongPositions):
        raise ValueError("its channel mixing is structured already")  # noqa: TRY004
    if type(mlp) not in {Mlp, GluMlp, SwiGLU} or type(fc2) is not nn.Linear:
        raise ValueError(f"an MLP of type {type(mlp).__name__} is not Linear → activation → Linear")
    mixing: dict[str, Any] = {"act": mlp.act, "kernel": kernel, "positions": positions, "prefix": prefix}
    if type(mlp) is Mlp:
        fc1 = cast("nn.Linear", mlp.fc1)
        return StructureAwareMlp(fc1=fc1, fc2=fc2, drop1=mlp.drop1, norm=mlp.norm, drop2=mlp.drop2, **mixing)
    mlp.fc2 = StructureAwareLastLinear(fc2, **mixing)
    return mlp
