"""A section → the values that a limit is set against, each with its interval and what it rests on."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from swatbench.report import words
from swatbench.report.comparison import Comparison
from swatbench.report.cost_words import COUNTERS_DISAGREE, ONE_MEASUREMENT, UNSETTLED
from swatbench.report.ratios import CostRatios, PeakRatio, moved_in_words
from swatbench.report.section import Section
from swatbench.spec.cost import Protocol
from swatbench.stats.accuracy import FEW_SEEDS
from swatbench.stats.ratios import Ratio

NAMES: Mapping[str, str] = MappingProxyType(
    {
        "max_latency_ratio": "latency",
        "max_training_ratio": "training step",
        "max_params_ratio": "parameters",
        "max_macs_ratio": "MACs",
        "max_inference_memory_ratio": "inference memory",
        "max_training_memory_ratio": "training memory",
        "min_gain_points": "points",
    }
)
"""Name of a gate → what it limits, in words."""

GAIN = "min_gain_points"
"""The gate that is about accuracy; all others are about cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A value that a limit is set against.

    Attributes:
        reference: Arm that it is compared with.
        value: Ratio of cost to the reference's, or difference in percentage points.
        low: Lower end of its 95 % interval, or of what repeated measurements may differ by; None where it is
            exact.
        high: Upper end, alike.
        floor: A/A floor, for a ratio of time.
        effect: The value with its interval, in words.
        rests_on: What it rests on, in words.
        doubt: Why it decides nothing, whatever its interval, or an empty text.
    """

    reference: str
    value: float
    low: float | None = None
    high: float | None = None
    floor: float | None = None
    effect: str
    rests_on: str
    doubt: str = ""


def limited(section: Section, name: str) -> str:
    """What a gate limits in a section, in words: a gain is one in its metric.

    Args:
        section: The machine's section.
        name: A key of `NAMES`.
    """
    return section.metric.points if name == GAIN else NAMES[name]


def values_of(section: Section, pair: str, arm: str, name: str) -> tuple[Found, ...]:
    """What a section says of one arm under one gate's name: one value a measurement, or none.

    Args:
        section: The machine's section.
        pair: Name of the pair.
        arm: The arm.
        name: A key of `NAMES`.
    """
    items = [item for item in section.comparisons if (item.pair, item.arm) == (pair, arm)]
    if name == GAIN:
        return tuple(found for item in items for found in _gain(item))
    found = [value for item in items for cost in item.costs for value in _cost(item, cost, name)]
    # Counts are a model's own, so those of further conditions count only where they differ.
    return tuple({(value.reference, value.effect, value.rests_on): value for value in found}.values())


def _gain(item: Comparison) -> Iterator[Found]:
    if item.accuracy is None:
        return
    seeds, images = item.accuracy.seeds, item.accuracy.images
    points = f"{words.signed(seeds.points)} {item.accuracy.metric.points}"
    if seeds.seeds > 1:
        few = "" if seeds.seeds >= FEW_SEEDS else ", if differences are normal"
        told = f"{points} (95 % CI {words.between(seeds.low, seeds.high)})"
        none = "the same difference in each, so no interval" if seeds.low is None else ""
        rests_on = f"across {seeds.seeds} seeds{few}"
        yield _points(item, seeds.points, (seeds.low, seeds.high), told, rests_on, none)
    elif images is not None:
        told = f"{points} (95 % CI {words.between(images.low, images.high)})"
        rests_on = (
            f"1 seed, so these checkpoints on {words.count(images.images, 'image')}, not training again"
        )
        yield _points(item, images.points, (images.low, images.high), told, rests_on, "")
    else:
        yield _points(item, seeds.points, (None, None), points, "1 seed", "1 seed and no predictions")


def _points(
    item: Comparison,
    value: float,
    ends: tuple[float | None, float | None],
    effect: str,
    rests_on: str,
    doubt: str,
) -> Found:
    return Found(
        reference=item.reference,
        value=value,
        low=ends[0],
        high=ends[1],
        effect=effect,
        rests_on=rests_on,
        doubt=doubt,
    )


def _cost(item: Comparison, cost: CostRatios, name: str) -> Iterator[Found]:
    what = NAMES[name]
    times: dict[str, tuple[Protocol, Ratio | None]] = {
        "max_latency_ratio": ("inference", cost.inference),
        "max_training_ratio": ("training", cost.training),
    }
    counts = {"max_params_ratio": cost.params, "max_macs_ratio": cost.macs}
    peaks = {
        "max_inference_memory_ratio": cost.inference_memory,
        "max_training_memory_ratio": cost.training_memory,
    }
    protocol, ratio = times.get(name, (None, None))
    peak, value = peaks.get(name), counts.get(name)
    if protocol is not None and ratio is not None:
        yield _time(item, cost, what, ratio, protocol)
    if peak is not None:
        yield _peak(item, cost, what, peak)
    if value is not None:
        doubtful = name == "max_macs_ratio" and not cost.macs_agree
        yield Found(
            reference=item.reference,
            value=value,
            effect=f"{words.factor(value)} × {what}",
            rests_on="counted, so exact",
            doubt=COUNTERS_DISAGREE if doubtful else "",
        )


def _peak(item: Comparison, cost: CostRatios, what: str, peak: PeakRatio) -> Found:
    apart = f"told apart from {words.decimal(100 * peak.resolution)} % on"
    return Found(
        reference=item.reference,
        value=peak.ratio,
        low=peak.ratio - peak.resolution,
        high=peak.ratio + peak.resolution,
        effect=f"{words.factor(peak.ratio)} × {what}",
        rests_on=f"{ONE_MEASUREMENT}, {apart}, at {cost.setting}",
    )


def _time(item: Comparison, cost: CostRatios, what: str, ratio: Ratio, protocol: Protocol) -> Found:
    timing = cost.timing(protocol)
    unsettled = UNSETTLED if timing and not timing.settled else ""
    floor = f"A/A floor {words.factor(ratio.floor)}"
    rests_on = [
        words.count(ratio.rounds, "round"),
        floor,
        f"at {cost.setting}",
        moved_in_words(ratio),
        unsettled,
    ]
    interval = f" (95 % CI {words.factors(ratio.low, ratio.high)})" if ratio.enough else ""
    return Found(
        reference=item.reference,
        value=ratio.ratio,
        low=ratio.low if ratio.enough else None,
        high=ratio.high if ratio.enough else None,
        floor=ratio.floor,
        effect=f"{words.factor(ratio.ratio)} × {what}{interval}",
        rests_on=", ".join(filter(None, rests_on)),
        doubt="" if ratio.enough else f"{words.count(ratio.rounds, 'round')}: too few to decide",
    )
