"""Running a segmenter over test images, by one process or several that share them.

An image's class probabilities are averaged over windows, mirror and scales and resized to the size of its
mask; the largest one is what is predicted. Every image is counted exactly once, whatever the number of
processes; each of them gets the whole result.

Letters: H and W, rows and columns of an image, h and w of a resized one, K classes, n test images.
"""

from collections.abc import Collection

import numpy as np
import torch
from torch import Tensor, nn

from swatbench.precision import Precision
from swatbench.spec.segmentation import IGNORED, Inference, Segmentation
from swatbench.train.batches import TestBatches
from swatbench.train.gather import gathered, logits_of, placed, require_finite
from swatbench.train.score import Facts
from swatbench.train.score_masks import COUNTS, MaskEvaluation, score_masks
from swatbench.train.windows import Classify, probabilities_at_scales, resized
from swatbench.world import ALONE, World

CLASSES_AT_ONCE = 16
"""Classes whose probabilities are held at the size of the mask at a time: all 150 of a large photograph take
gigabytes."""

_SMALLEST = torch.finfo(torch.float32).tiny


def evaluate_masks(
    model: nn.Module,
    batches: TestBatches,
    *,
    segmentation: Segmentation,
    inference: Inference,
    device: torch.device,
    precision: Precision,
    world: World = ALONE,
    num_classes: int,
    shown: Collection[int] = (),
) -> MaskEvaluation:
    """Run a segmenter over all test images; all processes of `world` must call this, and get the same.

    The loss is that of the averaged probabilities, so that all ways of testing state the same thing; a
    probability below the smallest normal float32 counts as that, which is a loss of 87 nats.

    Args:
        model: The model, on `device`; it is left in the mode (train or eval) in which it came.
        batches: This process's test images in their own sizes, with masks of the same sizes.
        segmentation: Sizes of images and of windows.
        inference: How to test, with nothing left open.
        device: Where the model is; images are moved there one by one.
        precision: Autocast type of the forward pass. All else is computed in float32.
        world: The processes that test together.
        num_classes: Classes K, at most 255.
        shown: Places in the test set whose predicted masks are kept.

    Raises:
        TrainingError: A logit is not finite, so the weights are of no use.
        ModelError: The model has another number of classes.
        DataError: Images of the test set are missing, or came more than once.
        ValueError: There is no image or no label, or more classes than a mask can hold, or the way of testing
            is left open.
    """
    if batches.images < 1:
        raise ValueError(f"there must be at least one test image, not {batches.images}")
    if not 1 <= num_classes <= IGNORED:
        raise ValueError(f"a mask holds 1 to {IGNORED} classes, not {num_classes}")

    def classify(image: Tensor) -> Tensor:
        return _probabilities(logits_of(model, image, precision, num_classes))

    rows, masks = [], {}
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            for own, images, labels in placed(batches):
                for place, image, label in zip(batches.positions[own], images, labels, strict=True):
                    there = image[None].to(device), label.to(device)
                    row, predicted = _judge(classify, *there, segmentation, inference)
                    rows.append(row)
                    if place in shown:
                        masks[int(place)] = predicted.to(device="cpu", dtype=torch.uint8).numpy()
    finally:
        model.train(was_training)
    facts = gathered(_stacked(rows), batches, world)
    require_finite(facts)
    of_all = {place: mask for some in world.gather(masks) for place, mask in some.items()}
    return score_masks(facts, dict(sorted(of_all.items())), inference=inference.name)


def _probabilities(logits: Tensor) -> Tensor:
    """Class probabilities; all of them NaN where any logit is not finite."""
    low, high = logits.aminmax()
    usable = (high - low).isfinite()
    return logits.softmax(1).mul_(torch.where(usable, 1.0, torch.nan))


def _judge(
    classify: Classify, image: Tensor, label: Tensor, segmentation: Segmentation, inference: Inference
) -> tuple[dict[str, Tensor], Tensor]:
    """Facts about an image (1, 3, H, W) with the mask (H, W), and the predicted classes (H, W)."""
    scales = probabilities_at_scales(classify, image, segmentation, inference)
    predicted, at_label = _decide(scales, label)
    labelled = label != IGNORED
    losses = -at_label[labelled].clamp(min=_SMALLEST).log()
    counts = _count(predicted[labelled], label[labelled], num_classes=scales[0].shape[1])
    finite = torch.stack([one.sum().isfinite() for one in scales]).all()
    return {**counts, "loss": losses.sum() / max(1, len(losses)), "finite": finite}, predicted


def _decide(scales: list[Tensor], label: Tensor) -> tuple[Tensor, Tensor]:
    """The most probable class of each pixel (H, W), of equals the first, and the probability of its label.

    Args:
        scales: Probabilities (1, K, h, w) of each scale.
        label: The mask (H, W); where it is `IGNORED`, the probability is 0.
    """
    size = (label.shape[0], label.shape[1])
    predicted = torch.zeros_like(label)
    largest, at_label = torch.full(size, -1.0, device=label.device), torch.zeros(size, device=label.device)
    for first in range(0, scales[0].shape[1], CLASSES_AT_ONCE):
        some = [resized(one[:, first : first + CLASSES_AT_ONCE], size)[0] for one in scales]
        mean = torch.stack(some).mean(0) if len(some) > 1 else some[0]
        value, index = mean.max(0)
        predicted = torch.where(value > largest, first + index, predicted)
        largest = torch.maximum(largest, value)
        among = label - first
        inside = (among >= 0) & (among < len(mean))
        found = mean.gather(0, among.clamp(0, len(mean) - 1)[None])[0]
        at_label = torch.where(inside, found, at_label)
    return predicted, at_label


def _count(predicted: Tensor, label: Tensor, *, num_classes: int) -> dict[str, Tensor]:
    """Pixels of each class (K,), of labelled pixels' predictions and labels."""
    pixels = label[label == predicted], predicted, label
    counts = [one.bincount(minlength=num_classes) for one in pixels]
    assert all(len(one) == num_classes for one in counts), "a label is no class"
    return dict(zip(COUNTS, counts, strict=True))


def _stacked(rows: list[dict[str, Tensor]]) -> Facts:
    if not rows:
        return {}
    types = dict.fromkeys(COUNTS, np.int32) | {"loss": np.float32, "finite": np.bool_}
    return {
        name: torch.stack([row[name] for row in rows]).cpu().numpy().astype(kind)
        for name, kind in types.items()
    }
