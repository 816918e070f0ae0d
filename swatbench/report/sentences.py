"""Comparisons → sentences: the effect and its interval first, and always how many seeds it rests on."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from swatbench.report import words
from swatbench.report.accuracy import Accuracy
from swatbench.report.comparison import Comparison, CostRatios
from swatbench.report.conditions import is_plain
from swatbench.report.section import Section
from swatbench.report.selection import Measured
from swatbench.stats.accuracy import FEW_SEEDS, ImageDifference, SeedDifference
from swatbench.stats.ratios import Ratio
from swatbench.store.cost import Timing

MAC = (
    "One MAC is one multiplication with one addition; MACs are those of one image's forward pass, counted by "
    "fvcore with attention, norms and pooling included. A second counter, torch's, was compared with it on "
    "the convolutions and matrix products of every arm that was measured; both agreed where nothing is "
    "marked “counters disagree”."
)
"""What is counted, and by what it was checked."""

COUNTERS_DISAGREE = "counters disagree"
"""Mark of MACs on which the two counters do not agree."""

UNSETTLED = "warm-up did not settle"
"""Mark of times whose warm-up ended because it had lasted long enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """What one comparison says.

    Attributes:
        subject: Pair and arm.
        effect: The difference in accuracy, or what stands in its place.
        accuracy: What the difference rests on.
        unlike: In what versions and commits the two sides differ, or an empty text.
        cost: What the arm costs.
    """

    subject: str
    effect: str
    accuracy: str
    unlike: str
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
        unlike="; ".join(item.accuracy.unlike) if item.accuracy else "",
        cost=f"{_where(item)}{'; '.join(_cost(item.cost))}" if item.cost else "not compared",
    )


def condition_in_words(section: Section) -> str:
    """In which condition the cost is that figures show; an empty text where there is but the usual one."""
    headlines: dict[str, list[str]] = {}
    for runs in section.pairs:
        if runs.measured is not None:
            headlines.setdefault(runs.measured.condition, []).append(runs.pair)
    every = [measured for runs in section.pairs for measured in runs.conditions]
    several = any(len(runs.conditions) > 1 for runs in section.pairs)
    if not several and len(headlines) < 2 and all(is_plain(measured.result) for measured in every):
        return ""
    told = [*headlines] if len(headlines) == 1 else [f"{c} ({words.listed(p)})" for c, p in headlines.items()]
    further = " Further conditions are in the tables." if several else ""
    return f"Cost is that in {words.listed(told)}.{further}"


def measured_in_words(costs: Iterable[Measured]) -> str:
    """What was timed and what memory means, as the records say it, each wording once."""
    texts = dict.fromkeys(
        f"Timed: {cost.result.measured.rstrip('.')}. Memory: {_memory(cost)}." for cost in costs
    )
    return " ".join(texts)


def tally(sections: Sequence[Section], damaged: int) -> str:
    """How many cells finished, failed, were left out or are damaged."""
    finished = sum(len(section.reported) for section in sections)
    failed = sum(len(section.failed) for section in sections)
    left_out = sum(len(section.left_out) for section in sections)
    parts = [f"{words.count(finished, 'cell')} finished", f"{words.whole(failed)} failed"]
    parts += [f"{words.whole(left_out)} left out"] if left_out else []
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


def _where(item: Comparison) -> str:
    """The condition that the cost is of, where it is not the only one or not the usual one."""
    if item.cost is None or (item.cost.is_plain and len(item.costs) == 1):
        return ""
    further = len(item.costs) - 1
    others = f" ({words.count(further, 'further condition')} in the table of ratios)" if further else ""
    return f"in {item.cost.condition}{others}: "


def _cost(cost: CostRatios) -> Iterator[str]:
    yield f"{words.factor(cost.macs)} × MACs{'' if cost.macs_agree else f' ({COUNTERS_DISAGREE})'}"
    yield f"{words.factor(cost.params)} × parameters"
    yield _time(cost.inference, "latency", cost.timing("inference"))
    if cost.training is not None:
        yield _time(cost.training, "training step", cost.timing("training"))
    if cost.inference_peak is not None:
        yield f"{words.factor(cost.inference_peak)} × inference memory (one measurement)"
    if cost.training_peak is not None:
        yield f"{words.factor(cost.training_peak)} × training memory (one measurement)"


def _time(ratio: Ratio | None, noun: str, timing: Timing | None) -> str:
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
    text = f"{text}{drift}" if ratio.drift.detected else text
    return f"{text}, {UNSETTLED}" if timing and not timing.settled else text


def _memory(cost: Measured) -> str:
    if cost.result.memory_kind == "allocated":
        return "peak bytes allocated by torch on the device"
    return "growth of the peak resident set of a fresh process"
