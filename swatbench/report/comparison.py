"""Records → comparisons: each arm of a pair against its reference, and which were refused and why."""

from dataclasses import dataclass

from swatbench.report.accuracy import Accuracy, answers_of, difference
from swatbench.report.agreement import disagreements
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
        cost: Ratios of cost in the condition that accuracy is set against, or None where none was measured.
        further_costs: Those in further conditions.
    """

    pair: str
    arm: str
    reference: str
    accuracy: Accuracy | None
    cost: CostRatios | None
    further_costs: tuple[CostRatios, ...] = ()

    @property
    def costs(self) -> tuple[CostRatios, ...]:
        """Ratios of cost in every condition."""
        return (*((self.cost,) if self.cost else ()), *self.further_costs)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRuns:
    """Everything that is reported of one pair on one machine.

    Attributes:
        pair: Name of the pair.
        reference: Arm that the others are compared with, or None where it has no record.
        arms: Arms with a record, the reference first.
        trained: Training runs.
        conditions: Cost measurements, one for each condition; the first is the one that accuracy is set
            against.
        tested: Trained models on further test sets.
    """

    pair: str
    reference: str | None
    arms: tuple[str, ...]
    trained: tuple[Trained, ...]
    conditions: tuple[Measured, ...] = ()
    tested: tuple[Tested, ...] = ()

    @property
    def measured(self) -> Measured | None:
        """The cost measurement that accuracy is set against, or None without any."""
        return self.conditions[0] if self.conditions else None

    def runs(self, arm: str | None) -> dict[int, Trained]:
        """Seed → run of this arm."""
        return {run.cell.seed: run for run in self.trained if run.cell.arm == arm}

    def trained_by_digest(self) -> dict[str, Trained]:
        """Digest of a training run's cell, by which a test names its weights → the run."""
        return {run.stored.record.digest: run for run in self.trained}

    def cost(self, arm: str | None) -> ArmCost | None:
        """Cost of this arm in the condition that accuracy is set against, where it was measured."""
        return self.measured.cost(arm) if self.measured else None


def compare(runs: PairRuns) -> tuple[tuple[Comparison, ...], tuple[Refusal, ...]]:
    """Compare every arm of a pair with its reference."""
    comparisons: list[Comparison] = []
    refusals: list[Refusal] = []
    for arm in runs.arms:
        if arm == runs.reference:
            continue
        accuracy = _accuracy(runs, arm, refusals)
        costs = _costs(runs, arm, refusals)
        if runs.reference is not None and (accuracy or any(costs)):
            cost, *further = costs or (None,)
            comparisons.append(
                Comparison(
                    pair=runs.pair,
                    arm=arm,
                    reference=runs.reference,
                    accuracy=accuracy,
                    cost=cost,
                    further_costs=tuple(item for item in further if item),
                )
            )
    return tuple(comparisons), tuple(refusals)


def _accuracy(runs: PairRuns, arm: str, refusals: list[Refusal]) -> Accuracy | None:
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
        [(answers_of(reference), answers_of(run)) for reference, run in compared],
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


def _costs(runs: PairRuns, arm: str, refusals: list[Refusal]) -> tuple[CostRatios | None, ...]:
    """Ratios of cost, one entry a condition; arms of unlike conditions are never compared."""
    found: list[CostRatios | None] = []
    for measured in runs.conditions:
        ratios, unusable = cost_ratios(measured, arm, runs.reference)
        where = f" in {measured.condition}" if len(runs.conditions) > 1 else ""
        refusals += [
            Refusal(pair=runs.pair, arm=arm, seed=None, what=f"{item.what}{where}", why=item.why)
            for item in unusable
        ]
        found.append(ratios)
    return tuple(found)
