"""Statuses as people read them."""

from collections.abc import Sequence

from swatbench.status.cell import CellStatus
from swatbench.visible import cut, visible

_TIMES = ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s"))


def table(cells: Sequence[CellStatus]) -> str:
    """A line for each cell, below one of the columns' names."""
    score = "top-1" if all(cell.miou_percent is None for cell in cells) else "mIoU"
    found = (tuple(cut(visible(text)) for text in _row(cell)) for cell in cells)
    rows = [("pair", "arm", "seed", "state", score, "took", "progress"), *found]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)


def span(seconds: float) -> str:
    """Seconds in two units at most.

    >>> span(4.4), span(75), span(7_260), span(200_000)
    ('4 s', '1 min 15 s', '2 h 1 min', '2 d 7 h')
    """
    whole = round(seconds)
    for size, unit, part, smaller in _TIMES:
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {unit} {rest} {smaller}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


def _row(cell: CellStatus) -> tuple[str, ...]:
    progress = cell.reason or ("" if cell.share is None else f"{100 * cell.share:.0f} %")
    if cell.left_s is not None:
        progress += f", {span(cell.left_s)} left"
    score = cell.top1_percent if cell.miou_percent is None else cell.miou_percent
    on = f" on {cell.test}" if cell.test else ""
    return (
        cell.pair,
        f"{cell.arm or 'cost'}{on}",
        "" if cell.seed is None else str(cell.seed),
        cell.state,
        "" if score is None else f"{score:.1f} %",
        "" if cell.took_s is None else span(cell.took_s),
        progress,
    )
