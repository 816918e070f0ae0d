"""The numbers of a test of masks, from the pixels of each class in each image, as mmsegmentation has them.

Pixels are added up over all images before anything is divided. A pixel without a label counts nowhere, not
even for the class that is predicted there.

Letters: K classes, n test images, H and W, rows and columns of a mask.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from swatbench.errors import DataError
from swatbench.store.record import Evaluated
from swatbench.train.score import Facts

COUNTS = ("intersection", "predicted", "labelled")
"""What is counted of an image, each for every class: labelled pixels whose class is found, that are
predicted to be of the class, and that are of the class."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MaskEvaluation:
    """What a segmenter gives on test images.

    Attributes:
        inference: Name of the way that images were tested.
        images: Number of test images n.
        miou_percent: Mean IoU: intersection over union of a class's pixels, in percent, averaged over classes
            that are in some mask or some prediction.
        mean_accuracy_percent: Share of a class's pixels that are found, averaged over classes that are in
            some mask.
        pixel_accuracy_percent: Share of labelled pixels whose class is found.
        per_class_percent: K IoUs in percent; None for a class in no mask and no prediction.
        loss: Mean cross-entropy of the averaged probabilities over labelled pixels, in nats.
        counts: In the order of the test set int32 arrays (n, K), `intersection`, `predicted` and `labelled`
            (see `COUNTS`), and float32 (n,) `loss`, the mean over an image's labelled pixels, 0 without any.
        masks: Place in the test set → predicted classes, uint8 (H, W), of the images that are shown.
    """

    inference: str
    images: int
    miou_percent: float
    mean_accuracy_percent: float
    pixel_accuracy_percent: float
    per_class_percent: tuple[float | None, ...]
    loss: float
    counts: Facts
    masks: dict[int, np.ndarray]

    def record(self, weights: Literal["raw", "ema"], file: str) -> Evaluated:
        """The part of a record that tells this.

        Args:
            weights: Which weights were tested.
            file: Name of the file that holds `counts`.
        """
        return Evaluated(
            weights=weights,
            inference=self.inference,
            images=self.images,
            miou_percent=self.miou_percent,
            mean_accuracy_percent=self.mean_accuracy_percent,
            pixel_accuracy_percent=self.pixel_accuracy_percent,
            loss=self.loss,
            per_class_percent=self.per_class_percent,
            file=file,
        )


def score_masks(counts: Facts, masks: dict[int, np.ndarray], *, inference: str) -> MaskEvaluation:
    """Score images by the pixels of each class.

    Args:
        counts: As `MaskEvaluation.counts` describes them; other arrays are left out.
        masks: Masks that are shown.
        inference: Name of the way that images were tested.

    Raises:
        DataError: No pixel has a label.
    """
    found, predicted, labelled = (counts[name].sum(axis=0, dtype=np.int64) for name in COUNTS)
    pixels = int(labelled.sum())
    if not pixels:
        raise DataError(
            "No pixel of the test images has a label.",
            where="data",
            fix="Look at which index the masks have for no class (data.unlabelled).",
        )
    of_image = counts["labelled"].sum(axis=1, dtype=np.int64)
    shares = _percent(found, predicted + labelled - found)
    return MaskEvaluation(
        inference=inference,
        images=len(of_image),
        miou_percent=float(np.nanmean(shares)),
        mean_accuracy_percent=float(np.nanmean(_percent(found, labelled))),
        pixel_accuracy_percent=100 * int(found.sum()) / pixels,
        per_class_percent=tuple(None if np.isnan(share) else share for share in shares.tolist()),
        loss=float(counts["loss"].astype(np.float64) @ of_image / pixels),
        counts={name: counts[name] for name in (*COUNTS, "loss")},
        masks=masks,
    )


def _percent(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Shares (K,) in percent, NaN where there is no whole."""
    return np.divide(100.0 * part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
