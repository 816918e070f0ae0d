"""A cost cell: the arms of a pair counted, timed interleaved, and their memory measured."""

import multiprocessing
from collections.abc import Callable, Mapping
from functools import partial
from multiprocessing.context import BaseContext
from typing import Any

import numpy as np
from torch import nn

from swatbench.cell.machine import builder, prepare
from swatbench.job import Job
from swatbench.measure.condition import Condition
from swatbench.measure.cost import measure_pair
from swatbench.measure.passes import Bench
from swatbench.models.named import build_named, import_code
from swatbench.processes import Say
from swatbench.spec.cells import CostCell
from swatbench.stats.ratios import paired_ratio
from swatbench.store.files import BREAKDOWN, MODULES, SAMPLES, write_arrays
from swatbench.store.rows import write_rows

PRECISE = 0.01
"""Timing ends early once every ratio's 95 % interval is narrower than this on either side."""


def measure(job: Job, cell: CostCell, say: Say) -> dict[str, Any]:
    """Measure the arms of a pair.

    Args:
        job: The cell and its folder.
        cell: The cell.
        say: Told each stage.

    Returns:
        Fields of the record.
    """
    prepare(cell.threads, deterministic=False, tf32=False)
    for name in cell.models.values():
        import_code(name)  # here, so that the code of a user's module is no part of its model's memory
    found = measure_pair(
        Bench(
            arms={arm: _builder(cell, arm) for arm in cell.arms},
            condition=_condition(cell),
            cost=cell.cost,
            on_stage=lambda stage: say(("stage", stage)),
            enough=precise,
            start=_start(cell),
            folder=job.folder,
            trace=job.trace,
            name=cell.pair["name"],
        )
    )
    files = {
        SAMPLES: write_arrays(job.folder, SAMPLES, found.samples),
        MODULES: write_rows(job.folder, MODULES, found.modules),
    }
    if found.breakdown:
        files[BREAKDOWN] = write_rows(job.folder, BREAKDOWN, found.breakdown)
    return {"cost": found.result, "files": files}


def precise(samples: Mapping[str, np.ndarray]) -> bool:
    """Whether every arm's ratio to the first is known within `PRECISE` (never whether it differs from 1).

    Where there is one arm alone, its twin is the other.

    Args:
        samples: Seconds per call of each arm, the reference first, and of its `twin`, one entry a round.
    """
    reference, *others = (name for name in samples if name != "twin")
    ratios = (paired_ratio(samples[arm], samples[reference], samples["twin"]) for arm in others or ("twin",))
    return all(r.enough and r.high / r.ratio - 1 < PRECISE and 1 - r.low / r.ratio < PRECISE for r in ratios)


def _condition(cell: CostCell) -> Condition:
    return Condition(
        batch_size=cell.cost.batch_size,
        input_size=cell.input_size,
        num_classes=cell.num_classes,
        device=cell.resolution.device,
        precision=cell.resolution.precision,
        mode=cell.mode,
        layout=cell.layout,
        threads=cell.threads,
    )


def _start(cell: CostCell) -> BaseContext | None:
    """Measuring processes are forked off this one, which has imported torch and computed nothing.

    Not where CUDA is: a driver that was asked anything does not survive a fork.
    """
    forks = "fork" in multiprocessing.get_all_start_methods()
    return multiprocessing.get_context("fork") if forks and cell.resolution.device == "cpu" else None


def _builder(cell: CostCell, arm: str) -> Callable[[], nn.Module]:
    asked: dict[str, Any] = {
        "num_classes": cell.num_classes,
        "seed": 0,
        "fused_attention": cell.resolution.fused_attention,
    }
    if arm in cell.models:
        return partial(build_named, cell.models[arm], input_size=cell.input_size, **asked)
    return builder(cell.pair, cell.arms[arm], **asked)
