"""Times of a profile: quantiles with intervals, paired ratios or the A/A floor, and the roofline."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from swatbench.report import words
from swatbench.report.conditions import CALLS, Called
from swatbench.report.costs import ratio_verdict
from swatbench.report.latencies import QUANTILES
from swatbench.report.profile_table import ProfileTable, arms_of, batch_in_words
from swatbench.report.ratios import CostRatios, TimeRatio, Unusable, cost_ratios, samples_of
from swatbench.report.rooflines import percent, roofs
from swatbench.report.selection import Measured
from swatbench.stats.quantiles import QuantileInterval, quantile_interval
from swatbench.stats.ratios import paired_ratio
from swatbench.store.cost import TWIN

_UNITS = {"min": 60.0, "s": 1.0, "ms": 1e-3, "µs": 1e-6}


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """Time of one call of one arm.

    Attributes:
        arm: The arm.
        call: What was called.
        quantiles: Name of a quantile → it, in seconds for one call, with its interval.
    """

    arm: str
    call: Called
    quantiles: Mapping[str, QuantileInterval]

    @property
    def images_per_s(self) -> float | None:
        """Images a second at the median time."""
        median_s = self.quantiles["p50"].value
        return self.call.batch_size / median_s if median_s > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """What ratio the machine gave to two copies of one model.

    Attributes:
        call: What was called.
        floor: The A/A floor, a factor of at least 1.
        rounds: Rounds that it rests on.
    """

    call: Called
    floor: float
    rounds: int


def timed(measured: Measured) -> tuple[Timed, ...]:
    """Every call of every arm with raw samples: equal calls together, the reference first."""
    samples = samples_of(measured)
    found = [
        Timed(arm=cost.arm, call=call, quantiles=_quantiles(seconds))
        for cost in arms_of(measured)
        for call in measured.calls(cost.arm)
        if (seconds := samples.get(f"{call.samples}/{cost.arm}")) is not None and seconds.size
    ]
    order = list(dict.fromkeys((one.call.protocol, one.call.batch_size) for one in found))
    return tuple(sorted(found, key=lambda one: order.index((one.call.protocol, one.call.batch_size))))


def ratios(measured: Measured) -> Iterator[tuple[str, CostRatios, tuple[Unusable, ...]]]:
    """Every arm but the reference, its ratios of cost, and what could not be compared."""
    reference, *others = arms_of(measured)
    for cost in others:
        found, unusable = cost_ratios(measured, cost.arm, reference.arm)
        if found is not None:
            yield cost.arm, found, unusable


def floors(measured: Measured) -> tuple[Floor, ...]:
    """The A/A floor of every call of the reference, where a second copy was timed beside it."""
    samples, reference = samples_of(measured), measured.result.reference
    return tuple(
        Floor(call=call, floor=paired_ratio(twin, own, twin).floor, rounds=own.size)
        for call in measured.calls(reference)
        if (own := samples.get(f"{call.samples}/{reference}")) is not None
        and (twin := samples.get(f"{call.samples}/{TWIN}")) is not None
    )


def times_tables(measured: Measured) -> Iterator[ProfileTable]:
    """Quantiles of the time of one call, and images a second; of several models in two tables."""
    found = timed(measured)
    batch = f"Time of one call on a batch ({batch_in_words(measured.result)}, or as stated)"
    quantiles = (
        "quantiles of the samples with 95 % intervals\n(order statistics; ? where samples are too few)"
    )
    if len(measured.result.arms) == 1:
        title = f"{batch};\nimages/s at the median; {quantiles}"
        yield ProfileTable(
            title=title,
            columns=("call", "batch", *QUANTILES, "images/s"),
            rows=tuple((*_called(one), *_spreads(one, QUANTILES), _rate(one)) for one in found),
        )
        return
    # One line has no room for names and all quantiles.
    middle, tail = [*QUANTILES][:1], [*QUANTILES][1:]
    yield ProfileTable(
        title=f"{batch},\nand images/s at the median: {quantiles}",
        columns=("call", "batch", "model", *middle, "images/s"),
        rows=tuple((*_called(one), one.arm, *_spreads(one, middle), _rate(one)) for one in found),
    )
    yield ProfileTable(
        title=f"The same times at the slow end: {quantiles}",
        columns=("call", "batch", "model", *tail),
        rows=tuple((*_called(one), one.arm, *_spreads(one, tail)) for one in found),
    )


def ratios_table(measured: Measured) -> ProfileTable:
    """Paired ratios of time with interval, floor and verdict; of one model, the floor."""
    reference = measured.result.reference
    if len(measured.result.arms) == 1:
        return ProfileTable(
            title="A/A floor: the ratio of time that a second copy of the model gave in the same rounds; a "
            "difference\nbelow it could not be told from chance",
            columns=("call", "batch", "A/A floor", "rounds"),
            rows=tuple(_floor_row(one) for one in floors(measured)),
        )
    return ProfileTable(
        title=f"Ratio of time to {reference}: median of paired ratios with 95 % interval; A/A floor: that of "
        "its second\ncopy. Told apart is what differs from both copies, and by more than they do",
        columns=("call", "batch", "model", "ratio", "95 % CI", "A/A floor", "verdict"),
        rows=tuple(
            row for arm, found, unusable in ratios(measured) for row in _ratio_rows(arm, found, unusable)
        ),
    )


def roofline_table(measured: Measured) -> ProfileTable | None:
    """How near each call comes to what the machine can do, where its peaks were measured."""
    found = [(cost.arm, roof) for cost in arms_of(measured) for roof in roofs(cost, measured.result)]
    if not found:
        return None
    peaks = found[0][1].peaks
    return ProfileTable(
        title=f"Roofline (2 FLOP a MAC): best measured rates {words.in_unit(peaks.flops_per_s, 'FLOP/s')} "
        f"and {words.in_unit(peaks.bytes_per_s, 'B/s')};\nattainable at these without caches and fusion, "
        "reached = attainable / measured,\nnearer: the nearer limit; the optimizer is in the measured time "
        "alone",
        columns=("call", "model", "FLOP/B", "attainable", "measured", "reached", "nearer", "MFU"),
        rows=tuple(
            (
                CALLS[roof.protocol],
                arm,
                words.factor(roof.intensity),
                words.duration(roof.attainable_s),
                words.duration(roof.measured_s),
                percent(roof.share),
                roof.bound,
                words.NOTHING if roof.mfu is None else percent(roof.mfu),
            )
            for arm, roof in found
        ),
    )


def _quantiles(seconds: np.ndarray) -> dict[str, QuantileInterval]:
    return {name: quantile_interval(seconds, q) for name, q in QUANTILES.items()}


def _called(one: Timed) -> tuple[str, str]:
    return CALLS[one.call.protocol], words.whole(one.call.batch_size)


def _spreads(one: Timed, names: Iterable[str]) -> Iterator[str]:
    return (_spread(one.quantiles[name]) for name in names)


def _rate(one: Timed) -> str:
    return words.quantity(one.images_per_s)


def _spread(found: QuantileInterval) -> str:
    """A quantile and its interval in one unit.

    Example:
        >>> _spread(QuantileInterval(value=0.0123, low=0.0121, high=None, n=20))
        '12.3 ms (12.1–?)'
    """
    shown = words.duration(found.value)
    unit_s = _UNITS[shown.rpartition(" ")[2]]
    low, high = ("?" if end is None else words.factor(end / unit_s) for end in (found.low, found.high))
    return f"{shown} ({low}–{high})"


def _floor_row(one: Floor) -> tuple[str, ...]:
    batch = words.whole(one.call.batch_size)
    return (CALLS[one.call.protocol], batch, words.factor(one.floor), words.whole(one.rounds))


def _ratio_rows(arm: str, found: CostRatios, unusable: tuple[Unusable, ...]) -> Iterator[tuple[str, ...]]:
    yield from (_ratio_row(arm, time) for time in found.times)
    yield from ((one.what, "", arm, *[words.NOTHING] * 3, one.why) for one in unusable)


def _ratio_row(arm: str, time: TimeRatio) -> tuple[str, ...]:
    ratio = time.ratio
    return (
        CALLS[time.protocol],
        words.whole(time.batch_size),
        arm,
        words.factor(ratio.ratio),
        words.factors(ratio.low, ratio.high) if ratio.enough else words.NOTHING,
        words.factor(ratio.floor),
        ratio_verdict(ratio, time.timing),
    )
