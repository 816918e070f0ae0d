"""Sizes of the catalogue's models stage by stage, as they follow from a row and timm's defaults (no torch).

    C = c·h·w  channels of a token           h = w       sub-patches along a side of it
    H = W      tokens along a side of the grid of an image of the row's size

Sizes are those without structure that structure does not change: a stage has the same grid and width in every
arm. Only kernels and the cut of a token into c × h × w belong to SWAT.

Source: timm's default arguments; VAN (Guo et al. 2022), table 2; SWAT (IJCAI 2023), section 4.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from swatbench.spec.catalog import Pair


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Blocks that work on one grid of tokens.

    Attributes:
        C: Channels of a token.
        H: Tokens along a side of the grid.
        depth: Blocks.
        side: h = w, sub-patches along a side of a token.
        mlp_ratio: Channels between the two maps of channel mixing, as a multiple of C.
        token_kernel: Kernel within tokens.
        grid_kernel: Kernel among tokens.
        merge_kernel: Kernel of the convolution that makes the next stage's tokens.
        window: Side in tokens of the windows that attention is cut to; the grid's where it is not cut.
    """

    C: int
    H: int
    depth: int
    side: int
    mlp_ratio: int
    token_kernel: int
    grid_kernel: int
    merge_kernel: int
    window: int

    @property
    def N(self) -> int:
        """Tokens."""
        return self.H * self.H

    @property
    def c(self) -> int:
        """Segments of a token."""
        return self.C // (self.side * self.side)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Defaults:
    """What a name of timm stands for: sides of patch and window; of stages width, depth and MLP ratio."""

    patch: int
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    mlp_ratios: tuple[int, ...] = (4,)
    window: int | None = None


_SWIN = (96, 192, 384, 768)

_TIMM: Mapping[str, _Defaults] = MappingProxyType(
    {
        "deit_tiny_patch16_224": _Defaults(patch=16, widths=(192,), depths=(12,)),
        "deit_small_patch16_224": _Defaults(patch=16, widths=(384,), depths=(12,)),
        "deit_base_patch16_224": _Defaults(patch=16, widths=(768,), depths=(12,)),
        "mixer_s16_224": _Defaults(patch=16, widths=(512,), depths=(8,)),
        "mixer_b32_224": _Defaults(patch=32, widths=(768,), depths=(12,)),
        "resmlp_12_224": _Defaults(patch=16, widths=(384,), depths=(12,)),
        "swin_tiny_patch4_window7_224": _Defaults(patch=4, widths=_SWIN, depths=(2, 2, 6, 2), window=7),
        "swin_small_patch4_window7_224": _Defaults(patch=4, widths=_SWIN, depths=(2, 2, 18, 2), window=7),
        "van_b2": _Defaults(
            patch=4, widths=(64, 128, 320, 512), depths=(3, 3, 12, 3), mlp_ratios=(8, 8, 4, 4)
        ),
    }
)

_READ = frozenset({"patch_size", "embed_dim", "depth", "depths", "num_blocks", "window_size"})
"""Arguments of timm's models that a row may change and that are read here."""

_NO_SIZE = frozenset({"drop_path_rate", "num_heads", "class_token", "global_pool", "fc_norm"})
"""Arguments that change no size that is told here; a class token is counted where it is a part."""


def patch_of(pair: Pair) -> int | None:
    """Side of a token at the first stage in pixels; None where the model is not in this file's table."""
    known = _TIMM.get(pair.timm_model)
    return None if known is None else _whole(pair, "patch_size", known.patch)


def stages_of(pair: Pair) -> tuple[Stage, ...] | None:
    """The stages of a pair's model.

    Args:
        pair: A row of the catalogue.

    Returns:
        The stages, or None where the timm model or an argument of the row is not in this file's tables.

    Raises:
        TypeError: An argument that ought to be a whole number is none.
    """
    known, patch = _TIMM.get(pair.timm_model), patch_of(pair)
    if known is None or patch is None or set(pair.timm_kwargs) - _READ - _NO_SIZE:
        return None
    depths, window = _depths(pair, known), _whole(pair, "window_size", known.window or pair.img_size)
    widths = _widths(pair, known, len(depths))
    if len(widths) != len(depths):
        return None
    ratios = known.mlp_ratios * (len(widths) // len(known.mlp_ratios))
    grid = pair.img_size // patch
    return tuple(
        _stage(pair, index, C, grid // 2**index, depth, ratio, window)
        for index, (C, depth, ratio) in enumerate(zip(widths, depths, ratios, strict=True))
    )


def _depths(pair: Pair, known: _Defaults) -> tuple[int, ...]:
    depths = pair.timm_kwargs.get("depths", known.depths)
    if not isinstance(depths, tuple):
        raise TypeError(f"{pair.name}: depths is {depths!r}, not a row of whole numbers")
    return (_whole(pair, "depth", _whole(pair, "num_blocks", depths[0])), *depths[1:])


def _widths(pair: Pair, known: _Defaults, stages: int) -> tuple[int, ...]:
    if "embed_dim" not in pair.timm_kwargs:
        return known.widths
    first = _whole(pair, "embed_dim", known.widths[0])
    return tuple(first * 2**index for index in range(stages))


def _stage(pair: Pair, index: int, C: int, H: int, depth: int, mlp_ratio: int, window: int) -> Stage:
    # Swin's tokens merge as images and so grow; VAN cuts anew at every stage.
    swin = pair.family == "swin"
    side = pair.alpha * 2**index if swin else pair.alpha
    return Stage(
        C=C,
        H=H,
        depth=depth,
        side=side,
        mlp_ratio=mlp_ratio,
        token_kernel=pair.token_kernel or (5 if side >= 16 else 3 if side >= 8 else 1),
        grid_kernel=pair.grid_kernel or (5 if H >= 10 else 3),
        merge_kernel=pair.merge_kernel or (side + 1 if swin else 3),
        window=min(window, H),
    )


def _whole(pair: Pair, name: str, default: int) -> int:
    value = pair.timm_kwargs.get(name, default)
    if not isinstance(value, int):
        raise TypeError(f"{pair.name}: {name} is {value!r}, not a whole number")
    return value
