"""A cost cell: the arms of a pair counted, timed interleaved, and their memory measured."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from torch import nn

from swatbench.cell.machine import builder, prepare
from swatbench.job import Job
from swatbench.measure.cost import Profile, measure_pair, profile_model
from swatbench.measure.machine import resolve_device, resolve_precision
from swatbench.processes import Say
from swatbench.spec.catalog import find_model, parts_of
from swatbench.spec.cells import CostCell
from swatbench.spec.suite import Cost
from swatbench.stats.ratios import paired_ratio
from swatbench.store.files import SAMPLES, write_arrays
from swatbench.store.provenance import usable_cores

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
    result, samples = measure_pair(
        {arm: _builder(cell, parts) for arm, parts in cell.arms.items()},
        cost=cell.cost,
        img_size=cell.pair["img_size"],
        num_classes=cell.num_classes,
        device=cell.resolution.device,
        precision=cell.resolution.precision,
        threads=cell.threads,
        enough=precise,
        on_stage=lambda stage: say(("stage", stage)),
    )
    return {"cost": result, "files": {SAMPLES: write_arrays(job.folder, SAMPLES, samples)}}


def precise(samples: Mapping[str, np.ndarray]) -> bool:
    """Whether every arm's ratio to the first is known within `PRECISE` (never whether it differs from 1).

    Args:
        samples: Seconds per call of each arm, the reference first, and of its `twin`, one entry a round.
    """
    reference, *others = (name for name in samples if name != "twin")
    ratios = (paired_ratio(samples[arm], samples[reference], samples["twin"]) for arm in others)
    return all(r.enough and r.high / r.ratio - 1 < PRECISE and 1 - r.low / r.ratio < PRECISE for r in ratios)


def profile_by_name(
    name: str,
    *,
    batch: int,
    device: Literal["auto", "cpu", "cuda"],
    precision: Literal["auto", "fp32", "bf16", "fp16"],
    threads: int | None,
    on_stage: Callable[[str], None],
) -> Profile:
    """Count and measure one model of the catalogue (see `run.profile`)."""
    pair, arm = find_model(name)
    where = resolve_device(device)
    return profile_model(
        builder(
            pair.as_dict(),
            parts_of(pair, arm),
            num_classes=pair.num_classes,
            seed=0,
            fused_attention=where == "cuda",
        ),
        model=name,
        cost=Cost(batch_size=batch, training=False),
        img_size=pair.img_size,
        device=where,
        precision=resolve_precision(precision, where),
        threads=threads or usable_cores(),
        on_stage=on_stage,
    )


def _builder(cell: CostCell, parts: tuple[str, ...]) -> Callable[[], nn.Module]:
    fused = cell.resolution.fused_attention
    return builder(cell.pair, parts, num_classes=cell.num_classes, seed=0, fused_attention=fused)
