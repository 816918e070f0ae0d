"""The table of pairs and arms: which timm model, and how it is structured (no torch, no measured numbers).

An arm is a set of SWAT parts applied to the pair's timm model. A pair names the timm model and the few
numbers that do not follow from it.

Source: "Spatial Structure Within and Among Tokens" (IJCAI 2023), section 4 and the released sizes.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from types import MappingProxyType

from swatbench.errors import ModelError

PARTS = ("tokenization", "token_mixing", "channel_mixing", "merging")
"""The parts of SWAT, in the order in which an image meets them."""

ARMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "baseline": (),
        "tokenization": ("tokenization",),
        "token_mixing": ("token_mixing",),
        "channel_mixing": ("channel_mixing",),
        "mixing": ("token_mixing", "channel_mixing"),
        "swat": PARTS,
    }
)
"""Arm → the SWAT parts that it applies."""

Json = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A timm model and the way it is given structure.

    Attributes:
        name: Name of the baseline; the SWAT arm is `swat_<name>`.
        family: `deit`, `mixer`, `resmlp` or `swin`.
        timm_model: Name in timm's registry.
        timm_kwargs: Arguments for `timm.create_model` beside `num_classes`, `in_chans` and `img_size`.
        alpha: Sub-patches along each side of a token (h = w = alpha).
        stem_width: Channels E between the two convolutions of the tokenizer.
        token_kernel: Kernel within tokens, or None for the paper's rule.
        grid_kernel: Kernel among tokens, or None for the paper's rule.
        img_size: Height and width of the input in pixels.
        num_classes: Classes of the dataset it is published on.
    """

    name: str
    family: str
    timm_model: str
    timm_kwargs: Mapping[str, Json] = field(default_factory=dict)
    alpha: int
    stem_width: int
    token_kernel: int | None = None
    grid_kernel: int | None = None
    img_size: int = 224
    num_classes: int = 1000

    def as_dict(self) -> dict[str, object]:
        """The row as JSON values, for digests and records."""
        return {**asdict(self), "timm_kwargs": dict(self.timm_kwargs)}


_DEIT: Mapping[str, Json] = {"class_token": False, "global_pool": "avg", "fc_norm": False}
"""The fair control of a SWAT DeiT: no class token, mean pooling after the final norm."""

_ROWS = (
    Pair(
        name="deit_mini",
        family="deit",
        timm_model="deit_tiny_patch16_224",
        timm_kwargs={**_DEIT, "patch_size": 4, "embed_dim": 64, "depth": 4, "num_heads": 4},
        alpha=2,
        stem_width=32,
        img_size=32,
        num_classes=10,
    ),
    Pair(
        name="mixer_mini",
        family="mixer",
        timm_model="mixer_s16_224",
        timm_kwargs={"patch_size": 4, "embed_dim": 64, "num_blocks": 4},
        alpha=2,
        stem_width=32,
        token_kernel=3,
        img_size=32,
        num_classes=10,
    ),
    Pair(
        name="deit_ti",
        family="deit",
        timm_model="deit_tiny_patch16_224",
        timm_kwargs={**_DEIT, "embed_dim": 192, "depth": 12, "num_heads": 3},
        alpha=8,
        stem_width=128,
    ),
    Pair(
        name="mixer_ti",
        family="mixer",
        timm_model="mixer_s16_224",
        timm_kwargs={"patch_size": 16, "embed_dim": 256, "num_blocks": 8},
        alpha=8,
        stem_width=64,
    ),
)

PAIRS: Mapping[str, Pair] = MappingProxyType({pair.name: pair for pair in _ROWS})
"""Name of the baseline → pair."""


def suggest(name: str, known: Mapping[str, object]) -> str:
    """A sentence that names the nearest known names, or lists all of them when none is near."""
    near = get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(known)}."


def find_model(name: str) -> tuple[Pair, str]:
    """Split a model's name into its pair and its arm.

    Args:
        name: `<pair>` for the baseline or `<arm>_<pair>` for another arm, as in `swat_deit_ti`.

    Raises:
        ModelError: No pair has that name; the nearest names are given.
    """
    names = {
        pair.name if arm == "baseline" else f"{arm}_{pair.name}": (pair, arm)
        for pair in _ROWS
        for arm in ARMS
    }
    if name not in names:
        raise ModelError(f"Unknown model {name!r}.", fix=suggest(name, names))
    return names[name]
