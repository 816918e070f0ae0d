"""Contents of synthetic records: settings, curves, samples of time, costs of arms."""

from datetime import UTC, datetime

import numpy as np

from swatbench.spec.catalog import ARMS
from swatbench.spec.cells import Resolution, Speed
from swatbench.spec.data import TestSet
from swatbench.spec.recipe import Recipe
from swatbench.store.record import ArmCost, CurvePoint, Environment, OperatorMacs, Quantiles

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
    arms: tuple[str, ...], slowdown: float, rounds: int, *, training: bool
) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(len(arms) + rounds)
    samples = {}
    for protocol, base in (("inference", 0.02), ("training", 0.06))[: 2 if training else 1]:
        load = base * np.exp(rng.normal(0, 0.1, rounds))
        for name in (*arms, "twin"):
            factor = 1.0 if name in (arms[0], "twin") else slowdown
            samples[f"{protocol}/{name}"] = factor * load * np.exp(rng.normal(0, 0.01, rounds))
    return samples


def arm_cost(arm: str, macs: int, samples: dict[str, np.ndarray], *, training: bool, agree: bool) -> ArmCost:
    parts = len(ARMS[arm])

    def quantiles(protocol: str) -> Quantiles:
        times = samples[f"{protocol}/{arm}"]
        p05, p50, p95 = np.quantile(times, (0.05, 0.5, 0.95)).tolist()
        return Quantiles(n=times.size, p50=p50, p05=p05, p95=p95)

    own = round(macs * (1 + 0.04 * parts))
    return ArmCost(
        arm=arm,
        params=140_000 + 30_000 * parts,
        macs=own,
        macs_matmul=own - 1000,
        macs_torch=own - 1000 if agree else own,
        macs_agree=agree,
        macs_by_operator=(OperatorMacs(operator="linear", macs=own),),
        inference_s=quantiles("inference"),
        training_s=quantiles("training") if training else None,
        inference_peak_bytes=(60 + 3 * parts) * 2**20,
        training_peak_bytes=(200 + 40 * parts) * 2**20 if training else None,
    )
