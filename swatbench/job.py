"""A cell with its place in the store, and the record that it ends in (no torch)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from swatbench.spec.cells import CostCell, EvaluateCell, TrainCell
from swatbench.spec.execution import Execution
from swatbench.store.failure import failure
from swatbench.store.record import Environment, Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A cell and where it belongs.

    Attributes:
        suite: Name of the suite.
        cell: What to run.
        folder: The cell's folder.
        environment: Where it runs.
        execution: What of the suite's execution is no part of the cell: checkpoints, trackers, patience.
        workers: Processes that decode images for one training process.
        trace: Folder that a cost cell leaves traces in; None for none.
        places: Name of a model, as a cost cell has it → folder that it is in; no part of a record.
        weights: Where an evaluate cell's weights are: the folder of the training run, a file, or what timm
            knows them by. Of a train cell, the file that a segmenter's backbone begins with.
    """

    suite: str
    cell: TrainCell | EvaluateCell | CostCell
    folder: Path
    environment: Environment
    execution: Execution
    workers: int
    weights: str | None = None
    trace: Path | None = None
    places: Mapping[str, str] = field(default_factory=dict)


def record_of(
    job: Job, status: Literal["finished", "failed"], *, started_at: str, duration_s: float, **found: Any
) -> Record:
    """The record of a cell.

    Args:
        job: The cell.
        status: How it ended.
        started_at: Start in UTC, ISO 8601.
        duration_s: Time that it ran.
        found: What came out: further fields of the record.
    """
    return Record(
        status=status,
        suite=job.suite,
        cell_id=job.cell.id,
        digest=job.cell.digest,
        cell=job.cell.facts,
        environment=job.environment,
        started_at=started_at,
        duration_s=duration_s,
        **found,
    )


def failed_record(job: Job, error: Exception, *, started_at: str, duration_s: float) -> Record:
    """The record of a cell that has no result.

    Args:
        job: The cell.
        error: Why.
        started_at: Start in UTC, ISO 8601.
        duration_s: Time that it ran.
    """
    return record_of(job, "failed", started_at=started_at, duration_s=duration_s, failure=failure(error))


def now() -> str:
    """The present moment in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
