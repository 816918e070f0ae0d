"""The composer: a suite becomes cells, and each cell becomes a record, in a process of its own.

Suite → cells → `cell.run_cell` → record. Train cells may run side by side; cost cells run alone, after them.
This process itself loads no torch: it starts the others and listens, and so takes no time from what is timed.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

from swatbench.errors import MachineError
from swatbench.job import Job, failed_record, now
from swatbench.processes import ProcessDiedError, Say, Task, ask, context, run_tasks
from swatbench.progress import Progress
from swatbench.spec.catalog import PAIRS
from swatbench.spec.cells import CostCell, Resolution, TrainCell, expand
from swatbench.spec.estimate import forward_macs
from swatbench.spec.suite import Suite
from swatbench.store.asked import write_asked
from swatbench.store.files import (
    RECORD,
    cell_folder,
    finished_record,
    read_record,
    write_record,
)
from swatbench.store.lock import only_run
from swatbench.store.provenance import environment, usable_cores
from swatbench.store.record import Environment, Record

PRELOAD = "swatbench.cell"
"""Imported once by the server that cells are forked off; it brings torch and timm."""


class Watcher(Protocol):
    """Whoever is told how a run goes; every method returns at once."""

    def begin(self, cells: Sequence[TrainCell | CostCell], done: int, environment: Environment) -> None:
        """The cells still to run, how many are finished already, and where they run."""

    def start(self, cell_id: str) -> None:
        """A cell begins."""

    def progress(self, cell_id: str, progress: Progress) -> None:
        """How far a train cell is."""

    def stage(self, cell_id: str, stage: str) -> None:
        """What a cost cell is doing."""

    def note(self, cell_id: str, note: str) -> None:
        """Something a user should know."""

    def end(self, cell_id: str, record: Record) -> None:
        """A cell has its record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run of a suite ended.

    Attributes:
        suite: Name of the suite.
        folder: Where this machine's cells lie.
        finished: Records written by this run.
        skipped: Cells that were finished before.
        failed: Records of the cells that failed.
    """

    suite: str
    folder: Path
    finished: tuple[Record, ...]
    skipped: int
    failed: tuple[Record, ...]


def run_suite(suite: Suite, *, results: Path, watch: Watcher) -> Outcome:
    """Run every cell of a suite that has no finished record yet.

    A cell that fails gets a record of its failure, and the others go on; the next run tries it again. A train
    cell that was interrupted goes on from its last checkpoint.

    Args:
        suite: The suite.
        results: Root of all results.
        watch: Told how it goes.

    Raises:
        DataError: The dataset is missing or damaged.
        MachineError: The device that the suite asks for is not here.
        StoreError: Results cannot be written, or another run of the suite is under way here.
    """
    resolution, num_classes, accelerator = _resolve(suite)
    here = environment(accelerator)
    cells = expand(suite, resolution, num_classes=num_classes, cores=usable_cores())
    jobs = [_job(suite, cell, results, here) for cell in cells]
    machine = results / suite.name / here.machine
    with only_run(machine):
        todo = [job for job in jobs if finished_record(job.folder, job.cell.digest) is None]
        write_asked(machine, suite, tuple(job.cell.id for job in jobs))
        watch.begin([job.cell for job in todo], len(jobs) - len(todo), here)
        training = _heavier_arm_first([job for job in todo if isinstance(job.cell, TrainCell)])
        costing = [job for job in todo if isinstance(job.cell, CostCell)]
        records = _run(training, suite.execution.jobs, watch) + _run(costing, 1, watch)
    return Outcome(
        suite=suite.name,
        folder=machine,
        finished=tuple(record for record in records if record.status == "finished"),
        skipped=len(jobs) - len(todo),
        failed=tuple(record for record in records if record.status == "failed"),
    )


def profile(
    name: str,
    *,
    batch: int,
    device: Literal["auto", "cpu", "cuda"],
    precision: Literal["auto", "fp32", "bf16"],
    threads: int | None,
    on_stage: Callable[[str], None],
) -> dict[str, Any]:
    """Count and measure one model of the catalogue.

    Args:
        name: A pair, or an arm of it, as `swat_deit_ti`.
        batch: Images in one call.
        device: Where to measure.
        precision: Autocast type.
        threads: CPU threads; None for all cores.
        on_stage: Told what begins, in a few words.

    Returns:
        The keys of `measure.cost.Profile`.

    Raises:
        ModelError: There is no such model, or it cannot be counted.
        MachineError: The device is not here, or its memory ran out.
    """
    asked = partial(
        _in_process_profile, name, batch=batch, device=device, precision=precision, threads=threads
    )
    return _ask(asked, on_stage)


def _resolve(suite: Suite) -> tuple[Resolution, int, str | None]:
    """What the machine decides, the classes of the data, and the name of the CUDA device in use."""
    return _ask(partial(_in_process_resolve, suite))


def _ask(call: Callable[[Say], Any], on_stage: Callable[[str], None] = lambda stage: None) -> Any:  # noqa: ARG005
    try:
        return ask(call, start=context(PRELOAD), on_message=on_stage)
    except ProcessDiedError as error:
        raise _death(error) from error


def _in_process_resolve(suite: Suite, _: Say) -> tuple[Resolution, int, str | None]:
    from swatbench.cell import resolve

    return resolve(suite)


def _in_process_profile(name: str, say: Say, **asked: Any) -> dict[str, Any]:
    from swatbench.cell import profile_by_name

    return profile_by_name(name, **asked, on_stage=say).as_dict()


def _in_process_cell(job: Job, say: Say) -> None:
    from swatbench.cell import run_cell

    run_cell(job, say)


def _job(suite: Suite, cell: TrainCell | CostCell, results: Path, here: Environment) -> Job:
    folder = cell_folder(results, suite.name, here.machine, cell.id)
    return Job(suite=suite.name, cell=cell, folder=folder, environment=here)


def _heavier_arm_first(jobs: list[Job]) -> list[Job]:
    """The same pairs and seeds in the same order, but within each the arm with more MACs first.

    Side by side, the long arm of the last pair would otherwise run alone at the end.
    """
    groups: dict[tuple[str, int], list[Job]] = {}
    for job in jobs:
        assert isinstance(job.cell, TrainCell)
        groups.setdefault((job.cell.pair["name"], job.cell.seed), []).append(job)
    return [job for group in groups.values() for job in sorted(group, key=_macs, reverse=True)]


def _macs(job: Job) -> int:
    assert isinstance(job.cell, TrainCell)
    return forward_macs(PAIRS[job.cell.pair["name"]], job.cell.parts) or 0


def _run(jobs: Sequence[Job], side_by_side: int, watch: Watcher) -> list[Record]:
    by_name = {job.cell.id: job for job in jobs}
    records: list[Record] = []
    starts: dict[str, tuple[str, float]] = {}

    def on_start(name: str) -> None:
        starts[name] = now(), time.monotonic()
        watch.start(name)

    def on_message(name: str, message: tuple[str, Any]) -> None:
        kind, content = message
        if kind == "error":
            raise content
        getattr(watch, kind)(name, content)

    def on_end(name: str, exit_code: int) -> None:
        started_at, start = starts[name]
        took_s = time.monotonic() - start
        record = _record_of(by_name[name], exit_code, started_at=started_at, duration_s=took_s)
        records.append(record)
        watch.end(name, record)

    run_tasks(
        [Task(name=name, call=partial(_in_process_cell, job)) for name, job in by_name.items()],
        jobs=side_by_side,
        start=context(PRELOAD),
        on_start=on_start,
        on_message=on_message,
        on_end=on_end,
    )
    return records


def _record_of(job: Job, exit_code: int, *, started_at: str, duration_s: float) -> Record:
    """The record that a cell's process wrote, or one that says how the process died."""
    if exit_code == 0:
        return read_record(job.folder / RECORD)
    finished = finished_record(job.folder, job.cell.digest)
    if finished is not None:  # It died on its way out, when all was done.
        return finished
    died = _death(ProcessDiedError(exit_code))
    record = failed_record(job, died, started_at=started_at, duration_s=duration_s)
    write_record(job.folder, record)
    return record


def _death(died: ProcessDiedError) -> MachineError:
    return MachineError(
        f"The process that ran this {died}.",
        fix="If memory ran out, lower the batch size or the number of jobs; then try again.",
    )
