"""Records of older layouts brought to the present one when they are read; the files stay as they are."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from swatbench.errors import StoreError
from swatbench.store.record import SCHEMA_VERSION

Upgrade = Callable[[dict[str, Any]], dict[str, Any]]


def _told_timing(record: dict[str, Any]) -> dict[str, Any]:
    """From layout 1 to 2: the first cost measurements did not say how they were timed; all else was added."""
    cost = record.get("cost")
    if not isinstance(cost, dict):
        return record
    return {**record, "cost": {"timings": [], **cost}}


def _stated_input(record: dict[str, Any]) -> dict[str, Any]:
    """From layout 2 to 3: the input of a cost measurement is C, H and W, where it was a side of a square."""
    cost = record.get("cost")
    if not isinstance(cost, dict) or "img_size" not in cost:
        return record
    left = {name: value for name, value in cost.items() if name != "img_size"}
    return {**record, "cost": {**left, "input_size": [3, cost["img_size"], cost["img_size"]]}}


UPGRADES: Mapping[int, Upgrade] = MappingProxyType({1: _told_timing, 2: _stated_input})
"""Version of a layout → what turns its record into one of the next version."""


class NewerRecordError(StoreError):
    """A record was written by a newer swatbench than this one."""


def upgrade(
    record: dict[str, Any],
    *,
    where: str,
    upgrades: Mapping[int, Upgrade] = UPGRADES,
    current: int = SCHEMA_VERSION,
) -> dict[str, Any]:
    """Bring a record to the current layout.

    Args:
        record: The record as JSON values.
        where: Its file, for messages.
        upgrades: Version → step to the next version.
        current: The version wanted.

    Raises:
        NewerRecordError: The record's layout is newer than this program.
        StoreError: It names no version, or one that no step leads on from.
    """
    version = record.get("schema_version")
    if type(version) is not int:
        raise StoreError("The record names no schema_version.", where=where)
    if version > current:
        what = f"The record has layout {version}; this swatbench reads layouts up to {current}."
        raise NewerRecordError(what, where=where, fix="Update swatbench.")
    for step in range(version, current):
        if step not in upgrades:
            raise StoreError(f"Layout {step} of records is no longer read.", where=where)
        record = {**upgrades[step](record), "schema_version": step + 1}
    return record
