"""How a suite may depart from the paper: other sizes and readings than those of the catalogue's rows."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from swatbench.spec.base import Spec
from swatbench.spec.catalog import FAMILY_PARTS, PARTS, Pair
from swatbench.spec.sizes import Stage, patch_of, stages_of


def _odd(kernel: int) -> int:
    if kernel % 2 == 0:
        raise ValueError(f"{kernel} is even; a kernel must be odd, so that padding keeps the size")
    return kernel


Kernel = Annotated[
    int,
    Field(ge=1, le=63, json_schema_extra={"not": {"multipleOf": 2}}),
    AfterValidator(_odd),
]

USERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "alpha": PARTS,
        "stem_width": ("tokenization",),
        "token_kernel": ("token_mixing",),
        "grid_kernel": ("channel_mixing",),
        "merge_kernel": ("merging",),
        "combine": ("token_mixing",),
    }
)
"""Setting → the parts of SWAT that use it; `combine` only where token mixing is attention."""

KERNELS = ("token_kernel", "grid_kernel", "merge_kernel")
ATTENTION = ("deit", "swin")
"""Families whose token mixing is attention."""


class Structure(Spec):
    """Sizes and readings of SWAT for all pairs of the suite; null keeps a pair's own.

    A pair whose family has no use for a setting keeps its row.
    """

    alpha: Annotated[int, Field(ge=2, le=64)] | None = None
    """Sub-patches along each side of a token at the first stage."""
    stem_width: Annotated[int, Field(ge=1, le=4096)] | None = None
    """Channels E between the two convolutions of the tokenizer."""
    token_kernel: Kernel | None = None
    """Kernel of the convolutions within tokens, at every stage."""
    grid_kernel: Kernel | None = None
    """Kernel of the depthwise convolution among tokens, at every stage."""
    merge_kernel: Kernel | None = None
    """Kernel of the convolutions that merge tokens."""
    combine: Literal["mean", "sum"] | None = None
    """How linear map and convolution meet in attention: averaged as released, or summed as drawn."""

    def of(self, pair: Pair) -> Pair:
        """The pair's row with this structure; what says nothing new of the pair stays as it is.

        Raises:
            ValueError: alpha does not cut its tokens; the message starts with the key.
        """
        chosen = {key: value for key, value in self._said().items() if used(key, pair)}
        kernels = {key: chosen.pop(key) for key in KERNELS if key in chosen}
        row = replace(pair, **chosen)
        if "alpha" in chosen:
            _check_cut(row)
        new = {key: value for key, value in kernels.items() if _moves(row, key, value)}
        return replace(row, **new)

    def check_used(self, pairs: Collection[Pair]) -> None:
        """Refuse a setting that no pair has a use for.

        Raises:
            ValueError: The message starts with the key.
        """
        for key in self._said():
            if not any(used(key, pair) for pair in pairs):
                names = ", ".join(pair.name for pair in pairs)
                what = "attention" if key == "combine" else " and ".join(USERS[key])
                raise ValueError(f"structure.{key}: no pair has a use for it ({names}); it belongs to {what}")

    def _said(self) -> dict[str, Any]:
        return self.model_dump(exclude_none=True)


def used(key: str, pair: Pair) -> bool:
    """Whether a setting changes anything in a pair's family."""
    has = any(part in FAMILY_PARTS[pair.family] for part in USERS[key])
    return has and (key != "combine" or pair.family in ATTENTION)


def _moves(row: Pair, key: str, kernel: int) -> bool:
    """Whether a kernel is another than the row has at some stage."""
    other: dict[str, Any] = {key: kernel}
    before, after = stages_of(row), stages_of(replace(row, **other))
    return before is None or before != after


def _check_cut(row: Pair) -> None:
    patch, stages = patch_of(row), stages_of(row)
    if patch is None or stages is None:
        return
    if patch % row.alpha or patch // row.alpha < 2:
        raise ValueError(
            f"structure.alpha: {row.alpha} does not cut the patches of {row.name} ({patch} × {patch} pixels) "
            "into sub-patches of two or more pixels"
        )
    for stage in stages:
        _check_stage(row, stage, merged=row.family == "swin" and stage is not stages[-1])


def _check_stage(row: Pair, stage: Stage, *, merged: bool) -> None:
    if stage.C % stage.side**2:
        raise ValueError(
            f"structure.alpha: {row.alpha} does not cut the {stage.C} channels of {row.name} into segments "
            f"of {stage.side} × {stage.side} = {stage.side**2}"
        )
    if merged and stage.c % 2:
        raise ValueError(
            f"structure.alpha: with {row.alpha}, {row.name} has {stage.c} segments of {stage.side} × "
            f"{stage.side}, which merging cannot halve"
        )
