"""The sizes of structured tokens: what is chosen, what follows from it, and what does not fit.

Letters as in the paper's figures: a token of C channels is an image of c segments, each h × w, so C = c·h·w;
the tokens themselves form an image of H × W. h = w = alpha at the first stage and doubles with each merging.

Source: SWAT (IJCAI 2023), section 3 and the sizes of the released models.
"""

from collections.abc import Collection
from dataclasses import dataclass

Kernel = int | tuple[int, ...]
"""One kernel for all stages, or one for each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """What a researcher chooses about the structure of a model; None means as in the paper.

    Attributes:
        alpha: Sub-patches along each side of a token at the first stage.
        stem_width: Channels E between the two convolutions of the tokenizer.
        token_kernel: Kernel of the convolutions within tokens (over h, w), one or one for each stage.
        grid_kernel: Kernel of the depthwise convolution among tokens (over H, W), likewise.
        merge_kernel: Kernel of the convolution that merges tokens, one or one for each merging.
        img_size: Side in pixels of the images that the model is designed for, from which kernels among tokens
            and Swin's structured blocks follow, so that one checkpoint fits every input size; None for the
            size that the model is built with.
    """

    alpha: int
    stem_width: int = 128
    token_kernel: Kernel | None = None
    grid_kernel: Kernel | None = None
    merge_kernel: Kernel | None = None
    img_size: int | None = None

    def __post_init__(self) -> None:
        """Refuse sizes that no model could have."""
        if self.alpha < 1 or self.stem_width < 1:
            raise ValueError(f"alpha {self.alpha} and stem_width {self.stem_width} must be positive")
        if self.img_size is not None and not (isinstance(self.img_size, int) and self.img_size > 0):
            raise ValueError(f"img_size {self.img_size} must be a positive number of pixels")
        for name in ("token_kernel", "grid_kernel", "merge_kernel"):
            for kernel in _each(getattr(self, name)):
                if not isinstance(kernel, int) or kernel < 1 or kernel % 2 == 0:
                    raise ValueError(f"{name} {kernel} must be an odd number, so that padding keeps the size")

    def token_kernel_at(self, stage: int, side: int) -> int:
        """Kernel within tokens of side × side at a stage, counted from 0."""
        return _chosen(self.token_kernel, "token_kernel", stage) or token_kernel(side)

    def grid_kernel_at(self, stage: int, grid: tuple[int, int]) -> int:
        """Kernel among H × W tokens at a stage, counted from 0."""
        return _chosen(self.grid_kernel, "grid_kernel", stage) or grid_kernel(grid)

    def merge_kernel_at(self, merging: int, side: int) -> int:
        """Kernel of a merging, counted from 0, of tokens of side × side."""
        return _chosen(self.merge_kernel, "merge_kernel", merging) or merge_kernel(side)

    def grid(self, patch: int, own: tuple[int, int] | None) -> tuple[int, int]:
        """The H × W tokens of an image of the designed size.

        Args:
            patch: Side of a token in pixels.
            own: The grid that the model is built with, or None where it takes any.

        Raises:
            ValueError: Neither the geometry nor the model names a size.
        """
        if self.img_size is not None:
            return self.img_size // patch, self.img_size // patch
        if own is None:
            raise ValueError("the model has no input size; give the geometry an img_size")
        return own


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenImage:
    """A token's C channels seen as c segments of h × w."""

    c: int
    h: int
    w: int

    @property
    def C(self) -> int:
        """Channels of the token."""
        return self.c * self.h * self.w

    @property
    def shape(self) -> tuple[int, int, int]:
        """Segments, and height and width of each."""
        return self.c, self.h, self.w


def token_image(C: int, side: int) -> TokenImage:
    """Cut C channels into segments of side × side.

    Raises:
        ValueError: C is no multiple of side².
    """
    if C % side**2:
        raise ValueError(f"{C} channels cannot be cut into segments of {side} × {side} = {side**2}")
    return TokenImage(c=C // side**2, h=side, w=side)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stem:
    """Sizes of the tokenizer's first convolution, the stride that is left for the second, and what they make.

    Attributes:
        kernel: Kernel of the first convolution.
        strides: Strides of both, whose product is the side of a sub-patch in pixels.
        padding: Zeros around the image, so that the first convolution divides its size by its stride.
        token_side: Side of a token between the two convolutions.
    """

    kernel: int
    strides: tuple[int, int]
    padding: int
    token_side: int


def stem(patch: int, alpha: int, *, overlap: bool) -> Stem:
    """The tokenizer's sizes: the first convolution halves the image, the second does the rest.

    A sub-patch of an odd number of pixels (patch 14, alpha 2) is divided by its smallest factor first.

    Args:
        patch: Side of a token in pixels.
        alpha: Sub-patches along that side, each patch / alpha pixels wide.
        overlap: Whether the first convolution reaches over its stride, as in DeiT.

    Raises:
        ValueError: alpha does not cut the patch into sub-patches of at least two pixels.
    """
    if patch % alpha or patch // alpha < 2:
        raise ValueError(f"patch {patch} cannot be cut into alpha {alpha} sub-patches of two or more pixels")
    side = patch // alpha
    first = next(factor for factor in range(2, side + 1) if side % factor == 0)
    padding = first // 2 if overlap else 0
    return Stem(
        kernel=first + 2 * padding, strides=(first, side // first), padding=padding, token_side=patch // first
    )


def widest_alpha(patch: int, widths: Collection[int], *, most: int) -> int:
    """The largest alpha up to `most` that cuts both the patch and all channel widths; 1 if none does.

    Args:
        patch: Side of a token in pixels.
        widths: Channels C that must fall into segments of alpha × alpha.
        most: The paper's choice for the family, in sub-patches.
    """
    fits = (
        a
        for a in range(min(most, patch // 2), 1, -1)
        if patch % a == 0 and all(C % a**2 == 0 for C in widths)
    )
    return next(fits, 1)


def token_kernel(side: int) -> int:
    """Kernel within a token of side × side: 5 from 16 up, 3 from 8 up, else 1 (released sizes)."""
    return 5 if side >= 16 else 3 if side >= 8 else 1


def grid_kernel(grid: tuple[int, int]) -> int:
    """Kernel among tokens: 5, but 3 where 5 would span more than half of the grid's shorter side."""
    return 5 if min(grid) >= 10 else 3


def merge_kernel(side: int) -> int:
    """Kernel that merges tokens of side × side: 3 at 2, 5 at 4, 9 at 8 (released sizes)."""
    return side + 1


def _each(kernel: Kernel | None) -> tuple[int, ...]:
    return kernel if isinstance(kernel, tuple) else () if kernel is None else (kernel,)


def _chosen(kernel: Kernel | None, name: str, stage: int) -> int | None:
    if not isinstance(kernel, tuple):
        return kernel
    if stage >= len(kernel):
        raise ValueError(f"{name} {kernel} names {len(kernel)} stages, and the model has more")
    return kernel[stage]
