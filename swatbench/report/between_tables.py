"""A comparison of two sides → its tables, for a terminal, for Markdown, CSV and LaTeX."""

from swatbench.report import words
from swatbench.report.between import Between
from swatbench.report.between_answers import accuracy_change_table
from swatbench.report.between_costs import COARSE, MemoryChange, TimeChange
from swatbench.report.between_counts import CountChange
from swatbench.report.between_ledger import (
    one_sided_table,
    refused_table,
    shown_where_several,
    sides_table,
    table_of,
    unusable_table,
)
from swatbench.report.conditions import CALLS
from swatbench.report.cost_words import COUNTERS_DISAGREE
from swatbench.report.table import Column, Table
from swatbench.report.tables import WHO, Row
from swatbench.stats.between import RatioChange

NOT_JUDGED = (
    "The two sides were never timed in the same rounds, so seconds stand side by side and are not judged, "
    "not even on one machine."
)


def between_tables(found: Between) -> tuple[Table, ...]:
    """Every table of a comparison; those without rows have nothing to tell."""
    return (
        sides_table(found),
        accuracy_change_table(found),
        _counts(found),
        _times(found),
        _memories(found),
        refused_table(found),
        one_sided_table(found),
        unusable_table(found),
    )


def time_verdict(change: RatioChange | None) -> str:
    """What a ratio of ratios shows, in a few words."""
    if change is None:
        return words.NOTHING
    if change.low is None:
        return "too few rounds"
    if not change.distinguishable:
        return "not distinguishable"
    return "more" if change.change > 1 else "less"


def count_verdict(item: CountChange) -> str:
    """Whether a count changed, in a few words."""
    if not item.agree:
        return COUNTERS_DISAGREE
    return "equal" if item.before == item.after else "changed"


def _counts(found: Between) -> Table:
    rows = [
        {
            "pair": item.pair,
            "arm": item.arm,
            "quantity": item.quantity,
            "before": item.before,
            "after": item.after,
            "ratio": item.after / item.before if item.before else None,
            "verdict": count_verdict(item),
        }
        for item in found.costs.counts
    ]
    columns = (
        *WHO,
        Column(name="quantity", title="Of"),
        Column(name="before", title="A", show=words.whole, numeric=True),
        Column(name="after", title="B", show=words.whole, numeric=True),
        Column(name="ratio", title="B / A", show=words.factor, numeric=True),
        Column(name="verdict", title="Verdict"),
    )
    note = "Counts are exact, so they are equal or not; how the times were taken has no part in them."
    return table_of(found, "counts", "Parameters and MACs", note, columns, rows)


def _times(found: Between) -> Table:
    rows = [_time_row(item) for item in found.costs.times]
    columns = (
        *WHO,
        *shown_where_several(rows, "condition", "Condition"),
        Column(name="protocol", title="Call", show=lambda protocol: CALLS[protocol]),
        Column(name="batch_size", title="Batch", show=words.whole, numeric=True),
        Column(name="before_s", title="A, median", show=words.duration, numeric=True),
        Column(name="after_s", title="B, median", show=words.duration, numeric=True),
        Column(name="before_ratio", title="A, × reference", show=words.factor, numeric=True),
        Column(name="after_ratio", title="B, × reference", show=words.factor, numeric=True),
        Column(name="change", title="B / A of these", show=words.factor, numeric=True),
        Column(name="interval", title="95 % CI", shown_only=True),
        Column(name="verdict", title="Verdict"),
    )
    note = (
        f"{NOT_JUDGED} Judged is how the ratio of an arm to its reference changed. Ratios are to the mean of "
        "both copies of the reference, so they may differ from a report's by half its floor. The interval "
        "holds what rounds scatter and what copies of one model differ, by the twins of both sides. Each "
        "side is one session: whatever else was otherwise in it is part of the change."
    )
    extra = ("reference", "low", "high", "before_rounds", "after_rounds", "before_floor", "after_floor")
    return table_of(found, "times", "Time", note, columns, rows, extra=(*extra, "condition", "setting"))


def _time_row(item: TimeChange) -> Row:
    change = item.change
    return {
        "pair": item.of.pair,
        "arm": item.of.arm,
        "condition": item.of.condition,
        "setting": item.of.setting,
        "reference": item.reference,
        "protocol": item.protocol,
        "batch_size": item.batch_size,
        "before_s": item.before_s,
        "after_s": item.after_s,
        "verdict": time_verdict(change),
        **(_change_row(change) if change else {"interval": words.NOTHING}),
    }


def _change_row(change: RatioChange) -> Row:
    interval = words.NOTHING
    if change.low is not None and change.high is not None:
        interval = words.factors(change.low, change.high)
    return {
        "before_ratio": change.before,
        "after_ratio": change.after,
        "change": change.change,
        "low": change.low,
        "high": change.high,
        "interval": interval,
        "before_floor": change.floors[0],
        "after_floor": change.floors[1],
        "before_rounds": change.rounds[0],
        "after_rounds": change.rounds[1],
    }


def _memories(found: Between) -> Table:
    rows = [_memory_row(item) for item in found.costs.memories]
    columns = (
        *WHO,
        *shown_where_several(rows, "condition", "Condition"),
        Column(name="protocol", title="Call", show=lambda protocol: CALLS[protocol]),
        Column(name="before_bytes", title="A, peak", show=words.size, numeric=True),
        Column(name="after_bytes", title="B, peak", show=words.size, numeric=True),
        Column(name="ratio", title="B / A", show=words.factor, numeric=True),
        Column(name="verdict", title="Verdict"),
    )
    note = "One measurement on each side, so there is no interval."
    return table_of(
        found, "memory", "Memory", note, columns, rows, extra=("memory_kind", "condition", "setting")
    )


def _memory_row(item: MemoryChange) -> Row:
    equal = "equal" if item.before_bytes == item.after_bytes else "changed, one measurement each"
    return {
        "pair": item.of.pair,
        "arm": item.of.arm,
        "condition": item.of.condition,
        "setting": item.of.setting,
        "protocol": item.protocol,
        "before_bytes": item.before_bytes,
        "after_bytes": item.after_bytes,
        "ratio": item.after_bytes / item.before_bytes if item.before_bytes else None,
        "memory_kind": item.kind,
        "verdict": f"not judged: {COARSE}" if item.kind == COARSE else equal,
    }
