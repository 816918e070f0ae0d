"""What the arms of a pair cost beside one another, from counts to energy, in one condition."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from swatbench.errors import MachineError
from swatbench.measure.calls import MEASURED, MEASURED_OF_SEGMENTERS
from swatbench.measure.clocks import device_state
from swatbench.measure.counts import Counts
from swatbench.measure.energy import energy_counter
from swatbench.measure.hooks import refuse_typechecking
from swatbench.measure.latency import Samples, quantiles
from swatbench.measure.machine import DTYPES
from swatbench.measure.passes import Bench
from swatbench.spec.cost import Protocol
from swatbench.store.cost import (
    DEPLOYED,
    TWIN,
    ArmCost,
    CostResult,
    Deployed,
    Energy,
    LargestBatch,
    Memory,
    ModuleCost,
    OperatorMacs,
    Spent,
    Swept,
    Timing,
    samples_name,
)

Timed = Mapping[tuple[Protocol, int], Samples]
"""(Protocol, batch size) → samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """All that was measured.

    Attributes:
        result: The result, for the record.
        samples: Raw samples, named as `CostResult` says.
        modules: Parameters and MACs by module, of all arms.
        breakdown: Where the time goes, of all arms; empty unless asked for.
    """

    result: CostResult
    samples: dict[str, np.ndarray]
    modules: tuple[ModuleCost, ...]
    breakdown: tuple[Spent, ...]


def measure_pair(bench: Bench) -> Found:
    """Measure the arms of a pair, timed interleaved with a twin of the first one.

    What needs processes of its own comes first: those are made by a process that has computed nothing.

    Raises:
        ModelError: An arm cannot be counted.
        MachineError: Memory ran out, or a measuring process died.
        ValueError: There are no arms, or one is called `twin`.
    """
    if not bench.arms or TWIN in bench.arms:
        raise ValueError(
            f"the arms are {list(bench.arms)}; at least one is needed and none may be called {TWIN!r}"
        )
    refuse_typechecking()
    cost, condition = bench.cost, bench.condition
    before = device_state("before", condition.device)
    counts = {arm: bench.counts(arm) for arm in bench.arms}
    deployed = {arm: bench.counts_deployed(arm) for arm in bench.deployed}
    memory = {(arm, name): bench.memory(arm, name) for arm in bench.arms for name in cost.protocols}
    breakdown = tuple(_breakdown(bench)) if cost.breakdown or bench.trace else ()
    peaks = bench.peaks()
    largest = {arm: tuple(_largest(bench, arm)) for arm in bench.arms}
    timed: dict[tuple[Protocol, int], Samples] = {
        (name, size): bench.time(name, size)
        for size in dict.fromkeys((condition.batch_size, *cost.sweep))
        for name in cost.protocols
    }
    energy, energy_absent = _energy(bench)
    result = CostResult(
        reference=next(iter(bench.arms)),
        arms=tuple(
            _arm_cost(
                arm,
                counts[arm],
                {name: memory[arm, name] for name in cost.protocols},
                timed,
                bench,
                largest[arm],
                energy.get(arm, ()),
            )
            for arm in bench.arms
        ),
        batch_size=condition.batch_size,
        input_size=condition.input_size,
        device=condition.device,
        dtype=DTYPES[condition.precision],
        mode=condition.mode,
        layout=condition.layout,
        threads=condition.threads,
        memory_kind="allocated" if condition.device == "cuda" else "resident growth",
        measured=MEASURED if bench.condition.auxiliary_weight is None else MEASURED_OF_SEGMENTERS,
        timings=tuple(_timing(*key, samples, bench) for key, samples in timed.items()),
        peaks=peaks,
        states=(before, device_state("after", condition.device)),
        deployed=tuple(_deployed(arm, found, timed, condition.batch_size) for arm, found in deployed.items()),
        energy_absent=energy_absent,
    )
    modules = tuple(row for arm in bench.arms for row in _modules(arm, counts[arm]))
    return Found(
        result=result, samples=dict(_raw(timed, condition.batch_size)), modules=modules, breakdown=breakdown
    )


