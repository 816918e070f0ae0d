"""A backbone with a head that gives logits for every pixel.

Images (B, 3, H, W), logits (B, K, H, W) of K classes. An image is padded below and on the right to whole
patches (with zeros, the mean colour of normalised images), and its logits are cut to its size; within Swin
and VAN a grid that does not halve is rounded up.

What is counted as a segmenter's cost is the forward pass in evaluation mode, which has no auxiliary head.
"""

from collections.abc import Collection, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers.config import set_fused_attn
from torch import Tensor, nn

from swatbench.errors import CheckpointError, ModelError
from swatbench.models.backbone import Maps, build_backbone
from swatbench.models.fold import fold_attention
from swatbench.models.taps import Taps
from swatbench.models.upernet import make_auxiliary, make_decoder, make_head, with_norm
from swatbench.models.warm_start import warm_start
from swatbench.models.weights import of_other_types, told
from swatbench.spec.segmentation import ISOTROPIC, ONE_SIZE, Segmentation
from swatbench.swat.mixing import Fused

CLASSIFIER = ("norm.", "fc_norm.", "head.", "head_dist.")
"""Beginnings of names that only a classifier has: its final norm and its linear maps."""
FITTED = "pos_embed"
"""The one tensor of a backbone that is interpolated to another size."""

_HEAD = 0x48454144
"""Makes another seed of a model's seed, from which the head is drawn."""
_DERIVED = ("attn_mask", "relative_position_index")
_NAMED = 5


class Segmenter(nn.Module):
    """A backbone, UPerNet's decoder over its maps, and heads.

    Args:
        backbone: A timm model as `build_backbone` makes it; its parameters keep their names.
        maps: Which maps it gives.
        segmentation: Head, channels, norm and auxiliary head.
        num_classes: K.
    """

    def __init__(
        self, backbone: nn.Module, maps: Maps, segmentation: Segmentation, *, num_classes: int
    ) -> None:
        super().__init__()
        channels, norm = maps.channels, segmentation.norm
        self.num_classes, self.maps = num_classes, maps
        self.backbone: Any = backbone
        self.taps = Taps(channels[0], maps.patch) if segmentation.head == "upernet_on_taps" else None
        if self.taps is not None:
            with_norm(self.taps, norm)
        self.decoder = make_decoder(channels, segmentation.decoder_channels, norm=norm)
        self.head = make_head(segmentation.decoder_channels, num_classes)
        self.auxiliary = (
            make_auxiliary(channels[-2], segmentation.auxiliary_channels, num_classes, norm=norm)
            if segmentation.auxiliary_weight > 0
            else None
        )

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """(B, 3, H, W) → (B, K, H, W).

        In training mode, where there is an auxiliary head, also its logits at the size of the map that it
        reads: the third of four maps, or the last but one. It reads that map as the decoder norms it.

        Raises:
            ValueError: H or W is more than the one size that the backbone takes.
        """
        H, W = images.shape[-2:]
        images = self._padded(images)
        maps = self.backbone.forward_intermediates(
            images, indices=list(self.maps.taken), output_fmt="NCHW", intermediates_only=True
        )
        if self.taps is not None:
            maps = self.taps(maps)
        logits = self.head(self.decoder([images, images, *maps]))
        logits = F.interpolate(logits, size=images.shape[-2:], mode="bilinear", align_corners=False)
        logits = logits[..., :H, :W]
        if self.auxiliary is None or not self.training:
            return logits
        return logits, self.auxiliary(self.decoder.feature_norms[-2](maps[-2]))

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Compute the backbone's blocks again in the backward pass instead of keeping what they held."""
        self.backbone.set_grad_checkpointing(enable)

    def no_weight_decay(self) -> set[str]:
        """Names exempt from weight decay: those that the backbone names."""
        own = getattr(self.backbone, "no_weight_decay", set)
        return {f"backbone.{name}" for name in own()}

    def _padded(self, images: Tensor) -> Tensor:
        H, W = images.shape[-2:]
        patch, size = self.maps.patch, self.maps.size
        below, right = (-H % patch, -W % patch) if size is None else (size[0] - H, size[1] - W)
        if below < 0 or right < 0:
            raise ValueError(f"images of {H} × {W} pixels exceed {size}, the one size of the backbone")
        return F.pad(images, (0, right, 0, below)) if below or right else images


