"""The cells of a suite run by processes that torchrun started: all train and test each model together.

The first process decides what is to do and writes all files. What goes wrong in all processes alike, as a
loss that is not finite, becomes the cell's record, and the next cell begins; what goes wrong in one of them
leaves the others waiting, so it ends the run.
"""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch

from swatbench.agenda import Agenda
from swatbench.cell.record import run_cell
from swatbench.errors import MachineError, SwatbenchError
from swatbench.job import Job
from swatbench.measure.machine import resolve_device
from swatbench.out_of_memory import free_memory
from swatbench.sharing import AGAIN_S, Shared
from swatbench.spec.cells import Machine, NamedWeights
from swatbench.spec.suite import ProfileSuite, Suite
from swatbench.train.epoch import TrainingStopped
from swatbench.watcher import Ended, Watcher, ended
from swatbench.world import World, joined

Value = TypeVar("Value")

SHARED_FAILURES = frozenset({"TrainingError", "CheckpointError", "ModelError", "SuiteError"})
"""Failures that all processes meet at the same point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What the processes did together.

    Attributes:
        agenda: What was asked for.
        todo: The cells that had no finished record.
        records: Those that were trained or tested, and how that ended.
        shared: What is left of them.
    """

    agenda: Agenda
    todo: list[Job]
    records: list[Ended]
    shared: Shared


@contextmanager
def run_together(
    world: World,
    suite: Suite | ProfileSuite,
    *,
    agenda_of: Callable[..., Agenda],
    resolve: Callable[[World], tuple[Machine, NamedWeights | None]],
    begin: Callable[[Agenda], list[Job]],
    share: Callable[[Agenda, list[Job]], Shared],
    watch: Watcher,
) -> Iterator[Done | None]:
    """Train and test, then leave the group; the block is what the first process does alone.

    Args:
        world: This process's place.
        suite: The suite.
        agenda_of: Makes the agenda from what the machine decides.
        resolve: Decides it.
        begin: Says what is asked, and returns what is still to do.
        share: Hands that out, so that no other run does it too.
        watch: Told how it goes.

    Yields:
        What was done; None on all but the first process.

    Raises:
        SwatbenchError: The first process cannot begin, or a process met what the others did not.
    """
    device = resolve_device(suite.execution.device)
    with joined(world, device=device):

        def decide() -> tuple[Agenda, list[Job]]:
            machine, named = resolve(world)
            agenda = agenda_of(machine, named=named)
            return agenda, begin(agenda)

        agenda, todo = _or_end(world, world.by_first(decide))
        # What can be claimed, the first process alone can know.
        shared = share(agenda, todo) if world.first else None
        records = _run_all(shared, world, watch)
    if shared is None:
        yield None
        return
    with closing(shared):
        yield Done(agenda=agenda, todo=todo, records=records, shared=shared)


def _run_all(shared: Shared | None, world: World, watch: Watcher) -> list[Ended]:
    """Train and test what no other run does, until no model is left."""
    records: list[Ended] = []
    told = ""
    while True:
        claimed, left = None, 0

        def choose() -> tuple[Job | None, int, str]:
            nonlocal claimed
            assert shared is not None
            claimed = shared.model()
            return (claimed.job if claimed else None), shared.models_left, shared.why()

        job, left, why = _or_end(world, world.by_first(choose))
        if job is not None:
            records.append(_run(job, world, watch))
            if shared is not None and claimed is not None:
                shared.end(claimed)
        elif not left:
            return records
        else:
            if world.first and why != told:
                watch.wait(told := why)
            time.sleep(AGAIN_S)


def _or_end(world: World, found: Value | SwatbenchError) -> Value:
    """What was found; what could not be ends all processes, told once."""
    if isinstance(found, SwatbenchError):
        if world.first:
            raise found
        sys.exit(found.exit_code)
    return found


def _run(job: Job, world: World, watch: Watcher) -> Ended:
    name = job.cell.id
    if world.first:
        watch.start(name)
    try:
        record = run_cell(job, partial(_tell, watch, name) if world.first else _untold, world)
    except TrainingStopped:
        signal.raise_signal(signal.SIGTERM)
        raise
    finally:
        # All cells share this process: the next one needs the memory, and compiles its own model.
        torch.compiler.reset()
        free_memory()
    if record.failure is not None and record.failure.error not in SHARED_FAILURES:
        what = f"Process {world.rank} of {world.size} failed: {record.failure.message}"
        raise MachineError(what, where=name)
    if world.first:
        watch.end(name, record)
    return ended(record)


def _tell(watch: Watcher, name: str, message: Any) -> None:
    kind, content = message
    getattr(watch, kind)(name, content)


def _untold(_: object) -> None:
    """The other processes leave telling to the first."""
