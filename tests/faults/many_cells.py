"""A run of a suite of very many cells, of which each trains nothing: what is left is the run itself.

The run loop, the store, the records and the processes are the real ones, also what the machine decides; a
cell's process tells its progress, writes files of the usual size and a record, and ends.

    python -m tests.faults.many_cells --cells 2000
"""

import argparse
import json
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

import swatbench.run
from swatbench.console import Plain
from swatbench.job import now, record_of
from swatbench.progress import Progress
from swatbench.spec.load import load_training_suite
from swatbench.store.files import CURVE, PREDICTIONS, read_suite, write_arrays, write_record
from swatbench.store.live import LiveWriter
from swatbench.store.record import CurvePoint, Record
from swatbench.store.rows import write_rows
from tests.faults.growth import Growth, children, resident_bytes
from tests.faults.starts import ROOT

EPOCHS = 30
TEST = 1_000
EVERY = 10
"""Cells between two samples."""


@cache
def model() -> tuple[Record, tuple[CurvePoint, ...]]:
    """A real record of training with its curve, from the suite that is kept in the repository."""
    stored = next(one for one in read_suite(ROOT / "results", "cifar10").finished if one.record.train)
    return stored.record, stored.curve()


def cheap_cell(asked, say) -> None:
    """Stands where a cell's work would be: all its files and messages, and no training."""
    job = getattr(asked, "job", asked)
    record, curve = model()
    live = LiveWriter(job.folder)
    live.resume()
    for step in range(1, EPOCHS + 1):
        told = Progress(
            epoch=step,
            epochs=EPOCHS,
            step=step,
            steps=EPOCHS,
            loss=1.0,
            learning_rate=0.1,
            images_per_s=100.0,
            data_share=0.1,
        )
        say(("progress", told))
    arrays = {"label": np.arange(TEST), "margin": np.random.default_rng(job.cell.seed).random(TEST)}
    files = {
        CURVE: write_rows(job.folder, CURVE, curve),
        PREDICTIONS: write_arrays(job.folder, PREDICTIONS, arrays),
    }
    found = record_of(job, "finished", started_at=now(), duration_s=1.0, train=record.train, files=files)
    write_record(job.folder, found)


class Sampling(Plain):
    """Tells a run's lines to nobody, and takes a sample of this process now and then."""

    def __init__(self, file) -> None:
        from rich.console import Console

        super().__init__(Console(file=file))
        self.growth, self.cells, self.most_children, self.server = Growth(), 0, 0, []

    def end(self, cell_id, record) -> None:
        """Take a sample."""
        super().end(cell_id, record)
        self.cells += 1
        if self.cells % EVERY == 0:
            self.growth.sample(self.cells)
            below = children()
            self.most_children = max(self.most_children, len(below))
            self.server.append(max(resident_bytes(one.pid) for one in below))


def run(cells: int, folder: Path) -> dict[str, float]:
    """Run so many cells and say how this process grew."""
    swatbench.run._in_process_cell = cheap_cell
    asked = folder / "many.yaml"
    asked.write_text(
        json.dumps(
            {
                "name": "many",
                "pairs": ["mixer_mini"],
                "arms": ["baseline", "swat"],
                "seeds": list(range(cells // 2)),
                "data": {"source": "cifar10_subset"},
                "recipe": {"epochs": EPOCHS, "batch_size": 100, "learning_rate": 1e-3},
                "execution": {"device": "cpu"},
                "cost": None,
            }
        )
    )
    with (folder / "told.txt").open("w") as file:
        watch = Sampling(file)
        outcome = swatbench.run.run_suite(load_training_suite(asked), results=folder, watch=watch)
    return {
        "cells": len(outcome.finished),
        "cells_failed": len(outcome.failed),
        "cells_growth_bytes_each": round(watch.growth.bytes_each()),
        "cells_resident_bytes": watch.growth.resident[-1],
        "cells_more_handles": watch.growth.more_handles(),
        "cells_most_processes": watch.most_children,
        "cells_server_growth_bytes": watch.server[-1] - watch.server[len(watch.server) // 3],
    }


def main() -> None:
    """Print what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", type=int, default=2_000)
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(run(parser.parse_args().cells, Path(folder))))


if __name__ == "__main__":
    # By its name, since cells' processes look its function up by that.
    from tests.faults.many_cells import main as named

    named()
