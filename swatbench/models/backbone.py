"""A classifier's timm model as the backbone of a segmenter.

It is built by the same code as the classifier and keeps the names and shapes of its parameters, so that a
classifier's weights fit it and two arms share what they share as classifiers. What only the classifier reads
is left out: the linear map and the final norm (the decoder norms every map itself).

segmentation-models-pytorch can build encoders by timm's names (`tu-…`). These are not used: it would rename
the parameters, a pair's own arguments and parts are no model of timm's registry, and it takes no isotropic
model.

Kernels and structured blocks follow the pair's own `img_size`. What follows the segmenter's size instead:

- DeiT: a position embedding for crops; for images of another size it is interpolated in the forward pass.
- Mixer and ResMLP: the maps over tokens; images of one size alone fit them.
- Swin and VAN: nothing. Swin's windows keep the size that the classifier's have, and grids are padded.

Letters: H and W, rows and columns of an image; C, channels.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from swatbench.errors import ModelError
from swatbench.models.build import create_model
from swatbench.models.windows import pad_windows
from swatbench.spec.catalog import Pair
from swatbench.spec.segmentation import ISOTROPIC, ONE_SIZE
from swatbench.spec.sizes import patch_of
from swatbench.swat.mixing import Fused

TAPS = 4
"""Maps that a head takes of an isotropic backbone."""
MAPS = 2
"""Fewest maps that a head can take of a hierarchical one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Maps:
    """Which maps a backbone gives, and of which images.

    Attributes:
        taken: Blocks (isotropic) or stages after which a map is taken, counted from 0.
        channels: C of each map.
        patch: Images are padded to multiples of this many pixels.
        size: H and W, as padded, of the one size that it takes; None where it takes any.
    """

    taken: tuple[int, ...]
    channels: tuple[int, ...]
    patch: int
    size: tuple[int, int] | None


def build_backbone(
    pair: Mapping[str, Any], parts: Collection[str], *, size: tuple[int, int], fused_swat: Fused = "auto"
) -> tuple[nn.Module, Maps]:
    """Create one arm of a pair as a backbone, with torch's random state as it is.

    Args:
        pair: The row, as `Pair.as_dict` gives it.
        parts: Parts to apply; empty for the baseline.
        size: H and W that position embeddings and maps over tokens are made for.
        fused_swat: Whether structured layers compute by fused forms.

    Raises:
        ModelError: SWAT does not fit the model, or the model has too few maps for a head.
    """
    model: Any = create_model(pair, parts, fused_swat=fused_swat, num_classes=0, **_sizes(pair, size))
    pad_windows(model)
    info = model.feature_info
    taken = _taken(len(info), isotropic=pair["family"] in ISOTROPIC)
    model.prune_intermediate_layers(list(taken), prune_norm=True, prune_head=True)
    maps = Maps(
        taken=taken,
        channels=tuple(info[index]["num_chs"] for index in taken),
        patch=_patch(pair),
        size=model.stem.img_size if pair["family"] in ONE_SIZE else None,
    )
    return model, maps


def _sizes(pair: Mapping[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    """Arguments of the timm model by which it takes images of the sizes that its family can take."""
    family = pair["family"]
    if family == "swin":
        return {"img_size": pair["img_size"], "dynamic_img_size": True}
    if family not in ISOTROPIC:
        return {"img_size": pair["img_size"]}
    patch = _patch(pair)
    whole = tuple(-(-side // patch) * patch for side in size)
    return {"img_size": whole} if family in ONE_SIZE else {"img_size": whole, "dynamic_img_size": True}


def _patch(pair: Mapping[str, Any]) -> int:
    patch = patch_of(Pair(**pair))
    assert patch is not None
    return patch


def _taken(depth: int, *, isotropic: bool) -> tuple[int, ...]:
    """Every stage; of an isotropic model a third, half, two thirds and all of its blocks, or quarters.

    Thirds, as BEiT and XCiT tap 12 and 24 blocks, where they come out whole.
    """
    if depth < (TAPS if isotropic else MAPS):
        raise ModelError(
            f"A head takes {TAPS if isotropic else MAPS} maps or more, and this backbone has {depth}."
        )
    if not isotropic:
        return tuple(range(depth))
    if depth % 6 == 0:
        return depth // 3 - 1, depth // 2 - 1, 2 * depth // 3 - 1, depth - 1
    return tuple(depth * quarter // TAPS - 1 for quarter in range(1, TAPS + 1))
