"""All that a run writes, in this process: by hand with a few numbers, or by training a model."""

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch

from swatbench.agenda import make_agenda
from swatbench.backbones import WEIGHTS
from swatbench.cell.machine import resolve
from swatbench.job import Job
from swatbench.report.writing import put
from swatbench.run import _in_process_cell, share
from swatbench.sharing import Claimed
from swatbench.spec.load import parse_suite
from swatbench.spec.suite import Suite
from swatbench.store.asked import write_asked
from swatbench.store.atomic import tidy, write_bytes_atomic
from swatbench.store.files import (
    CURVE,
    PREDICTIONS,
    RECORD,
    finished_record,
    read_record,
    read_suite,
    write_arrays,
    write_record,
)
from swatbench.store.live import LiveWriter
from swatbench.store.lock import LOCK, alone, take
from swatbench.store.record import CurvePoint
from swatbench.store.rows import write_rows
from swatbench.train.checkpoint import Checkpoint
from swatbench.train.retention import Retention
from swatbench.world import ALONE
from tests.faults.hammer import finished_by_hand, make_jobs
from tests.faults.readers import contents
from tests.faults.sharing import NAME, SUITE

Flow = Callable[[Path], None]
"""Writes results and a report below a folder; a second call goes on where the first one ended."""
REPORTS = "reports"


def suite_of(folder: Path, **changes: Any) -> Suite:
    """The small suite, its images in a folder."""
    asked = {**SUITE, "data": {**SUITE["data"], "root": str(folder / "images")}, **changes}
    found = parse_suite(json.dumps(asked), file="suite.yaml")
    assert isinstance(found, Suite)
    return found


def by_hand(root: Path) -> None:
    """Every kind of file that a run writes, with a few numbers in each; takes milliseconds."""
    job = make_jobs(root, 1)[0]
    with alone(job.folder.parent):
        tidy(job.folder.parent)
        write_asked(job.folder.parent, suite_of(root), (job.cell.id,), now="2025-03-01T12:00:00+00:00")
    if finished_record(job.folder, job.cell.digest) is None:
        claim = take(job.folder / LOCK)
        assert claim is not None
        with closing(Claimed(job=job, held=(claim,))) as claimed:
            tidy(job.folder)
            _cell(job)
            claimed.require_whole()
    put(root / REPORTS, contents("a", each=1))


def _cell(job: Job) -> None:
    retention = Retention(job.folder / "checkpoints", keep_every_epochs=2, keep_best=True)
    found = retention.load(job.cell.digest, lambda _: None)
    live, curve = LiveWriter(job.folder), found.curve if found else ()
    live.resume(len(curve))
    for epoch in range(len(curve), 3):
        live.report({"step": epoch, "steps": 3, "epoch": epoch + 1, "epochs": 3})
        live.beat()
        curve = (*curve, _point(epoch + 1))
        retention.save(_state(job.cell.digest, curve), epoch_done=True)
        live.epoch(curve[-1])
    write_bytes_atomic(job.folder / WEIGHTS, b"weights" * 20_000)
    files = {
        CURVE: write_rows(job.folder, CURVE, curve),
        PREDICTIONS: write_arrays(job.folder, PREDICTIONS, {"label": np.arange(20_000)}),
    }
    write_record(job.folder, finished_by_hand(job, files=files))
    retention.clear()


def _point(epoch: int) -> CurvePoint:
    times = {"compute_s": 1.0, "data_s": 0.1}
    return CurvePoint(
        epoch=epoch, step=epoch, loss=1.0, learning_rate=0.1, top1_percent=10.0 * epoch, **times
    )


def _state(digest: str, curve: tuple[CurvePoint, ...]) -> Checkpoint:
    step = len(curve)
    model = {"weight": torch.full((3_000,), float(step))}
    return Checkpoint(
        digest=digest,
        resumed=0,
        curve=curve,
        step=step,
        losses=(),
        compute_s=0.0,
        data_s=0.0,
        model=model,
        optimizer={},
        ema=None,
        scaler=None,
    )


class Training:
    """A model trained as a run does it, in this process.

    Args:
        folder: Where the suite's images are.
        keep_decoded: Whether the images stay in memory once they are read.
    """

    def __init__(self, folder: Path, *, keep_decoded: bool = True) -> None:
        data = {**SUITE["data"], "root": str(folder / "images"), "keep_decoded": keep_decoded}
        recipe = {**SUITE["recipe"], "epochs": 2}
        self._suite = suite_of(folder, arms=["baseline"], seeds=[0], recipe=recipe, data=data)
        self._machine = resolve(self._suite, ALONE)

    def jobs(self, root: Path) -> tuple[Job, ...]:
        """The suite's cells."""
        return make_agenda(self._suite, self._machine, results=root).jobs

    def __call__(self, root: Path) -> None:
        """Do what is left of the suite."""
        agenda = make_agenda(self._suite, self._machine, results=root)
        todo = agenda.todo()
        agenda.write_asked()
        with closing(share(agenda, todo, _Deaf())) as shared:  # type: ignore[arg-type]
            while (claimed := shared.model()) is not None:
                with closing(claimed):
                    _in_process_cell(claimed, _raise)
                found = read_record(claimed.job.folder / RECORD)
                assert found.failure is None, found.failure
        put(root / REPORTS, contents("a", each=1))


def _raise(message: Any) -> None:
    if message[0] == "error":
        raise message[1]


class _Deaf:
    """Is told nothing that matters here."""

    def other(self, _: object) -> None:
        """Nothing."""


def outcome(root: Path) -> dict[str, bytes | str]:
    """What came out, times left out: digests that records name, weights, and the report."""
    found: dict[str, bytes | str] = {}
    for one in read_suite(root, NAME).finished:
        found |= {
            f"{one.folder.name}/{name}": digest for name, digest in one.record.files.items() if name != CURVE
        }
        found[f"{one.folder.name}/{WEIGHTS}"] = (one.folder / WEIGHTS).read_bytes()
        found[one.folder.name] = json.dumps(
            [point.model_dump(exclude={"compute_s", "data_s"}) for point in one.curve()]
        )
    found |= {path.name: path.read_bytes() for path in (root / REPORTS).rglob("*.*")}
    return found
