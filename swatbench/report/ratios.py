"""A cost measurement → what an arm costs as multiples of its reference's, at every batch that was timed."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from swatbench.errors import SwatbenchError
from swatbench.report import words
from swatbench.report.conditions import Called, input_of, is_plain, setting_of, timing_of
from swatbench.report.selection import Measured
from swatbench.spec.cost import Protocol
from swatbench.stats.ratios import Ratio, paired_ratio
from swatbench.store.cost import TWIN, ArmCost, Timing

FLOOR = (
    "The A/A floor is the ratio that a second copy of the reference showed to the first in the same rounds. "
    "An arm is told apart from its reference only where it differs from both copies, in the same direction, "
    "and by more than they differ from one another."
)
"""By what rule a ratio of time is called different, for the notes of tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeRatio:
    """Time of one call as a multiple of the reference's.

    Attributes:
        protocol: Whether it is a forward pass or a training step.
        batch_size: Images in it.
        ratio: Paired ratio.
        timing: How it was timed, where the record tells.
    """

    protocol: Protocol
    batch_size: int
    ratio: Ratio
    timing: Timing | None


RESOLUTION_BYTES: Mapping[str, int] = {"resident growth": 3 * 2**20, "allocated": 2**20}
"""How memory is measured → difference of two peaks from which on they are told apart.

Repeated measurements of one model in fresh processes differ by 0.2 MiB on a CPU, and pages of code that come
in by chance are 0.5 MiB; memory allocated on CUDA was not measured, so 1 MiB there is a precaution.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeakRatio:
    """Peak memory as a multiple of the reference's; one measurement of each, so there is no interval.

    Attributes:
        ratio: Arm / reference.
        difference_bytes: Arm minus reference.
        distinguishable: Whether the two lie further apart than repeated measurements of one model may.
        resolution: By how much of the reference's peak those may differ.
    """

    ratio: float
    difference_bytes: int
    distinguishable: bool
    resolution: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CostRatios:
    """What an arm costs in one condition, as multiples of its reference's cost.

    Attributes:
        params: Ratio of parameters, exact; None where the reference has none.
        macs: Ratio of multiply-accumulates, exact; None where the reference has none.
        macs_agree: Whether two counters agreed on both the arm and its reference.
        inference: Paired ratio of the time of a forward pass, or None without samples.
        training: Paired ratio of the time of a training step, or None without samples.
        inference_memory: Ratio of peak memory in inference, or None where the reference took none.
        training_memory: Ratio of peak memory in training, or None.
        timings: How each protocol was timed at the measurement's own batch size.
        condition: Precision, mode and layout in words.
        is_plain: Whether mode and layout are the usual ones.
        times: Every paired ratio of time, those at further batch sizes included.
        record: Digest of the measurement.
        setting: What it was taken at, in words.
        batch_size: Images in a call, where no other batch is named.
        input: Size of the images in words.
        memory_kind: What memory is measured as.
    """

    params: float | None
    macs: float | None
    macs_agree: bool
    inference: Ratio | None
    training: Ratio | None
    inference_memory: PeakRatio | None
    training_memory: PeakRatio | None
    timings: tuple[Timing, ...]
    condition: str = ""
    is_plain: bool = True
    times: tuple[TimeRatio, ...] = ()
    record: str = ""
    setting: str = ""
    batch_size: int | None = None
    input: str = ""
    memory_kind: str = ""

    def timing(self, protocol: str) -> Timing | None:
        """How `inference` or `training` was timed, where the record tells."""
        return next((timing for timing in self.timings if timing.protocol == protocol), None)

    def time(self, protocol: str, batch_size: int) -> TimeRatio | None:
        """Ratio of time at this batch size, where it was measured."""
        found = (time for time in self.times if time.protocol == protocol)
        return next((time for time in found if time.batch_size == batch_size), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """Times that could not be compared.

    Attributes:
        what: Which ones.
        why: What stood against it.
    """

    what: str
    why: str


def cost_ratios(
    measured: Measured, arm: str, reference: str | None
) -> tuple[CostRatios | None, tuple[Unusable, ...]]:
    """Compare what two arms cost in one condition.

    Args:
        measured: The measurement.
        arm: The arm.
        reference: What it is compared with.

    Returns:
        The ratios, or None where an arm was not measured; and which times could not be compared.
    """
    result = measured.result
    own, other = measured.cost(arm), measured.cost(reference)
    if own is None or other is None or reference is None:
        return None, ()
    times, unusable = _times(measured, arm, reference)
    at_own = {time.protocol: time.ratio for time in times if time.batch_size == result.batch_size}
    ratios = CostRatios(
        params=_quotient(own.params, other.params),
        macs=_quotient(own.macs, other.macs),
        macs_agree=own.macs_agree and other.macs_agree,
        inference=at_own.get("inference"),
        training=at_own.get("training"),
        inference_memory=_peak(own, other, "inference", result.memory_kind),
        training_memory=_peak(own, other, "training", result.memory_kind),
        timings=tuple(timing for timing in result.timings if timing.batch_size in (None, result.batch_size)),
        condition=measured.condition,
        is_plain=is_plain(result),
        times=times,
        record=measured.stored.record.digest,
        setting=setting_of(result),
        batch_size=result.batch_size,
        input=input_of(result),
        memory_kind=result.memory_kind,
    )
    return ratios, unusable


def samples_of(measured: Measured) -> Mapping[str, np.ndarray]:
    """The raw samples of a measurement; nothing where they cannot be read."""
    samples = _read(measured)
    return {} if isinstance(samples, Exception) else samples


def time_ratio(
    measured: Measured,
    call: Called,
    samples: Mapping[str, np.ndarray] | Exception,
    arms: tuple[str, str],
) -> TimeRatio | Exception:
    """The ratio of one call's times, or why there is none.

    Args:
        measured: The measurement.
        call: The call.
        samples: The raw samples, or why they cannot be used.
        arms: What stands for the arm and for its reference in the names of the samples.
    """
    if isinstance(samples, Exception):
        return samples
    try:
        ratio = paired_ratio(*(samples[f"{call.samples}/{name}"] for name in (*arms, TWIN)))
    except (ValueError, KeyError) as error:
        return error
    timing = timing_of(measured.result, call.protocol, call.batch_size)
    return TimeRatio(protocol=call.protocol, batch_size=call.batch_size, ratio=ratio, timing=timing)


def moved_in_words(ratio: Ratio) -> str:
    """How far a ratio of time moved while it was measured, or an empty text where it did not."""
    if not ratio.drift.detected:
        return ""
    return f"the ratio moved to {words.factor(ratio.drift.total)} of its first value while measured"


def _times(
    measured: Measured, arm: str, reference: str
) -> tuple[tuple[TimeRatio, ...], tuple[Unusable, ...]]:
    times: list[TimeRatio] = []
    unusable: list[Unusable] = []
    samples = _samples(measured, reference)
    for call in _shared(measured, arm, reference):
        time = time_ratio(measured, call, samples, (arm, reference))
        if isinstance(time, TimeRatio):
            times.append(time)
        else:
            swept = "" if call.batch_size == measured.result.batch_size else f" at batch {call.batch_size}"
            why = f"the raw samples cannot be used: {time}"
            unusable.append(Unusable(what=f"{call.protocol} time{swept}", why=why))
    return tuple(times), tuple(unusable)


def _samples(measured: Measured, reference: str) -> Mapping[str, np.ndarray] | Exception:
    """The raw samples, or why they cannot be used."""
    if reference != measured.result.reference:
        return ValueError(f"they are timed against {measured.result.reference}, not {reference}")
    return _read(measured)


def _read(measured: Measured) -> Mapping[str, np.ndarray] | Exception:
    try:
        return measured.stored.samples()
    except (SwatbenchError, OSError, ValueError) as error:
        return error


def _shared(measured: Measured, arm: str, reference: str) -> tuple[Called, ...]:
    """Calls that were timed for both."""
    own, other = (
        {(call.protocol, call.batch_size): call for call in measured.calls(name)} for name in (arm, reference)
    )
    return tuple(call for key, call in own.items() if key in other)


def _peak(own: ArmCost, reference: ArmCost, protocol: Protocol, kind: str) -> PeakRatio | None:
    peak, other = own.peak_bytes(protocol), reference.peak_bytes(protocol)
    if peak is None or not other:
        return None
    difference = peak - other
    return PeakRatio(
        ratio=peak / other,
        difference_bytes=difference,
        distinguishable=abs(difference) > RESOLUTION_BYTES[kind],
        resolution=RESOLUTION_BYTES[kind] / other,
    )


def _quotient(own: int | None, reference: int | None) -> float | None:
    return own / reference if own is not None and reference else None
