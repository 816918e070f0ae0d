"""One section of a report for each machine: what ran there, what it shows, and what was set aside."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from swatbench.report.choice import Chosen, LeftOut, choose
from swatbench.report.comparison import Comparison, PairRuns, Refusal, compare
from swatbench.report.selection import Measured, Trained
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
        refusals: Rows that were not compared.
        left_out: Records that the suite does not ask for any more; nothing rests on them.
        failed: Cells that failed.
    """

    machine: str
    pairs: tuple[PairRuns, ...]
    comparisons: tuple[Comparison, ...]
    refusals: tuple[Refusal, ...]
    left_out: tuple[LeftOut, ...]
    failed: tuple[Stored, ...]

    @property
    def reported(self) -> tuple[Stored, ...]:
        """Records that the section rests on."""
        trained = [run.stored for runs in self.pairs for run in runs.trained]
        return (*trained, *(runs.measured.stored for runs in self.pairs if runs.measured))


def sections(
    trained: Sequence[Trained],
    measured: Sequence[Measured],
    failed: Sequence[Stored],
    asked: Mapping[str, Asked],
) -> tuple[Section, ...]:
    """Sort records by machine and compare within each; machines by name.

    Args:
        trained: Training runs.
        measured: Cost measurements.
        failed: Cells that failed.
        asked: Machine → what its last run asked for, where that is known.
    """
    stored = [*(run.stored for run in trained), *(cost.stored for cost in measured), *failed]
    return tuple(
        _section(
            machine,
            choose(
                [run for run in trained if machine_of(run.stored) == machine],
                [cost for cost in measured if machine_of(cost.stored) == machine],
                [cell for cell in failed if machine_of(cell) == machine],
                asked.get(machine),
            ),
        )
        for machine in sorted({machine_of(item) for item in stored})
    )


def machine_of(stored: Stored) -> str:
    """Name of the machine's folder that a record lies in."""
    return stored.folder.parent.name


def _section(machine: str, chosen: Chosen) -> Section:
    names = _ordered({item.pair for item in (*chosen.trained, *chosen.measured)}, list(PAIRS))
    pairs = tuple(
        _pair_runs(
            name,
            [run for run in chosen.trained if run.pair == name],
            next((cost for cost in chosen.measured if cost.pair == name), None),
        )
        for name in names
    )
    compared = [compare(pair) for pair in pairs]
    return Section(
        machine=machine,
        pairs=pairs,
        comparisons=tuple(item for comparisons, _ in compared for item in comparisons),
        refusals=(
            *(item for _, refusals in compared for item in refusals),
            *(item for pair in pairs for item in _mismatched_cost(pair)),
        ),
        left_out=chosen.left_out,
        failed=chosen.failed,
    )


def _pair_runs(pair: str, trained: list[Trained], measured: Measured | None) -> PairRuns:
    parts = {run.cell.arm: run.cell.parts for run in trained}
    parts |= measured.cell.arms if measured else {}
    order = _ordered(parts, list(ARMS))
    reference = next((arm for arm in order if not parts[arm]), None)
    return PairRuns(
        pair=pair,
        reference=reference,
        arms=tuple(sorted(order, key=lambda arm: arm != reference)),
        trained=tuple(sorted(trained, key=lambda run: (order.index(run.cell.arm), run.cell.seed))),
        measured=measured,
    )


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
    if any(run.result.params != cost.params for run in trained):
        return f"{trained[0].result.params} parameters were trained and {cost.params} measured"
    return None


def _ordered(names: Iterable[str], catalogue: list[str]) -> list[str]:
    """Names in the catalogue's order, unknown ones after them by name."""
    known = {name: index for index, name in enumerate(catalogue)}
    return sorted(names, key=lambda name: (known.get(name, len(known)), name))
