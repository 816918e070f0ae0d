"""A folder of results → one side of a comparison of two runs: what one machine shows, and its making."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from swatbench.errors import StoreError, SuiteError
from swatbench.report import words
from swatbench.report.choice import Chosen, choose, of_one_task
from swatbench.report.section import machine_of
from swatbench.report.selection import parse
from swatbench.store.asked import ASKED, read_asked
from swatbench.store.files import RECORD, SAFE, Listing, Stored, read_suite
from swatbench.store.record import Record

ALWAYS = ("torch", "timm")
"""Packages that are told even where both sides have the same version."""

_SHOWN = 10
"""Characters of a commit that are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What one machine's folder shows.

    Attributes:
        suite: Name of the suite's folder.
        machine: Name of the machine's folder.
        chosen: Its records, sorted by whether they are shown, as in a report.
        damaged: Files that cannot be used, relative to the machine's folder, and why.
    """

    suite: str
    machine: str
    chosen: Chosen
    damaged: tuple[tuple[str, str], ...]

    @property
    def records(self) -> tuple[Record, ...]:
        """Records of the cells that are shown, failed ones included."""
        return tuple(stored.record for stored in (*self.chosen.found.stored, *self.chosen.failed))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One thing about the two sides.

    Attributes:
        item: What it is.
        before: What holds on the first side; several values where its cells differ.
        after: What holds on the second.
    """

    item: str
    before: str
    after: str

    @property
    def differs(self) -> bool:
        """Whether the sides differ in it."""
        return self.before != self.after


def read_sides(before: Path, after: Path) -> tuple[Side, Side]:
    """Read the two folders that are compared.

    Args:
        before: A machine's folder, `results/<suite>/<machine>`, or that of a suite with one machine.
        after: Another such folder, of the same results or of other ones.

    Raises:
        StoreError: A folder holds no results.
        SuiteError: A suite's folder has several machines, or both are the same folder.
    """
    first, second = machine_folder(before), machine_folder(after)
    if first == second:
        raise SuiteError(
            "both sides are the same folder.",
            where=str(after),
            fix="Name two machines' folders, or that of another checkout.",
        )
    listings = {path: read_suite(path.parent, path.name) for path in {first.parent, second.parent}}
    return _side(first, listings[first.parent]), _side(second, listings[second.parent])


def machine_folder(path: Path) -> Path:
    """The machine's folder that a path names, resolved.

    Args:
        path: Folder of a machine, or of a suite with one machine.

    Raises:
        StoreError: It holds no results, or its names are none that swatbench writes.
        SuiteError: It is a suite's and there are several machines, or it is another folder of results.
    """
    found = path.resolve()
    if not found.is_dir():
        raise StoreError("There is no such folder.", where=str(path), fix=_WANTED)
    if (found / RECORD).exists():
        raise SuiteError("This is the folder of one cell.", where=str(path), fix=f"Name {found.parent}.")
    if not _is_machine(found):
        found = _only_machine(found, path)
    for name in (found.name, found.parent.name):
        if not SAFE.match(name):
            raise StoreError(f"No suite or machine is called {name!r}.", where=str(path), fix=_WANTED)
    return found


def facts(before: Side, after: Side) -> tuple[Fact, ...]:
    """What the two sides are, thing by thing."""
    items = [_fact(name, of, before, after) for name, of in _ITEMS.items()]
    names = sorted(
        {name for side in (before, after) for record in side.records for name in _packages(record)}
    )
    packages = [
        _fact(name, lambda record, name=name: _packages(record).get(name), before, after) for name in names
    ]
    told = [fact for fact in packages if fact.differs or fact.item in ALWAYS]
    return (*items, *told, *(_fact_of(name, of, before, after) for name, of in _COUNTS.items()))


_WANTED = "Name a machine's folder, results/SUITE/MACHINE, or a suite's folder with one machine."

_ITEMS: dict[str, Callable[[Record], str | None]] = {
    "suite": lambda record: record.suite,
    "machine": lambda record: record.environment.machine,
    "processor": lambda record: record.environment.processor,
    "cores": lambda record: words.whole(record.environment.cores),
    "memory": lambda record: words.size(record.environment.memory_bytes),
    "accelerator": lambda record: record.environment.accelerator or "none",
    "system": lambda record: record.environment.system,
    "Python": lambda record: record.environment.python,
    "swatbench": lambda record: record.environment.swatbench,
    "commit": lambda record: (record.environment.git_commit or "unknown")[:_SHOWN],
    "uncommitted changes": lambda record: _CHANGES[record.environment.git_dirty],
    "protocol of training and tests": lambda record: _protocol(record, cost=False),
    "protocol of cost": lambda record: _protocol(record, cost=True),
}
"""What is told of the records of a side."""

_CHANGES = {True: "some", False: "none", None: "unknown"}

_COUNTS: dict[str, Callable[[Side], int]] = {
    "cells finished": lambda side: len(side.chosen.found.stored),
    "cells failed": lambda side: len(side.chosen.failed),
    "cells left out": lambda side: len(side.chosen.left_out),
    "damaged records": lambda side: len(side.damaged),
}


def _side(folder: Path, listing: Listing) -> Side:
    def here(stored: Stored) -> bool:
        return machine_of(stored) == folder.name

    parsed = parse(stored for stored in listing.finished if here(stored))
    unusable = [*(item for item in listing.damaged if item[0].parent.parent == folder), *parsed.malformed]
    failed = [stored for stored in listing.failed if here(stored)]
    (chosen,) = of_one_task([choose(parsed, failed, read_asked(folder))])
    return Side(
        suite=folder.parent.name,
        machine=folder.name,
        chosen=chosen,
        damaged=tuple((path.relative_to(folder).as_posix(), why) for path, why in unusable),
    )


def _is_machine(folder: Path) -> bool:
    return (folder / ASKED).is_file() or any(folder.glob(f"*/{RECORD}"))


def _only_machine(folder: Path, given: Path) -> Path:
    machines = sorted(path for path in folder.iterdir() if path.is_dir() and _is_machine(path))
    if len(machines) > 1:
        names = ", ".join(str(given / path.name) for path in machines)
        raise SuiteError("This suite has several machines.", where=str(given), fix=f"Name one: {names}.")
    if not machines:
        suites = sorted({path.relative_to(folder).parts[0] for path in folder.glob(f"*/*/*/{RECORD}")})
        named = f" Its suites: {', '.join(str(given / name) for name in suites)}." if suites else ""
        raise StoreError(
            "This is no folder of a machine's results.", where=str(given), fix=f"{_WANTED}{named}"
        )
    return machines[0]


def _fact(item: str, of: Callable[[Record], str | None], before: Side, after: Side) -> Fact:
    return Fact(item=item, before=_said(map(of, before.records)), after=_said(map(of, after.records)))


def _fact_of(item: str, of: Callable[[Side], int], before: Side, after: Side) -> Fact:
    return Fact(item=item, before=words.whole(of(before)), after=words.whole(of(after)))


def _said(values: Iterable[str | None]) -> str:
    """Each value once, in alphabetical order; what a record does not tell is left away."""
    return ", ".join(sorted({value for value in values if value is not None})) or words.NOTHING


def _packages(record: Record) -> dict[str, str]:
    return record.environment.packages


def _protocol(record: Record, *, cost: bool) -> str | None:
    version = record.cell.get("protocol_version")
    return None if version is None or (record.kind == "cost") != cost else str(version)
