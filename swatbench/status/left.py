"""How long the rest of a suite takes, from the rates of running cells and the times of finished ones."""

from collections.abc import Iterable, Sequence
from statistics import fmean

from swatbench.status.cell import CellStatus
from swatbench.store.asked import Asked


def time_left(cells: Sequence[CellStatus], asked: Asked | None) -> tuple[float | None, int]:
    """Estimate the time until all cells are done that have not failed.

    A running cell goes on at its rate. Another takes as long as those of its pair and arm, or of its pair, or
    of its kind. Train cells run side by side, as the suite says, and the others in turn.

    Args:
        cells: All cells of a machine.
        asked: What its last run asked for.

    Returns:
        Seconds, or None where nothing is known; and the number of cells that this leaves out.
    """
    todo = [cell for cell in cells if cell.state not in ("done", "failed")]
    estimates = {cell.cell: _left_of(cell, cells, asked) for cell in todo}
    known = {name: left_s for name, left_s in estimates.items() if left_s is not None}
    training = [known[cell.cell] for cell in todo if cell.kind == "train" and cell.cell in known]
    others = [known[cell.cell] for cell in todo if cell.kind != "train" and cell.cell in known]
    if todo and not known:
        return None, len(todo)
    jobs = int(((asked.suite if asked else {}).get("execution") or {}).get("jobs") or 1)
    side_by_side = max(sum(training) / jobs, max(training, default=0.0))
    return side_by_side + sum(others), len(todo) - len(known)


def _left_of(cell: CellStatus, cells: Sequence[CellStatus], asked: Asked | None) -> float | None:
    if cell.left_s is not None:
        return cell.left_s
    whole_s = _duration_s(cell, cells)
    if whole_s is None and cell.kind == "cost":
        whole_s = _timing_s(asked)
    return None if whole_s is None else whole_s * (1 - (cell.share or 0.0))


def _duration_s(cell: CellStatus, cells: Iterable[CellStatus]) -> float | None:
    """Mean time of the cells most like this one: of its pair and arm, or of its pair, or of its kind."""
    known = [(other, took) for other in cells if other.kind == cell.kind and (took := _whole_s(other))]
    for alike in (("pair", "arm"), ("pair",), ()):
        same = [took for other, took in known if all(_same(cell, other, name) for name in alike)]
        if same:
            return fmean(same)
    return None


def _same(one: CellStatus, other: CellStatus, name: str) -> bool:
    return getattr(one, name) == getattr(other, name)


def _whole_s(cell: CellStatus) -> float | None:
    """Time of a whole cell: that it took, or will have taken at its present rate."""
    if cell.took_s is not None:
        return cell.took_s
    if cell.left_s is not None and cell.share is not None and cell.share < 1:
        return cell.left_s / (1 - cell.share)
    return None


def _timing_s(asked: Asked | None) -> float | None:
    """Longest time that the timing of a pair takes, which is most of a cost cell."""
    cost = (asked.suite if asked else {}).get("cost")
    return float(cost["budget_s"]) * (2 if cost.get("training") else 1) if cost else None
