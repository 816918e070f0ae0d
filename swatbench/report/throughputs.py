"""Sections → throughput by batch size: a table, and a plot where several batches were timed."""

from collections.abc import Iterator, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from swatbench.report import words
from swatbench.report.call_rows import call_columns, call_row
from swatbench.report.canvas import INK, LINES, Drawing, Shade, colour_key, dot, draw, look_of, tip
from swatbench.report.comparison import Comparison
from swatbench.report.conditions import CALLS, Called, input_note
from swatbench.report.costs import costs_of, ratio_verdict
from swatbench.report.logarithmic import log_ticks
from swatbench.report.ratios import FLOOR, TimeRatio
from swatbench.report.section import Section
from swatbench.report.selection import Measured
from swatbench.report.table import Column, Table, make_table
from swatbench.report.tables import Link, Row
from swatbench.spec.cost import Protocol

_VERDICTS = {"more": "less", "less": "more"}
"""Verdict on a time → that on a throughput."""
_APART = 1.4
"""Least ratio of two batch sizes that are both labelled."""


def throughputs_table(sections: Sequence[Section], link: Link) -> Table:
    """Images a second of every call that was timed, and how they compare with the reference's."""
    rows = [row for section in sections for row in _rows(section, link)]
    columns = (
        *call_columns(rows),
        Column(name="images_per_s", title="Images/s", show=rate, numeric=True, link="record"),
        Column(name="ratio", title="× reference", show=words.factor, numeric=True),
        Column(name="interval", title="95 % CI", shown_only=True),
        Column(name="floor", title="A/A floor", show=words.factor, numeric=True),
        Column(name="verdict", title="Verdict"),
    )
    note = (
        "Images/s are the batch divided by the median time of a call. Ratios are medians of paired ratios, "
        f"turned round: above 1, the arm does more images in a second than its reference. {FLOOR}"
    )
    extra = ("protocol", "low", "high", "settled", "input", "condition", "record")
    note = f"{note} {input_note(rows)}".rstrip()
    return make_table("throughputs", "Throughput", note, columns, rows, extra=extra)


def throughput_curves(
    protocol: Protocol, section: Section, shades: dict[str, Shade], suffix: str
) -> Drawing | None:
    """Draw images a second against batch size, or nothing where no arm was timed at several.

    Args:
        protocol: Forward passes or training steps.
        section: The machine's section.
        shades: Pair → its look.
        suffix: End of the file's name.
    """
    lines = list(_lines(section, protocol))
    if not lines:
        return None
    others = list(dict.fromkeys(arm for _, arm, reference, _ in lines if not reference))
    styles = {
        arm: LINES[look_of(others, arm, len(LINES), reference=reference)] for _, arm, reference, _ in lines
    }
    spoken = "; ".join(
        f"{pair} {arm} {words.listed([f'{rate(y)} at {x}' for x, y in places])}"
        for pair, arm, _, places in lines
    )

    def paint(axes: Axes) -> None:
        for pair, arm, _, places in lines:
            look = {"color": shades[pair].colour, "linestyle": styles[arm]}
            axes.plot(*zip(*places, strict=True), linewidth=1.3, **look)
            for x, y in places:
                (marker,) = axes.plot(x, y, marker="o", markersize=4.5, color=shades[pair].colour)
                tip(marker, f"{pair}, {arm}, {CALLS[protocol]}\n{rate(y)} images/s at batch {words.whole(x)}")
                dot(axes, x, y, shades[pair])
        every = [place for *_, places in lines for place in places]
        _dress(axes, sorted({x for x, _ in every}), [y for _, y in every])

    return draw(
        f"throughput_{protocol}{suffix}",
        paint,
        legend=[
            *colour_key({pair: shades[pair] for pair, *_ in lines}),
            *(Line2D([], [], color=INK, linestyle=style, label=arm) for arm, style in styles.items()),
        ],
        title=f"Throughput against batch size, {CALLS[protocol]}.",
        caption="The batch divided by the median time of a call on it. Both axes are logarithmic.",
        alt=f"Images a second by batch size, {CALLS[protocol]}: {spoken}",
    )


def rate(images_per_s: float) -> str:
    """Images a second, to three digits or more.

    Example:
        >>> rate(1391.4), rate(45.67), rate(0.5)
        ('1,391', '45.7', '0.500')
    """
    return words.whole(images_per_s) if images_per_s >= 100 else words.factor(images_per_s)


def spaced(batches: Sequence[int]) -> list[int]:
    """Batch sizes that can be labelled on a logarithmic axis without their labels touching.

    Args:
        batches: Batch sizes, rising.

    Example:
        >>> spaced([1, 8, 10, 16, 256])
        [1, 8, 16, 256]
    """
    kept: list[int] = []
    for batch in batches:
        if not kept or batch >= _APART * kept[-1]:
            kept.append(batch)
    return kept


def _rows(section: Section, link: Link) -> Iterator[Row]:
    for measured, cost in costs_of(section):
        for call in measured.calls(cost.arm):
            if call.seconds.p50 > 0:
                size, said = call.batch_size, call.protocol
                who = call_row(section.machine, measured, cost.arm, said, batch_size=size, link=link)
                yield {
                    **who,
                    "images_per_s": size / call.seconds.p50,
                    **_ratio(_time(section.comparisons, measured, cost.arm, call)),
                }


def _time(comparisons: Sequence[Comparison], measured: Measured, arm: str, call: Called) -> TimeRatio | None:
    costs = (
        cost for item in comparisons if (item.pair, item.arm) == (measured.pair, arm) for cost in item.costs
    )
    same = (cost for cost in costs if cost.record == measured.stored.record.digest)
    return next((cost.time(call.protocol, call.batch_size) for cost in same), None)


def _ratio(time: TimeRatio | None) -> dict[str, Any]:
    """A ratio of times as one of images a second, whose ends change places."""
    if time is None:
        return {"interval": words.NOTHING, "verdict": words.NOTHING}
    ratio = time.ratio
    verdict, *remarks = ratio_verdict(ratio, time.timing).split("; ")
    remarks = [remark.replace("the ratio", "the ratio of times", 1) for remark in remarks]
    return {
        "ratio": 1 / ratio.ratio,
        "low": 1 / ratio.high if ratio.enough else None,
        "high": 1 / ratio.low if ratio.enough else None,
        "interval": words.factors(1 / ratio.high, 1 / ratio.low) if ratio.enough else words.NOTHING,
        "floor": ratio.floor,
        "settled": time.timing.settled if time.timing else None,
        "verdict": "; ".join([_VERDICTS.get(verdict, verdict), *remarks]),
    }


def _lines(section: Section, protocol: Protocol) -> Iterator[tuple[str, str, bool, list[tuple[int, float]]]]:
    """Pair, arm, whether it is the reference, and images a second by batch size, where there are several."""
    for runs in section.pairs:
        for arm in runs.arms if runs.measured else ():
            calls = runs.measured.calls(arm) if runs.measured else ()
            places = [
                (call.batch_size, call.batch_size / call.seconds.p50)
                for call in calls
                if call.protocol == protocol and call.seconds.p50 > 0
            ]
            if len(places) > 1:
                yield runs.pair, arm, arm == runs.reference, places


def _dress(axes: Axes, batches: Sequence[int], rates: Sequence[float]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(FixedLocator(spaced(batches)))
    axes.xaxis.set_major_formatter(lambda x, _: words.whole(x))
    axes.xaxis.set_minor_locator(NullLocator())
    log_ticks(axes.yaxis, rates)
    axes.set_xlabel("Batch size")
    axes.set_ylabel("Images/s")
    axes.margins(0.08, 0.12)
