"""Differences in mean IoU: against a loop of resamples, and values of images whose mean is mean IoU."""

from dataclasses import replace

import numpy as np
import pytest

from swatbench.stats import miou
from swatbench.stats.miou import MaskCounts, across_mask_images, influence_values
from swatbench.stats.two_level import seeds_and_images


def counts(*, seeds=2, images=30, classes=4, seed=0, skill=0.6):
    rng = np.random.default_rng(seed)
    shape = (seeds, images, classes)
    labelled = np.random.default_rng(7).integers(0, 900, shape[1:]) * (
        np.random.default_rng(8).random(shape[1:]) < 0.6
    )
    labelled = np.broadcast_to(labelled, shape)
    found = np.rint(labelled * rng.uniform(skill - 0.2, skill + 0.2, shape)).astype(np.int32)
    wrong = rng.integers(0, 300, shape) * (rng.random(shape) < 0.3)
    return MaskCounts(intersection=found, predicted=found + wrong, labelled=labelled)


def mean_iou(one, seed, index):
    """Mean IoU of a seed on images that may come more than once, as it is defined."""
    found, predicted, labelled = (
        table[seed][index].sum(axis=0) for table in (one.intersection, one.predicted, one.labelled)
    )
    union = predicted + labelled - found
    return (found[union > 0] / union[union > 0]).mean()


def only(one, images):
    """The counts of some images."""
    return MaskCounts(**{name: getattr(one, name)[:, images] for name in MaskCounts.__slots__})


def test_the_difference_is_that_of_the_mean_over_seeds():
    reference, arm = counts(), counts(seed=1, skill=0.7)
    result = across_mask_images(reference, arm)
    everything = np.arange(30)
    expected = [mean_iou(arm, seed, everything) - mean_iou(reference, seed, everything) for seed in (0, 1)]
    assert result.points == pytest.approx(100 * np.mean(expected))
    assert (result.seeds, result.images) == (2, 30)
    assert result.low < result.points < result.high
    assert result.decided == (result.low > 0)


def test_the_interval_is_that_of_a_loop_over_resamples():
    reference, arm = counts(), counts(seed=1, skill=0.65)
    rng, drawn = np.random.default_rng(5), []
    for _ in range(3_000):
        index = rng.integers(30, size=30)
        drawn.append(
            np.mean([mean_iou(arm, seed, index) - mean_iou(reference, seed, index) for seed in (0, 1)])
        )
    result = across_mask_images(reference, arm, confidence=0.9)
    ends = np.quantile(100 * np.array(drawn), (0.05, 0.95))
    width = ends[1] - ends[0]
    assert (result.low, result.high) == pytest.approx(ends, abs=0.06 * width)


def test_both_arms_and_all_seeds_get_the_same_resample():
    reference = counts(seeds=3)
    result = across_mask_images(reference, replace(reference))
    assert (result.points, result.low, result.high, result.decided) == (0, 0, 0, False)


def test_blocks_change_nothing(monkeypatch):
    reference, arm = counts(), counts(seed=1)
    whole = across_mask_images(reference, arm)
    monkeypatch.setattr(miou, "_AT_ONCE", 7 * 30)
    assert across_mask_images(reference, arm) == whole
    assert across_mask_images(reference, arm, seed=1) != whole


def test_a_class_that_a_resample_lacks_is_left_out_of_it():
    # The second class is in one image alone, where both arms find it; resamples without it have one class.
    labelled = np.zeros((1, 3, 2), dtype=np.int32)
    labelled[0] = [[10, 0], [10, 0], [0, 10]]
    reference = MaskCounts(intersection=labelled, predicted=labelled, labelled=labelled)
    found = labelled.copy()
    found[0, :2, 0] = 5
    arm = MaskCounts(intersection=found, predicted=found, labelled=labelled)
    result = across_mask_images(reference, arm)
    # mIoU 1 against (1/2 + 1) / 2; without the third image 1/2, and of the third image alone 1.
    assert (result.points, result.low, result.high) == pytest.approx((-25.0, -50.0, 0.0))


def test_images_without_labels_do_no_harm():
    labelled = np.zeros((1, 3, 2), dtype=np.int32)
    labelled[0, 0] = 4
    one = MaskCounts(intersection=labelled, predicted=labelled, labelled=labelled)
    assert across_mask_images(one, one).high == 0.0


def test_influence_values_have_the_mean_iou_as_their_mean():
    one = counts(seeds=3)
    values = influence_values(one)
    assert values.shape == (3, 30)
    expected = [mean_iou(one, seed, np.arange(30)) for seed in range(3)]
    assert values.mean(axis=1) == pytest.approx(expected, rel=1e-12)


def test_influence_values_say_what_an_image_changes():
    # Without one of many images, mean IoU moves by what is left of its value over n - 1, to the first order.
    one = counts(seeds=1, images=400)
    values = influence_values(one)[0]
    for image in (0, 17, 399):
        without = mean_iou(one, 0, np.delete(np.arange(400), image))
        change = (values.mean() - values[image]) / 399
        assert without - values.mean() == pytest.approx(change, rel=0.03, abs=1e-7)


def test_a_class_in_no_mask_and_no_prediction_has_no_part():
    one = counts(classes=3)
    more = MaskCounts(
        **{
            name: np.concatenate([getattr(one, name), np.zeros((2, 30, 2), dtype=int)], axis=2)
            for name in MaskCounts.__slots__
        }
    )
    assert influence_values(more) == pytest.approx(influence_values(one))
    assert across_mask_images(more, more).points == 0


def test_the_two_level_interval_takes_influence_values():
    reference, arm = counts(seeds=4, images=200), counts(seeds=4, images=200, seed=1, skill=0.7)
    both = seeds_and_images(influence_values(reference), influence_values(arm))
    images = across_mask_images(reference, arm)
    assert both.points == pytest.approx(images.points)
    assert (both.seeds, both.images) == (4, 200)
    assert both.low < images.low < images.high < both.high


def test_the_standard_error_of_influence_values_is_that_of_the_bootstrap():
    reference, arm = counts(seeds=1, images=400), counts(seeds=1, images=400, seed=1)
    values = influence_values(arm) - influence_values(reference)
    half = 1.96 * 100 * values.std(ddof=1) / np.sqrt(400)
    result = across_mask_images(reference, arm)
    assert (result.high - result.low) / 2 == pytest.approx(half, rel=0.05)


def test_what_cannot_be_is_refused():
    one = counts()
    with pytest.raises(ValueError, match=r"\(2, 30, 3\) and \(2, 30, 4\)"):
        replace(one, predicted=one.predicted[:, :, :3])
    with pytest.raises(ValueError, match=r"tables, not \(30, 4\)"):
        MaskCounts(**{name: getattr(one, name)[0] for name in MaskCounts.__slots__})
    with pytest.raises(ValueError, match="no pixel has a label"):
        replace(one, labelled=np.zeros_like(one.labelled))
    with pytest.raises(ValueError, match="not tested on the same masks"):
        across_mask_images(one, replace(one, labelled=one.labelled[:, ::-1]))
    with pytest.raises(ValueError, match=r"\(2, 30, 4\) and \(2, 20, 4\)"):
        across_mask_images(one, only(one, slice(20)))
