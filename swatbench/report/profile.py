"""Cost records → what `swatbench profile` tells: tables for a terminal, and everything for a machine."""

from collections.abc import Iterator, Sequence
from typing import Any

from swatbench.errors import StoreError
from swatbench.report.profile_counts import counts_table, energy_table, memory_table
from swatbench.report.profile_deployed import deployed_profile
from swatbench.report.profile_json import profile_of
from swatbench.report.profile_shares import breakdown_tables, modules_tables
from swatbench.report.profile_table import ProfileTable, heading
from swatbench.report.profile_times import ratios_table, roofline_table, times_tables
from swatbench.report.selection import Measured, parse
from swatbench.store.files import Stored

__all__ = ["ProfileTable", "profile_json", "profile_tables"]


def profile_tables(stored: Sequence[Stored]) -> tuple[ProfileTable, ...]:
    """The tables of every cost record, the condition in the title of its first one.

    Args:
        stored: Finished records; those that are not of cost are passed over.

    Raises:
        StoreError: A record does not hold together, or a file beside it is missing or damaged.
    """
    return tuple(table for measured in _measured(stored) for table in _tables(measured) if table.rows)


def profile_json(stored: Sequence[Stored]) -> dict[str, Any]:
    """The same for a machine: raw facts, and what follows from them; SI units stand in the names of keys.

    Args:
        stored: Finished records; those that are not of cost are passed over.

    Returns:
        `profiles`: one entry a record, which names the record's file.

    Raises:
        StoreError: A record does not hold together, or a file beside it is missing or damaged.
    """
    return {"profiles": [profile_of(measured) for measured in _measured(stored)]}


def _measured(stored: Sequence[Stored]) -> tuple[Measured, ...]:
    found = parse(stored)
    for path, why in found.malformed:
        raise StoreError(f"A record cannot be told: {why}.", where=str(path), fix="Measure it again.")
    return found.measured


def _tables(measured: Measured) -> Iterator[ProfileTable]:
    yield counts_table(measured, heading(measured))
    yield from times_tables(measured)
    yield ratios_table(measured)
    yield deployed_profile(measured)
    yield memory_table(measured)
    yield energy_table(measured)
    yield from filter(None, (roofline_table(measured),))
    yield from breakdown_tables(measured)
    yield from modules_tables(measured)
