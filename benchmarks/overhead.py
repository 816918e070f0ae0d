"""What the harness adds to a training step: `swatbench run` against a loop written by hand, turn by turn.

    python benchmarks/overhead.py [--models deit_mini mixer_mini] [--starts 6] [--epochs 1] [--ema]

Three processes train the same model on the same images: a cell of the product, a bare loop, and a second
copy of the bare loop (the twin), which shows what the machine makes of equal work. They take turns of ten
steps, in an order drawn anew each time, while the others stand still; the turns of whole epochs together are
a sample, so that it holds the product's checkpoint and files too. Every sample is of processes of its own:
where a process's tensors happen to lie was measured to change its time by up to 6 %, for as long as it
lives. `overhead_arms.py` says what each does; that their losses are the same numbers is checked at every
turn. What is drawn on the terminal counts as the product's, though another process draws it.

Promised, and the exit code is 1 where it is not kept: the median ratio of processor times, product over bare
loop, is at most 1.03 beyond the run's own floor (the same of twin over bare loop). So for wall time, which
holds the waits for the disk, but which others on the machine disturb: there the whole interval must be above.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from overhead_arms import OURS, Turn, arm
from rich.console import Console
from rich.progress import track
from rich.table import Table

from swatbench.cell.machine import resolve
from swatbench.console import Bars
from swatbench.data.subset import IMAGES
from swatbench.processes import context
from swatbench.spec.catalog import find_model
from swatbench.spec.cells import TrainCell
from swatbench.spec.expand import train_cell
from swatbench.spec.load import load_training_suite
from swatbench.spec.recipe import Ema
from swatbench.stats.ratios import Ratio, paired_ratio
from swatbench.store.provenance import environment
from swatbench.store.record import Environment
from swatbench.train.epoch import REPORT_EVERY
from swatbench.world import ALONE

OUT = Path("results/overhead/overhead.json")
SUITE = Path(__file__).parents[1] / "suites" / "quickstart.yaml"
MODELS = ("deit_mini", "mixer_mini")
ARMS = ("bare", "twin", OURS)
CLOCKS = {"process_s": "processor", "wall_s": "wall"}
MOST = 1.03
"""Largest ratio that is promised."""
QUICK = {"batch_size": 16, "steps_per_epoch": 2 * REPORT_EVERY}
"""What is otherwise in a recipe that proves nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One model.

    Attributes:
        model: Its name.
        steps: Optimizer steps in an epoch.
        process_s: Arm → processor time in seconds of an epoch at each start, with drawing for the product.
        wall_s: Arm → wall time in seconds of an epoch at each start.
        drawing_s: Processor time in seconds that drawing took in an epoch at each start.
    """

    model: str
    steps: int
    process_s: dict[str, list[float]]
    wall_s: dict[str, list[float]]
    drawing_s: list[float]

    def ratio(self, clock: str) -> Ratio:
        """The product's time over the bare loop's, by one of `CLOCKS`."""
        seconds = getattr(self, clock)
        return paired_ratio(seconds[OURS], seconds["bare"], seconds["twin"])

    def misses(self) -> Iterator[str]:
        """The promises that are not kept, in words."""
        for clock, name in CLOCKS.items():
            found = self.ratio(clock)
            if (found.low if clock == "wall_s" else found.ratio) > MOST * found.floor:
                yield f"{self.model}: {name} time × {found.ratio:.3f}, with a floor of {found.floor:.3f}"


def main() -> int:
    """Measure every model, print the table, write the file; 1 where a promise is not kept."""
    asked = _arguments()
    console, where = Console(stderr=True), environment()
    rows = [
        measured(model, _cell(model, asked), asked.starts, asked.epochs, seed=asked.seed, console=console)
        for model in asked.models
    ]
    Console(width=None if sys.stdout.isatty() else 120).print(as_table(rows))
    misses = [] if asked.quick else [sentence for row in rows for sentence in row.misses()]
    if asked.out or not asked.quick:
        _write(asked, where, rows, misses)
    for sentence in misses:
        console.print(f"not kept: {sentence}")
    return 1 if misses else 0


def measured(model: str, cell: TrainCell, starts: int, epochs: int, *, seed: int, console: Console) -> Row:
    """Let the arms take turns, in new processes as often as asked.

    Args:
        model: What the cell's model is called.
        cell: What they train.
        starts: How often the arms are started.
        epochs: Epochs of a start that count; the one before them does not.
        seed: Seed of the order of turns.
        console: Told how far it is.

    Raises:
        ValueError: Two arms had another loss, so they did not do the same work.
    """
    rng, steps = np.random.default_rng(seed), cell.recipe.steps_per_epoch
    assert steps is not None
    turns = -(-steps // REPORT_EVERY)
    kept = []
    for start in range(starts):
        with (
            tempfile.TemporaryDirectory(prefix="overhead-") as folder,
            _started(cell, Path(folder), rng.permutation(len(ARMS))) as pipes,
            _drawn(cell) as bars,
        ):
            numbers = track(range((epochs + 1) * turns), f"{model}, start {start + 1}", console=console)
            # The first epoch is not kept: in it the arms load and build.
            kept.append([_round(pipes, bars, cell.id, rng.permutation(len(ARMS))) for _ in numbers][turns:])
    return _row(model, steps, kept, epochs)


Round = Mapping[str, tuple[Turn, float]]
"""Arm → its turn, and the processor time of drawing what it told."""


def _row(model: str, steps: int, starts: Sequence[Sequence[Round]], epochs: int) -> Row:
    def sums(name: str, clock: str) -> list[float]:
        return [sum(getattr(one[name][0], clock) for one in start) / epochs for start in starts]

    drawing_s = {name: [sum(one[name][1] for one in start) / epochs for start in starts] for name in ARMS}
    return Row(
        model=model,
        steps=steps,
        process_s={
            name: [a + b for a, b in zip(sums(name, "process_s"), drawing_s[name], strict=True)]
            for name in ARMS
        },
        wall_s={name: sums(name, "wall_s") for name in ARMS},
        drawing_s=drawing_s[OURS],
    )


def _round(pipes: Mapping[str, Connection], bars: Bars, cell_id: str, order: Iterable[int]) -> Round:
    """One turn of each arm, in the given order."""
    taken = {ARMS[i]: _turn(pipes[ARMS[i]], bars, cell_id) for i in order}
    told = {(turn.step, turn.loss) for turn, _ in taken.values()}
    if len(told) > 1:
        raise ValueError(f"the arms did not do the same work: steps and losses {told}")
    return taken


def _turn(pipe: Connection, bars: Bars, cell_id: str) -> tuple[Turn, float]:
    start_s = time.process_time()
    pipe.send("go on")
    while not isinstance(message := pipe.recv(), Turn):
        kind, content = message
        getattr(bars, kind)(cell_id, content)
    return message, time.process_time() - start_s


@contextmanager
def _drawn(cell: TrainCell) -> Iterator[Bars]:
    """Bars as on a terminal, which nobody sees."""
    with (
        Path(os.devnull).open("w") as nowhere,
        Bars(Console(file=nowhere, force_terminal=True, width=120)) as bars,
    ):
        bars.begin([cell], 0, environment())
        bars.start(cell.id)
        yield bars


@contextmanager
def _started(cell: TrainCell, folder: Path, order: Iterable[int]) -> Iterator[dict[str, Connection]]:
    """The arms' processes, begun in the given order and waiting for their first turn."""
    start: Any = context("overhead_arms")
    pipes, processes = {}, []
    for name in (ARMS[i] for i in order):
        pipes[name], theirs = start.Pipe()
        processes.append(start.Process(target=arm, args=(name, cell, folder / name, theirs), daemon=True))
        processes[-1].start()
        theirs.close()
    try:
        yield pipes
    finally:
        for process in processes:
            process.kill()
            process.join()


