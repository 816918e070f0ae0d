"""Comparisons → sentences: the effect and its interval first, and always how many seeds it rests on."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from swatbench.report import words
from swatbench.report.accuracy import Accuracy
from swatbench.report.comparison import Comparison, CostRatios
from swatbench.report.conditions import MEMORY_KINDS, is_plain
from swatbench.report.ratios import moved_in_words
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

_COARSE = "resident growth"
_LATENCY = 2
"""Place of the time of a forward pass in what `_cost` tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """What one comparison says.

    Attributes:
        subject: Pair and arm.
        effect: The difference in accuracy, or what stands in its place: where nothing is trained, the ratio
            of latency.
        accuracy: What the difference rests on.
        unlike: In what versions and commits the two sides differ, or an empty text.
        cost: What the arm costs.
    """

    subject: str
    effect: str
    accuracy: str
    unlike: str
    cost: str


def claims(section: Section) -> tuple[Sentence, ...]:
    """Say what each comparison of a section shows, in its usual setting unless it says otherwise."""
    trained = any(runs.trained for runs in section.pairs)
    trains = trained or any(stored.record.cell.get("kind") == "train" for stored in section.failed)
    usual = _usual(section)
    return tuple(sentence(item, usual=usual, trains=trains) for item in section.comparisons)


def setting_in_words(section: Section) -> str:
    """At what the costs were taken that the sentences tell, where there are any."""
    usual = _usual(section)
    return f"Cost at {usual}, unless said otherwise." if usual else ""


def sentence(item: Comparison, *, usual: str | None = None, trains: bool = True) -> Sentence:
    """Say what one comparison shows.

    Args:
        item: The comparison.
        usual: Setting of a cost that needs no word; None where no setting is to be said.
        trains: Whether its suite trains models; else the time of a forward pass leads.
    """
    costs, where = list(_cost(item.cost) if item.cost else ()), _where(item, usual)
    accuracy = ""
    if item.accuracy:
        effect = f"{words.signed(item.accuracy.seeds.points)} points top-1"
        accuracy = f"{_images(item.accuracy)}; {_seeds(item.accuracy.seeds)}"
    elif trains or not costs:
        effect = "accuracy not compared"
    else:
        effect, where = f"{where}{costs.pop(_LATENCY)}", ""
    return Sentence(
        subject=f"{item.pair}: {item.arm} against {item.reference}",
        effect=effect,
        accuracy=accuracy,
        unlike="; ".join(item.accuracy.unlike) if item.accuracy else "",
        cost=f"{where}{'; '.join(costs)}" if costs else "not compared",
    )


def condition_in_words(section: Section) -> str:
    """In which condition the cost is that figures show; an empty text where there is but the usual one."""
    headlines: dict[str, list[str]] = {}
    for runs in section.pairs:
        if runs.measured is not None:
            headlines.setdefault(runs.measured.condition, []).append(runs.pair)
    every = [measured for runs in section.pairs for measured in runs.conditions]
    several = any(len({item.condition for item in runs.conditions}) > 1 for runs in section.pairs)
    if not several and len(headlines) < 2 and all(is_plain(measured.result) for measured in every):
        return ""
    told = [*headlines] if len(headlines) == 1 else [f"{c} ({words.listed(p)})" for c, p in headlines.items()]
    further = " Further conditions are in the tables." if several else ""
    return f"Cost is that in {words.listed(told)}.{further}"


def measured_in_words(costs: Iterable[Measured]) -> str:
    """What was timed and what memory means, as the records say it, each wording once."""
    texts = dict.fromkeys(
        f"Timed: {cost.result.measured.rstrip('.')}. Memory: {MEMORY_KINDS[cost.result.memory_kind]}."
        for cost in costs
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


def one_measurement(cost: CostRatios) -> str:
    """What a ratio of memory rests on."""
    return "one measurement" if cost.memory_kind != _COARSE else f"{_COARSE}, one measurement"


def _usual(section: Section) -> str:
    """The setting of most comparisons, the first of them where several are as frequent."""
    settings = Counter(item.cost.setting for item in section.comparisons if item.cost)
    return max(settings, key=lambda setting: settings[setting], default="")


def _where(item: Comparison, usual: str | None) -> str:
    """What the cost was taken at, where it is not the only one or not the usual one."""
    if item.cost is None:
        return ""
    further = len(item.costs) - 1
    alike = len({cost.condition for cost in item.costs}) <= further
    noun = "further measurement" if alike else "further condition"
    others = f" ({words.count(further, noun)} in the table of ratios)" if further else ""
    if usual is not None and item.cost.setting != usual:
        return f"at {item.cost.setting}{others}: "
    return "" if item.cost.is_plain and not others else f"in {item.cost.condition}{others}: "


def _cost(cost: CostRatios) -> Iterator[str]:
    yield f"{words.factor(cost.macs)} × MACs{'' if cost.macs_agree else f' ({COUNTERS_DISAGREE})'}"
    yield f"{words.factor(cost.params)} × parameters"
    yield _time(cost.inference, "latency", cost.timing("inference"))
    if cost.training is not None:
        yield _time(cost.training, "training step", cost.timing("training"))
    if cost.inference_peak is not None:
        yield f"{words.factor(cost.inference_peak)} × inference memory ({one_measurement(cost)})"
    if cost.training_peak is not None:
        yield f"{words.factor(cost.training_peak)} × training memory ({one_measurement(cost)})"


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
    unsettled = UNSETTLED if timing and not timing.settled else ""
    return ", ".join(filter(None, (text, moved_in_words(ratio), unsettled)))
