"""Contents of synthetic records of segmentation: counts of pixels, masks, curves."""

from typing import Any

import numpy as np

from swatbench.spec.catalog import PAIRS
from swatbench.spec.segmentation import IGNORED, Inference, Segmentation
from swatbench.store.record import CurvePoint, Evaluated

CLASSES = ("sky", "tree", "road", "car")
TEST_IMAGES = 40
PIXELS = 600
"""Pixels of an image, on average."""


def segmentation_of(pair: str, **changes: Any) -> Segmentation:
    """What a small suite would ask of this pair, with nothing left open."""
    asked = {"crop_size": 32, "short_side": 32, "long_side": 64, "decoder_channels": 16} | changes
    return Segmentation.model_validate(asked).of(PAIRS[pair])


MULTI = Inference(name="multi_scale", scales=(0.5, 1.0), flip=True)
"""A further way of testing."""


def counts_of(share: float, seed: int, *, images: int, classes: int) -> dict[str, np.ndarray]:
    """Counts whose mIoU is about `share`; the masks are the same for every seed and arm."""
    labelled = np.random.default_rng(7).poisson(PIXELS / classes, (images, classes)).astype(np.int32)
    # Of L pixels a share p is found, and others' misses fall into this class: p / (2 - p) is the IoU.
    found = 2 * share / (1 + share)
    rng = np.random.default_rng(1000 + seed)
    # How hard an image is, for every arm alike; and how a seed happens to do on it.
    hard = np.random.default_rng(8).normal(0, 0.05, (images, 1))
    chance = np.clip(found + hard + rng.normal(0, 0.03, (images, classes)), 0.01, 0.99)
    intersection = np.minimum(np.rint(labelled * chance), labelled).astype(np.int32)
    predicted = (intersection + np.roll(labelled - intersection, 1, axis=1)).astype(np.int32)
    return {
        "intersection": intersection,
        "predicted": predicted,
        "labelled": labelled,
        "loss": np.full(images, 1.1, np.float32),
    }


def evaluated_of(counts: dict[str, np.ndarray], weights: Any, inference: str, file: str) -> Evaluated:
    """What a record says of these counts, computed plainly."""
    found, predicted, labelled = (
        counts[name].sum(axis=0, dtype=np.int64) for name in ("intersection", "predicted", "labelled")
    )
    union = predicted + labelled - found
    shares = [100 * int(i) / int(u) if u else None for i, u in zip(found, union, strict=True)]
    return Evaluated(
        weights=weights,
        inference=inference,
        images=len(counts["labelled"]),
        miou_percent=float(np.mean([share for share in shares if share is not None])),
        mean_accuracy_percent=100 * float(np.mean(found[labelled > 0] / labelled[labelled > 0])),
        pixel_accuracy_percent=100 * int(found.sum()) / int(labelled.sum()),
        loss=1.1,
        per_class_percent=tuple(shares),
        file=file,
    )


def masks_of(shown: int, seed: int, arm: str, *, classes: int) -> dict[str, np.ndarray]:
    """Pictures, masks and predicted masks of the first test images, of sizes of their own."""
    arrays: dict[str, np.ndarray] = {}
    for place in range(shown):
        rng = np.random.default_rng(place)
        h, w = 24 + 8 * place, 32
        label = rng.integers(0, classes, (h // 8, w // 8), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
        arrays[f"image_{place}"] = rng.integers(0, 256, (h, w, 3), dtype=np.uint8)
        predicted = label.copy()
        own = np.random.default_rng([seed, place, len(arm)])
        predicted[own.random(label.shape) < 0.2] = own.integers(0, classes)
        label = label.copy()
        label[:4] = IGNORED
        arrays[f"label_{place}"], arrays[f"predicted_{place}"] = label, predicted
    return arrays


def mask_curve(percent: float, *, ema: bool) -> list[CurvePoint]:
    return [
        CurvePoint(
            epoch=epoch,
            step=epoch * 10,
            loss=2.0 - 0.3 * epoch,
            learning_rate=1e-4,
            top1_percent=None,
            miou_percent=percent * (0.55 + 0.15 * epoch),
            ema_miou_percent=percent * (0.5 + 0.16 * epoch) if ema else None,
            compute_s=10.0,
            data_s=0.2,
        )
        for epoch in (1, 2, 3)
    ]
