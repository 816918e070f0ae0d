"""The table of pairs and arms: which timm model, and how it is structured (no torch, no measured numbers).

An arm is a set of parts applied to the pair's timm model. A pair names the timm model and the few numbers
that do not follow from it. What an arm's name stands for in a pair is said by `parts_of` alone.

Source: "Spatial Structure Within and Among Tokens" (IJCAI 2023), section 4 and the released sizes.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from types import MappingProxyType

from swatbench.errors import ModelError

PARTS = ("tokenization", "token_mixing", "channel_mixing", "merging")
"""The parts of SWAT, in the order in which an image meets them."""

CLASS_TOKEN = "class_token"  # noqa: S105 (no secret)
"""No part of SWAT: it makes of the DeiT control the published DeiT, whose classifier reads a class token."""

ARMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "baseline": (),
        "tokenization": ("tokenization",),
        "token_mixing": ("token_mixing",),
        "channel_mixing": ("channel_mixing",),
        "merging": ("merging",),
        "mixing": ("token_mixing", "channel_mixing"),
        "swat": PARTS,
        "class_token": (CLASS_TOKEN,),
    }
)
"""Arm → its parts; `swat` stands for those of them that the pair's family has (see `parts_of`)."""

FAMILY_PARTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "deit": ("tokenization", "token_mixing", "channel_mixing", CLASS_TOKEN),
        "mixer": ("tokenization", "token_mixing", "channel_mixing"),
        "resmlp": ("tokenization", "token_mixing", "channel_mixing"),
        "swin": PARTS,
        "van": ("tokenization", "channel_mixing", "merging"),
    }
)
"""Family → the parts that it has.

DeiT, Mixer and ResMLP merge no tokens. VAN mixes tokens by convolutions over the grid already: it has no map
over a flattened token that could be given structure.
"""
WITH_ATTENTION = frozenset({"deit", "swin"})
"""Families whose token mixing is attention, whose structured projections fold into linear maps."""

Json = str | int | float | bool | None | tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A timm model and the way it is given structure.

    Attributes:
        name: Name of the baseline; the SWAT arm is `swat_<name>`.
        family: A key of `FAMILY_PARTS`.
        timm_model: Name in timm's registry; `van_b2` is our own entry there.
        timm_kwargs: Arguments for `timm.create_model` beside `num_classes`, `in_chans` and `img_size`.
        alpha: Sub-patches along each side of a token (h = w = alpha).
        stem_width: Channels E between the two convolutions of the tokenizer.
        token_kernel: Kernel within tokens, or None for the paper's rule.
        grid_kernel: Kernel among tokens, or None for the paper's rule.
        merge_kernel: Kernel that merges tokens, or None for the paper's rule.
        combine: How linear map and convolution meet in attention, `mean` or `sum`.
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
    merge_kernel: int | None = None
    combine: str = "mean"
    img_size: int = 224
    num_classes: int = 1000

    def as_dict(self) -> dict[str, object]:
        """The row as JSON values, for digests and records."""
        kwargs = {key: list(v) if isinstance(v, tuple) else v for key, v in self.timm_kwargs.items()}
        return {**asdict(self), "timm_kwargs": kwargs}


_DEIT: Mapping[str, Json] = {"class_token": False, "global_pool": "avg", "fc_norm": False}
"""The fair control of a SWAT DeiT: no class token, mean pooling after the final norm."""

PUBLISHED_DEIT: Mapping[str, Json] = MappingProxyType({"class_token": True, "global_pool": "token"})
"""Arguments of timm's model in which the published DeiT, the arm `class_token`, differs from that control."""

_SWIN: Mapping[str, Json] = {"drop_path_rate": 0.0}
"""As the released configs have it, and as every other pair; timm's Swin would drop paths at 0.1."""

