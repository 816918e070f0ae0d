"""Sections → the tables of cost."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from swatbench.report import words
from swatbench.report.comparison import Comparison
from swatbench.report.conditions import CALLS, condition_columns, filled, input_columns, setting_of
from swatbench.report.cost_words import COUNTERS_DISAGREE, ONE_MEASUREMENT, UNSETTLED
from swatbench.report.mask_columns import head_of_row, heads_where_told
from swatbench.report.ratios import FLOOR, RESOLUTION_BYTES, CostRatios, PeakRatio, moved_in_words
from swatbench.report.section import Section
from swatbench.report.selection import Measured
from swatbench.report.table import Column, Table, make_table
from swatbench.report.tables import WHO, Link, Row, who
from swatbench.spec.cost import Protocol
from swatbench.stats.ratios import Ratio
from swatbench.store.cost import ArmCost, Timing

_STOPPED = {"rounds": "all rounds done", "budget": "time was up", "precision": "precise enough"}

_BATCH = Column(name="batch_size", title="Batch", show=words.whole, numeric=True)
_FURTHER = (
    Column(
        name="activations", title="Activations an image", show=words.quantity, numeric=True, link="record"
    ),
    Column(
        name="training_macs", title="MACs a training step", show=words.quantity, numeric=True, link="record"
    ),
)
"""Columns that older records have nothing for."""


def cost_table(sections: Sequence[Section], link: Link) -> Table:
    """What every arm costs."""
    rows = [
        _cost_row(section.machine, measured, cost, link)
        for section in sections
        for measured, cost in costs_of(section)
    ]
    told = condition_columns(rows)
    columns = (
        *WHO,
        *told,
        *heads_where_told(rows),
        _number("params", "Parameters", words.whole),
        _number("macs", "MACs an image", words.quantity, remark=_macs_remark),
        _number("inference_p50_s", "Forward pass, median", words.duration),
        _number("inference_p95_s", "Forward pass, 95th percentile", words.duration),
        _number("images_per_s", "Images/s", words.whole),
        _number("training_p50_s", "Training step, median", words.duration),
        _number("training_p95_s", "Training step, 95th percentile", words.duration),
        _number("inference_peak_bytes", "Peak memory, inference", words.size),
        _number("training_peak_bytes", "Peak memory, training", words.size),
    )
    columns = (*columns, *filled(_FURTHER, rows))
    if told:
        rows = [{**row, "setting": row["setting_alone"]} for row in rows]
    settings = {row["setting"] for row in rows}
    if len(settings) > 1:
        columns = (*columns, Column(name="setting", title="Measured at", shown_only=True, prose=True))
    note = (
        "Times are those of one call on a whole batch; where the table of ratios names several calls, a "
        "sample is their mean. Each number links to its record."
    )
    note = f"Measured at {words.listed([*settings])}. {note}" if len(settings) == 1 else note
    extra = ("macs_matmul", "macs_torch", "macs_agree", "batch_size", "img_size", "device", "dtype")
    extra = (*extra, "threads", "memory_kind", "rounds", "condition", "record")
    return make_table("cost", "Cost of each arm", note, columns, rows, extra=extra)


def ratios_table(sections: Sequence[Section], link: Link) -> Table:
    """Cost of each arm as a multiple of its reference's."""
    rows = [
        {**row, "record": records.get(row["measurement"])}
        for section in sections
        for records in [measurements(section, link)]
        for item in section.comparisons
        for row in _ratio_rows(section.machine, item)
    ]
    told = condition_columns(rows)
    columns = (
        *WHO,
        Column(name="reference", title="Against"),
        *told,
        *([_BATCH] if len({row["batch_size"] for row in rows}) > 1 else []),
        *input_columns(rows),
        Column(name="quantity", title="Of"),
        Column(name="ratio", title="Ratio", show=words.factor, numeric=True, link="record"),
        Column(name="interval", title="95 % CI", shown_only=True),
        Column(name="floor", title="A/A floor", show=words.factor, numeric=True),
        Column(name="rounds", title="Rounds", show=words.whole, numeric=True),
        Column(name="calls_per_sample", title="Calls a sample", show=words.whole, numeric=True),
        Column(name="stopped_by", title="Ended when", show=_stopped),
        Column(name="verdict", title="Verdict"),
    )
    note = f"Times are medians of paired ratios. {FLOOR} {_peak_note(sections)}".rstrip()
    if told:
        note = f"Arms are compared within a condition, never across. What is counted stands once. {note}"
    extra = (
        "low",
        "high",
        "drift",
        "drift_detected",
        "settled",
        "batch_size",
        "input",
        "condition",
        "record",
    )
    return make_table("ratios", "Ratios of cost", note, columns, rows, extra=extra)


def measurements(section: Section, link: Link) -> dict[str, str]:
    """Digest of each measurement → address of its record."""
    return {one.stored.record.digest: link(one.stored) for runs in section.pairs for one in runs.conditions}


def _peak_note(sections: Sequence[Section]) -> str:
    """From what difference on peaks of memory are told apart, for each way that they were measured."""
    kinds = dict.fromkeys(
        measured.result.memory_kind for section in sections for measured, _ in costs_of(section)
    )
    told = [f"{words.size(RESOLUTION_BYTES[kind])} ({kind})" for kind in kinds]
    return (
        f"Peaks of memory are one measurement each; less than {words.listed(told)} tells nothing."
        if told
        else ""
    )


