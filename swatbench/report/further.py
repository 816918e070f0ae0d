"""Tests of trained models on further test sets → each arm against its reference, as on the test split."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from swatbench.report.accuracy import Accuracy, Answers, difference, on_test_split, tested_likewise
from swatbench.report.agreement import disagreements, unlike_tests
from swatbench.report.comparison import PairRuns, Refusal
from swatbench.report.selection import Tested, Trained
from swatbench.report.versions import unlike_versions
from swatbench.store.files import Stored


@dataclass(frozen=True, slots=True, kw_only=True)
class FurtherComparison:
    """One arm of a pair against its reference on a further test set.

    Attributes:
        pair: Name of the pair.
        arm: The arm.
        reference: The arm that it is compared with.
        test: Name of the test set.
        weights: `raw` or `ema`: the weights that were compared.
        accuracy: Difference in accuracy.
        records: What each test is called and its record, reference first.
    """

    pair: str
    arm: str
    reference: str
    test: str
    weights: str
    accuracy: Accuracy
    records: tuple[tuple[str, Stored], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """A test of a model together with the model's training."""

    test: Tested
    run: Trained

    @property
    def weights(self) -> str:
        return on_test_split(self.run.result)[0].weights

    @property
    def answers(self) -> Answers | None:
        """What the weights that the run's accuracy is of answered, where they were tested."""
        evaluated = tested_likewise(self.run.result, self.test.result)
        if evaluated is None:
            return None
        return Answers(seed=self.run.cell.seed, stored=self.test.stored, evaluated=evaluated)


def compare_further(runs: PairRuns) -> tuple[tuple[FurtherComparison, ...], tuple[Refusal, ...]]:
    """Compare every arm of a pair with its reference on every further test set."""
    trained = runs.trained_by_digest()
    comparisons: list[FurtherComparison] = []
    refusals: list[Refusal] = []
    for test in dict.fromkeys(item.test for item in runs.tested):
        for arm in runs.arms:
            if arm != runs.reference:
                found = _compare(runs, trained, arm, test, refusals)
                comparisons += [found] if found else []
    return tuple(comparisons), tuple(refusals)


def _compare(
    runs: PairRuns, trained: Mapping[str, Trained], arm: str, test: str, refusals: list[Refusal]
) -> FurtherComparison | None:
    def refuse(seed: int | None, why: str, *, images: bool = False) -> None:
        what = f"accuracy{' across images' if images else ''} on {test}"
        refusals.append(Refusal(pair=runs.pair, arm=arm, seed=seed, what=what, why=why))

    references, arms = (_by_seed(runs, trained, name, test) for name in (runs.reference, arm))
    compared: list[tuple[_Side, _Side]] = []
    for seed in sorted(references.keys() | arms.keys(), key=lambda seed: -1 if seed is None else seed):
        sides = _sides(trained, references.get(seed), arms.get(seed))
        if isinstance(sides, str):
            refuse(seed, sides)
        else:
            compared.append(sides)
    if not compared or runs.reference is None:
        return None
    accuracy, unpaired = difference([_answers(sides) for sides in compared], _unlike(compared))
    if unpaired:
        refuse(unpaired.seed, unpaired.why, images=True)
    return FurtherComparison(
        pair=runs.pair,
        arm=arm,
        reference=runs.reference,
        test=test,
        weights=compared[0][0].weights,
        accuracy=accuracy,
        records=tuple(
            (f"{side.test.cell.arm} {side.run.cell.seed}", side.test.stored)
            for sides in compared
            for side in sides
        ),
    )


def _by_seed(
    runs: PairRuns, trained: Mapping[str, Trained], arm: str | None, test: str
) -> dict[int | None, Tested]:
    """The tests of runs here, by seed; weights that a user named stand beside them and are not compared."""
    return {
        item.cell.seed: item
        for item in sorted(runs.tested, key=lambda item: item.cell.weights in trained)
        if (item.cell.arm, item.test) == (arm, test)
    }


def _sides(
    trained: Mapping[str, Trained], reference: Tested | None, arm: Tested | None
) -> tuple[_Side, _Side] | str:
    """Reference and arm with their training, or why they cannot be compared."""
    if reference is None or arm is None:
        return f"{'this arm' if reference else 'the reference'} has no finished test of this seed here"
    run, other = trained.get(reference.cell.weights), trained.get(arm.cell.weights)
    if run is None or other is None:
        return "how the weights were trained is not in this report"
    sides = _Side(test=reference, run=run), _Side(test=arm, run=other)
    return "; ".join(_why_not(*sides)) or sides


def _why_not(reference: _Side, arm: _Side) -> Iterator[str]:
    if disagreements(reference.run, arm.run):
        yield "their training cannot be compared"
    yield from unlike_tests(reference.test, arm.test)
    ours, theirs = reference.answers, arm.answers
    if ours is None or theirs is None:
        yield "the weights that the accuracy on the test split is of were not tested"
    elif ours.evaluated.images != theirs.evaluated.images:
        images = f"{ours.evaluated.images} and {theirs.evaluated.images}"
        yield f"number of test images differs ({images})"


def _answers(sides: tuple[_Side, _Side]) -> tuple[Answers, Answers]:
    ours, theirs = (side.answers for side in sides)
    assert ours is not None
    assert theirs is not None
    return ours, theirs


def _unlike(compared: list[tuple[_Side, _Side]]) -> tuple[str, ...]:
    trained = unlike_versions([(a.run.cell.seed, a.run.stored, b.run.stored) for a, b in compared])
    tested = unlike_versions([(a.run.cell.seed, a.test.stored, b.test.stored) for a, b in compared])
    return tuple(dict.fromkeys((*trained, *tested)))
