"""Records → comparisons: each arm of a pair against its reference, and which were refused and why."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from swatbench.report.accuracy import Accuracy, Answers, answers_of, difference
from swatbench.report.agreement import disagreements
from swatbench.report.conditions import setting_of
from swatbench.report.metric import Metric, shared_metric
from swatbench.report.ratios import CostRatios, cost_ratios
from swatbench.report.selection import Measured, Tested, Trained
from swatbench.report.versions import unlike_versions
from swatbench.store.cost import ArmCost


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Rows that were not compared.

    Attributes:
        pair: Name of the pair.
        arm: Arm that was not compared with its reference.
        seed: Seed, or None where it concerns cost or all seeds.
        what: `accuracy`, `accuracy across images`, `accuracy with cost`, `inference time` or `training time`;
            of a further test set, its name after the first two; of times, the batch size and the condition
            where there are several.
        why: What stood against it.
    """

    pair: str
    arm: str
    seed: int | None
    what: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One arm of a pair against its reference.

    Attributes:
        pair: Name of the pair.
        arm: The arm.
        reference: The arm that it is compared with.
        accuracy: Difference in accuracy, or None where no seed could be compared.
        cost: Ratios of cost in the condition that accuracy is set against, or in the next one that has the
            arm, or None.
        further_costs: Those of further measurements.
    """

    pair: str
    arm: str
    reference: str
    accuracy: Accuracy | None
    cost: CostRatios | None
    further_costs: tuple[CostRatios, ...] = ()

    @property
    def costs(self) -> tuple[CostRatios, ...]:
        """Ratios of cost of every measurement."""
        return (*((self.cost,) if self.cost else ()), *self.further_costs)


@dataclass(frozen=True, kw_only=True)
class PairRuns:
    """Everything that is reported of one pair on one machine.

    Attributes:
        pair: Name of the pair.
        reference: Arm that the others are compared with, or None where it has no record.
        arms: Arms with a record, the reference first.
        trained: Training runs.
        conditions: Cost measurements, of as many arms, conditions and batch sizes as there are; the first, of
            the most arms, is the one that accuracy is set against.
        tested: Trained models on further test sets.
    """

    pair: str
    reference: str | None
    arms: tuple[str, ...]
    trained: tuple[Trained, ...]
    conditions: tuple[Measured, ...] = ()
    tested: tuple[Tested, ...] = ()

    @property
    def metric(self) -> Metric:
        """What arms are compared by."""
        return shared_metric((*self.trained, *self.tested, *self.conditions))

    @property
    def measured(self) -> Measured | None:
        """The cost measurement that accuracy is set against, or None without any."""
        return self.conditions[0] if self.conditions else None

    def runs(self, arm: str | None) -> Mapping[int, Trained]:
        """Seed → run of this arm."""
        return self._by_arm.get(arm, {})

    @cached_property
    def _by_arm(self) -> Mapping[str | None, Mapping[int, Trained]]:
        # Asked for many times by every table, and a pair may have hundreds of runs.
        found: dict[str | None, dict[int, Trained]] = {}
        for run in self.trained:
            found.setdefault(run.cell.arm, {})[run.cell.seed] = run
        return found

    def trained_by_digest(self) -> dict[str, Trained]:
        """Digest of a training run's cell, by which a test names its weights → the run."""
        return {run.stored.record.digest: run for run in self.trained}

    def cost(self, arm: str | None) -> ArmCost | None:
        """Cost of this arm in the condition that accuracy is set against, where it was measured."""
        return self.measured.cost(arm) if self.measured else None


def compare(runs: PairRuns) -> tuple[tuple[Comparison, ...], tuple[Refusal, ...]]:
    """Compare every arm of a pair with its reference.

    A cost measurement with a reference of its own is compared by that one, apart from accuracy.
    """
    refusals: list[Refusal] = []
    # Made once for all arms, so that the reference's answers are read once.
    answers = {run.cell.seed: answers_of(run) for run in runs.runs(runs.reference).values()}
    found = [item for arm in runs.arms for item in _of_arm(runs, arm, answers, refusals)]
    return tuple(found), tuple(refusals)


def _of_arm(
    runs: PairRuns, arm: str, answers: Mapping[int, Answers], refusals: list[Refusal]
) -> Iterator[Comparison]:
    accuracy = None if arm == runs.reference else _accuracy(runs, arm, answers, refusals)
    if runs.reference is None:
        return
    references = dict.fromkeys((runs.reference, *(item.result.reference for item in runs.conditions)))
    for reference in references:
        of_runs = reference == runs.reference
        costs = () if arm == reference else _costs(runs, arm, reference, refusals)
        if costs or (of_runs and accuracy):
            cost, *further = costs or (None,)
            yield Comparison(
                pair=runs.pair,
                arm=arm,
                reference=reference,
                accuracy=accuracy if of_runs else None,
                cost=cost,
                further_costs=tuple(item for item in further if item),
            )


def _accuracy(
    runs: PairRuns, arm: str, answers: Mapping[int, Answers], refusals: list[Refusal]
) -> Accuracy | None:
    references, arms = runs.runs(runs.reference), runs.runs(arm)
    compared: list[tuple[Trained, Trained]] = []
    for seed in sorted(references.keys() | arms.keys()):
        why = _why_not(references.get(seed), arms.get(seed), runs.reference)
        if why is None:
            compared.append((references[seed], arms[seed]))
        else:
            refusals.append(Refusal(pair=runs.pair, arm=arm, seed=seed, what="accuracy", why=why))
    if not compared:
        return None
    accuracy, unpaired = difference(
        [(answers[reference.cell.seed], answers_of(run)) for reference, run in compared],
        unlike_versions([(run.cell.seed, reference.stored, run.stored) for reference, run in compared]),
    )
    if unpaired:
        what = "accuracy across images"
        refusals.append(Refusal(pair=runs.pair, arm=arm, seed=unpaired.seed, what=what, why=unpaired.why))
    return accuracy


def _why_not(reference: Trained | None, arm: Trained | None, name: str | None) -> str | None:
    if reference is None:
        return f"the reference ({name or 'an arm without parts'}) has no finished record of this seed here"
    if arm is None:
        return "this arm has no finished record of this seed here"
    return "; ".join(disagreements(reference, arm)) or None


def _costs(runs: PairRuns, arm: str, reference: str, refusals: list[Refusal]) -> tuple[CostRatios, ...]:
    """Ratios of cost to this reference, one entry a measurement; arms of unlike ones are never compared."""
    found: list[CostRatios] = []
    for measured in (item for item in runs.conditions if item.result.reference == reference):
        ratios, unusable = cost_ratios(measured, arm, reference)
        where = _where(runs, measured)
        refusals += [
            Refusal(pair=runs.pair, arm=arm, seed=None, what=f"{item.what}{where}", why=item.why)
            for item in unusable
        ]
        found += [ratios] if ratios else []
    return tuple(found)


def _where(runs: PairRuns, measured: Measured) -> str:
    """Which of several measurements it is."""
    others = [item.condition for item in runs.conditions if item is not measured]
    if not others:
        return ""
    told = setting_of(measured.result) if measured.condition in others else measured.condition
    return f" in {told}"
