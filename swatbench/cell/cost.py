"""A cost cell: the arms of a pair counted, timed interleaved, and their memory measured."""

import multiprocessing
from collections.abc import Callable, Mapping
from functools import partial
from multiprocessing.context import BaseContext
from typing import Any

import numpy as np
from torch import nn

from swatbench.cell.machine import prepare
from swatbench.job import Job
from swatbench.measure.condition import Condition
from swatbench.measure.cost import measure_pair
from swatbench.measure.passes import Bench
from swatbench.models.build import build_model
from swatbench.models.named import build_named, is_catalogued
from swatbench.models.segmenter import build_segmenter
from swatbench.processes import Say
from swatbench.spec.catalog import WITH_ATTENTION, find_model, parts_of
from swatbench.spec.cells import CostCell
from swatbench.stats.quantiles import quantile_interval
from swatbench.store.cost import TWIN
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
    found = measure_pair(
        Bench(
            arms={arm: _builder(cell, arm, job.places) for arm in cell.arms},
            deployed={
                arm: _builder(cell, arm, job.places, fold=True) for arm in cell.arms if _folds(cell, arm)
            },
            condition=_condition(cell),
            cost=cell.cost,
            on_stage=lambda stage: say(("stage", stage)),
            enough=precise,
            start=_start(cell),
            folder=job.folder,
            trace=job.trace,
            name=f"{cell.pair['name']}-{cell.resolution.precision}-{cell.mode}-{cell.layout}",
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
    reference, *others = (name for name in samples if name != TWIN)
    # Order statistics, not the bootstrap of the result: this is asked while the arms wait and cool.
    medians = (quantile_interval(samples[arm] / samples[reference], 0.5) for arm in others or (TWIN,))
    return all(
        m.low is not None and m.high is not None and max(m.high / m.value - 1, 1 - m.low / m.value) < PRECISE
        for m in medians
    )


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
        auxiliary_weight=cell.segmentation.auxiliary_weight if cell.segmentation else None,
    )


def _start(cell: CostCell) -> BaseContext | None:
    """Measuring processes are forked off this one, which has imported torch and computed nothing.

    Not where CUDA is: a driver that was asked anything does not survive a fork. And not where a user's module
    was imported, which may have computed something: threads do not survive a fork either.
    """
    pristine = cell.resolution.device == "cpu" and not cell.models
    forks = "fork" in multiprocessing.get_all_start_methods()
    return multiprocessing.get_context("fork") if forks and pristine else None


def _folds(cell: CostCell, arm: str) -> bool:
    """Whether an arm is to be measured as deployed too, and has attention that folds."""
    if not cell.cost.deployed or (arm in cell.models and not is_catalogued(cell.models[arm])):
        return False
    pair, parts = _row(cell, arm)
    return "token_mixing" in parts and pair["family"] in WITH_ATTENTION


def _row(cell: CostCell, arm: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Pair and parts of an arm of the catalogue."""
    if arm not in cell.models:
        return cell.pair, cell.arms[arm]
    pair, its_arm = find_model(cell.models[arm])
    return pair.as_dict(), parts_of(pair, its_arm)


def _builder(
    cell: CostCell, arm: str, places: Mapping[str, str], *, fold: bool = False
) -> Callable[[], nn.Module]:
    asked: dict[str, Any] = {
        "num_classes": cell.num_classes,
        "seed": 0,
        "fused_attention": cell.resolution.fused_attention,
        "fused_swat": cell.resolution.fused_swat or False,
        "fold": fold,
    }
    if cell.segmentation is not None:
        pair, parts = _row(cell, arm)
        return partial(build_segmenter, pair, parts, cell.segmentation, size=cell.input_size[1:], **asked)
    if arm in cell.models:
        name = cell.models[arm]
        return partial(build_named, name, input_size=cell.input_size, place=places.get(name), **asked)
    return partial(build_model, cell.pair, cell.arms[arm], **asked)
