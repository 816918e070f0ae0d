"""Comparisons → sentences: the effect and its interval first, and always how many seeds it rests on."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from swatbench.report import words
from swatbench.report.comparison import Accuracy, Comparison, CostRatios
from swatbench.report.section import Section
from swatbench.report.selection import Measured
from swatbench.stats.accuracy import FEW_SEEDS, ImageDifference, SeedDifference
from swatbench.stats.ratios import Ratio

MAC = (
    "One MAC is one multiplication with one addition; MACs are those of one image's forward pass, counted by "
    "fvcore with attention, norms and pooling included."
)
"""What is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """What one comparison says.

    Attributes:
        subject: Pair and arm.
        effect: The difference in accuracy, or what stands in its place.
        accuracy: What the difference rests on.
        cost: What the arm costs.
    """

    subject: str
    effect: str
    accuracy: str
    cost: str


def sentence(item: Comparison) -> Sentence:
    """Say what one comparison shows."""
    if item.accuracy is None:
        effect, accuracy = "accuracy not compared", ""
    else:
        effect = f"{words.signed(item.accuracy.seeds.points)} points top-1"
        accuracy = f"{_images(item.accuracy)}; {_seeds(item.accuracy.seeds)}"
    return Sentence(
        subject=f"{item.pair}: {item.arm} against {item.reference}",
        effect=effect,
        accuracy=accuracy,
        cost="; ".join(_cost(item.cost)) if item.cost else "not compared",
    )


def measured_in_words(costs: Iterable[Measured]) -> str:
    """What was timed and what memory means, as the records say it, each wording once."""
    texts = dict.fromkeys(
        f"Timed: {cost.result.measured.rstrip('.')}. Memory: {_memory(cost)}." for cost in costs
    )
    return " ".join(texts)


def tally(sections: Sequence[Section], damaged: int) -> str:
    """How many cells finished, failed, were left out or are damaged."""
    older = sum(len(section.older) for section in sections)
    finished = sum(len(section.reported) for section in sections) + older
    failed = sum(len(section.failed) for section in sections)
    left_out = f" ({words.whole(older)} left out as older)" if older else ""
    parts = [f"{words.count(finished, 'cell')} finished{left_out}", f"{words.whole(failed)} failed"]
    parts += [f"{words.count(damaged, 'damaged record')} skipped"] if damaged else []
    return ", ".join(parts)


def _images(accuracy: Accuracy) -> str:
    images: ImageDifference | None = accuracy.images
    if images is None:
        return "not compared image by image"
    interval = words.between(images.low, images.high)
    verdict = "" if images.decided else ", not decided"
    checkpoints = words.count(2 * images.seeds, "checkpoint")
    return f"these {checkpoints} on these {words.count(images.images, 'image')}: 95 % CI {interval}{verdict}"


def _seeds(seeds: SeedDifference) -> str:
    if seeds.seeds == 1:
        return "1 seed: across seeds not decided, as one seed shows no spread"
    if seeds.low is None:
        return f"across {seeds.seeds} seeds: the same difference in each, so no interval, not decided"
    text = f"across {seeds.seeds} seeds: 95 % CI {words.between(seeds.low, seeds.high)}"
    if not seeds.decided:
        return f"{text}, not decided"
    if seeds.seeds < FEW_SEEDS:
        least = words.probability(seeds.smallest_p)
        return f"{text}, if differences are normal ({seeds.seeds} seeds allow no exact p below {least})"
    return text


def _cost(cost: CostRatios) -> Iterator[str]:
    yield f"{words.factor(cost.macs)} × MACs"
    yield f"{words.factor(cost.params)} × parameters"
    yield _time(cost.inference, "latency")
    if cost.training is not None:
        yield _time(cost.training, "training step")
    if cost.inference_peak is not None:
        yield f"{words.factor(cost.inference_peak)} × inference memory (one measurement)"
    if cost.training_peak is not None:
        yield f"{words.factor(cost.training_peak)} × training memory (one measurement)"


def _time(ratio: Ratio | None, noun: str) -> str:
    if ratio is None:
        return f"{noun} not compared"
    if not ratio.enough:
        text = (
            f"{words.factor(ratio.ratio)} × {noun} ({words.count(ratio.rounds, 'round')}: too few to decide)"
        )
    elif ratio.distinguishable:
        text = f"{words.factor(ratio.ratio)} × {noun} ({words.factors(ratio.low, ratio.high)})"
    else:
        interval = words.factors(ratio.low, ratio.high)
        floor = words.factor(ratio.floor)
        text = f"{noun} not distinguishable ({interval}; A/A floor {floor})"
    drift = f", which drifted by {words.factor(ratio.drift.total)} × while measured"
    return f"{text}{drift}" if ratio.drift.detected else text


def _memory(cost: Measured) -> str:
    if cost.result.memory_kind == "allocated":
        return "peak bytes allocated by torch on the device"
    return "growth of the peak resident set of a fresh process"
