"""Two sides → how the accuracy of each pair and arm changed, and which runs could not be compared.

The same arm is trained twice here, so everything that two arms of a pair must share is demanded of both runs,
and arm and parts besides. What is left to differ is the machine, the commit and the versions.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from swatbench.errors import SwatbenchError
from swatbench.report.accuracy import Accuracy, Answers, answers_of, difference, tested_likewise
from swatbench.report.agreement import disagreements, unlike_tests
from swatbench.report.between_sides import Side
from swatbench.report.selection import BACKBONE, TEST_SPLIT, Tested, Trained
from swatbench.report.versions import unlike_versions
from swatbench.store.arrays import read_arrays

_SHOWN = 10
"""Characters of a digest that are shown."""

Key = tuple[str, str, str]
"""Pair, arm and test set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotCompared:
    """What both sides have and what could not be compared.

    Attributes:
        pair: Name of the pair.
        arm: The arm, or None where it concerns all of a measurement.
        seeds: Seeds of the runs that it concerns; empty for cost.
        what: Accuracy, counts, cost or time, and of what.
        why: What stood against it.
    """

    pair: str
    arm: str | None
    seeds: tuple[int, ...]
    what: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyChange:
    """How the accuracy of one arm changed from the first side to the second.

    Attributes:
        pair: Name of the pair.
        arm: The arm.
        test: Name of the test set.
        before_percent: Mean score of the compared seeds on the first side.
        after_percent: The same on the second.
        accuracy: The difference, second side less first, across seeds and across images.
        same: Whether every file of predictions holds the very same numbers on both sides.
        changed_images: Mean over seeds of the test images that are answered otherwise, rightly or not, in
            segmentation those whose counts differ; None where the predictions cannot be read.
        test_images: Test images.
    """

    pair: str
    arm: str
    test: str
    before_percent: float
    after_percent: float
    accuracy: Accuracy
    same: bool
    changed_images: float | None
    test_images: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """The training of one seed, and its test on one test set: for the test split they are one record."""

    trained: Trained
    tested: Tested | None = None

    @property
    def seed(self) -> int:
        return self.trained.cell.seed

    @property
    def answers(self) -> Answers | None:
        """What the weights that the run's accuracy is of answered, where they were tested."""
        if self.tested is None:
            return answers_of(self.trained)
        evaluated = tested_likewise(self.trained.result, self.tested.result)
        return evaluated and Answers(seed=self.seed, stored=self.tested.stored, evaluated=evaluated)


def accuracy_changes(before: Side, after: Side) -> tuple[tuple[AccuracyChange, ...], tuple[NotCompared, ...]]:
    """Compare the accuracy of every pair, arm and test set that both sides have."""
    ours, theirs = _runs(before), _runs(after)
    found: list[AccuracyChange] = []
    refused: list[NotCompared] = []
    for key in (key for key in ours if key in theirs):
        change = _change(key, ours[key], theirs[key], refused)
        found += [change] if change else []
    return tuple(found), tuple(refused)


def _runs(side: Side) -> dict[Key, dict[int, _Run]]:
    """Pair, arm and test set → seed → run; tests of weights from elsewhere are left away."""
    trained = {run.stored.record.digest: run for run in side.chosen.found.trained}
    runs: dict[Key, dict[int, _Run]] = {}
    for run in trained.values():
        runs.setdefault((run.pair, run.cell.arm, TEST_SPLIT), {})[run.cell.seed] = _Run(trained=run)
    for test in side.chosen.found.tested:
        own = trained.get(test.cell.weights)
        if own is not None:
            key = test.pair, test.cell.arm, test.test
            runs.setdefault(key, {})[own.cell.seed] = _Run(trained=own, tested=test)
    return runs


