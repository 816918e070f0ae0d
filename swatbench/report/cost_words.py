"""Ratios of cost → words: what can be told apart first, then what cannot."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from swatbench.report import words
from swatbench.report.ratios import CostRatios, PeakRatio, moved_in_words
from swatbench.stats.ratios import Ratio
from swatbench.store.cost import Timing

COUNTERS_DISAGREE = "counters disagree"
"""Mark of MACs on which the two counters do not agree."""

UNSETTLED = "warm-up did not settle"
"""Mark of times whose warm-up ended because it had lasted long enough."""

ONE_MEASUREMENT = "one measurement"
"""What every ratio of memory rests on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One cost, in words.

    Attributes:
        what: Which cost.
        text: The whole of what is said of it.
        same: What is said of it behind "not distinguishable in"; an empty text where it was told apart.
    """

    what: str
    text: str
    same: str = ""


def cost_in_words(cost: CostRatios) -> tuple[Part, ...]:
    """Say what an arm costs, one part for each cost, in the order of tables."""
    return tuple(_parts(cost))


def joined(parts: Sequence[Part]) -> str:
    """Parts as one sentence: ratios first, then in what the arm cannot be told from its reference."""
    told = [part.text for part in parts if not part.same]
    same = [part.same for part in parts if part.same]
    return ", ".join([*told, *([f"not distinguishable in {words.listed(same)}"] if same else [])])


def _parts(cost: CostRatios) -> Iterator[Part]:
    remark = "" if cost.macs_agree else f" ({COUNTERS_DISAGREE})"
    yield Part(what="MACs", text=f"{words.factor(cost.macs)} × MACs{remark}")
    yield Part(what="parameters", text=f"{words.factor(cost.params)} × parameters")
    yield _time(cost.inference, "latency", cost.timing("inference"))
    if cost.training is not None:
        yield _time(cost.training, "training step", cost.timing("training"))
    if cost.inference_memory is not None:
        yield _peak(cost.inference_memory, "inference memory")
    if cost.training_memory is not None:
        yield _peak(cost.training_memory, "training memory")


def _time(ratio: Ratio | None, noun: str, timing: Timing | None) -> Part:
    if ratio is None:
        return Part(what=noun, text=f"{noun} not compared")
    unsettled = UNSETTLED if timing and not timing.settled else ""
    remarks = [*filter(None, (moved_in_words(ratio), unsettled))]
    interval = words.factors(ratio.low, ratio.high)
    if not ratio.enough:
        rounds = words.count(ratio.rounds, "round")
        told = "; ".join((f"{rounds}: too few to decide", *remarks))
        return Part(what=noun, text=f"{words.factor(ratio.ratio)} × {noun} ({told})")
    if ratio.distinguishable:
        return Part(
            what=noun, text=f"{words.factor(ratio.ratio)} × {noun} ({'; '.join((interval, *remarks))})"
        )
    told = "; ".join((interval, f"A/A floor {words.factor(ratio.floor)}", *remarks))
    return Part(what=noun, text=f"not distinguishable in {noun} ({told})", same=f"{noun} ({told})")


def _peak(peak: PeakRatio, noun: str) -> Part:
    if peak.distinguishable:
        return Part(what=noun, text=f"{words.factor(peak.ratio)} × {noun} ({ONE_MEASUREMENT})")
    told = f"{noun} ({words.size(abs(peak.difference_bytes))} apart)"
    return Part(what=noun, text=f"not distinguishable in {told}", same=told)