def costs_of(section: Section) -> Iterator[tuple[Measured, ArmCost]]:
    """Every measurement of a section with each of its arms: those that may be compared stand together."""
    for runs in section.pairs:
        for measured in runs.conditions:
            for arm in runs.arms:
                cost = measured.cost(arm)
                if cost is not None:
                    yield measured, cost


def ratio_verdict(ratio: Ratio, timing: Timing | None = None) -> str:
    """What a paired ratio shows, in a few words.

    Args:
        ratio: The ratio.
        timing: How it was timed, where that is known.
    """
    if not ratio.enough:
        verdict = "too few rounds"
    elif not ratio.distinguishable:
        verdict = "not distinguishable"
    else:
        verdict = "more" if ratio.ratio > 1 else "less"
    unsettled = UNSETTLED if timing and not timing.settled else ""
    return "; ".join(filter(None, (verdict, moved_in_words(ratio), unsettled)))


def _number(
    name: str,
    title: str,
    show: Callable[[Any], str],
    remark: Callable[[Mapping[str, Any]], str] | None = None,
) -> Column:
    return Column(name=name, title=title, show=show, numeric=True, link="record", remark=remark)


def _macs_remark(row: Mapping[str, Any]) -> str:
    return "" if row["macs_agree"] else COUNTERS_DISAGREE


def _stopped(cause: str) -> str:
    return _STOPPED.get(cause, cause)


def _cost_row(machine: str, measured: Measured, cost: ArmCost, link: Link) -> Row:
    result = measured.result
    shared = ("batch_size", "img_size", "device", "dtype", "threads", "memory_kind")
    own = ("params", "macs", "macs_matmul", "macs_torch", "macs_agree", "activations", "training_macs")
    return {
        "machine": machine,
        "pair": measured.pair,
        "arm": cost.arm,
        "condition": measured.condition,
        **{name: getattr(cost, name) for name in (*own, "inference_peak_bytes", "training_peak_bytes")},
        **{name: getattr(result, name) for name in shared},
        "inference_p50_s": cost.inference_s.p50,
        "inference_p95_s": cost.inference_s.p95,
        "images_per_s": result.batch_size / cost.inference_s.p50 if cost.inference_s.p50 > 0 else None,
        "training_p50_s": cost.training_s.p50 if cost.training_s else None,
        "training_p95_s": cost.training_s.p95 if cost.training_s else None,
        "rounds": cost.inference_s.n,
        **head_of_row(measured.stored.record.cell),
        "setting": setting_of(result),
        "setting_alone": setting_of(result, without_condition=True),
        "record": link(measured.stored),
    }


def _ratio_rows(machine: str, item: Comparison) -> Iterator[Row]:
    for index, cost in enumerate(item.costs):
        name = {"machine": machine, **who(item), "condition": cost.condition}
        name |= {"batch_size": cost.batch_size, "input": cost.input, "measurement": cost.record}
        # Counts are a model's own, so those of further conditions are told only where they differ.
        if index == 0 or _counts(cost) != _counts(item.costs[0]):
            yield from ({**name, **row} for row in _counted_rows(cost))
        yield from ({**name, **row} for row in _measured_rows(cost))


def _counts(cost: CostRatios) -> tuple[float | None, float | None, bool, str]:
    return cost.params, cost.macs, cost.macs_agree, cost.input


def _counted_rows(cost: CostRatios) -> Iterator[Row]:
    counted = "exact" if cost.macs_agree else COUNTERS_DISAGREE
    for quantity, exact, verdict in (("parameters", cost.params, "exact"), ("MACs", cost.macs, counted)):
        told = verdict if exact is not None else "the reference has none"
        yield {"quantity": quantity, "ratio": exact, "interval": words.NOTHING, "verdict": told}


def _measured_rows(cost: CostRatios) -> Iterator[Row]:
    ratios: dict[Protocol, Ratio | None] = {"inference": cost.inference, "training": cost.training}
    for protocol, ratio in ratios.items():
        if ratio is not None:
            yield {"quantity": CALLS[protocol], **time_row(ratio, cost.timing(protocol))}
    peaks = {"inference": cost.inference_memory, "training": cost.training_memory}
    for protocol, peak in peaks.items():
        if peak is not None:
            told = {"quantity": f"peak memory, {protocol}", "ratio": peak.ratio}
            yield {**told, "interval": words.NOTHING, "verdict": _peak_verdict(peak)}


def _peak_verdict(peak: PeakRatio) -> str:
    if not peak.distinguishable:
        return f"not distinguishable; {ONE_MEASUREMENT}"
    return f"{'more' if peak.ratio > 1 else 'less'}; {ONE_MEASUREMENT}"


def time_row(ratio: Ratio, timing: Timing | None) -> Row:
    """What a table tells of a paired ratio.

    Args:
        ratio: The ratio.
        timing: How it was timed, where that is known.
    """
    return {
        "ratio": ratio.ratio,
        "interval": words.factors(ratio.low, ratio.high) if ratio.enough else words.NOTHING,
        "low": ratio.low if ratio.enough else None,
        "high": ratio.high if ratio.enough else None,
        "floor": ratio.floor,
        "rounds": ratio.rounds,
        "calls_per_sample": timing.calls_per_sample if timing else None,
        "stopped_by": timing.stopped_by if timing else None,
        "settled": timing.settled if timing else None,
        "verdict": ratio_verdict(ratio, timing),
        "drift": ratio.drift.total,
        "drift_detected": ratio.drift.detected,
    }
