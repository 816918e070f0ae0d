"""Records → comparisons: each arm of a pair against its reference, and which were refused and why."""

from collections.abc import Iterator
from dataclasses import dataclass

from swatbench.errors import SwatbenchError
from swatbench.report.accuracy import Accuracy, answers_of, difference
from swatbench.report.agreement import disagreements
from swatbench.report.selection import Measured, Tested, Trained
from swatbench.report.versions import unlike_versions
from swatbench.stats.ratios import Ratio, paired_ratio
from swatbench.store.record import ArmCost, Timing


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Rows that were not compared.

    Attributes:
        pair: Name of the pair.
        arm: Arm that was not compared with its reference.
        seed: Seed, or None where it concerns cost or all seeds.
        what: `accuracy`, `accuracy across images`, `accuracy with cost`, `inference time` or `training time`;
            of a further test set, its name after the first two.
        why: What stood against it.
    """

    pair: str
    arm: str
    seed: int | None
    what: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CostRatios:
    """What an arm costs, as multiples of its reference's cost.

    Attributes:
        params: Ratio of parameters, exact.
        macs: Ratio of multiply-accumulates, exact.
        macs_agree: Whether two counters agreed on both the arm and its reference.
        inference: Paired ratio of the time of a forward pass, or None without samples.
        training: Paired ratio of the time of a training step, or None without samples.
        inference_peak: Ratio of peak memory in inference; one measurement of each arm, so no interval.
        training_peak: Ratio of peak memory in training, likewise, or None.
        timings: How each protocol was timed.
    """

    params: float
    macs: float
    macs_agree: bool
    inference: Ratio | None
    training: Ratio | None
    inference_peak: float | None
    training_peak: float | None
    timings: tuple[Timing, ...]

    def timing(self, protocol: str) -> Timing | None:
        """How `inference` or `training` was timed, where the record tells."""
        return next((timing for timing in self.timings if timing.protocol == protocol), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One arm of a pair against its reference.

    Attributes:
        pair: Name of the pair.
        arm: The arm.
        reference: The arm that it is compared with.
        accuracy: Difference in accuracy, or None where no seed could be compared.
        cost: Ratios of cost, or None where none was measured.
    """

    pair: str
    arm: str
    reference: str
    accuracy: Accuracy | None
    cost: CostRatios | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRuns:
    """Everything that is reported of one pair on one machine.

    Attributes:
        pair: Name of the pair.
        reference: Arm that the others are compared with, or None where it has no record.
        arms: Arms with a record, the reference first.
        trained: Training runs.
        measured: The cost measurement, or None.
        tested: Trained models on further test sets.
    """

    pair: str
    reference: str | None
    arms: tuple[str, ...]
    trained: tuple[Trained, ...]
    measured: Measured | None
    tested: tuple[Tested, ...] = ()

    def runs(self, arm: str | None) -> dict[int, Trained]:
        """Seed → run of this arm."""
        return {run.cell.seed: run for run in self.trained if run.cell.arm == arm}

    def trained_by_digest(self) -> dict[str, Trained]:
        """Digest of a training run's cell, by which a test names its weights → the run."""
        return {run.stored.record.digest: run for run in self.trained}

    def cost(self, arm: str | None) -> ArmCost | None:
        """Cost of this arm, where it was measured."""
        costs = self.measured.result.arms if self.measured else ()
        return next((cost for cost in costs if cost.arm == arm), None)


def compare(runs: PairRuns) -> tuple[tuple[Comparison, ...], tuple[Refusal, ...]]:
    """Compare every arm of a pair with its reference."""
    comparisons: list[Comparison] = []
    refusals: list[Refusal] = []
    for arm in runs.arms:
        if arm == runs.reference:
            continue
        accuracy = _accuracy(runs, arm, refusals)
        cost = _cost(runs, arm, refusals)
        if runs.reference is not None and (accuracy or cost):
            comparisons.append(
                Comparison(pair=runs.pair, arm=arm, reference=runs.reference, accuracy=accuracy, cost=cost)
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


def _cost(runs: PairRuns, arm: str, refusals: list[Refusal]) -> CostRatios | None:
    own, reference = runs.cost(arm), runs.cost(runs.reference)
    if own is None or reference is None or runs.measured is None:
        return None
    times: dict[str, Ratio | None] = {}
    for protocol in _protocols(own, reference):
        try:
            times[protocol] = _time_ratio(runs.measured, protocol, arm, runs.reference)
        except (SwatbenchError, OSError, ValueError, KeyError) as error:
            why = f"the raw samples cannot be used: {error}"
            what = f"{protocol} time"
            refusals.append(Refusal(pair=runs.pair, arm=arm, seed=None, what=what, why=why))
    return CostRatios(
        params=own.params / reference.params,
        macs=own.macs / reference.macs,
        macs_agree=own.macs_agree and reference.macs_agree,
        inference=times.get("inference"),
        training=times.get("training"),
        inference_peak=_quotient(own.inference_peak_bytes, reference.inference_peak_bytes),
        training_peak=_quotient(own.training_peak_bytes, reference.training_peak_bytes),
        timings=runs.measured.result.timings,
    )


def _protocols(own: ArmCost, reference: ArmCost) -> Iterator[str]:
    yield "inference"
    if own.training_s is not None and reference.training_s is not None:
        yield "training"


def _time_ratio(measured: Measured, protocol: str, arm: str, reference: str | None) -> Ratio:
    if reference != measured.result.reference:
        raise ValueError(f"they are timed against {measured.result.reference}, not {reference}")
    samples = measured.stored.samples()
    return paired_ratio(*(samples[f"{protocol}/{name}"] for name in (arm, reference, "twin")))


def _quotient(own: int | None, reference: int | None) -> float | None:
    return own / reference if own is not None and reference else None
