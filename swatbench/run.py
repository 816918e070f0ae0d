"""The composer: a suite becomes cells, and each cell becomes a record, in a process of its own.

Suite → agenda → `cell.record.run_cell` → record. Train cells may run side by side; cost cells run alone,
after them. This process itself loads no torch: it starts the others and listens, and so takes no time from
what is timed. Processes that torchrun started train together (`together`); cost is measured as without it.
"""

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from swatbench.agenda import Agenda, make_agenda, single_jobs, to_evaluate, to_measure, to_train
from swatbench.errors import MachineError, StoreError
from swatbench.job import Job, failed_record, now
from swatbench.processes import ProcessDiedError, Say, Task, ask, context, run_tasks
from swatbench.spec.cells import CostCell, Machine, NamedWeights
from swatbench.spec.request import ProfileRequest
from swatbench.spec.suite import ProfileSuite, Suite
from swatbench.store.files import RECORD, Stored, finished_record, read_record, write_record
from swatbench.store.leftovers import sweep_finished
from swatbench.store.lock import only_run
from swatbench.store.record import Record
from swatbench.store.refusal import make_folder
from swatbench.watcher import Ended, Outcome, Watcher, ended, outcome
from swatbench.world import ALONE, World, world_of

PRELOAD = "swatbench.cell.record"
"""Imported once by the server that cells are forked off; it brings torch and timm."""


def run_suite(
    suite: Suite | ProfileSuite,
    *,
    results: Path,
    watch: Watcher,
    weights: str | None = None,
    model: str | None = None,
    trace: Path | None = None,
) -> Outcome | None:
    """Run every cell of a suite that has no finished record yet, or only test weights that a user names.

    A cell that fails gets a record of its failure, and the others go on; the next run tries it again. A train
    cell that was interrupted goes on from its last checkpoint. Under torchrun all processes call this; they
    train and test each model together, and the first one measures cost and tells how it went.

    Args:
        suite: The suite.
        results: Root of all results.
        watch: Told how it goes.
        weights: A file, timm's name with its tag, or a Hub id: then these are tested, and nothing is trained.
        model: Name of the catalogue's model that a file's weights are of, where no record says so.
        trace: Folder that cost cells leave traces in; None for none.

    Returns:
        How it ended; None on all but the first of several processes.

    Raises:
        DataError: The dataset is missing or damaged.
        MachineError: The device that the suite asks for is not here, or a process lost the others.
        StoreError: Results cannot be written, or another run of the suite is under way here.
    """
    if trace is not None:
        make_folder(trace)
    agenda_of = partial(make_agenda, suite, results=results, weights=weights, trace=trace)
    world = world_of()
    if world.size > 1:
        return _run_together(world, suite, agenda_of, weights=weights, model=model, watch=watch)
    machine, named = _ask(partial(_in_process_resolve, suite, weights, model))
    agenda = agenda_of(machine, named=named)
    with only_run(agenda.folder):
        todo = _begin(agenda, watch)
        jobs = suite.execution.jobs
        records = _run_jobs(to_train(todo), jobs, watch)
        records += _run_jobs(to_evaluate(todo), jobs, watch)
        records += _run_jobs(to_measure(todo), 1, watch)
    return outcome(suite.name, agenda.folder, records, skipped=len(agenda.jobs) - len(todo))


def _run_together(
    world: World,
    suite: Suite | ProfileSuite,
    agenda_of: Callable[..., Agenda],
    *,
    weights: str | None,
    model: str | None,
    watch: Watcher,
) -> Outcome | None:
    """Train with the other processes; the first one then measures cost by itself."""
    from swatbench.together import run_together

    with run_together(
        world,
        suite,
        agenda_of=agenda_of,
        resolve=partial(_resolve, suite, weights, model),
        begin=partial(_begin, watch=watch),
        watch=watch,
    ) as done:
        if done is None:
            return None
        records = done.records + _run_jobs(to_measure(done.todo), 1, watch)
        skipped = len(done.agenda.jobs) - len(done.todo)
        return outcome(suite.name, done.agenda.folder, records, skipped=skipped)


