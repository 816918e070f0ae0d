"""Answers of two arms to the same images → how an arm's accuracy differs from its reference's."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from swatbench.errors import SwatbenchError
from swatbench.report.selection import Trained
from swatbench.stats.accuracy import ImageDifference, SeedDifference, across_images, across_seeds
from swatbench.stats.two_level import TwoLevel, seeds_and_images
from swatbench.store.arrays import read_arrays
from swatbench.store.files import PREDICTIONS, Stored
from swatbench.store.record import Evaluated, TrainResult

Correct = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """How an arm's accuracy differs from its reference's.

    Attributes:
        seeds: Across seeds.
        images: Across images, or None where per-image predictions could not be paired.
        both: Across seeds and images at once, or None where either is missing or seeds show no spread.
        compared: Seeds of the runs that were compared.
        unlike: In what versions, commits and numbers of processes the two sides differ, in words.
    """

    seeds: SeedDifference
    images: ImageDifference | None
    compared: tuple[int, ...]
    unlike: tuple[str, ...]
    both: TwoLevel | None = None


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
        file = self.evaluated.file
        if file not in self.stored.record.files:
            raise ValueError(f"{file} is none of the record's files")
        predictions = read_arrays(self.stored.folder / file, ("label", "margin"))
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
    """The test split by each kind of weights, the first being those of the run's accuracy.

    A record of layout 1 knows one kind, and its list is made of the accuracy itself.
    """
    return result.evaluated or (
        Evaluated(
            weights=result.weights,
            images=result.test_images,
            correct=result.correct,
            top1_percent=result.top1_percent,
            top5_percent=result.top5_percent,
            loss=result.test_loss,
            file=PREDICTIONS,
        ),
    )


def answers_of(run: Trained) -> Answers:
    """What a training run answered to the test split, by the weights that its accuracy is of."""
    return Answers(seed=run.cell.seed, stored=run.stored, evaluated=on_test_split(run.result)[0])


def difference(
    compared: Sequence[tuple[Answers, Answers]], unlike: tuple[str, ...]
) -> tuple[Accuracy, Unpaired | None]:
    """Compare an arm with its reference on one test set.

    Args:
        compared: Reference and arm of each seed; at least one.
        unlike: In what the two sides differ without harm, in words.

    Returns:
        The difference, and why there is none across images where there is none.
    """
    found = _across_images(compared)
    images, both = (None, None) if isinstance(found, Unpaired) else found
    accuracy = Accuracy(
        seeds=across_seeds(
            [reference.evaluated.top1_percent for reference, _ in compared],
            [arm.evaluated.top1_percent for _, arm in compared],
        ),
        images=images,
        both=both,
        compared=tuple(arm.seed for _, arm in compared),
        unlike=unlike,
    )
    return accuracy, found if isinstance(found, Unpaired) else None


def _across_images(
    compared: Sequence[tuple[Answers, Answers]],
) -> tuple[ImageDifference, TwoLevel | None] | Unpaired:
    references: list[Correct] = []
    arms: list[Correct] = []
    labels: set[str] = set()
    for reference, arm in compared:
        try:
            (own, right), (other, arm_right) = reference.correct, arm.correct
        except (SwatbenchError, OSError, ValueError, KeyError) as error:
            return Unpaired(seed=arm.seed, why=f"predictions cannot be read: {error}")
        labels |= {own, other}
        if len(labels) > 1:
            return Unpaired(seed=arm.seed, why="the test images differ or come in another order")
        references.append(right)
        arms.append(arm_right)
    answers = np.stack(references), np.stack(arms)
    return across_images(*answers), seeds_and_images(*answers)
