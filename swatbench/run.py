"""The composer: a suite becomes cells, and each cell becomes a record, in a process of its own.

Suite → agenda → `cell.record.run_cell` → record. Train cells may run side by side; cost cells run alone,
after them. This process itself loads no torch: it starts the others and listens, and so takes no time from
what is timed. Processes that torchrun started train together (`together`); cost is measured as without it.
"""

import signal
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from swatbench.agenda import Agenda, make_agenda, to_evaluate, to_measure, to_train
from swatbench.errors import MachineError, StoreError
from swatbench.job import Job, failed_record, now
from swatbench.processes import ProcessDiedError, Say, Task, ask, context, run_tasks
from swatbench.spec.cells import Machine, NamedWeights
from swatbench.spec.suite import Suite
from swatbench.store.files import RECORD, finished_record, read_record, write_record
from swatbench.store.lock import only_run
from swatbench.store.record import Record
from swatbench.watcher import Outcome, Watcher, outcome
from swatbench.world import ALONE, World, world_of

PRELOAD = "swatbench.cell.record"
"""Imported once by the server that cells are forked off; it brings torch and timm."""


def run_suite(
    suite: Suite, *, results: Path, watch: Watcher, weights: str | None = None, model: str | None = None
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

    Returns:
        How it ended; None on all but the first of several processes.

    Raises:
        DataError: The dataset is missing or damaged.
        MachineError: The device that the suite asks for is not here, or a process lost the others.
        StoreError: Results cannot be written, or another run of the suite is under way here.
    """
    agenda_of = partial(make_agenda, suite, results=results, weights=weights)
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
    suite: Suite,
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
    agenda.write_asked()
    watch.begin([job.cell for job in todo], len(agenda.jobs) - len(todo), agenda.environment)
    return todo


def profile(
    name: str,
    *,
    batch: int,
    device: Literal["auto", "cpu", "cuda"],
    precision: Literal["auto", "fp32", "bf16", "fp16"],
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


def _ask(call: Callable[[Say], Any], on_stage: Callable[[str], None] = lambda stage: None) -> Any:  # noqa: ARG005
    try:
        return ask(call, start=context(PRELOAD), on_message=on_stage)
    except ProcessDiedError as error:
        raise _death(error) from error


def _in_process_resolve(
    suite: Suite, weights: str | None, model: str | None, _: Say
) -> tuple[Machine, NamedWeights | None]:
    return _resolve(suite, weights, model, ALONE)


def _resolve(
    suite: Suite, weights: str | None, model: str | None, world: World
) -> tuple[Machine, NamedWeights | None]:
    """What the machine decides about the suite, and about the weights that the user named."""
    from swatbench.cell.machine import resolve

    machine = resolve(suite, world)
    if weights is None:
        return machine, None
    from swatbench.cell.weights import find_weights

    return machine, find_weights(weights, model)


def _in_process_profile(name: str, say: Say, **asked: Any) -> dict[str, Any]:
    from swatbench.cell.cost import profile_by_name

    return profile_by_name(name, **asked, on_stage=say).as_dict()


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


def _run_jobs(jobs: Sequence[Job], side_by_side: int, watch: Watcher) -> list[Record]:
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
