"""Multiply-accumulates of a model by arithmetic alone, so that a suite can be judged before torch is loaded.

Counted are convolutions and matrix products, which are all but 1 % of the whole; norm, pooling and
activations are left out. One MAC is one multiplication with its addition.

    p         patch size in pixels            C = c·h·w  width of a token
    H·W = N   tokens                          h = w = alpha, sub-patches along a side of a token
    E         channels between the tokenizer's two convolutions

Source: "Spatial Structure Within and Among Tokens" (IJCAI 2023), section 3; sizes of the models from timm.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from swatbench.spec.catalog import Pair
from swatbench.spec.suite import Recipe

TRAINING_FACTOR = 3
"""Rule of thumb: a training step is three forward passes, one of them forward and two backward."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """The numbers that decide the count."""

    p: int
    C: int
    H: int
    alpha: int
    E: int
    depth: int
    token_kernel: int
    grid_kernel: int

    @property
    def N(self) -> int:
        return self.H * self.H

    @property
    def c(self) -> int:
        return self.C // (self.alpha * self.alpha)


def forward_macs(pair: Pair, parts: tuple[str, ...]) -> int | None:
    """Multiply-accumulates of one image's forward pass.

    Args:
        pair: A row of the catalogue.
        parts: SWAT parts that are applied; none for the baseline.

    Returns:
        The count, or None where the family or the timm model is not in this file's tables.
    """
    shape = _shape(pair)
    families = _FAMILIES.get(pair.family)
    if shape is None or families is None:
        return None
    token_mixing, stem_kernel = families
    block = token_mixing(shape, "token_mixing" in parts) + _channel_mixing(shape, "channel_mixing" in parts)
    tokens = _tokenization(shape, stem_kernel) if "tokenization" in parts else _patches(shape)
    return tokens + shape.depth * block + shape.C * pair.num_classes


def training_macs(pair: Pair, parts: tuple[str, ...], recipe: Recipe, train_images: int) -> int | None:
    """Multiply-accumulates of one training run, by the rule of thumb of `TRAINING_FACTOR`.

    Args:
        pair: A row of the catalogue.
        parts: SWAT parts that are applied.
        recipe: Gives epochs and batch size; the last, smaller batch of an epoch is dropped.
        train_images: Training images of the dataset.

    Returns:
        The estimate, or None where `forward_macs` has none.
    """
    forward = forward_macs(pair, parts)
    steps = train_images // recipe.batch_size
    return None if forward is None else TRAINING_FACTOR * forward * steps * recipe.batch_size * recipe.epochs


def _patches(s: _Shape) -> int:
    return s.N * s.C * 3 * s.p * s.p


def _tokenization(s: _Shape, kernel: int) -> int:
    """Convolution 3 → E with stride 2, then E → c with what is left of the stride p / alpha."""
    side, rest = s.H * s.p // 2, s.p // (2 * s.alpha)
    return side * side * s.E * 3 * kernel * kernel + (side // rest) ** 2 * s.c * s.E * rest * rest


def _attention(s: _Shape, structured: bool) -> int:
    """Projections C → 3C, C → C and two products N × N × C; beside them convolutions c → 3c, c → c."""
    products = 4 * s.N * s.C * s.C + 2 * s.N * s.N * s.C
    convolutions = s.N * s.alpha**2 * 4 * s.c * s.c * s.token_kernel**2
    return products + (convolutions if structured else 0)


def _token_mlp(s: _Shape, structured: bool) -> int:
    """N → D → N for every channel; between them a depthwise convolution over h × w."""
    D = s.C // 2
    depthwise = D * s.C * s.token_kernel**2
    return 2 * s.N * D * s.C + (depthwise if structured else 0)


def _channel_mixing(s: _Shape, structured: bool) -> int:
    """C → 4C → C for every token; between them a depthwise convolution over H × W."""
    depthwise = s.N * 4 * s.C * s.grid_kernel**2
    return 8 * s.N * s.C * s.C + (depthwise if structured else 0)


_FAMILIES: Mapping[str, tuple[Callable[[_Shape, bool], int], int]] = MappingProxyType(
    {"deit": (_attention, 4), "mixer": (_token_mlp, 2)}
)
"""Family → its token mixing, and the kernel of the tokenizer's first convolution."""

_TIMM: Mapping[str, tuple[int, int, int]] = MappingProxyType(
    {
        "deit_tiny_patch16_224": (16, 192, 12),
        "deit_small_patch16_224": (16, 384, 12),
        "deit_base_patch16_224": (16, 768, 12),
        "mixer_s16_224": (16, 512, 8),
    }
)
"""timm's name → its patch size, width and depth, which a pair's `timm_kwargs` may override."""


def _shape(pair: Pair) -> _Shape | None:
    if pair.timm_model not in _TIMM or "mlp_ratio" in pair.timm_kwargs:
        return None
    patch, width, depth = _TIMM[pair.timm_model]
    patch = _whole(pair, "patch_size", patch)
    side = pair.img_size // patch
    within = 5 if pair.alpha >= 16 else 3 if pair.alpha >= 8 else 1
    return _Shape(
        p=patch,
        C=_whole(pair, "embed_dim", width),
        H=side,
        alpha=pair.alpha,
        E=pair.stem_width,
        token_kernel=pair.token_kernel or within,
        grid_kernel=pair.grid_kernel or (5 if side >= 10 else 3),
        depth=_whole(pair, "depth", _whole(pair, "num_blocks", depth)),
    )


def _whole(pair: Pair, name: str, default: int) -> int:
    value = pair.timm_kwargs.get(name, default)
    if not isinstance(value, int):
        raise TypeError(f"{pair.name}: {name} is {value!r}, not a whole number")
    return value
