"""What a suite asks for now, left beside a machine's cells, so that a report shows that and nothing older."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from swatbench.regular_file import read_regular
from swatbench.spec.base import Spec
from swatbench.spec.paired import PairedSuite
from swatbench.store.atomic import write_bytes_atomic

ASKED = "asked.json"
MARGIN = "equivalence_margin_points"
"""Key of a suite that sets its equivalence margin."""


# Folders may name their user.
_FOLDERS: dict[str, Any] = {
    "data": {"root": True, "further_tests": {"__all__": {"root"}}},
    "backbone": {"files": True},
}


class Asked(Spec):
    """The suite of the last run on a machine, and the cells that it expanded to."""

    suite: dict[str, Any]
    """The suite, without the folders of its images and weights, which may name its user."""
    cells: tuple[str, ...]
    """Names of the cells' folders."""
    named: tuple[str, ...] = ()
    """Names of the folders of weights that a user named and had tested beside."""
    margin_set_at: str | None = None
    """Moment (UTC, ISO 8601) at which a run first asked for the suite's present equivalence margin."""

    @property
    def margin_points(self) -> float | None:
        """Equivalence margin of the suite, in points of top-1 accuracy; None without a usable one."""
        found = self.suite.get(MARGIN)
        return found if isinstance(found, float) and found > 0 else None

    @property
    def description(self) -> str:
        """What the suite asks, in words."""
        return str(self.suite.get("description", ""))


def write_asked(
    machine: Path, suite: PairedSuite, cells: tuple[str, ...], *, now: str, named: tuple[str, ...] = ()
) -> None:
    """Leave what is asked beside a machine's cells, unless it lies there already.

    Args:
        machine: Folder of the machine, `results/<suite>/<machine>`.
        suite: The suite, as it is run now.
        cells: Names of its cells' folders.
        now: The present moment (UTC, ISO 8601), kept where the suite's margin is a new one.
        named: Names of the folders of weights that a user names; those of earlier runs stay.

    Raises:
        StoreError: The file cannot be written.
    """
    before = read_asked(machine)
    told = suite.model_dump(mode="json", exclude=_FOLDERS)
    asked = Asked(
        suite=told,
        cells=cells,
        named=tuple(dict.fromkeys((*(before.named if before else ()), *named))),
        margin_set_at=_margin_set_at(before, told.get(MARGIN), now),
    )
    if before != asked:
        write_bytes_atomic(machine / ASKED, f"{asked.model_dump_json(indent=2)}\n".encode())


def _margin_set_at(before: Asked | None, margin: float | None, now: str) -> str | None:
    if margin is None:
        return None
    kept = before.margin_set_at if before and before.margin_points == margin else None
    return kept or now


def read_asked(machine: Path) -> Asked | None:
    """What was asked last on a machine; None where nothing readable says so.

    Args:
        machine: Folder of the machine.
    """
    try:
        return Asked.model_validate_json(read_regular(machine / ASKED))
    except (OSError, ValidationError):
        return None
