"""Sections → the table of latency: quantiles of a call's time, with distribution-free intervals."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from swatbench.report import words
from swatbench.report.call_rows import call_columns, call_row
from swatbench.report.conditions import Called, input_note, timing_of
from swatbench.report.costs import costs_of
from swatbench.report.ratios import samples_of
from swatbench.report.section import Section
from swatbench.report.selection import Measured
from swatbench.report.table import Column, Table, make_table
from swatbench.report.tables import Link, Row
from swatbench.stats.quantiles import QuantileInterval, quantile_interval

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
"""Name of a quantile → which it is."""
CONFIDENCE = 0.95
"""Coverage of each interval."""


def latencies_table(sections: Sequence[Section], link: Link) -> Table:
    """Median, 95th and 99th percentile of every call that was timed."""
    rows = [row for section in sections for row in _rows(section, link)]
    columns = (
        *call_columns(rows),
        *(column for name in QUANTILES for column in _columns(name)),
        Column(name="samples", title="Samples", show=words.whole, numeric=True),
        Column(name="calls_per_sample", title="Calls a sample", show=words.whole, numeric=True),
    )
    note = (
        "Quantiles of the raw samples. A sample is the time of one call on a whole batch, or the mean of as "
        "many in a row as “calls a sample” says; then the quantiles are of such means. Intervals hold with "
        "95 % whatever the distribution (order statistics), if samples are independent; an end that so few "
        "samples cannot give is left open."
    )
    ends = tuple(f"{name}_{end}_s" for name in QUANTILES for end in ("low", "high"))
    extra = ("protocol", *ends, "input", "condition", "record")
    note = f"{note} {input_note(rows)}".rstrip()
    return make_table("latencies", "Latency", note, columns, rows, extra=extra)


def interval_in_words(found: QuantileInterval, q: float) -> str:
    """The ends of an interval, or how many samples it takes to have one.

    Args:
        found: The quantile with its interval, in seconds.
        q: Which quantile it is.
    """
    if found.low is None and found.high is None:
        return f"needs {words.whole(max(samples_needed(q), samples_needed(1 - q)))} samples"
    low, high = (
        words.duration(end) if end is not None else f"? (needs {words.whole(needed)} samples)"
        for end, needed in ((found.low, samples_needed(1 - q)), (found.high, samples_needed(q)))
    )
    return f"{low} to {high}"


def samples_needed(q: float, confidence: float = CONFIDENCE) -> int:
    """Samples from which on an interval of the quantile `q` has an upper end; of `1 - q`, a lower one.

    The largest of n samples lies below the quantile with probability qⁿ, which half of what the confidence
    leaves over must not fall short of.

    Args:
        q: Which quantile, inside (0, 1).
        confidence: Coverage of the interval.

    Example:
        >>> [samples_needed(q) for q in (0.5, 0.95, 0.99)]
        [6, 72, 368]
    """
    return math.ceil(math.log((1 - confidence) / 2) / math.log(q))


def _columns(name: str) -> tuple[Column, Column]:
    return (
        Column(name=f"{name}_s", title=name, show=words.duration, numeric=True, link="record"),
        Column(name=f"{name}_interval", title="95 % CI", shown_only=True),
    )


def _rows(section: Section, link: Link) -> Iterator[Row]:
    for measured, cost in costs_of(section):
        # What cannot be read, the table of what was not compared says.
        samples = samples_of(measured)
        for call in measured.calls(cost.arm):
            seconds = samples.get(f"{call.samples}/{cost.arm}")
            if seconds is not None and seconds.size and np.isfinite(seconds).all():
                size = call.batch_size
                who = call_row(section.machine, measured, cost.arm, call.protocol, batch_size=size, link=link)
                yield {**who, **_row(measured, call, seconds)}


def _row(measured: Measured, call: Called, seconds: np.ndarray) -> Row:
    timing = timing_of(measured.result, call.protocol, call.batch_size)
    row: dict[str, Any] = {
        "samples": seconds.size,
        "calls_per_sample": timing.calls_per_sample if timing else None,
    }
    for name, q in QUANTILES.items():
        found = quantile_interval(seconds, q, confidence=CONFIDENCE)
        row |= {f"{name}_s": found.value, f"{name}_low_s": found.low, f"{name}_high_s": found.high}
        row[f"{name}_interval"] = interval_in_words(found, q)
    return row
