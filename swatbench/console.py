"""What a run shows while it goes: live bars on a terminal, plain lines elsewhere, nothing when asked."""

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from swatbench.progress import Progress as Training
from swatbench.spec.cells import CostCell, EvaluateCell, TrainCell
from swatbench.store.record import Environment, Evaluated, Record, TrainResult
from swatbench.visible import cut, visible

Cell = TrainCell | EvaluateCell | CostCell

PIPE_WIDTH = 160
"""Characters in a line of a table that is not printed to a terminal."""
WIDE = 100
"""Columns of a terminal from which bars are drawn long."""
PLAIN_EVERY_S = 10.0
"""Shortest time between two plain lines about one cell."""


def cell_title(cell: Cell) -> str:
    """A cell in words: pair, arm and seed, pair, arm and test set, or pair and cost."""
    name = visible(cell.pair["name"])
    if isinstance(cell, CostCell):
        return f"{name} cost"
    title = f"{name} {cell.arm}" + ("" if cell.seed is None else f" seed {cell.seed}")
    if isinstance(cell, TrainCell):
        return title
    return f"{title} on {cell.test.name if cell.test else 'test'}"


def outcome_words(record: Record) -> str:
    """How a cell ended, in a few words."""
    if record.failure is not None:
        return f"failed: {cut(visible(record.failure.message))}"
    if record.train is not None:
        return f"{_score_words(record.train)} in {record.duration_s:.0f} s"
    if record.evaluation is not None:
        return f"{_score_words(record.evaluation.evaluated[0])} in {record.duration_s:.0f} s"
    return f"measured in {record.duration_s:.0f} s"


def watching(*, quiet: bool) -> AbstractContextManager["Quiet"]:
    """Whoever shows a run: bars on a terminal, lines elsewhere, nothing if quiet; all on standard error."""
    console = Console(stderr=True)
    if quiet:
        return nullcontext(Quiet())
    return Bars(console) if console.is_terminal else nullcontext(Plain(console))


def print_table(rows: Iterable[Sequence[str]], columns: Sequence[str] = ("", "")) -> None:
    """Print a table to standard output, whole: a pipe has no width that it could be cut to.

    Args:
        rows: Text of each cell.
        columns: Names of the columns; a table without any has no head.
    """
    # Names must stay whole, since a user types them: what does not fit is folded and never cut.
    wrapped = [Column(_cell(name), overflow="fold") for name in columns]
    table = Table(*wrapped, box=SIMPLE_HEAD, show_header=any(columns))
    for row in rows:
        table.add_row(*map(_cell, row))
    Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, emoji=False).print(table)


class Quiet:
    """Tells nothing."""

    def begin(self, cells: Sequence[Cell], done: int, environment: Environment) -> None:
        """Nothing."""

    def start(self, cell_id: str) -> None:
        """Nothing."""

    def progress(self, cell_id: str, progress: Training) -> None:
        """Nothing."""

    def stage(self, cell_id: str, stage: str) -> None:
        """Nothing."""

    def note(self, cell_id: str, note: str) -> None:
        """Nothing."""

    def end(self, cell_id: str, record: Record) -> None:
        """Nothing."""

    def other(self, record: Record) -> None:
        """Nothing."""

    def wait(self, why: str) -> None:
        """Nothing."""


