"""One section of a report for each machine: what ran there, what it shows, and what was set aside."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from swatbench.report.choice import Chosen, LeftOut, choose, of_one_task
from swatbench.report.comparison import Comparison, PairRuns, Refusal, compare
from swatbench.report.conditions import place_of
from swatbench.report.families import Adjusted, families
from swatbench.report.further import FurtherComparison, compare_further
from swatbench.report.margin import Margin, margin_of
from swatbench.report.metric import Metric, shared_metric
from swatbench.report.segmenting import head_of
from swatbench.report.selection import Measured, Tested, Trained, WellFormed
from swatbench.report.side_by_side import side_by_side
from swatbench.spec.catalog import ARMS, PAIRS
from swatbench.store.asked import Asked
from swatbench.store.files import Stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What is reported of one machine.

    Attributes:
        machine: Name of the machine's folder.
        pairs: What is reported of each pair, in the catalogue's order.
        comparisons: Each arm against its reference.
        further: The same on further test sets.
        adjusted: p values of the comparisons, corrected for all of them, in the same order.
        further_adjusted: Those of further test sets, corrected among themselves.
        refusals: Rows that were not compared.
        left_out: Records that the suite does not ask for any more; nothing rests on them.
        failed: Cells that failed.
        margin: Within what two accuracies are called the same, where the suite says so.
    """

    machine: str
    pairs: tuple[PairRuns, ...]
    comparisons: tuple[Comparison, ...]
    further: tuple[FurtherComparison, ...]
    adjusted: tuple[Adjusted | None, ...]
    further_adjusted: tuple[Adjusted | None, ...]
    refusals: tuple[Refusal, ...]
    left_out: tuple[LeftOut, ...]
    failed: tuple[Stored, ...]
    margin: Margin | None = None

    @property
    def metric(self) -> Metric:
        """What arms are compared by, which the task decides."""
        return shared_metric(self.pairs)

    def of_pair(self, name: str) -> PairRuns:
        """What is reported of one pair, which must be there."""
        return next(runs for runs in self.pairs if runs.pair == name)

    @property
    def reported(self) -> tuple[Stored, ...]:
        """Records that the section rests on."""
        trained = [run.stored for runs in self.pairs for run in runs.trained]
        tested = [test.stored for runs in self.pairs for test in runs.tested]
        measured = [measured.stored for runs in self.pairs for measured in runs.conditions]
        return (*trained, *tested, *measured)


_Compared = tuple[tuple[Comparison, ...], tuple[Refusal, ...]]
_OnFurther = tuple[tuple[FurtherComparison, ...], tuple[Refusal, ...]]


def sections(found: WellFormed, failed: Sequence[Stored], asked: Mapping[str, Asked]) -> tuple[Section, ...]:
    """Sort records by machine and compare within each; machines by name.

    Args:
        found: Finished records.
        failed: Cells that failed.
        asked: Machine → what its last run asked for, where that is known.
    """
    machines = sorted({machine_of(stored) for stored in (*found.stored, *failed)})
    chosen = of_one_task([_chosen(machine, found, failed, asked.get(machine)) for machine in machines])
    return tuple(
        _section(machine, of_machine, asked.get(machine))
        for machine, of_machine in zip(machines, chosen, strict=True)
    )


def machine_of(stored: Stored) -> str:
    """Name of the machine's folder that a record lies in."""
    return stored.folder.parent.name


def _chosen(machine: str, found: WellFormed, failed: Sequence[Stored], asked: Asked | None) -> Chosen:
    return choose(
        found.where(lambda stored: machine_of(stored) == machine),
        [stored for stored in failed if machine_of(stored) == machine],
        asked,
    )


def _section(machine: str, chosen: Chosen, asked: Asked | None) -> Section:
    pairs = _pairs(chosen.found)
    both = side_by_side([partial(_compared, pair) for pair in pairs])
    compared, further = [one for one, _ in both], [other for _, other in both]
    comparisons = tuple(item for items, _ in compared for item in items)
    on_further = tuple(item for items, _ in further for item in items)
    return Section(
        machine=machine,
        pairs=pairs,
        comparisons=comparisons,
        further=on_further,
        adjusted=families(comparisons),
        further_adjusted=families(on_further),
        refusals=(
            *(item for _, refusals in (*compared, *further) for item in refusals),
            *(item for pair in pairs for item in _mismatched_cost(pair)),
        ),
        left_out=chosen.left_out,
        failed=chosen.failed,
        margin=margin_of(asked),
    )