_ROWS = (
    Pair(
        name="deit_ti",
        family="deit",
        timm_model="deit_tiny_patch16_224",
        timm_kwargs={**_DEIT, "embed_dim": 192, "depth": 12, "num_heads": 3},
        alpha=8,
        stem_width=128,
    ),
    Pair(
        name="deit_s",
        family="deit",
        timm_model="deit_small_patch16_224",
        timm_kwargs={**_DEIT, "embed_dim": 384, "depth": 12, "num_heads": 6},
        alpha=8,
        stem_width=128,
    ),
    Pair(
        name="deit_b32",
        family="deit",
        timm_model="deit_base_patch16_224",
        timm_kwargs={**_DEIT, "patch_size": 32, "embed_dim": 768, "depth": 12, "num_heads": 12},
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
    Pair(
        name="mixer_s",
        family="mixer",
        timm_model="mixer_s16_224",
        timm_kwargs={"patch_size": 16, "embed_dim": 512, "num_blocks": 8},
        alpha=8,
        stem_width=128,
    ),
    Pair(
        name="mixer_b32",
        family="mixer",
        timm_model="mixer_b32_224",
        timm_kwargs={"patch_size": 32, "embed_dim": 768, "num_blocks": 12},
        alpha=16,
        stem_width=128,
    ),
    Pair(name="resmlp_s12", family="resmlp", timm_model="resmlp_12_224", alpha=8, stem_width=128),
    Pair(
        name="swin_t",
        family="swin",
        timm_model="swin_tiny_patch4_window7_224",
        timm_kwargs=_SWIN,
        alpha=2,
        stem_width=128,
    ),
    Pair(
        name="swin_s",
        family="swin",
        timm_model="swin_small_patch4_window7_224",
        timm_kwargs=_SWIN,
        alpha=2,
        stem_width=128,
    ),
    Pair(name="van_b2", family="van", timm_model="van_b2", alpha=2, stem_width=128),
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
        name="swin_mini",
        family="swin",
        timm_model="swin_tiny_patch4_window7_224",
        timm_kwargs={**_SWIN, "embed_dim": 48, "depths": (2, 2), "num_heads": (3, 6), "window_size": 4},
        alpha=2,
        stem_width=32,
        img_size=32,
        num_classes=10,
    ),
)

PAIRS: Mapping[str, Pair] = MappingProxyType({pair.name: pair for pair in _ROWS})
"""Name of the baseline → pair."""


def parts_of(pair: Pair, arm: str) -> tuple[str, ...]:
    """The parts that an arm applies to a pair: for `swat` all of SWAT that its family has.

    Args:
        pair: A row of the table.
        arm: A key of `ARMS`.

    Raises:
        ModelError: The family lacks a part of the arm, whose name would promise what is not in the model.
    """
    family = FAMILY_PARTS[pair.family]
    if arm == "swat":
        return tuple(part for part in PARTS if part in family)
    lacking = [part for part in ARMS[arm] if part not in family]
    if lacking:
        raise ModelError(
            f"{pair.name} has no arm {arm}: the family {pair.family} lacks {' and '.join(lacking)}.",
            fix=f"Its parts: {', '.join(family)}; its arms: {', '.join(arms_of(pair))}.",
        )
    return ARMS[arm]


def arms_of(pair: Pair) -> tuple[str, ...]:
    """The arms that a pair has, in the order of `ARMS`."""
    family = FAMILY_PARTS[pair.family]
    return tuple(arm for arm, parts in ARMS.items() if arm == "swat" or set(parts) <= set(family))


def suggest(name: str, known: Mapping[str, object], *, far: str | None = None) -> str:
    """A sentence that names the nearest known names; where none is near, `far` or a list of all of them."""
    near = get_close_matches(name, list(known), n=3, cutoff=0.5)
    if near:
        return f"Did you mean {' or '.join(near)}?"
    return far or f"Known: {', '.join(known)}."


def find_model(name: str) -> tuple[Pair, str]:
    """Split a model's name into its pair and its arm.

    Args:
        name: As `model_name` writes it.

    Raises:
        ModelError: No model has that name, and the nearest names are given; or the pair lacks that arm.
    """
    names = {model_name(pair, arm): (pair, arm) for pair in _ROWS for arm in ARMS}
    if name not in names:
        real = {model_name(pair, arm): pair for pair in _ROWS for arm in arms_of(pair)}
        far = f"Known: {', '.join(PAIRS)}, and arms of them (`swatbench models`)."
        raise ModelError(f"Unknown model {name!r}.", fix=suggest(name, real, far=far))
    pair, arm = names[name]
    parts_of(pair, arm)
    return pair, arm


def model_name(pair: Pair, arm: str) -> str:
    """The name of one arm's model.

    >>> model_name(PAIRS["deit_ti"], "baseline"), model_name(PAIRS["deit_ti"], "swat")
    ('deit_ti', 'swat_deit_ti')
    """
    return pair.name if arm == "baseline" else f"{arm}_{pair.name}"