def build_segmenter(
    pair: Mapping[str, Any],
    parts: Collection[str],
    segmentation: Segmentation,
    *,
    num_classes: int,
    seed: int,
    fused_attention: bool,
    fused_swat: Fused = "auto",
    fold: bool = False,
    size: tuple[int, int] | None = None,
) -> Segmenter:
    """Build one arm of a pair as a segmenter.

    The timm model is drawn from the seed before any part is applied, and the head from a seed of its own
    afterwards, so parameters that two arms share start from the same values, all of the head's among them.

    Args:
        pair: The row, as `Pair.as_dict` gives it.
        parts: Parts to apply; empty for the baseline.
        segmentation: Head, channels, norm and auxiliary head; position embeddings are made for its crops.
        num_classes: Classes of the logits.
        seed: Seed of the initial values.
        fused_attention: Whether timm's attention calls the fused kernel.
        fused_swat: Whether structured layers compute by fused forms.
        fold: Whether attention's structured projections become plain linear maps, for inference alone.
        size: H and W that a family of one size (Mixer, ResMLP) is built for; None for crops. Other families
            take any, and are the same whatever it says.

    Raises:
        ModelError: SWAT does not fit the model, or the head does not.
    """
    isotropic, crop = pair["family"] in ISOTROPIC, (segmentation.crop_size, segmentation.crop_size)
    fitting = "upernet_on_taps" if isotropic else "upernet"
    if segmentation.head not in ("auto", fitting):
        raise ModelError(
            f"{segmentation.head} does not fit {pair['name']}.", fix=f"Write {fitting}, or auto."
        )
    set_fused_attn(fused_attention)
    torch.manual_seed(seed)
    one_size = size if size is not None and pair["family"] in ONE_SIZE else crop
    backbone, maps = build_backbone(pair, parts, size=one_size, fused_swat=fused_swat)
    torch.manual_seed(seed ^ _HEAD)
    decided = segmentation.model_copy(update={"head": fitting})
    segmenter = Segmenter(backbone, maps, decided, num_classes=num_classes)
    if fold:
        fold_attention(segmenter)
    return segmenter


def load_backbone(segmenter: Segmenter, state_dict: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Fill a segmenter's backbone from a classifier of the same pair and arm.

    A position embedding is interpolated to the segmenter's grid. The classifier's linear map and final norm
    are left.

    Args:
        segmenter: What `build_segmenter` gives, on any device.
        state_dict: The classifier's weights, by the names of its timm model.

    Returns:
        Names of the segmenter's parameters and buffers that were filled: all of its backbone's.

    Raises:
        CheckpointError: The weights lack a tensor of the backbone, hold one that it does not have, or have
            one in another shape or type; the segmenter is left as it was.
        ModelError: A position embedding is of no square grid.
    """
    # Older files of Swin hold what follows from sizes alone.
    state_dict = {name: value for name, value in state_dict.items() if not name.endswith(_DERIVED)}
    own = segmenter.backbone.state_dict()
    missing = [name for name in own if name not in state_dict]
    foreign = [name for name in state_dict if name not in own and not name.startswith(CLASSIFIER)]
    if missing or foreign:
        raise _of_another_model(missing, foreign)
    other = of_other_types(own, state_dict)
    if other:
        raise CheckpointError(f"Tensors of the weights have other types than the backbone's: {told(other)}.")
    wrong = [name for name in own if name != FITTED and own[name].shape != state_dict[name].shape]
    if wrong:
        raise _of_another_size(segmenter, wrong, own, state_dict)
    started = warm_start(segmenter.backbone, state_dict)
    return tuple(f"backbone.{name}" for name in (*started.filled, *started.fitted))


def _of_another_model(missing: list[str], foreign: list[str]) -> CheckpointError:
    clauses = (("lack", missing), ("hold besides", foreign))
    what = " and ".join(f"{verb} {_few(names)}" for verb, names in clauses if names)
    return CheckpointError(
        f"The weights are of another model than the backbone: they {what}.",
        fix="Give weights of a classifier of the same pair and arm.",
    )


def _of_another_size(
    segmenter: Segmenter, wrong: list[str], own: Mapping[str, Tensor], given: Mapping[str, Tensor]
) -> CheckpointError:
    name, size = wrong[0], segmenter.maps.size
    fix = "Give weights of a classifier of the same sizes."
    if size is not None:
        fix = (
            f"It takes images of {size[0]} × {size[1]} pixels alone: give weights of a classifier of such, "
            "or set segmentation.crop_size to the classifier's size."
        )
    return CheckpointError(
        f"{len(wrong)} tensors have other shapes in the weights than in the backbone: "
        f"{name} {tuple(given[name].shape)} for {tuple(own[name].shape)}.",
        fix=fix,
    )


def _few(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"
