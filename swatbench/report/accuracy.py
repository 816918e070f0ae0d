"""Answers of two arms to the same images → how an arm's accuracy differs from its reference's.

Of segmentation, accuracy is mIoU here: what differs is how an image's answer is kept (`mask_answers`).
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from swatbench.errors import SwatbenchError
from swatbench.report.mask_answers import counts_of, stacked
from swatbench.report.metric import TOP1, Metric, metric_of
from swatbench.report.selection import Trained
from swatbench.stats.accuracy import ImageDifference, SeedDifference, across_images, across_seeds
from swatbench.stats.miou import MaskCounts, MaskDifference, across_mask_images, influence_values
from swatbench.stats.two_level import TwoLevel, seeds_and_images
from swatbench.store.arrays import read_arrays
from swatbench.store.files import PREDICTIONS, Stored
from swatbench.store.record import Evaluated, EvaluationResult, TrainResult

Correct = NDArray[np.bool_]
AnswersT = TypeVar("AnswersT", Correct, MaskCounts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """How an arm's accuracy differs from its reference's.

    Attributes:
        seeds: Across seeds.
        images: Across images, or None where per-image predictions could not be paired.
        both: Across seeds and images at once, or None where either is missing or seeds show no spread.
        compared: Seeds of the runs that were compared.
        unlike: In what versions, commits and numbers of processes the two sides differ, in words.
        metric: What was compared.
        each_seed: Of masks, each seed's own difference across images, in the order of `compared`.
        image_spread_points: Of masks, the standard deviation over images of what an image brings to the
            difference of two checkpoints, in points.
    """

    seeds: SeedDifference
    images: ImageDifference | MaskDifference | None
    compared: tuple[int, ...]
    unlike: tuple[str, ...]
    both: TwoLevel | None = None
    metric: Metric = TOP1
    each_seed: tuple[MaskDifference, ...] = ()
    image_spread_points: float | None = None


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What one run's weights answered to the images of one test set; read once, when first asked for.

    Attributes:
        seed: Seed of the run.
        stored: The record that says so.
        evaluated: What came out.
    """

    seed: int
    stored: Stored
    evaluated: Evaluated

    @cached_property
    def correct(self) -> tuple[str, Correct]:
        """Digest of the labels, and whether each image was answered rightly, of shape (images,).

        Raises:
            StoreError: The file of predictions is missing or damaged.
            ValueError: It does not hold what the record says.
        """
        predictions = read_arrays(self._file, ("label", "margin"))
        # Not predicted == label: an image of ReaL has several labels, of which the file keeps the first.
        label, right = predictions["label"], predictions["margin"] > 0
        images, correct = self.evaluated.images, self.evaluated.correct
        if label.shape != (images,) or right.shape != (images,) or right.sum() != correct:
            raise ValueError(
                f"they hold {int(right.sum())} correct of {label.size} images, "
                f"the record says {correct} of {images}"
            )
        if not np.issubdtype(label.dtype, np.integer):
            raise ValueError(f"their labels are {label.dtype} and no whole numbers")
        return hashlib.sha256(label.astype(np.int64).tobytes()).hexdigest(), right

    @cached_property
    def counts(self) -> tuple[str, MaskCounts]:
        """Digest of the masks' pixels by image and class, and the counts of these images, of one seed.

        Raises:
            StoreError: The file of predictions is missing or damaged.
            ValueError: It does not hold what the record says.
        """
        return counts_of(self._file, self.evaluated)

    @property
    def _file(self) -> Path:
        file = self.evaluated.file
        if file not in self.stored.record.files:
            raise ValueError(f"{file} is none of the record's files")
        return self.stored.folder / file


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpaired:
    """Why per-image predictions of two arms could not be paired.

    Attributes:
        seed: The first seed that could not be.
        why: What stood against it.
    """

    seed: int
    why: str


def on_test_split(result: TrainResult) -> tuple[Evaluated, ...]:
    """The test split by each kind of weights and way of testing, the first being those of the run's score.

    A record of layout 1 knows one kind, and its list is made of the accuracy itself.
    """
    return result.evaluated or (
        Evaluated(
            weights=result.weights,
            images=result.test_images,
            **{name: getattr(result, name) for name in _SCORES},
            loss=result.test_loss,
            file=PREDICTIONS,
        ),
    )