def _cell(model: str, asked: argparse.Namespace) -> TrainCell:
    """The quickstart's cell of a model, long enough for what is asked."""
    suite = load_training_suite(SUITE)
    # A smaller batch leaves the number of steps as it is: what comes once an epoch keeps its share.
    steps = IMAGES["train"] // suite.recipe.batch_size
    whole = {"steps_per_epoch": steps, "batch_size": asked.batch or suite.recipe.batch_size}
    changes: dict[str, Any] = {"epochs": asked.epochs + 2, **(QUICK if asked.quick else whole)}
    if asked.ema:
        changes["ema"] = Ema(decay=0.99)
    execution = suite.execution.model_copy(update={"device": "cpu"})
    recipe = suite.recipe.model_copy(update=changes)
    suite = suite.model_copy(update={"recipe": recipe, "execution": execution})
    pair, arm_name = find_model(model)
    return train_cell(suite, resolve(suite, ALONE), pair=pair.name, arm=arm_name, seed=0)


def as_table(rows: Sequence[Row]) -> Table:
    """The rows for a terminal."""
    table = Table("model", "time", "bare, ms a step", "swatbench / bare", "95 % interval", "floor", "starts")
    for row in rows:
        for clock, name in CLOCKS.items():
            found, seconds = row.ratio(clock), getattr(row, clock)["bare"]
            table.add_row(
                row.model,
                name,
                f"{1000 * np.median(seconds) / row.steps:.2f}",
                f"{found.ratio:.4f}",
                f"{found.low:.4f} to {found.high:.4f}",
                f"{found.floor:.4f}",
                f"{found.rounds}",
            )
    return table


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What the harness adds to a training step.")
    parser.add_argument("--models", nargs="+", default=MODELS, metavar="MODEL", help="names of models")
    parser.add_argument("--starts", type=int, default=6, help="times that all arms are started")
    parser.add_argument("--epochs", type=int, default=1, help="epochs of each start that count")
    parser.add_argument("--batch", type=int, help="images in a step (default: the quickstart's)")
    parser.add_argument("--ema", action="store_true", help="keep a moving average of the weights")
    parser.add_argument("--seed", type=int, default=0, help="seed of the order of turns")
    parser.add_argument("--out", type=Path, help=f"JSON file (default {OUT})")
    parser.add_argument(
        "--quick", action="store_true", help="short epochs that prove nothing, kept only with --out"
    )
    return parser.parse_args()


def _write(asked: argparse.Namespace, where: Environment, rows: Sequence[Row], misses: Sequence[str]) -> None:
    ratios = [{clock: asdict(row.ratio(clock)) for clock in CLOCKS} for row in rows]
    content = {
        "most": MOST,
        "seed": asked.seed,
        "ema": asked.ema,
        "batch_size": asked.batch,
        "environment": where.model_dump(mode="json"),
        "rows": [asdict(row) | {"ratios": found} for row, found in zip(rows, ratios, strict=True)],
        "not_kept": list(misses),
    }
    out: Path = asked.out or OUT
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
