"""The sizes of structured tokens: what is chosen, what follows from it, and what does not fit.

Letters as in the paper's figures: a token of C channels is an image of c segments, each h × w, so C = c·h·w;
the tokens themselves form an image of H × W. h = w = alpha at the first stage and doubles with each merging.

Source: SWAT (IJCAI 2023), section 3 and the sizes of the released models.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """What a researcher chooses about the structure of a model; None means as in the paper.

    Attributes:
        alpha: Sub-patches along each side of a token at the first stage.
        stem_width: Channels E between the two convolutions of the tokenizer.
        token_kernel: Kernel of the convolutions within tokens (over h, w).
        grid_kernel: Kernel of the depthwise convolution among tokens (over H, W).
        merge_kernel: Kernel of the convolution that merges tokens.
    """

    alpha: int
    stem_width: int = 128
    token_kernel: int | None = None
    grid_kernel: int | None = None
    merge_kernel: int | None = None

    def __post_init__(self) -> None:
        """Refuse sizes that no model could have."""
        if self.alpha < 1 or self.stem_width < 1:
            raise ValueError(f"alpha {self.alpha} and stem_width {self.stem_width} must be positive")
        for name in ("token_kernel", "grid_kernel", "merge_kernel"):
            kernel = getattr(self, name)
            if kernel is not None and (kernel < 1 or kernel % 2 == 0):
                raise ValueError(f"{name} {kernel} must be odd, so that padding keeps the size")


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


def token_image(C: int, side: int) -> TokenImage:
    """Cut C channels into segments of side × side.

    Raises:
        ValueError: C is no multiple of side².
    """
    if C % side**2:
        raise ValueError(f"{C} channels cannot be cut into segments of {side} × {side} = {side**2}")
    return TokenImage(c=C // side**2, h=side, w=side)


def stem_strides(patch: int, alpha: int) -> tuple[int, int]:
    """Strides of the tokenizer's two convolutions: the first halves, the second does the rest.

    Args:
        patch: Side of a token in pixels.
        alpha: Sub-patches along that side, each patch / alpha pixels wide.

    Raises:
        ValueError: A sub-patch is not an even number of pixels wide.
    """
    if patch % (2 * alpha):
        raise ValueError(
            f"patch {patch} cannot be cut into alpha {alpha} sub-patches of an even number of pixels"
        )
    return 2, patch // (2 * alpha)


def token_kernel(side: int) -> int:
    """Kernel within a token of side × side: 5 from 16 up, 3 from 8 up, else 1 (released sizes)."""
    return 5 if side >= 16 else 3 if side >= 8 else 1


def grid_kernel(grid: tuple[int, int]) -> int:
    """Kernel among tokens: 5, but 3 where 5 would span more than half of the grid's shorter side."""
    return 5 if min(grid) >= 10 else 3


def merge_kernel(side: int) -> int:
    """Kernel that merges tokens of side × side: 3 at 2, 5 at 4, 9 at 8 (released sizes)."""
    return side + 1