def _change(
    key: Key, ours: Mapping[int, _Run], theirs: Mapping[int, _Run], refused: list[NotCompared]
) -> AccuracyChange | None:
    pair, arm, test = key
    what = "accuracy" if test == TEST_SPLIT else f"accuracy on {test}"
    seeds = [seed for seed in sorted(ours) if seed in theirs]
    reasons = {seed: "; ".join(_why_not(ours[seed], theirs[seed])) for seed in seeds}
    for why in dict.fromkeys(filter(None, reasons.values())):
        of = tuple(seed for seed in seeds if reasons[seed] == why)
        refused.append(NotCompared(pair=pair, arm=arm, seeds=of, what=what, why=why))
    compared = [(ours[seed], theirs[seed]) for seed in seeds if not reasons[seed]]
    if not compared:
        return None
    answers = [(_answers(one), _answers(other)) for one, other in compared]
    accuracy, unpaired = difference(answers, _unlike(compared))
    if unpaired:
        of = (unpaired.seed,)
        refused.append(
            NotCompared(pair=pair, arm=arm, seeds=of, what=f"{what} across images", why=unpaired.why)
        )
    same, changed = _apart(answers)
    return AccuracyChange(
        pair=pair,
        arm=arm,
        test=test,
        before_percent=float(np.mean([one.evaluated.score_percent for one, _ in answers])),
        after_percent=float(np.mean([other.evaluated.score_percent for _, other in answers])),
        accuracy=accuracy,
        same=same,
        changed_images=changed,
        test_images=answers[0][0].evaluated.images,
    )


def _why_not(one: _Run, other: _Run) -> Iterator[str]:
    ours, theirs = one.trained, other.trained
    # What two arms may differ in, one arm must not.
    if ours.cell.parts != theirs.cell.parts:
        parts = (" + ".join(run.cell.parts) or "none" for run in (ours, theirs))
        yield f"parts differ ({' and '.join(parts)})"
    yield from disagreements(ours, theirs)
    backbones = [str(run.stored.record.cell.get(BACKBONE)) for run in (ours, theirs)]
    # Two arms begin with backbones of their own; one arm begins with the same one on both sides.
    if backbones[0] != backbones[1]:
        yield f"weights of the backbone differ ({' and '.join(name[:_SHOWN] for name in backbones)})"
    if one.tested is None or other.tested is None:
        return
    yield from unlike_tests(one.tested, other.tested)
    answers, others = one.answers, other.answers
    if answers is None or others is None:
        yield "the weights that the accuracy on the test split is of were not tested"
    elif answers.evaluated.images != others.evaluated.images:
        images = f"{answers.evaluated.images} and {others.evaluated.images}"
        yield f"number of test images differs ({images})"


def _answers(run: _Run) -> Answers:
    answers = run.answers
    assert answers is not None
    return answers


def _unlike(compared: Sequence[tuple[_Run, _Run]]) -> tuple[str, ...]:
    trained = [(one.seed, one.trained.stored, other.trained.stored) for one, other in compared]
    tested = [
        (one.seed, one.tested.stored, other.tested.stored)
        for one, other in compared
        if one.tested and other.tested
    ]
    return tuple(dict.fromkeys((*unlike_versions(trained), *unlike_versions(tested))))


def _apart(answers: Sequence[tuple[Answers, Answers]]) -> tuple[bool, float | None]:
    """Whether all predictions are the same to the last bit, and how many images are answered otherwise."""
    try:
        found = [_apart_in_one(one, other) for one, other in answers]
    except (SwatbenchError, OSError, ValueError, KeyError):
        return False, None
    return all(same for same, _ in found), float(np.mean([changed for _, changed in found]))


def _apart_in_one(one: Answers, other: Answers) -> tuple[bool, int]:
    digests = [item.stored.record.files.get(item.evaluated.file) for item in (one, other)]
    if digests[0] is not None and digests[0] == digests[1]:
        return True, 0
    ours, theirs = (read_arrays(item.stored.folder / item.evaluated.file) for item in (one, other))
    changed = _changed(ours, theirs)
    same = ours.keys() == theirs.keys() and all(np.array_equal(ours[name], theirs[name]) for name in ours)
    return same, changed


def _changed(ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> int:
    """Images that are answered otherwise; of masks, those with other counts of any class."""
    names = [name for name in ("predicted", "intersection") if name in ours]
    differ = (ours[name] != theirs[name] for name in names)
    return int(np.any([array.reshape(len(array), -1).any(axis=1) for array in differ], axis=0).sum())
