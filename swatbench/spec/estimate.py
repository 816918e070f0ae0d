"""Multiply-accumulates of a model by arithmetic alone, so that a suite can be judged before torch is loaded.

Counted are convolutions and matrix products, which are all but 1 % of the whole; norm, pooling and
activations are left out. One MAC is one multiplication with its addition.

    H·W = N   tokens                          C = c·h·w  channels of a token
    E         channels between the tokenizer's two convolutions

Source: "Spatial Structure Within and Among Tokens" (IJCAI 2023), sections 3 and 4; the baselines' papers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

from swatbench.spec.catalog import CLASS_TOKEN, Pair
from swatbench.spec.recipe import Recipe
from swatbench.spec.sizes import Stage, patch_of, stages_of

TRAINING_FACTOR = 3
"""Rule of thumb: a training step is three forward passes, one of them forward and two backward."""

Parts = frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Family:
    """What a family's layers cost.

    Attributes:
        block: Cost of the block at a position of its stage, counted from 0.
        merge: Cost of making one stage's tokens from those of the stage before.
        embed_kernel: Kernel of the baseline's patch embedding, or None where it is the patch.
        stem_kernel: Kernel of the tokenizer's first convolution.
    """

    block: Callable[[Stage, int, Parts], int]
    merge: Callable[[Stage, Stage, Parts], int]
    embed_kernel: int | None = None
    stem_kernel: int = 2


def forward_macs(pair: Pair, parts: tuple[str, ...]) -> int | None:
    """Multiply-accumulates of one image's forward pass.

    Args:
        pair: A row of the catalogue.
        parts: Parts that are applied, of those that the family has; none for the baseline.

    Returns:
        The count, or None where the family, the timm model or one of its arguments is not in the tables.
    """
    stages, patch, family = stages_of(pair), patch_of(pair), _FAMILIES.get(pair.family)
    if stages is None or patch is None or family is None:
        return None
    if pair.family == "swin" and any(s.H % s.window for s in stages):
        return None  # timm pads such a grid to whole windows
    has = frozenset(parts)
    if "tokenization" in has:
        tokens = _tokenization(stages[0], patch, family.stem_kernel, pair.stem_width)
    else:
        tokens = _conv(stages[0].N, 3, stages[0].C, family.embed_kernel or patch)
    blocks = sum(family.block(stage, index, has) for stage in stages for index in range(stage.depth))
    merges = sum(family.merge(before, after, has) for before, after in pairwise(stages))
    return tokens + blocks + merges + _linear(1, stages[-1].C, pair.num_classes)


def training_macs(pair: Pair, parts: tuple[str, ...], recipe: Recipe, train_images: int) -> int | None:
    """Multiply-accumulates of one training run, by the rule of thumb of `TRAINING_FACTOR`.

    Args:
        pair: A row of the catalogue.
        parts: Parts that are applied.
        recipe: Gives epochs and batch size; the last, smaller batch of an epoch is dropped.
        train_images: Training images of the dataset.

    Returns:
        The estimate, or None where `forward_macs` has none.
    """
    forward = forward_macs(pair, parts)
    return None if forward is None else TRAINING_FACTOR * forward * recipe.images_seen(train_images)


def _linear(positions: int, inputs: int, outputs: int) -> int:
    return positions * inputs * outputs


def _conv(positions: int, inputs: int, outputs: int, kernel: int) -> int:
    return positions * inputs * outputs * kernel**2


def _depthwise(positions: int, channels: int, kernel: int) -> int:
    return positions * channels * kernel**2


def _tokenization(s: Stage, patch: int, kernel: int, E: int) -> int:
    """Convolution 3 → E with stride 2, then E → c with what is left of the stride p / alpha."""
    halved, cut, rest = s.H * patch // 2, s.H * s.side, patch // (2 * s.side)
    return _conv(halved**2, 3, E, kernel) + _conv(cut**2, E, s.c, rest)


def _attention(s: Stage, tokens: int, window: int, structured: bool) -> int:
    """Projections C → 3C, C → C and two products of each token with its window; beside them c → 3c, c → c."""
    products = _linear(tokens, s.C, 4 * s.C) + 2 * tokens * window * s.C
    return products + (_conv(s.N * s.side**2, s.c, 4 * s.c, s.token_kernel) if structured else 0)


def _channel_mlp(s: Stage, tokens: int, structured: bool) -> int:
    """C → D → C for every token; between them a depthwise convolution over H × W."""
    D = s.mlp_ratio * s.C
    return 2 * _linear(tokens, s.C, D) + (_depthwise(s.N, D, s.grid_kernel) if structured else 0)


def _deit_block(s: Stage, _index: int, has: Parts) -> int:
    tokens = s.N + (CLASS_TOKEN in has)
    attention = _attention(s, tokens, tokens, "token_mixing" in has)
    return attention + _channel_mlp(s, tokens, "channel_mixing" in has)


def _mixer_block(s: Stage, _index: int, has: Parts) -> int:
    """N → D → N for every channel; between them a depthwise convolution over h × w."""
    D = s.C // 2
    within = _depthwise(s.C, D, s.token_kernel) if "token_mixing" in has else 0
    return 2 * _linear(s.C, s.N, D) + within + _channel_mlp(s, s.N, "channel_mixing" in has)


def _resmlp_block(s: Stage, _index: int, has: Parts) -> int:
    """N → N for every channel, then a depthwise convolution over h × w."""
    within = _depthwise(s.C, s.N, s.token_kernel) if "token_mixing" in has else 0
    return _linear(s.C, s.N, s.N) + within + _channel_mlp(s, s.N, "channel_mixing" in has)


def _swin_block(s: Stage, index: int, has: Parts) -> int:
    """Attention has structure where no window is shifted: at even places, and where one covers the grid."""
    structured = "token_mixing" in has and (index % 2 == 0 or s.window == s.H)
    attention = _attention(s, s.N, s.window**2, structured)
    return attention + _channel_mlp(s, s.N, "channel_mixing" in has)


def _swin_merge(before: Stage, after: Stage, has: Parts) -> int:
    """4C → 2C for every new token; in its place a convolution c → c/2 over all sub-patches."""
    if "merging" not in has:
        return _linear(after.N, 4 * before.C, 2 * before.C)
    return _conv(before.N * before.side**2, before.c, before.c // 2, before.merge_kernel)


def _van_block(s: Stage, _index: int, has: Parts) -> int:
    """C → C, depthwise 5 × 5 and 7 × 7, C → C, C → C; then C → D, depthwise by SWAT's kernel or 3, D → C."""
    D = s.mlp_ratio * s.C
    attention = 3 * _linear(s.N, s.C, s.C) + _depthwise(s.N, s.C, 5) + _depthwise(s.N, s.C, 7)
    among = _depthwise(s.N, D, s.grid_kernel if "channel_mixing" in has else 3)
    return attention + 2 * _linear(s.N, s.C, D) + among


def _van_merge(before: Stage, after: Stage, has: Parts) -> int:
    """A convolution of stride 2; in its place one of stride 1, then C → c for each sub-patch of a token."""
    if "merging" not in has:
        return _conv(after.N, before.C, after.C, 3)
    cut = after.N * after.side**2
    return _conv(cut, before.C, after.C, after.merge_kernel) + _linear(cut, after.C, after.c)


def _no_merge(_before: Stage, _after: Stage, _has: Parts) -> int:
    raise AssertionError("the families of one stage merge nothing")


_FAMILIES: Mapping[str, _Family] = MappingProxyType(
    {
        "deit": _Family(block=_deit_block, merge=_no_merge, stem_kernel=4),
        "mixer": _Family(block=_mixer_block, merge=_no_merge),
        "resmlp": _Family(block=_resmlp_block, merge=_no_merge),
        "swin": _Family(block=_swin_block, merge=_swin_merge),
        "van": _Family(block=_van_block, merge=_van_merge, embed_kernel=7),
    }
)
