"""Sections → what a point of accuracy costs: how much more of each cost, for each point gained."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from swatbench.report import words
from swatbench.report.comparison import Comparison
from swatbench.report.costs import measurements
from swatbench.report.families import seed_verdict
from swatbench.report.published import published_rows
from swatbench.report.ratios import CostRatios, PeakRatio
from swatbench.report.record_links import records_of
from swatbench.report.section import Section
from swatbench.report.table import Column, Table, make_table
from swatbench.report.tables import WHO, Link, Row, who
from swatbench.stats.ratios import Ratio


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """Points of accuracy that an arm gains.

    Attributes:
        points: The gain.
        low: Lower end of its interval across seeds, or None without one.
        high: Upper end, likewise.
        source: Where it is from: these runs or the paper.
        verdict: Whether it is decided.
    """

    points: float
    low: float | None
    high: float | None
    source: str
    verdict: str


def per_point_table(sections: Sequence[Section], link: Link) -> Table:
    """How much more of each cost an arm takes, in percent of its reference's, for each point it gains."""
    rows = [
        {"machine": section.machine, **who(item), **row, "records": (*records_of(section, item, link), *cost)}
        for section in sections
        for measured in [measurements(section, link)]
        for item, gain in _gains(section)
        if item.cost
        for cost in [(("cost", measured[item.cost.record]),)]
        for row in _rows(item.cost, gain)
    ]
    columns = (
        *WHO,
        Column(name="reference", title="Against"),
        Column(name="points", title="Gain, points", show=words.signed, numeric=True),
        Column(name="source", title="Accuracy from"),
        Column(name="quantity", title="Cost"),
        Column(name="more_percent", title="More of it, %", show=words.signed, numeric=True),
        Column(name="per_point_percent", title="% a point", show=_two, numeric=True),
        Column(name="interval", title="Range", shown_only=True),
        Column(name="verdict", title="Verdict"),
        Column(name="records", title="Records", links=True),
    )
    note = (
        "By how many percent of the reference's cost an arm costs more, divided by the points of accuracy "
        "that it gains; below zero, it costs less. The range takes the far ends of both intervals, so it "
        "holds the true value in at least 90 % of cases. Where the gain is not decided there is nothing to "
        "divide by. Published gains have no interval, and mix the structure with recipes of several papers."
    )
    extra = ("low_percent", "high_percent")
    return make_table("per_point", "What a point costs", note, columns, rows, extra=extra)


def _gains(section: Section) -> Iterator[tuple[Comparison, Gain]]:
    trained = any(runs.trained for runs in section.pairs)
    rows = () if trained else published_rows(section.metric)
    known = {(row.pair, row.arm): row.score_percent for row in rows}
    for item, adjusted in zip(section.comparisons, section.adjusted, strict=True):
        if item.accuracy and adjusted:
            seeds = item.accuracy.seeds
            verdict = seed_verdict(seeds, adjusted)
            yield (
                item,
                Gain(
                    points=seeds.points, low=seeds.low, high=seeds.high, source="these runs", verdict=verdict
                ),
            )
        elif {(item.pair, item.arm), (item.pair, item.reference)} <= known.keys():
            points = known[item.pair, item.arm] - known[item.pair, item.reference]
            yield item, Gain(points=points, low=None, high=None, source="published", verdict="published gain")


def _rows(cost: CostRatios, gain: Gain) -> Iterator[Row]:
    exact = {"MACs": cost.macs, "parameters": cost.params}
    times = {"forward pass": cost.inference, "training step": cost.training}
    peaks = {"peak memory, inference": cost.inference_memory, "peak memory, training": cost.training_memory}
    for quantity, ratio in {**exact, **times, **peaks}.items():
        if ratio is not None:
            yield {"quantity": quantity, **_row(ratio, gain)}


def _row(ratio: float | Ratio | PeakRatio, gain: Gain) -> Row:
    value = ratio.ratio if isinstance(ratio, Ratio | PeakRatio) else ratio
    low, high = (ratio.low, ratio.high) if isinstance(ratio, Ratio) else (value, value)
    told = not isinstance(ratio, Ratio | PeakRatio) or ratio.distinguishable
    shown = gain.points > 0 and not gain.verdict.startswith("not decided")
    ends = _ends(low, high, gain) if shown else None
    return {
        "points": gain.points,
        "source": gain.source,
        "more_percent": 100 * (value - 1),
        "per_point_percent": 100 * (value - 1) / gain.points if shown else None,
        "low_percent": ends[0] if ends else None,
        "high_percent": ends[1] if ends else None,
        "interval": words.between(*ends, 2) if ends else words.NOTHING,
        "verdict": _verdict(gain, told=told),
    }


def _ends(low: float, high: float, gain: Gain) -> tuple[float, float] | None:
    """The least and the most that a point can cost within both intervals."""
    if gain.low is None or gain.high is None or gain.low <= 0:
        return None
    every = [100 * (ratio - 1) / points for ratio in (low, high) for points in (gain.low, gain.high)]
    return min(every), max(every)


def _verdict(gain: Gain, *, told: bool) -> str:
    if gain.points <= 0:
        return "no gain" if not gain.verdict.startswith("not decided") else "gain not decided"
    if gain.verdict.startswith("not decided"):
        return "gain not decided"
    said = [] if told else ["cost not distinguishable"]
    return "; ".join([*said, *([gain.verdict] if gain.source == "published" else [])]) or gain.verdict


def _two(value: float) -> str:
    return words.decimal(value, 2)