def _begin(agenda: Agenda, watch: Watcher) -> list[Job]:
    """Say what is asked and what is still to do."""
    todo = agenda.todo()
    open_ = {job.cell.id for job in todo}
    for job in agenda.jobs:
        if job.cell.id not in open_:
            sweep_finished(job.folder)
    agenda.write_asked()
    watch.begin([job.cell for job in todo], len(agenda.jobs) - len(todo), agenda.environment)
    return todo


def profile_models(
    request: ProfileRequest, *, results: Path, watch: Watcher, trace: Path | None = None
) -> tuple[Stored, ...]:
    """Measure the models that a user names, anew each time; a record from before is replaced.

    Args:
        request: The models and how to measure them.
        results: Root of all results.
        watch: Told how it goes.
        trace: Folder that traces are left in; None for none.

    Returns:
        One record for each mode, precision and layout, failed ones included.

    Raises:
        ModelError: A model is unknown, cannot be built, or does not take the input.
        MachineError: The device is not here.
        StoreError: Results cannot be written, or another measurement is under way here.
    """
    if world_of().size > 1:
        raise MachineError("Models are measured by one process.", fix="Start swatbench without torchrun.")
    if trace is not None:
        make_folder(trace)
    machine, cells, places = _ask(partial(_in_process_cells, request))
    jobs = single_jobs(cells, machine, results=results, trace=trace, places=places)
    with only_run(jobs[0].folder.parent):
        watch.begin([job.cell for job in jobs], 0, jobs[0].environment)
        before = {job.cell.id: finished_record(job.folder, job.cell.digest) for job in jobs}
        _run_jobs(jobs, 1, watch)
        records = [read_record(job.folder / RECORD) for job in jobs]
        folders = {job.cell.id: job.folder for job in jobs}
        for record in records:
            kept = before[record.cell_id]
            if record.failure is not None and kept is not None:
                write_record(folders[record.cell_id], kept)  # A failure is told, but takes no result away.
    return tuple(Stored(record=record, folder=folders[record.cell_id]) for record in records)


def _ask(call: Callable[[Say], Any]) -> Any:
    try:
        return ask(call, start=context(PRELOAD))
    except ProcessDiedError as error:
        raise _death(error) from error


def _in_process_resolve(
    suite: Suite | ProfileSuite, weights: str | None, model: str | None, _: Say
) -> tuple[Machine, NamedWeights | None]:
    return _resolve(suite, weights, model, ALONE)


def _resolve(
    suite: Suite | ProfileSuite, weights: str | None, model: str | None, world: World
) -> tuple[Machine, NamedWeights | None]:
    """What the machine decides about the suite, and about the weights that the user named."""
    from swatbench.cell.machine import resolve

    machine = resolve(suite, world)
    if weights is None:
        return machine, None
    from swatbench.cell.weights import find_weights

    return machine, find_weights(weights, model)


def _in_process_cells(
    request: ProfileRequest, _: Say
) -> tuple[Machine, tuple[CostCell, ...], Mapping[str, str]]:
    from swatbench.cell.named import cells_of

    return cells_of(request)


def _in_process_cell(job: Job, say: Say) -> None:
    from swatbench.cell.record import run_cell
    from swatbench.train.epoch import TrainingStopped

    try:
        run_cell(job, say)
    except StoreError as error:
        # What cannot be written cannot be recorded either: the parent must hear it.
        say(("error", error))
    except TrainingStopped:
        signal.raise_signal(signal.SIGTERM)


def _run_jobs(jobs: Sequence[Job], side_by_side: int, watch: Watcher) -> list[Ended]:
    by_name = {job.cell.id: job for job in jobs}
    records: list[Ended] = []
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
        records.append(ended(record))
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
