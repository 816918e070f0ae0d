"""Real cells trained and tested in one process, as under torchrun, and what is left of them there.

python -m tests.faults.trained_cells --cells 200 --batches 4000
"""

import argparse
import json
import os
import signal
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import nn

from swatbench.agenda import make_agenda
from swatbench.cell.machine import resolve
from swatbench.cell.record import run_cell
from swatbench.data.images import Images
from swatbench.data.loader import TestLoader
from swatbench.data.seeded import MemoryImages
from swatbench.data.transforms import test_transform
from swatbench.data.workers import Workers
from swatbench.job import Job
from swatbench.out_of_memory import free_memory
from swatbench.spec.cells import TrainCell
from swatbench.spec.load import load_training_suite
from swatbench.train.evaluate import evaluate
from swatbench.world import ALONE
from tests.faults.growth import Growth, children, handles
from tests.faults.kill_suite import SUITE, write_suite

BATCH, CLASSES, SIDE = 50, 10, 8
STALL_S = 1.0


def jobs_of(folder: Path, seeds: int) -> list[Job]:
    """Train cells of two epochs, their images decoded by a worker."""
    suite = {**SUITE, "seeds": list(range(seeds)), "cost": None}
    suite["data"] = {**SUITE["data"], "further_tests": []}
    suite["recipe"] = {**SUITE["recipe"], "epochs": 2}
    suite["execution"] = {**SUITE["execution"], "stall_s": STALL_S * 60}
    asked = folder / "cells.yaml"
    asked.write_text(json.dumps(suite))
    loaded = load_training_suite(asked)
    agenda = make_agenda(loaded, resolve(loaded, ALONE), results=folder / "results")
    return [job for job in agenda.jobs if isinstance(job.cell, TrainCell)]


def trained(jobs: list[Job]) -> dict[str, Any]:
    """Train cell after cell in this process."""
    growth, failed = Growth(), 0
    for done, job in enumerate(jobs, start=1):
        failed += run_cell(job, lambda _: None).failure is not None
        free_memory()
        growth.sample(done)
    return {
        "trained_cells": len(jobs),
        "trained_failed": failed,
        "trained_growth_bytes_each": round(growth.bytes_each()),
        "trained_resident_bytes": growth.resident[-1],
        "trained_more_handles": growth.more_handles(),
        "trained_processes_left": len(children()),
    }


def evaluated(batches: int) -> dict[str, Any]:
    """Test a tiny model on so many batches, decoded by a worker."""
    images = batches * BATCH
    pixels = torch.zeros(images, 3, SIDE, SIDE, dtype=torch.uint8)
    loader = TestLoader(
        MemoryImages(Images(pixels=pixels, labels=torch.arange(images) % CLASSES)),
        count=images,
        batch_size=BATCH,
        transform=test_transform(img_size=SIDE, crop_fraction=1.0, interpolation="bicubic"),
        colours=mock.Mock(mean=(0.5,) * 3, std=(0.5,) * 3),
        workers=Workers(count=1, stall_s=60, device=torch.device("cpu")),
        world=ALONE,
    )
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, CLASSES))
    growth, seen = Growth(), 0

    def look(*_: object) -> None:
        nonlocal seen
        seen += 1
        if seen % max(batches // 50, 1) == 0:
            growth.sample(seen * BATCH)

    model.register_forward_hook(look)
    evaluate(model, loader, device=torch.device("cpu"), precision="fp32", num_classes=CLASSES)
    return {
        "evaluated_batches": seen,
        "evaluated_images": images,
        "evaluated_growth_bytes_an_image": round(growth.bytes_each(), 1),
        "evaluated_more_handles": growth.more_handles(),
        "evaluated_processes_left": len(children()),
    }


def _sleep_for_ever(*_: object) -> None:
    time.sleep(1_000_000)


def _stop_itself(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _break(*_: object) -> None:
    raise ValueError("no such image")


def _die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _interrupt(message: tuple[str, Any]) -> None:
    if message[0] == "progress":
        raise KeyboardInterrupt


IN_A_WORKER: dict[str, Callable[..., None]] = {
    "worker_asleep": _sleep_for_ever,
    "worker_stopped": _stop_itself,
    "worker_error": _break,
    "worker_killed": _die,
}


def faults(job: Job, other: Job) -> dict[str, Any]:
    """Let cells fail in several ways, and say what each leaves open or running."""
    found: dict[str, Any] = {}
    job = replace(job, execution=job.execution.model_copy(update={"stall_s": STALL_S}))
    for name, what in IN_A_WORKER.items():
        with mock.patch("swatbench.data.seeded.SeededImages.__getitems__", what):
            found |= _left_by(name, job, lambda _: None)
    assert isinstance(other.cell, TrainCell)
    recipe = other.cell.recipe.model_copy(update={"learning_rate": 1e30})
    diverging = replace(other, cell=other.cell.model_copy(update={"recipe": recipe}))
    found |= _left_by("diverging", diverging, lambda _: None)
    found |= _left_by("interrupted", job, _interrupt)
    return found


def _left_by(name: str, job: Job, say: Callable[[Any], None]) -> dict[str, Any]:
    before, began_s, error = handles(), time.monotonic(), "KeyboardInterrupt"
    with suppress(KeyboardInterrupt):
        failure = run_cell(job, say).failure
        error = failure.error if failure else "none"
    took_s = time.monotonic() - began_s
    free_memory()
    return {
        f"{name}_told_as": error,
        f"{name}_handles_left": handles() - before,
        f"{name}_processes_left": len(children()),
        f"{name}_took_s": round(took_s, 1),
    }


def run(folder: Path, *, cells: int, batches: int) -> dict[str, Any]:
    """All of it, in an empty folder that becomes the working folder."""
    torch.set_num_threads(1)
    os.chdir(write_suite(folder / "room"))
    jobs = jobs_of(Path.cwd(), cells // 2)
    return trained(jobs) | evaluated(batches) | faults(*jobs[:2])


def main() -> None:
    """Print what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", type=int, default=200)
    parser.add_argument("--batches", type=int, default=4_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(run(Path(folder), cells=asked.cells, batches=asked.batches)))


if __name__ == "__main__":
    main()