def _breakdown(bench: Bench) -> Iterator[Spent]:
    for arm in bench.arms:
        for protocol in bench.cost.protocols:
            yield from bench.breakdown(arm, protocol)


def _largest(bench: Bench, arm: str) -> Iterator[LargestBatch]:
    if bench.cost.largest_batch:
        for protocol in bench.cost.protocols:
            yield bench.largest_batch(arm, protocol)


def _energy(bench: Bench) -> tuple[dict[str, tuple[Energy, ...]], str | None]:
    """Arm → its energy by protocol, and why there is none."""
    joules = energy_counter(bench.condition.device)
    if isinstance(joules, str):
        return {}, joules
    found: dict[str, tuple[Energy, ...]] = dict.fromkeys(bench.arms, ())
    try:
        for protocol in bench.cost.protocols:
            for arm, windows in bench.energy(protocol, joules).items():
                median = float(np.median(windows))
                found[arm] += (Energy(protocol=protocol, joules_per_image=median, windows=windows),)
    except MachineError as error:  # All else was measured, and is worth more than what the counter lacks.
        return {}, str(error)
    return found, None


def _timing(protocol: Protocol, batch_size: int, samples: Samples, bench: Bench) -> Timing:
    return Timing(
        protocol=protocol,
        batch_size=None if batch_size == bench.condition.batch_size else batch_size,
        calls_per_sample=samples.repeats,
        settled=samples.settled,
        stopped_by=samples.stopped_by,
        preparation_s=dict(samples.preparation_s),
    )


def _arm_cost(
    arm: str,
    counts: Counts,
    memory: Mapping[Protocol, Memory],
    timed: Timed,
    bench: Bench,
    largest: tuple[LargestBatch, ...],
    energy: tuple[Energy, ...],
) -> ArmCost:
    seconds = {key: quantiles(samples.seconds[arm]) for key, samples in timed.items()}
    own = bench.condition.batch_size
    return ArmCost(
        arm=arm,
        params=counts.params,
        params_trainable=counts.params_trainable,
        macs=counts.macs,
        macs_matmul=counts.macs_matmul,
        macs_torch=counts.macs_torch,
        macs_agree=counts.agree,
        macs_by_operator=tuple(
            OperatorMacs(operator=operator, macs=macs) for operator, macs in counts.macs_by_operator.items()
        ),
        activations=counts.activations,
        training_macs=counts.training_macs,
        moved_bytes=counts.moved_bytes,
        training_moved_bytes=counts.training_moved_bytes,
        inference_s=seconds["inference", own],
        training_s=seconds.get(("training", own)),
        sweep=tuple(
            Swept(protocol=protocol, batch_size=size, seconds=found)
            for (protocol, size), found in seconds.items()
            if size != own
        ),
        inference_peak_bytes=memory["inference"].peak_bytes,
        training_peak_bytes=memory["training"].peak_bytes if "training" in memory else None,
        inference_memory=memory["inference"],
        training_memory=memory.get("training"),
        largest_batches=largest,
        energy=energy,
    )


def _deployed(arm: str, counts: Counts, timed: Timed, batch_size: int) -> Deployed:
    seconds = timed["inference", batch_size].seconds[f"{arm}{DEPLOYED}"]
    return Deployed(arm=arm, params=counts.params, macs=counts.macs, inference_s=quantiles(seconds))


def _modules(arm: str, counts: Counts) -> Iterator[ModuleCost]:
    for row in counts.modules:
        yield ModuleCost(
            arm=arm,
            path=row.place,
            kind=row.kind,
            part=row.part,
            copies=row.copies,
            params=row.params,
            macs=row.macs,
        )


def _raw(timed: Timed, own: int) -> Iterator[tuple[str, np.ndarray]]:
    for (protocol, size), samples in timed.items():
        name = samples_name(protocol, None if size == own else size)
        for arm, seconds in samples.seconds.items():
            yield f"{name}/{arm}", seconds
        for arm, seconds in samples.warmup_seconds.items():
            yield f"{name}_warmup/{arm}", seconds
        for arm, seconds in samples.host_seconds.items():
            yield f"{name}_host/{arm}", seconds
