"""What the tables of calls share: whose call it is, in which condition, on which batch, from which record."""

from collections.abc import Mapping, Sequence
from typing import Any

from swatbench.report import words
from swatbench.report.conditions import CALLS, condition_columns, input_columns, input_of
from swatbench.report.selection import Measured
from swatbench.report.table import Column
from swatbench.report.tables import WHO, Link, Row
from swatbench.spec.cost import Protocol


def call_columns(rows: Sequence[Mapping[str, Any]]) -> tuple[Column, ...]:
    """The first columns of a table of calls.

    Args:
        rows: Rows that begin with `call_row`.
    """
    return (
        *WHO,
        *condition_columns(rows),
        Column(name="call", title="Call"),
        Column(name="batch_size", title="Batch", show=words.whole, numeric=True),
        *input_columns(rows),
    )


def call_row(
    machine: str, measured: Measured, arm: str, protocol: Protocol, *, batch_size: int, link: Link
) -> Row:
    """What every row of a table of calls holds.

    Args:
        machine: Name of the machine's folder.
        measured: The measurement.
        arm: The arm.
        protocol: What was called.
        batch_size: Images in the call.
        link: Record → its address.
    """
    return {
        "machine": machine,
        "pair": measured.pair,
        "arm": arm,
        "condition": measured.condition,
        "protocol": protocol,
        "call": CALLS[protocol],
        "batch_size": batch_size,
        "input": input_of(measured.result),
        "record": link(measured.stored),
    }
