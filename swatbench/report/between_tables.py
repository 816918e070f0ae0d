"""A comparison of two sides → its tables, for a terminal, for Markdown, CSV and LaTeX."""

from collections.abc import Sequence
from typing import Any

from swatbench.report import words
from swatbench.report.between import Between
from swatbench.report.between_accuracy import AccuracyChange
from swatbench.report.between_costs import COARSE, MemoryChange, TimeChange
from swatbench.report.between_counts import CountChange
from swatbench.report.between_ledger import (
    one_sided_table,
    refused_table,
    sides_table,
    table_of,
    unusable_table,
)
from swatbench.report.conditions import CALLS
from swatbench.report.cost_words import COUNTERS_DISAGREE
from swatbench.report.table import Column, Table
from swatbench.report.tables import WHO, Row
from swatbench.stats.between import RatioChange

SAME = "same predictions"
"""Verdict on predictions that are the same to the last bit."""

NOT_JUDGED = (
    "The two sides were never timed in the same rounds, so seconds stand side by side and are not judged, "
    "not even on one machine."
)


def between_tables(found: Between) -> tuple[Table, ...]:
    """Every table of a comparison; those without rows have nothing to tell."""
    return (
        sides_table(found),
        _accuracy(found),
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


def _accuracy(found: Between) -> Table:
    rows = [_accuracy_row(item) for item in found.accuracy]
    columns = (
        *WHO,
        *_several(rows, "test", "Test set"),
        Column(name="seeds", title="Seeds", show=words.whole, numeric=True),
        Column(name="before_percent", title="A, top-1 %", show=_percent, numeric=True),
        Column(name="after_percent", title="B, top-1 %", show=_percent, numeric=True),
        Column(name="points", title="B − A, points", show=_points, numeric=True),
        Column(name="changed_images", title="Images answered otherwise", show=words.decimal, numeric=True),
        Column(name="image_interval", title="These images: 95 % CI", shown_only=True),
        Column(name="image_verdict", title="These images"),
        Column(name="seed_interval", title="Across seeds: 95 % CI", shown_only=True),
        Column(name="seed_verdict", title="Across seeds"),
        Column(name="mcnemar", title="McNemar p, each seed", shown_only=True),
    )
    note = (
        "Means over the seeds that both sides have and whose runs were asked and drew the same. Two "
        "questions: do these checkpoints differ on these images, and would training again with other seeds "
        "show a difference? No p and no interval is corrected for the number of rows."
    )
    extra = ("test", "test_images", "same", "image_low", "image_high", "seed_low", "seed_high", "seed_p")
    extra = (*extra, "smallest_p", "mcnemar_p", "compared_seeds")
    return table_of(found, "accuracy", "Accuracy", note, columns, rows, extra=extra)


def _accuracy_row(item: AccuracyChange) -> Row:
    seeds, images = item.accuracy.seeds, item.accuracy.images
    image_verdict = "not compared" if images is None else "decided" if images.decided else "not decided"
    return {
        "pair": item.pair,
        "arm": item.arm,
        "test": item.test,
        "seeds": seeds.seeds,
        "before_percent": item.before_percent,
        "after_percent": item.after_percent,
        "points": seeds.points,
        "changed_images": item.changed_images,
        "test_images": item.test_images,
        "same": item.same,
        "image_interval": words.NOTHING if images is None else words.between(images.low, images.high, 2),
        "image_verdict": SAME if item.same else image_verdict,
        "image_low": images and images.low,
        "image_high": images and images.high,
        "seed_interval": words.between(seeds.low, seeds.high, 2),
        "seed_verdict": SAME if item.same else "decided" if seeds.decided else "not decided",
        "seed_low": seeds.low,
        "seed_high": seeds.high,
        "seed_p": seeds.p,
        "smallest_p": seeds.smallest_p,
        "compared_seeds": " ".join(map(str, item.accuracy.compared)),
        "mcnemar": "; ".join(map(words.probability, images.mcnemar_p)) if images else words.NOTHING,
        "mcnemar_p": " ".join(map(str, images.mcnemar_p)) if images else None,
    }


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
        *_several(rows, "condition", "Condition"),
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
        *_several(rows, "condition", "Condition"),
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


def _several(rows: Sequence[Row], name: str, title: str) -> tuple[Column, ...]:
    """A column that is shown only where its rows differ in it."""
    return (Column(name=name, title=title),) if len({row[name] for row in rows}) > 1 else ()


def _percent(value: Any) -> str:
    return words.decimal(value, 2)


def _points(value: Any) -> str:
    return words.signed(value, 2)