def _compared(runs: PairRuns) -> tuple[_Compared, _OnFurther]:
    return compare(runs), compare_further(runs)


def _pairs(found: WellFormed) -> tuple[PairRuns, ...]:
    every = (*found.trained, *found.tested, *found.measured)
    return tuple(
        _pair_runs(
            name,
            [run for run in found.trained if run.pair == name],
            [test for test in found.tested if test.pair == name],
            [cost for cost in found.measured if cost.pair == name],
        )
        for name in _ordered({item.pair for item in every}, list(PAIRS))
    )


def _pair_runs(pair: str, trained: list[Trained], tested: list[Tested], measured: list[Measured]) -> PairRuns:
    own = next((run.cell.resolution.precision for run in trained), None)
    newest = sorted(measured, key=lambda item: item.stored.record.started_at, reverse=True)
    conditions = sorted(newest, key=lambda item: (-len(item.cell.arms), place_of(item.result, own)))
    parts = {item.cell.arm: item.cell.parts for item in (*tested, *trained)}
    for condition in reversed(conditions):
        parts |= condition.cell.arms
    order = _ordered(parts, list(ARMS))
    # Accuracy is compared with a plain arm alone; where there is none of it, costs name their own reference.
    stand_in = conditions[0].result.reference if conditions and not trained and not tested else None
    plain = [arm for arm in order if not parts[arm]]
    reference = stand_in if stand_in in plain else next(iter(plain), stand_in)
    return PairRuns(
        pair=pair,
        reference=reference,
        arms=tuple(sorted(order, key=lambda arm: arm != reference)),
        trained=tuple(sorted(trained, key=lambda run: (order.index(run.cell.arm), run.cell.seed))),
        tested=tuple(sorted(tested, key=lambda test: (order.index(test.cell.arm), _place(test)))),
        conditions=tuple(conditions),
    )


def _place(test: Tested) -> tuple[str, int, str]:
    """Tests by name, then by seed; weights from elsewhere, which have none, come first."""
    return test.test, -1 if test.cell.seed is None else test.cell.seed, test.cell.weights


def _mismatched_cost(runs: PairRuns) -> Iterable[Refusal]:
    """Where accuracy and cost were taken of different models, their figures must not be joined."""
    if runs.measured is None:
        return
    for arm in dict.fromkeys(run.cell.arm for run in runs.trained):
        why = cost_mismatch(runs, arm)
        if why:
            yield Refusal(pair=runs.pair, arm=arm, seed=None, what="accuracy with cost", why=why)


def cost_mismatch(runs: PairRuns, arm: str) -> str | None:
    """Why an arm's accuracy and its cost do not belong to one model, or None when they do."""
    cost = runs.cost(arm)
    if runs.measured is None or cost is None:
        return "its cost was not measured"
    trained = [run for run in runs.trained if run.cell.arm == arm]
    if any(run.cell.pair != runs.measured.cell.pair for run in trained):
        return "its cost was measured with another row of the catalogue"
    if any(run.cell.parts != runs.measured.cell.arms.get(arm) for run in trained):
        return "its cost was measured with other parts"
    heads = [head_of(run.stored.record.cell) for run in trained]
    if any(head != head_of(runs.measured.stored.record.cell) for head in heads):
        return "its cost was measured with another head"
    if any(run.result.params != cost.params for run in trained):
        return f"{trained[0].result.params} parameters were trained and {cost.params} measured"
    return None


def _ordered(names: Iterable[str], catalogue: list[str]) -> list[str]:
    """Names in the catalogue's order, unknown ones after them by name."""
    known = {name: index for index, name in enumerate(catalogue)}
    return sorted(names, key=lambda name: (known.get(name, len(known)), name))
