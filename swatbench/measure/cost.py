"""What the arms of a pair cost beside one another, and what a single model costs."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import numpy as np

from swatbench.measure.calls import MEASURED
from swatbench.measure.counts import Counts
from swatbench.measure.latency import Enough, Samples, quantiles
from swatbench.measure.machine import DTYPES, Device
from swatbench.measure.passes import TWIN, Bench, Build, Protocol
from swatbench.precision import Precision
from swatbench.spec.suite import Cost
from swatbench.store.record import ArmCost, CostResult, OperatorMacs, Timing


def measure_pair(
    arms: Mapping[str, Build],
    *,
    cost: Cost,
    img_size: int,
    num_classes: int,
    device: Device,
    precision: Precision,
    threads: int,
    enough: Enough | None = None,
    on_stage: Callable[[str], None] = lambda stage: None,  # noqa: ARG005
    order_seed: int = 0,
) -> tuple[CostResult, dict[str, np.ndarray]]:
    """Measure the arms of a pair, timed interleaved with a twin of the first one.

    Args:
        arms: Arm → how to build it; the first is the reference.
        cost: Batch, rounds, budget, and whether training is measured too.
        img_size: Height and width of the input in pixels.
        num_classes: Classes of the logits.
        device: Where to run.
        precision: Autocast type.
        threads: CPU threads.
        enough: Says from the seconds of one protocol, twin included, whether they are precise enough.
        on_stage: Told what begins, in a few words.
        order_seed: Seed of the order of the arms within each round.

    Returns:
        The result, and the raw samples named as `CostResult` says, with the warm-up's apart, as
        `<protocol>_warmup/<arm>`.

    Raises:
        ModelError: An arm cannot be counted.
        MachineError: Memory ran out, or a measuring process died.
        ValueError: There are no arms, or one is called `twin`.
    """
    if not arms or TWIN in arms:
        raise ValueError(f"the arms are {list(arms)}; at least one is needed and none may be called {TWIN!r}")
    bench = Bench(
        cost=cost,
        img_size=img_size,
        num_classes=num_classes,
        device=device,
        precision=precision,
        threads=threads,
        enough=enough,
        order_seed=order_seed,
        on_stage=on_stage,
    )
    protocols: tuple[Protocol, ...] = ("inference", "training") if cost.training else ("inference",)
    counts = {arm: bench.count(arm, build) for arm, build in arms.items()}
    peaks: dict[Protocol, dict[str, int]] = {
        name: {arm: bench.peak_bytes(arm, build, name) for arm, build in arms.items()} for name in protocols
    }
    timed: dict[Protocol, Samples] = {name: bench.time(arms, name, twin=True) for name in protocols}
    result = CostResult(
        reference=next(iter(arms)),
        arms=tuple(_arm_cost(arm, counts[arm], peaks, timed) for arm in arms),
        batch_size=cost.batch_size,
        img_size=img_size,
        device=device,
        dtype=DTYPES[precision],
        threads=threads,
        memory_kind="allocated" if device == "cuda" else "resident growth",
        measured=MEASURED,
        timings=tuple(_timing(protocol, samples) for protocol, samples in timed.items()),
    )
    return result, _raw(timed)


def _timing(protocol: Protocol, samples: Samples) -> Timing:
    return Timing(
        protocol=protocol,
        calls_per_sample=samples.repeats,
        settled=samples.settled,
        stopped_by=samples.stopped_by,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What one model costs on this machine.

    Attributes:
        model: Its name.
        params: Parameters.
        macs: Multiply-accumulates of one image's forward pass.
        latency_s: Median time of one forward pass over a batch, in seconds.
        images_per_s: `batch` divided by `latency_s`.
        peak_bytes: Peak memory of inference, above what the process held before the model was built.
        batch: Images in a call.
        device: Where it ran.
        dtype: Type that matrix products were computed in.
    """

    model: str
    params: int
    macs: int
    latency_s: float
    images_per_s: float
    peak_bytes: int
    batch: int
    device: str
    dtype: str

    def as_dict(self) -> dict[str, str | int | float]:
        """The attributes as JSON values, in the order above."""
        return asdict(self)


def profile_model(
    build: Build,
    *,
    model: str,
    cost: Cost,
    img_size: int,
    device: Device,
    precision: Precision,
    threads: int,
    on_stage: Callable[[str], None] = lambda stage: None,  # noqa: ARG005
) -> Profile:
    """Count one model, measure its memory, and time its forward pass.

    Args:
        build: How to build it.
        model: Its name, for the profile.
        cost: Batch, rounds and budget; inference alone is measured.
        img_size: Height and width of the input in pixels.
        device: Where to run.
        precision: Autocast type.
        threads: CPU threads.
        on_stage: Told what begins, in a few words.

    Raises:
        ModelError: The model cannot be counted.
        MachineError: Memory ran out, or the measuring process died.
    """
    bench = Bench(
        cost=cost,
        img_size=img_size,
        num_classes=1,
        device=device,
        precision=precision,
        threads=threads,
        on_stage=on_stage,
    )
    counts = bench.count(model, build)
    if not counts.agree:
        on_stage(f"the counters disagree: fvcore {counts.macs_matmul:,}, torch {counts.macs_torch:,} MACs")
    peak_bytes = bench.peak_bytes(model, build, "inference")
    latency_s = quantiles(bench.time({model: build}, "inference", twin=False).seconds[model]).p50
    return Profile(
        model=model,
        params=counts.params,
        macs=counts.macs,
        latency_s=latency_s,
        images_per_s=cost.batch_size / latency_s,
        peak_bytes=peak_bytes,
        batch=cost.batch_size,
        device=device,
        dtype=DTYPES[precision],
    )


def _arm_cost(
    arm: str,
    counts: Counts,
    peaks: Mapping[Protocol, Mapping[str, int]],
    timed: Mapping[Protocol, Samples],
) -> ArmCost:
    trained = "training" in timed
    return ArmCost(
        arm=arm,
        params=counts.params,
        macs=counts.macs,
        macs_matmul=counts.macs_matmul,
        macs_torch=counts.macs_torch,
        macs_agree=counts.agree,
        macs_by_operator=tuple(
            OperatorMacs(operator=operator, macs=macs) for operator, macs in counts.macs_by_operator.items()
        ),
        inference_s=quantiles(timed["inference"].seconds[arm]),
        training_s=quantiles(timed["training"].seconds[arm]) if trained else None,
        inference_peak_bytes=peaks["inference"][arm],
        training_peak_bytes=peaks["training"][arm] if trained else None,
    )


def _raw(timed: Mapping[Protocol, Samples]) -> dict[str, np.ndarray]:
    kept = {f"{name}/{arm}": s for name, samples in timed.items() for arm, s in samples.seconds.items()}
    warmup = {
        f"{name}_warmup/{arm}": s
        for name, samples in timed.items()
        for arm, s in samples.warmup_seconds.items()
    }
    return kept | warmup
