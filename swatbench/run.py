"""The composer: a suite becomes cells, and each cell becomes a record, in a process of its own.

Suite → agenda → `cell.record.run_cell` → record. Models are trained and tested side by side; cost cells run
alone, after them. Other runs of the suite share the cells (`sharing`). This process itself loads no torch: it
starts the others and listens, and so takes no time from what is timed. Processes that torchrun started train
together (`together`); cost is measured as without it.
"""

import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from swatbench.agenda import Agenda, make_agenda, single_jobs
from swatbench.errors import MachineError, StoreError
from swatbench.job import Job, failed_record, now
from swatbench.processes import ProcessDiedError, Say, Task, ask, context, run_tasks
from swatbench.sharing import AGAIN_S, Claimed, Shared
from swatbench.spec.cells import CostCell, Machine, NamedWeights
from swatbench.spec.request import ProfileRequest
from swatbench.spec.suite import ProfileSuite, Suite
from swatbench.store.atomic import tidy
from swatbench.store.files import RECORD, Stored, finished_record, read_record, write_record
from swatbench.store.leftovers import sweep_finished
from swatbench.store.lock import LOCK, Held, take
from swatbench.store.record import Record
from swatbench.store.refusal import make_folder
from swatbench.store.turns import Turns
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
    cell that was interrupted goes on from its last checkpoint. Several runs share the cells: each does what
    no other has under way, and all end when everything is done. Under torchrun all processes call this; they
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
        StoreError: Results cannot be written, or the file system does not lock files.
    """
    if trace is not None:
        make_folder(trace)
    agenda_of = partial(make_agenda, suite, results=results, weights=weights, trace=trace)
    world = world_of()
    if world.size > 1:
        return _run_together(world, suite, agenda_of, weights=weights, model=model, watch=watch)
    machine, named = _ask(partial(_in_process_resolve, suite, weights, model))
    agenda = agenda_of(machine, named=named)
    todo = _begin(agenda, watch)
    with closing(share(agenda, todo, watch)) as shared:
        records = _run_shared(shared, suite.execution.jobs, watch)
    return _outcome(agenda, todo, records, shared)


def share(agenda: Agenda, todo: Sequence[Job], watch: Watcher) -> Shared:
    """The cells still to do, as this run shares them with others.

    Args:
        agenda: What was asked for.
        todo: What of it has no finished record.
        watch: Told what other runs did meanwhile.
    """
    turns = Turns(agenda.folder.parents[1], agenda.environment.machine)
    return Shared(todo, turns, watch.other)


def _run_shared(shared: Shared, jobs: int, watch: Watcher) -> list[Ended]:
    """Do what no other run does, until all is done."""
    records: list[Ended] = []
    told = ""
    while True:
        records += (models := _run_jobs(shared.model, jobs, watch, shared.end))
        records += (costs := _run_jobs(shared.cost, 1, watch, shared.end))
        if not shared.left:
            return records
        if models or costs:
            continue
        if (why := shared.why()) != told:
            watch.wait(told := why)
        time.sleep(AGAIN_S)


def _outcome(agenda: Agenda, todo: Sequence[Job], records: Sequence[Ended], shared: Shared) -> Outcome:
    return outcome(
        agenda.suite.name,
        agenda.folder,
        records,
        skipped=len(agenda.jobs) - len(todo),
        others=shared.others,
    )


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
        share=partial(share, watch=watch),
        watch=watch,
    ) as done:
        if done is None:
            return None
        records = done.records + _run_shared(done.shared, 1, watch)
        return _outcome(done.agenda, done.todo, records, done.shared)


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
        StoreError: Results cannot be written, or the file system does not lock files.
    """
    if world_of().size > 1:
        raise MachineError("Models are measured by one process.", fix="Start swatbench without torchrun.")
    if trace is not None:
        make_folder(trace)
    machine, cells, places = _ask(partial(_in_process_cells, request))
    jobs = single_jobs(cells, machine, results=results, trace=trace, places=places)
    watch.begin([job.cell for job in jobs], 0, jobs[0].environment)
    with closing(_turn_to_measure(Turns(results, jobs[0].environment.machine), watch)) as turn:
        before = {job.cell.id: finished_record(job.folder, job.cell.digest) for job in jobs}
        alone = (_to_measure(job, turn) for job in jobs)
        _run_jobs(lambda: next(alone, None), 1, watch, lambda claimed: claimed.held[0].close())
        records = [read_record(job.folder / RECORD) for job in jobs]
        folders = {job.cell.id: job.folder for job in jobs}
        for record in records:
            kept = before[record.cell_id]
            if record.failure is not None and kept is not None:
                write_record(folders[record.cell_id], kept)  # A failure is told, but takes no result away.
    return tuple(Stored(record=record, folder=folders[record.cell_id]) for record in records)


def _to_measure(job: Job, turn: Held) -> Claimed:
    claim = take(job.folder / LOCK)
    assert claim is not None, "whoever measures has the turn"
    tidy(job.folder)
    return Claimed(job=job, held=(claim, turn))


def _turn_to_measure(turns: Turns, watch: Watcher) -> Held:
    """A turn that nobody shares, waited for."""
    told = False
    while (turn := turns.measure()) is None:
        if not told:
            watch.wait("Waiting for what runs have under way on this machine: cost is measured alone.")
            told = True
        time.sleep(AGAIN_S)
    return turn


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
    from swatbench.cell.weights import require_readable, usable_weights

    if weights is None:
        require_readable(suite)
        return machine, None
    return machine, usable_weights(suite, machine, weights, model)


def _in_process_cells(
    request: ProfileRequest, _: Say
) -> tuple[Machine, tuple[CostCell, ...], Mapping[str, str]]:
    from swatbench.cell.named import cells_of

    return cells_of(request)


def _in_process_cell(claimed: Claimed, say: Say) -> None:
    # It holds what it was handed until it ends, as where its parent is killed and it writes on for a moment.
    from swatbench.cell.record import run_cell
    from swatbench.train.epoch import TrainingStopped

    try:
        run_cell(claimed.job, say)
        claimed.require_whole()
    except StoreError as error:
        # What cannot be written cannot be recorded either: the parent must hear it.
        say(("error", error))
    except TrainingStopped:
        signal.raise_signal(signal.SIGTERM)


def _run_jobs(
    claims: Callable[[], Claimed | None], side_by_side: int, watch: Watcher, end: Callable[[Claimed], None]
) -> list[Ended]:
    """Run cells, each in a process of its own, until no more can be claimed now."""
    running: dict[str, Claimed] = {}
    records: list[Ended] = []
    starts: dict[str, tuple[str, float]] = {}

    def tasks() -> Iterator[Task | None]:
        while True:
            claimed = claims()
            if claimed is not None:
                running[claimed.job.cell.id] = claimed
            yield None if claimed is None else _task(claimed)

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
        claimed = running.pop(name)
        record = _record_of(claimed.job, exit_code, started_at=started_at, duration_s=took_s)
        end(claimed)
        records.append(ended(record))
        watch.end(name, record)

    try:
        run_tasks(
            tasks(),
            jobs=side_by_side,
            start=context(PRELOAD),
            on_start=on_start,
            on_message=on_message,
            on_end=on_end,
            again_s=AGAIN_S,
        )
    finally:
        for claimed in running.values():
            end(claimed)
    return records


def _task(claimed: Claimed) -> Task:
    return Task(name=claimed.job.cell.id, call=partial(_in_process_cell, claimed))


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