class Plain(Quiet):
    """One line for each event that a log should hold.

    Args:
        console: Where to write.
        clock: Seconds from any origin.
    """

    def __init__(self, console: Console, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock = console, clock
        self._titles: dict[str, str] = {}
        self._told: dict[str, float] = {}
        self._first: dict[str, tuple[float, int]] = {}
        self._ended = 0

    def begin(self, cells: Sequence[Cell], done: int, environment: Environment) -> None:
        """Say what will run and where."""
        self._titles = {cell.id: cell_title(cell) for cell in cells}
        self._write(f"{len(cells)} cells to run, {done} finished before, on {environment.machine}")

    def start(self, cell_id: str) -> None:
        """Say that a cell begins."""
        self._told[cell_id] = self._clock()
        self._line(cell_id, "started")

    def progress(self, cell_id: str, progress: Training) -> None:
        """Say how far a train cell is, now and then."""
        self._first.setdefault(cell_id, (self._clock(), progress.step))
        if self._clock() - self._told[cell_id] >= PLAIN_EVERY_S:
            self._told[cell_id] = self._clock()
            self._line(cell_id, f"{_progress_words(progress)}, {self._left_s(cell_id, progress):.0f} s left")

    def stage(self, cell_id: str, stage: str) -> None:
        """Say what a cost cell is doing."""
        self._line(cell_id, stage)

    def note(self, cell_id: str, note: str) -> None:
        """Say something a user should know."""
        self._line(cell_id, note)

    def end(self, cell_id: str, record: Record) -> None:
        """Say how a cell ended."""
        self._ended += 1
        self._line(cell_id, outcome_words(record))

    def other(self, record: Record) -> None:
        """Say how a cell ended that another run did."""
        self._ended += 1
        self._line(record.cell_id, f"done by another run: {outcome_words(record)}")

    def wait(self, why: str) -> None:
        """Say what the run waits for."""
        self._write(why)

    def _left_s(self, cell_id: str, progress: Training) -> float:
        # From the first report on, since a resumed cell begins in the middle.
        since_s, step = self._first[cell_id]
        return (self._clock() - since_s) / max(progress.step - step, 1) * (progress.steps - progress.step)

    def _line(self, cell_id: str, words: str) -> None:
        self._write(f"[{self._ended}/{len(self._titles)}] {self._titles[cell_id]}: {words}")

    def _write(self, line: str) -> None:
        self._console.print(visible(line), markup=False, highlight=False, emoji=False, soft_wrap=True)


class Bars(Quiet):
    """A bar for the whole run and one for each cell under way, with rates and the time left.

    Args:
        console: A terminal.
    """

    def __init__(self, console: Console) -> None:
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24 if console.width >= WIDE else 6),
            TextColumn("{task.percentage:>3.0f} %", table_column=Column(no_wrap=True, min_width=5)),
            TimeRemainingColumn(
                compact=True, elapsed_when_finished=True, table_column=Column(no_wrap=True, min_width=5)
            ),
            TextColumn("{task.fields[words]}", markup=False),
            console=console,
            # No thread draws in the background: it would take time from what is being timed.
            auto_refresh=False,
        )
        self._titles: dict[str, str] = {}
        self._rows: dict[str, TaskID] = {}
        self._whole: TaskID | None = None

    def __enter__(self) -> "Bars":
        """Start drawing."""
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop drawing and leave the terminal as it was."""
        self._bars.stop()

    def begin(self, cells: Sequence[Cell], done: int, environment: Environment) -> None:
        """Draw the bar of the whole run."""
        self._titles = {cell.id: cell_title(cell) for cell in cells}
        words = f"{done} cells finished before" if done else ""
        self._whole = self._bars.add_task(environment.machine, total=len(cells), words=words)
        self._bars.refresh()

    def start(self, cell_id: str) -> None:
        """Draw a cell's bar."""
        self._rows[cell_id] = self._bars.add_task(f"  {self._titles[cell_id]}", total=None, words="starting")
        self._bars.refresh()

    def progress(self, cell_id: str, progress: Training) -> None:
        """Move a train cell's bar."""
        words = _progress_words(progress)
        self._bars.update(
            self._rows[cell_id], total=progress.steps, completed=progress.step, words=words, refresh=True
        )

    def stage(self, cell_id: str, stage: str) -> None:
        """Write a cost cell's stage beside its bar."""
        self._bars.update(self._rows[cell_id], words=visible(stage), refresh=True)

    def note(self, cell_id: str, note: str) -> None:
        """Print a line above the bars."""
        self._print(f"{self._titles[cell_id]}: {note}")

    def end(self, cell_id: str, record: Record) -> None:
        """Put a line with the outcome in the place of the cell's bar."""
        self._bars.remove_task(self._rows.pop(cell_id))
        self._ended(f"{self._titles[cell_id]}: {outcome_words(record)}")

    def other(self, record: Record) -> None:
        """Print how a cell ended that another run did."""
        self._ended(f"{self._titles[record.cell_id]}: done by another run: {outcome_words(record)}")

    def wait(self, why: str) -> None:
        """Print what the run waits for."""
        self._print(why)

    def _ended(self, words: str) -> None:
        self._print(words)
        if self._whole is not None:
            self._bars.advance(self._whole)
        self._bars.refresh()

    def _print(self, line: str) -> None:
        self._bars.console.print(visible(line), markup=False, highlight=False, emoji=False)


def _cell(text: str) -> str:
    return escape(visible(text))


def _score_words(found: TrainResult | Evaluated) -> str:
    return f"{'top-1' if found.miou_percent is None else 'mIoU'} {found.score_percent:.1f} %"


def _progress_words(progress: Training) -> str:
    return (
        f"epoch {progress.epoch}/{progress.epochs}, loss {progress.loss:.2f}, "
        f"{progress.images_per_s:.0f} images/s"
    )
