"""Sections → what the machine could do at best with the work of a call, against what it did."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from swatbench.report import words
from swatbench.report.call_rows import call_columns, call_row
from swatbench.report.conditions import filled, input_note
from swatbench.report.costs import costs_of
from swatbench.report.section import Section
from swatbench.report.table import Column, Table, make_table
from swatbench.report.tables import Link, Row
from swatbench.spec.cost import Protocol
from swatbench.store.cost import ArmCost, CostResult, Peaks

FLOP_PER_MAC = 2
"""One MAC is one multiplication with one addition."""

_FACTS = ("macs", "moved_bytes", "intensity", "attainable_s", "measured_s", "share", "bound", "mfu")


@dataclass(frozen=True, slots=True, kw_only=True)
class Roof:
    """One call under the roof of its machine.

    Attributes:
        protocol: Whether it is a forward pass or a training step.
        macs: Multiply-accumulates of the whole batch, those of convolutions and matrix products alone.
        moved_bytes: Bytes that its operators read and write, each operand once.
        measured_s: Median time.
        peaks: What the machine does at best.
    """

    protocol: Protocol
    macs: int
    moved_bytes: int
    measured_s: float
    peaks: Peaks

    @property
    def flops(self) -> int:
        """Floating-point operations of the call, two for each MAC."""
        return FLOP_PER_MAC * self.macs

    @property
    def intensity(self) -> float:
        """Floating-point operations for each byte moved."""
        return self.flops / self.moved_bytes

    @property
    def flops_per_s(self) -> float:
        """Floating-point operations a second that were achieved."""
        return self.flops / self.measured_s

    @property
    def attainable_s(self) -> float:
        """Time of the call if it were held back by arithmetic or by memory alone, whichever is longer."""
        return max(self._arithmetic_s, self._memory_s)

    @property
    def share(self) -> float:
        """Attainable time as a share of the measured one; above 1 where operands came out of a cache."""
        return self.attainable_s / self.measured_s

    @property
    def bound(self) -> Literal["arithmetic", "memory"]:
        """The nearer limit: what takes longer at the best rates."""
        return "arithmetic" if self._arithmetic_s >= self._memory_s else "memory"

    @property
    def mfu(self) -> float | None:
        """Share of the data sheet's arithmetic that was used (model FLOPs utilisation), where it is known."""
        stated = self.peaks.datasheet_flops_per_s
        return self.flops_per_s / stated if stated else None

    @property
    def _arithmetic_s(self) -> float:
        return self.flops / self.peaks.flops_per_s

    @property
    def _memory_s(self) -> float:
        return self.moved_bytes / self.peaks.bytes_per_s


def roofs(cost: ArmCost, result: CostResult) -> tuple[Roof, ...]:
    """The calls of one arm whose work, traffic and time are known, under the measured peaks.

    Args:
        cost: The arm.
        result: The measurement that it is of.
    """
    peaks = result.peaks
    if peaks is None or not (peaks.flops_per_s and peaks.bytes_per_s):
        return ()
    work: tuple[tuple[Protocol, int | None, int | None], ...] = (
        ("inference", cost.macs_matmul * result.batch_size, cost.moved_bytes),
        ("training", cost.training_macs, cost.training_moved_bytes),
    )
    return tuple(
        Roof(protocol=protocol, macs=macs, moved_bytes=moved, measured_s=seconds.p50, peaks=peaks)
        for protocol, macs, moved in work
        if macs and moved and (seconds := cost.seconds(protocol)) and seconds.p50 > 0
    )


def rooflines_table(sections: Sequence[Section], link: Link) -> Table:
    """Work, traffic, and how near a call comes to what the machine can do."""
    rows = [row for section in sections for row in _rows(section, link)]
    columns = (
        *call_columns(rows),
        Column(name="macs", title="MACs a call", show=words.quantity, numeric=True, link="record"),
        Column(name="moved_bytes", title="Bytes moved", show=words.size, numeric=True, link="record"),
        Column(name="intensity", title="FLOP/byte", show=words.factor, numeric=True),
        Column(name="attainable_s", title="Attainable", show=words.duration, numeric=True),
        Column(name="measured_s", title="Measured", show=words.duration, numeric=True, link="record"),
        Column(name="share", title="Share achieved", show=percent, numeric=True),
        Column(name="bound", title="Nearer limit"),
        *filled((Column(name="mfu", title="MFU", show=percent, numeric=True),), rows),
    )
    extra = ("protocol", "input", "flops_per_s", "peak_flops_per_s", "peak_bytes_per_s")
    extra = (*extra, "datasheet_flops_per_s", "condition", "record")
    return make_table("rooflines", "Roofline", _note(sections, rows), columns, rows, extra=extra)


def percent(share: float) -> str:
    """A share in percent, with its sign.

    Example:
        >>> percent(0.4567), percent(0.0004)
        ('45.7 %', '0.04 %')
    """
    return f"{words.decimal(100 * share, 1 if share >= 0.01 else 2)} %"


def _note(sections: Sequence[Section], rows: Sequence[Row]) -> str:
    said = (
        "A call is attainable in the longer of two times: its FLOPs (two for each MAC) at the best rate of a "
        "matrix product, and its bytes at the best rate of a copy, both measured in the same cell. MACs are "
        "those of convolutions and matrix products. Bytes count the operands of each operator once, as if no "
        "cache held them and nothing were fused, so a share may exceed 100 %. Of a training step, neither "
        "MACs nor bytes include the optimizer; the time does. The nearer limit is what takes longer at these "
        "rates; where the share is low, neither holds the call back."
    )
    peaks = _peaks_in_words(rows, machines=len(sections) > 1)
    return " ".join(filter(None, [said, input_note(rows), *peaks, *_mfu_in_words(rows)]))


def _peaks_in_words(rows: Sequence[Row], *, machines: bool) -> Iterator[str]:
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["machine"] if machines else "", row["condition"]), []).append(row)
    for (machine, condition), group in groups.items():
        where = f"{condition} on {machine}" if machine else condition
        rates, copies = (
            _span([row[name] for row in group], unit)
            for name, unit in (("peak_flops_per_s", "FLOP/s"), ("peak_bytes_per_s", "B/s"))
        )
        yield f"Best rates, {where}: {rates}, {copies}."


def _span(values: Sequence[float], unit: str) -> str:
    return " to ".join(dict.fromkeys(words.in_unit(end, unit) for end in (min(values), max(values))))


def _mfu_in_words(rows: Sequence[Row]) -> Iterator[str]:
    devices = {row["device"] for row in rows}
    if any(row["mfu"] is not None for row in rows):
        yield "MFU is the rate achieved as a share of what the maker's data sheet states for dense products."
    elif devices == {"cpu"}:
        yield "There is no MFU: it is told on CUDA alone, against the card's data sheet."
    elif devices:
        yield "There is no MFU: the data sheet of this card is not known here."


def _rows(section: Section, link: Link) -> Iterator[Row]:
    for measured, cost in costs_of(section):
        for roof in roofs(cost, measured.result):
            size = measured.result.batch_size
            who = call_row(section.machine, measured, cost.arm, roof.protocol, batch_size=size, link=link)
            yield {
                **who,
                "device": measured.result.device,
                **{name: getattr(roof, name) for name in (*_FACTS, "flops_per_s")},
                "peak_flops_per_s": roof.peaks.flops_per_s,
                "peak_bytes_per_s": roof.peaks.bytes_per_s,
                "datasheet_flops_per_s": roof.peaks.datasheet_flops_per_s,
            }