_SCORES = (
    *("correct", "top1_percent", "top5_percent", "inference"),
    *("miou_percent", "mean_accuracy_percent", "pixel_accuracy_percent"),
)


def tested_likewise(trained: TrainResult, tested: EvaluationResult) -> Evaluated | None:
    """Of a further test, what was tested by the weights, and in the way, that the run's score is of."""
    own = on_test_split(trained)[0]
    asked = own.weights, own.inference
    return next((item for item in tested.evaluated if (item.weights, item.inference) == asked), None)


def answers_of(run: Trained) -> Answers:
    """What a training run answered to the test split, by the weights that its accuracy is of."""
    return Answers(seed=run.cell.seed, stored=run.stored, evaluated=on_test_split(run.result)[0])


def difference(
    compared: Sequence[tuple[Answers, Answers]], unlike: tuple[str, ...]
) -> tuple[Accuracy, Unpaired | None]:
    """Compare an arm with its reference on one test set.

    Args:
        compared: Reference and arm of each seed; at least one, and all of one task.
        unlike: In what the two sides differ without harm, in words.

    Returns:
        The difference, and why there is none across images where there is none.
    """
    metric = metric_of(compared[0][0].evaluated)
    found = (_across_masks if metric.of_masks else _across_images)(compared)
    paired = _Paired(images=None) if isinstance(found, Unpaired) else found
    accuracy = Accuracy(
        seeds=across_seeds(
            [reference.evaluated.score_percent for reference, _ in compared],
            [arm.evaluated.score_percent for _, arm in compared],
        ),
        images=paired.images,
        both=paired.both,
        compared=tuple(arm.seed for _, arm in compared),
        unlike=unlike,
        metric=metric,
        each_seed=paired.each_seed,
        image_spread_points=paired.spread_points,
    )
    return accuracy, found if isinstance(found, Unpaired) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Paired:
    """What follows from answers to the same images."""

    images: ImageDifference | MaskDifference | None
    both: TwoLevel | None = None
    each_seed: tuple[MaskDifference, ...] = ()
    spread_points: float | None = None


def _across_images(compared: Sequence[tuple[Answers, Answers]]) -> _Paired | Unpaired:
    found = _read(compared, lambda answers: answers.correct)
    if isinstance(found, Unpaired):
        return found
    answers = np.stack([one for one, _ in found]), np.stack([other for _, other in found])
    return _Paired(images=across_images(*answers), both=seeds_and_images(*answers))


def _across_masks(compared: Sequence[tuple[Answers, Answers]]) -> _Paired | Unpaired:
    found = _read(compared, lambda answers: answers.counts)
    if isinstance(found, Unpaired):
        return found
    reference, arm = stacked([one for one, _ in found]), stacked([other for _, other in found])
    ours, theirs = influence_values(reference), influence_values(arm)
    images = across_mask_images(reference, arm)
    several = len(found) > 1
    return _Paired(
        images=images,
        both=seeds_and_images(ours, theirs),
        each_seed=tuple(across_mask_images(*sides) for sides in found) if several else (images,),
        spread_points=100 * float(np.sqrt((theirs - ours).var(axis=1).mean())),
    )


def _read(
    compared: Sequence[tuple[Answers, Answers]], of: Callable[[Answers], tuple[str, AnswersT]]
) -> list[tuple[AnswersT, AnswersT]] | Unpaired:
    """What both sides answered to the same images, seed by seed."""
    found: list[tuple[AnswersT, AnswersT]] = []
    labels: set[str] = set()
    for reference, arm in compared:
        try:
            (own, ours), (other, theirs) = of(reference), of(arm)
        except (SwatbenchError, OSError, ValueError, KeyError) as error:
            return Unpaired(seed=arm.seed, why=f"predictions cannot be read: {error}")
        labels |= {own, other}
        if len(labels) > 1:
            return Unpaired(seed=arm.seed, why="the test images differ or come in another order")
        found.append((ours, theirs))
    return found
