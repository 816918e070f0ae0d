"""The numbers of a test: accuracy, loss and calibration, from one row of facts for each image.

Letters: K classes, n test images.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from swatbench.store.record import Evaluated

CALIBRATION_BINS = 15
"""Bins of equal width that the calibration error is taken over, as is usual since Guo et al. (2017)."""

Facts = dict[str, np.ndarray]
"""Arrays (n,), in the order of the test set: those of `Evaluation.predictions`, int64 `ahead`, the number of
other logits as large as the label's, and bool `finite`."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation:
    """What a model gives on test images.

    Attributes:
        images: Number of test images n; with several labels an image, of those that have any.
        correct: Images whose logit at the label (at one of the labels) is larger than every other; a tie is
            wrong.
        top1_percent: `correct` in percent of n.
        top5_percent: Images with fewer than five other logits as large as the label's, in percent of n; so
            100 where there are at most five classes to choose from. None with several labels an image.
        loss: Mean cross-entropy without label smoothing, in nats; None with several labels an image.
        calibration_error: Expected calibration error, from 0 to 1 (see `calibration_error`); None with
            several labels an image.
        per_class_percent: K accuracies in percent of each class's images, None for a class without images;
            empty with several labels an image.
        predictions: Arrays (n,) in the order of the test set: int64 `label`; int64 `predicted`, the class of
            the largest logit (in a tie with the label, the other class); float32 `margin`, the label's logit
            less the largest other, positive exactly where the image is correct; float32 `loss`, the
            cross-entropy in nats; float32 `confidence`, the softmax probability of the predicted class. With
            several labels an image there are no `loss` and no images without labels, and whichever label an
            image is correct by, `label` and `predicted` hold its first.
    """

    images: int
    correct: int
    top1_percent: float
    top5_percent: float | None
    loss: float | None
    calibration_error: float | None
    per_class_percent: tuple[float | None, ...]
    predictions: Facts

    def record(self, weights: Literal["raw", "ema"], file: str) -> Evaluated:
        """The part of a record that tells this.

        Args:
            weights: Which weights were tested.
            file: Name of the file that holds `predictions`.
        """
        return Evaluated(
            weights=weights,
            images=self.images,
            correct=self.correct,
            top1_percent=self.top1_percent,
            top5_percent=self.top5_percent,
            loss=self.loss,
            calibration_error=self.calibration_error,
            per_class_percent=self.per_class_percent,
            file=file,
        )


def score_by_label(facts: Facts, num_classes: int) -> Evaluation:
    """Score images that have one label each.

    Args:
        facts: Facts about all images.
        num_classes: Classes K.

    Raises:
        ValueError: A loss is infinite, as where the label is a class that the model may not choose.
    """
    n, label, right = len(facts["label"]), facts["label"], facts["margin"] > 0
    if not np.isfinite(facts["loss"]).all():
        raise ValueError("the label of an image is not among the allowed classes")
    images = np.bincount(label, minlength=num_classes)
    found = np.bincount(label[right], minlength=num_classes)
    shares = zip(found.tolist(), images.tolist(), strict=True)
    return Evaluation(
        images=n,
        correct=int(right.sum()),
        top1_percent=100 * int(right.sum()) / n,
        top5_percent=100 * int((facts["ahead"] < 5).sum()) / n,
        loss=float(facts["loss"].mean(dtype=np.float64)),
        calibration_error=calibration_error(facts["confidence"], right),
        per_class_percent=tuple(100 * part / whole if whole else None for part, whole in shares),
        predictions={name: facts[name] for name in ("label", "predicted", "margin", "loss", "confidence")},
    )


def score_by_labels(facts: Facts, real: Sequence[tuple[int, ...]]) -> Evaluation:
    """Score images that may have several labels, each of which is right, or none.

    Args:
        facts: Facts about all images; `label` is the first one, `margin` that of the best one.
        real: The n images' labels; there is at least one.
    """
    labelled = np.array([bool(labels) for labels in real])
    correct = int((facts["margin"] > 0)[labelled].sum())
    return Evaluation(
        images=int(labelled.sum()),
        correct=correct,
        top1_percent=100 * correct / int(labelled.sum()),
        top5_percent=None,
        loss=None,
        calibration_error=None,
        per_class_percent=(),
        predictions={name: facts[name][labelled] for name in ("label", "predicted", "margin", "confidence")},
    )


def calibration_error(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Expected calibration error: distance of mean confidence and accuracy in a bin, averaged over images.

    The bins are [0, 1/15), [1/15, 2/15), ..., [14/15, 1]. A bin's distance times its share of the images is
    the sum of its differences over n, so nothing is divided by a bin's count. (torchmetrics gives the same,
    but for a bin of its own to a confidence of exactly 1; importing it takes as long as importing torch.)

    Args:
        confidence: Probability of the predicted class, from 0 to 1, (n,).
        correct: Whether each prediction is right, bool (n,).
    """
    confidence = confidence.astype(np.float64)
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    return float(np.abs(np.bincount(bins, weights=correct - confidence)).sum() / len(bins))
