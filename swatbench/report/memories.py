"""Sections → the table of memory: of what the peak consists, and the largest batch that fits."""

from collections.abc import Iterator, Mapping, Sequence
from typing import get_args

from swatbench.report import words
from swatbench.report.call_rows import call_columns, call_row
from swatbench.report.conditions import MEMORY_KINDS, filled, input_note
from swatbench.report.costs import costs_of
from swatbench.report.section import Section
from swatbench.report.table import Column, Table, make_table
from swatbench.report.tables import Link, Row
from swatbench.spec.cost import Protocol
from swatbench.store.cost import LargestBatch, Memory

KINDS = {
    "resident growth": f"On a CPU the peak is the {MEMORY_KINDS['resident growth']}, with whatever libraries "
    "and the allocator took in it, so it is coarse and parts need not add up to it.",
    "allocated": f"On CUDA the peak is the {MEMORY_KINDS['allocated']}; reserved is the most that torch's "
    "allocator took from it.",
}
"""What memory is measured as, and what that means."""

_PARTS = (
    ("weights_bytes", "Weights"),
    ("gradients_bytes", "Gradients"),
    ("optimizer_bytes", "Optimizer state"),
    ("saved_bytes", "Kept for backward"),
    ("working_bytes", "Working"),
)


def memories_table(sections: Sequence[Section], link: Link) -> Table:
    """Peak memory and its parts, where they were measured."""
    rows = [row for section in sections for row in _rows(section, link)]
    kinds = list(dict.fromkeys(row["memory_kind"] for row in rows))
    optional = (
        _size("reserved_bytes", "Reserved"),
        *(_size(name, title) for name, title in _PARTS),
        Column(name="largest_batch", title="Largest batch", show=words.whole, numeric=True, remark=_bound),
        _size("limit_bytes", "Within"),
    )
    columns = (
        *call_columns(rows),
        Column(name="memory_kind", title="Measured as"),
        _size("peak_bytes", "Peak"),
        *filled(optional, rows),
    )
    note = (
        "Each arm and call in a process of its own, once, above what the process held before the model was "
        "built. Weights are parameters and buffers; “kept for backward” are the activations that a forward "
        "pass leaves for the backward pass, each storage once; “working” is the peak during a call above "
        "what is held between calls."
    )
    note = " ".join(filter(None, [note, *(KINDS[kind] for kind in kinds), input_note(rows)]))
    extra = ("protocol", "bounded_by", "input", "condition", "record")
    return make_table("memories", "Memory", note, columns, rows, extra=extra)


def _size(name: str, title: str) -> Column:
    return Column(name=name, title=title, show=words.size, numeric=True, link="record")


def _bound(row: Mapping[str, object]) -> str:
    return "or more: the search ended" if row["bounded_by"] == "search" else ""


def _rows(section: Section, link: Link) -> Iterator[Row]:
    for measured, cost in costs_of(section):
        for protocol in get_args(Protocol):
            memory = cost.memory(protocol)
            largest = next((item for item in cost.largest_batches if item.protocol == protocol), None)
            if memory or largest:
                size = measured.result.batch_size
                yield {
                    **call_row(section.machine, measured, cost.arm, protocol, batch_size=size, link=link),
                    "memory_kind": measured.result.memory_kind,
                    "peak_bytes": cost.peak_bytes(protocol),
                    **_memory(memory),
                    **_largest(largest),
                }


def _memory(memory: Memory | None) -> Row:
    return {name: getattr(memory, name, None) for name in ("reserved_bytes", *(name for name, _ in _PARTS))}


def _largest(largest: LargestBatch | None) -> Row:
    return {
        "largest_batch": largest.batch_size if largest else None,
        "limit_bytes": largest.limit_bytes if largest else None,
        "bounded_by": largest.bounded_by if largest else None,
    }
