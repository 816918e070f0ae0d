"""A cell, from description to record."""

import time
from typing import Any

from swatbench.cell.cost import measure
from swatbench.cell.evaluate import evaluate_weights
from swatbench.cell.train import retention_of, train
from swatbench.errors import MachineError, StoreError, SwatbenchError, first_line
from swatbench.job import Job, failed_record, now, record_of
from swatbench.out_of_memory import out_of_memory
from swatbench.processes import Say
from swatbench.spec.cells import CostCell, EvaluateCell, TrainCell
from swatbench.store.files import write_record
from swatbench.store.leftovers import sweep
from swatbench.store.live import LiveWriter
from swatbench.store.record import Record
from swatbench.train.epoch import TrainingStopped
from swatbench.world import ALONE, PeersLostError, World


def run_cell(job: Job, say: Say, world: World = ALONE) -> Record:
    """Run a cell and write its record; whatever goes wrong becomes a record too.

    Args:
        job: The cell.
        say: Takes (kind, content), where kind is `progress`, `stage` or `note`.
        world: The processes that run the cell together; the first one writes, and any one its own failure.

    Returns:
        The record.

    Raises:
        StoreError: Something cannot be written, so that it cannot be recorded either.
        PeersLostError: Another process is gone; it is that one's failure that is recorded.
        TrainingStopped: Training was asked to stop, and did so with a checkpoint.
    """
    if world.first:
        sweep(job.folder)
    record = _record(job, say, world)
    if world.first or record.failure is not None:
        write_record(job.folder, record)
    if world.first and record.status == "finished" and isinstance(job.cell, TrainCell):
        retention_of(job).clear()
    return record


def _record(job: Job, say: Say, world: World) -> Record:
    started_at, start = now(), time.monotonic()
    try:
        found = _result(job, say, world)
    except (StoreError, TrainingStopped, PeersLostError):
        raise
    except Exception as error:  # noqa: BLE001 (the one place where a failure becomes a record)
        error = _advised(error)
        return failed_record(job, error, started_at=started_at, duration_s=time.monotonic() - start)
    return record_of(job, "finished", started_at=started_at, duration_s=time.monotonic() - start, **found)


def _advised(error: Exception) -> Exception:
    """The error, or where memory ran out outside a training step, what to do about it."""
    if isinstance(error, SwatbenchError) or not out_of_memory(error):
        return error
    return MachineError(
        f"Memory ran out: {first_line(error)}",
        fix="Run fewer jobs at once, lower recipe.micro_batch_size, or free memory.",
    )


def _result(job: Job, say: Say, world: World) -> dict[str, Any]:
    """Fields of the record that say what came out."""
    match job.cell:
        case TrainCell() as cell:
            return train(job, cell, say, world)
        case EvaluateCell() as cell:
            return evaluate_weights(job, cell, _beating(job, say, world), world)
        case CostCell() as cell:
            return measure(job, cell, _beating(job, say, world))


def _beating(job: Job, say: Say, world: World) -> Say:
    """Tell a stage, and leave a sign of life in the cell's folder."""
    if not world.first:
        return say
    live = LiveWriter(job.folder)
    live.resume()

    def tell(message: object) -> None:
        live.beat()
        say(message)

    return tell
