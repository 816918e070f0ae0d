"""What a suite asks for now, left beside a machine's cells, so that a report shows that and nothing older."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from swatbench.spec.base import Spec
from swatbench.spec.suite import PairedSuite
from swatbench.store.atomic import write_bytes_atomic

ASKED = "asked.json"


# Folders may name their user.
_FOLDERS: dict[str, Any] = {"data": {"root": True, "further_tests": {"__all__": {"root"}}}}


class Asked(Spec):
    """The suite of the last run on a machine, and the cells that it expanded to."""

    suite: dict[str, Any]
    """The suite, without the folder of its images, which may name its user."""
    cells: tuple[str, ...]
    """Names of the cells' folders."""
    named: tuple[str, ...] = ()
    """Names of the folders of weights that a user named and had tested beside."""

    @property
    def description(self) -> str:
        """What the suite asks, in words."""
        return str(self.suite.get("description", ""))


def write_asked(
    machine: Path, suite: PairedSuite, cells: tuple[str, ...], *, named: tuple[str, ...] = ()
) -> None:
    """Leave what is asked beside a machine's cells, unless it lies there already.

    Args:
        machine: Folder of the machine, `results/<suite>/<machine>`.
        suite: The suite, as it is run now.
        cells: Names of its cells' folders.
        named: Names of the folders of weights that a user names; those of earlier runs stay.

    Raises:
        StoreError: The file cannot be written.
    """
    before = read_asked(machine)
    asked = Asked(
        suite=suite.model_dump(mode="json", exclude=_FOLDERS),
        cells=cells,
        named=tuple(dict.fromkeys((*(before.named if before else ()), *named))),
    )
    if before != asked:
        write_bytes_atomic(machine / ASKED, f"{asked.model_dump_json(indent=2)}\n".encode())


def read_asked(machine: Path) -> Asked | None:
    """What was asked last on a machine; None where nothing readable says so.

    Args:
        machine: Folder of the machine.
    """
    try:
        return Asked.model_validate_json((machine / ASKED).read_bytes())
    except (OSError, ValidationError):
        return None
