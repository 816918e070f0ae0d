"""What the cost cells of a large store hold; see `report_scale_store.py`."""

import hashlib
from collections.abc import Iterator, Mapping

import numpy as np
from report_scale_cells import CLASSES, ENVIRONMENT, RESOLUTION, SUITE
from report_scale_forms import Written

from swatbench.spec.catalog import PAIRS, parts_of
from swatbench.spec.cells import CostCell
from swatbench.spec.cost import Cost, Precision
from swatbench.store.arrays import packed
from swatbench.store.cost import (
    ArmCost,
    CostResult,
    ModuleCost,
    OperatorMacs,
    Peaks,
    Quantiles,
    Spent,
    Timing,
)
from swatbench.store.files import packed_record
from swatbench.store.record import Record
from swatbench.store.rows import packed_rows

CONDITIONS: tuple[tuple[Precision, int], ...] = (("bf16", 64), ("fp32", 64))
"""Precision and images in a batch of each measurement of a pair."""

ROUNDS = 60
_DTYPES = {"bf16": "bfloat16", "fp32": "float32"}
_SECONDS = {"inference": 0.02, "training": 0.06}
_PARTS = ("tokenization", "token mixing", "channel mixing", "norms and skips", "head")
_OPERATORS = ("matrix product", "layer norm", "GELU", "copy", "add", "softmax", "multiply")


def params_of(place: int) -> int:
    """Parameters of the arm at this place among those of its pair."""
    return 5_000_000 + 10_000 * place


def measured(pair: str, arms: tuple[str, ...], precision: Precision, batch_size: int) -> Written:
    """One measurement of a pair, with rounds, modules and times of operators.

    Args:
        pair: Name of the pair.
        arms: Its arms, the reference first.
        precision: Type of the arithmetic.
        batch_size: Images in a call.
    """
    row = PAIRS[pair]
    cell = CostCell(
        pair=row.as_dict(),
        arms={arm: parts_of(row, arm) for arm in arms},
        reference=arms[0],
        input_size=(3, row.img_size, row.img_size),
        num_classes=CLASSES,
        cost=Cost(batch_size=batch_size),
        mode="eager",
        layout="contiguous",
        resolution=RESOLUTION.model_copy(update={"data_digest": None, "precision": precision}),
        threads=2,
    )
    samples = _samples(arms, seed=int(cell.digest[:8], 16), batch_size=batch_size)
    files = {
        "samples.npz": packed(samples),
        "modules.jsonl": packed_rows(row for arm in arms for row in _modules(arm)),
        "breakdown.jsonl": packed_rows(row for arm in arms for row in _spent(arm)),
    }
    record = Record(
        status="finished",
        suite=SUITE,
        cell_id=cell.id,
        digest=cell.digest,
        cell=cell.facts,
        environment=ENVIRONMENT,
        started_at="2025-03-01T11:00:00+00:00",
        duration_s=60.0,
        cost=_result(arms, samples, precision, batch_size, row.img_size),
        files={name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    )
    return Written(name=cell.id, digest=cell.digest, files={**files, "record.json": packed_record(record)})


def _samples(arms: tuple[str, ...], *, seed: int, batch_size: int) -> Mapping[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    found = {}
    for protocol, base_s in _SECONDS.items():
        load = base_s * (0.2 + 0.8 * batch_size / 64) * np.exp(rng.normal(0, 0.1, ROUNDS))
        for place, name in enumerate((*arms, "twin")):
            factor = 1.0 if name == "twin" else 1 + 0.1 * place
            found[f"{protocol}/{name}"] = factor * load * np.exp(rng.normal(0, 0.01, ROUNDS))
            found[f"{protocol}_warmup/{name}"] = found[f"{protocol}/{name}"][:8]
    return found


def _result(
    arms: tuple[str, ...],
    samples: Mapping[str, np.ndarray],
    precision: Precision,
    batch_size: int,
    side: int,
) -> CostResult:
    return CostResult(
        reference=arms[0],
        arms=tuple(_arm(arm, place, samples) for place, arm in enumerate(arms)),
        batch_size=batch_size,
        input_size=(3, side, side),
        device="cpu",
        dtype=_DTYPES[precision],
        threads=2,
        memory_kind="resident growth",
        measured="one forward pass on a resident batch",
        timings=tuple(
            Timing(protocol=protocol, calls_per_sample=1, settled=True, stopped_by="rounds")
            for protocol in ("inference", "training")
        ),
        peaks=Peaks(flops_per_s=200e9, bytes_per_s=20e9),
        energy_absent="the machine has no energy counter",
    )


def _arm(arm: str, place: int, samples: Mapping[str, np.ndarray]) -> ArmCost:
    macs = 1_000_000_000 + 40_000_000 * place
    return ArmCost(
        arm=arm,
        params=params_of(place),
        macs=macs,
        macs_matmul=macs - 1_000,
        macs_torch=macs - 1_000,
        macs_agree=True,
        macs_by_operator=(OperatorMacs(operator="linear", macs=macs),),
        moved_bytes=200_000_000,
        training_moved_bytes=600_000_000,
        training_macs=3 * 64 * macs,
        inference_s=_quantiles(samples[f"inference/{arm}"]),
        training_s=_quantiles(samples[f"training/{arm}"]),
        inference_peak_bytes=(60 + 3 * place) * 2**20,
        training_peak_bytes=(200 + 40 * place) * 2**20,
    )


def _quantiles(seconds: np.ndarray) -> Quantiles:
    p05, p50, p95 = np.quantile(seconds, (0.05, 0.5, 0.95)).tolist()
    return Quantiles(n=seconds.size, p05=p05, p50=p50, p95=p95)


def _modules(arm: str) -> Iterator[ModuleCost]:
    for number in range(27):
        part = _PARTS[number % len(_PARTS)]
        yield ModuleCost(
            arm=arm,
            path=f"blocks.*.{part.replace(' ', '_')}.{number}",
            kind="Linear",
            part=part,
            copies=12,
            params=180_000,
            macs=36_000_000,
        )


def _spent(arm: str) -> Iterator[Spent]:
    """About as many rows as a profile of a DeiT-Ti has."""
    for protocol, seconds in _SECONDS.items():
        for phase in ("forward",) if protocol == "inference" else ("forward", "backward"):
            for number in range(56):
                part = _PARTS[number % len(_PARTS)]
                yield Spent(
                    arm=arm,
                    protocol=protocol,
                    path=f"blocks.*.{part.replace(' ', '_')}.{number // 7}",
                    part=part,
                    operator=_OPERATORS[number % len(_OPERATORS)],
                    phase=phase,
                    calls=12,
                    self_s=seconds / 56 * (1 + 0.2 * len(arm) / 14),
                )
