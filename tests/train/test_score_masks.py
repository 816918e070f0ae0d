"""The scores of masks: by hand, and beside torchmetrics."""

import numpy as np
import pytest
import torch

from swatbench.errors import DataError
from swatbench.store.record import Evaluated
from swatbench.train.score_masks import score_masks


def counted(predicted, label, K):
    """Pixels of each class in each image, counted one by one."""
    n = len(label)
    counts = {name: np.zeros((n, K), dtype=np.int32) for name in ("intersection", "predicted", "labelled")}
    for i in range(n):
        for found, right in zip(np.ravel(predicted[i]), np.ravel(label[i]), strict=True):
            if right == 255:
                continue
            counts["predicted"][i, found] += 1
            counts["labelled"][i, right] += 1
            counts["intersection"][i, right] += found == right
    return counts | {"loss": np.full(n, 0.5, dtype=np.float32), "finite": np.ones(n, dtype=bool)}


def score(predicted, label, K, **changes):
    return score_masks(counted(predicted, label, K) | changes, {}, inference="single_scale")


PREDICTED = [[[0, 0, 1], [2, 1, 1]], [[0, 2, 2], [2, 0, 0]]]
LABEL = [[[0, 1, 1], [255, 1, 0]], [[0, 0, 2], [255, 255, 0]]]
"""Of five classes: 1 and 2 are there, class 2 is predicted at two pixels without a label, 3 and 4 nowhere."""


def test_the_numbers_of_two_images_by_hand():
    result = score(PREDICTED, LABEL, 5)
    # Labelled pixels, label → predicted: 0→0, 1→0, 1→1, 1→1, 0→1; 0→0, 0→2, 2→2, 0→0.
    assert result.counts["intersection"].tolist() == [[1, 2, 0, 0, 0], [2, 0, 1, 0, 0]]
    assert result.counts["predicted"].tolist() == [[2, 3, 0, 0, 0], [2, 0, 2, 0, 0]]
    assert result.counts["labelled"].tolist() == [[2, 3, 0, 0, 0], [3, 0, 1, 0, 0]]
    # Class 0: 3 found of 5, and 4 predicted; class 1: 2 of 3, 3 predicted; class 2: 1 of 1, 2 predicted.
    assert result.per_class_percent == pytest.approx((100 * 3 / 6, 100 * 2 / 4, 100 * 1 / 2, None, None))
    assert result.miou_percent == pytest.approx(50.0)
    assert result.mean_accuracy_percent == pytest.approx(100 * (3 / 5 + 2 / 3 + 1) / 3)
    assert result.pixel_accuracy_percent == pytest.approx(100 * 6 / 9)
    assert (result.images, result.inference) == (2, "single_scale")


def test_a_class_that_is_predicted_alone_counts_for_iou_and_not_for_accuracy():
    result = score([[[0, 1]]], [[[0, 0]]], 3)
    assert result.per_class_percent == (50.0, 0.0, None)
    assert (result.miou_percent, result.mean_accuracy_percent) == (25.0, 50.0)


def test_the_loss_is_that_of_the_labelled_pixels_together():
    losses = np.array([1.0, 4.0], dtype=np.float32)
    # Five labelled pixels in the first image, four in the second.
    assert score(PREDICTED, LABEL, 5, loss=losses).loss == pytest.approx((5 * 1 + 4 * 4) / 9)


def test_it_agrees_with_torchmetrics():
    from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

    generator = torch.Generator().manual_seed(0)
    label = torch.randint(7, (6, 20, 30), generator=generator)
    predicted = torch.where(
        torch.rand(label.shape, generator=generator) < 0.6,
        label,
        torch.randint(7, label.shape, generator=generator),
    )
    label[torch.rand(label.shape, generator=generator) < 0.2] = 255
    result = score(predicted.numpy(), label.numpy(), 7)
    theirs = MulticlassJaccardIndex(num_classes=7, ignore_index=255, average=None)
    assert result.per_class_percent == pytest.approx(100 * theirs(predicted, label).numpy(), rel=1e-5)
    assert result.miou_percent == pytest.approx(100 * float(theirs(predicted, label).mean()), rel=1e-5)
    for average, ours in (("macro", result.mean_accuracy_percent), ("micro", result.pixel_accuracy_percent)):
        accuracy = MulticlassAccuracy(num_classes=7, ignore_index=255, average=average)
        assert ours == pytest.approx(100 * float(accuracy(predicted, label)), rel=1e-5)


def test_many_large_images_do_not_overflow():
    pixels = np.full((3, 1), 2**30, dtype=np.int32)
    counts = dict.fromkeys(("intersection", "predicted", "labelled"), pixels)
    result = score_masks(counts | {"loss": np.zeros(3, dtype=np.float32)}, {}, inference="single_scale")
    assert (result.miou_percent, result.pixel_accuracy_percent, result.loss) == (100.0, 100.0, 0.0)


def test_without_any_label_there_is_no_score():
    with pytest.raises(DataError, match="No pixel of the test images has a label"):
        score([[[0]]], [[[255]]], 2)


def test_the_record_tells_what_was_found():
    result = score(PREDICTED, LABEL, 5)
    assert sorted(result.counts) == ["intersection", "labelled", "loss", "predicted"]
    assert result.record("ema", "predictions.npz") == Evaluated(
        weights="ema",
        inference="single_scale",
        images=2,
        miou_percent=result.miou_percent,
        mean_accuracy_percent=result.mean_accuracy_percent,
        pixel_accuracy_percent=result.pixel_accuracy_percent,
        loss=0.5,
        per_class_percent=result.per_class_percent,
        file="predictions.npz",
    )
