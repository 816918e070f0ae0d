"""Contents of synthetic records: settings, curves, samples of time, costs of arms."""

from datetime import UTC, datetime

import numpy as np

from swatbench.spec.catalog import ARMS
from swatbench.spec.cells import Resolution, Speed
from swatbench.spec.data import TestSet
from swatbench.spec.recipe import Recipe
from swatbench.store.cost import (
    ArmCost,
    DeviceState,
    LargestBatch,
    Memory,
    OperatorMacs,
    Peaks,
    Quantiles,
    Swept,
)
from swatbench.store.record import CurvePoint, Environment

ENVIRONMENT = Environment(
    machine="some-cpu-2-cores",
    processor="Some CPU <2.4 GHz> & co",
    cores=2,
    memory_bytes=8 * 2**30,
    accelerator=None,
    system="Debian GNU/Linux 12",
    python="3.11.2",
    packages={"torch": "2.15.0", "timm": "1.0.31"},
    git_commit="0123456789abcdef0123456789abcdef01234567",
    git_dirty=False,
    swatbench="0.1.0",
)
RESOLUTION = Resolution(device="cpu", precision="bf16", fused_attention=False, data_digest="d" * 64)
SPEED = Speed(
    tf32=False, channels_last=False, compile="none", fused_optimizer=True, gradient_checkpointing=False
)
RECIPE = Recipe(epochs=3, batch_size=64, learning_rate=2e-3)
V2 = TestSet(name="v2", root="data/v2", images=400)
PEAKS = Peaks(flops_per_s=200e9, bytes_per_s=20e9)
STATES = (
    DeviceState(moment="before", load_average=0.25, cpu_hz=2.4e9, governor="performance"),
    DeviceState(moment="after", load_average=1.9, cpu_hz=2.1e9, governor="performance"),
)
DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
IMAGES = 400
START = datetime(2025, 3, 1, 12, tzinfo=UTC)


def curve_of(percent: float, seed: int, *, ema: bool) -> list[CurvePoint]:
    return [
        CurvePoint(
            epoch=epoch,
            step=epoch * 78,
            loss=2.2 - 0.2 * epoch - percent / 200 + 0.03 * seed,
            learning_rate=1e-3,
            top1_percent=percent * (0.55 + 0.15 * epoch) + seed,
            ema_top1_percent=percent * (0.5 + 0.17 * epoch) + seed if ema else None,
            compute_s=10.0,
            data_s=0.2,
        )
        for epoch in (1, 2, 3)
    ]


def samples_of(
    arms: tuple[str, ...], slowdown: float, rounds: int, *, training: bool, sweep: tuple[int, ...] = ()
) -> dict[str, np.ndarray]:
    """Samples at batch 64 and, in proportion with 4 ms for each call itself, at those of the sweep."""
    rng = np.random.default_rng(len(arms) + rounds)
    samples = {}
    for protocol, base in (("inference", 0.02), ("training", 0.06))[: 2 if training else 1]:
        for batch in (None, *sweep):
            at_batch = base if batch is None else 0.004 + (base - 0.004) * batch / 64
            load = at_batch * np.exp(rng.normal(0, 0.1, rounds))
            named = protocol if batch is None else f"{protocol}@{batch}"
            for name in (*arms, "twin"):
                factor = 1.0 if name in (arms[0], "twin") else slowdown
                samples[f"{named}/{name}"] = factor * load * np.exp(rng.normal(0, 0.01, rounds))
    return samples


def quantiles_of(times: np.ndarray) -> Quantiles:
    p05, p50, p95 = np.quantile(times, (0.05, 0.5, 0.95)).tolist()
    return Quantiles(n=times.size, p50=p50, p05=p05, p95=p95)


def swept_of(arm: str, samples: dict[str, np.ndarray], sweep: tuple[int, ...]) -> tuple[Swept, ...]:
    return tuple(
        Swept(protocol=protocol, batch_size=batch, seconds=quantiles_of(samples[f"{protocol}@{batch}/{arm}"]))
        for protocol in ("inference", "training")
        for batch in sweep
        if f"{protocol}@{batch}/{arm}" in samples
    )


def measured_further(cost: ArmCost) -> ArmCost:
    """The same arm with traffic, parts of its memory and the largest batches."""
    weights = 4 * cost.params
    inference = Memory(peak_bytes=cost.inference_peak_bytes, weights_bytes=weights, working_bytes=8 * 2**20)
    training = Memory(
        peak_bytes=cost.training_peak_bytes or 0,
        weights_bytes=weights,
        gradients_bytes=weights,
        optimizer_bytes=2 * weights,
        saved_bytes=100 * 2**20,
        working_bytes=120 * 2**20,
    )
    largest = tuple(
        LargestBatch(protocol=protocol, batch_size=batch, limit_bytes=2**30, bounded_by=by)
        for protocol, batch, by in (("inference", 8192, "search"), ("training", 640, "memory"))
    )
    return cost.model_copy(
        update={
            "params_trainable": cost.params,
            "activations": 500_000,
            "training_macs": 3 * 64 * cost.macs_matmul,
            "moved_bytes": 200_000_000,
            "training_moved_bytes": 600_000_000,
            "inference_memory": inference,
            "training_memory": training,
            "largest_batches": largest,
        }
    )


def arm_cost(arm: str, macs: int, samples: dict[str, np.ndarray], *, training: bool, agree: bool) -> ArmCost:
    parts = len(ARMS[arm])
    own = round(macs * (1 + 0.04 * parts))
    return ArmCost(
        arm=arm,
        params=140_000 + 30_000 * parts,
        macs=own,
        macs_matmul=own - 1000,
        macs_torch=own - 1000 if agree else own,
        macs_agree=agree,
        macs_by_operator=(OperatorMacs(operator="linear", macs=own),),
        inference_s=quantiles_of(samples[f"inference/{arm}"]),
        training_s=quantiles_of(samples[f"training/{arm}"]) if training else None,
        inference_peak_bytes=(60 + 3 * parts) * 2**20,
        training_peak_bytes=(200 + 40 * parts) * 2**20 if training else None,
    )
