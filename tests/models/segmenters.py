"""Small segmenters: a pair of each family, with few and narrow layers where its own are large."""

from dataclasses import replace

from swatbench.models.segmenter import build_segmenter
from swatbench.spec.catalog import PAIRS, parts_of
from swatbench.spec.segmentation import Segmentation

NARROW_SWIN = {
    "drop_path_rate": 0.0,
    "embed_dim": 32,
    "depths": (2, 2, 2, 2),
    "num_heads": (1, 2, 4, 8),
}
SMALL = {
    "deit": PAIRS["deit_mini"],
    "mixer": PAIRS["mixer_mini"],
    "swin": replace(PAIRS["swin_t"], timm_kwargs=NARROW_SWIN),
    "van": replace(PAIRS["van_b2"], timm_kwargs={"embed_dims": (16, 32, 64, 64), "depths": (1, 1, 1, 1)}),
}
"""Family → pair; timm's ResMLP takes no other sizes than its own."""
TWO_STAGES = PAIRS["swin_mini"]
CLASSES = 5


def segmenter(pair, arm="swat", *, seed=0, size=None, fused=False, **settings):
    chosen = {"decoder_channels": 16, "auxiliary_channels": 16, "crop_size": 32, **settings}
    return build_segmenter(
        pair.as_dict(),
        parts_of(pair, arm),
        Segmentation(**chosen).of(pair),
        num_classes=CLASSES,
        seed=seed,
        fused_attention=fused,
        size=size,
    )
