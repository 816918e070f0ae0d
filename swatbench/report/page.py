"""`results/<suite>/` → `reports/<suite>/`: the page, its Markdown and LaTeX twins, tables and figures.

What was measured is read from the records alone. Beside them are read: what each machine's last run asked
for (`asked.json`, which tells the cells to show and describes the suite), the paper's numbers
(`published.csv`), and the catalogue, for the order of pairs and arms. Where all of these are equal, so are
the report's bytes, on one kind of processor and with the same versions of numpy, scipy and matplotlib.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from swatbench.report import words
from swatbench.report.breakdowns import PROFILER_NOTE
from swatbench.report.chapters import begun_chapters
from swatbench.report.groups import grouped
from swatbench.report.ledger import damaged_table
from swatbench.report.metric import shared_metric
from swatbench.report.section import Section, sections
from swatbench.report.selection import WellFormed, parse
from swatbench.report.sentences import MAC, measured_in_words, tally
from swatbench.report.writing import Report, write
from swatbench.store.asked import Asked, read_asked
from swatbench.store.files import Listing, Stored, read_suite
from swatbench.store.refusal import refuse_links


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """All that a report of one suite rests on.

    Attributes:
        suite: Name of the suite.
        listing: Its records.
        parsed: Those of them that hold together.
        asked: Machine → what its last run asked for.
        sections: What each machine's records show.
    """

    suite: str
    listing: Listing
    parsed: WellFormed
    asked: Mapping[str, Asked]
    sections: tuple[Section, ...]


def gather(results: Path, suite: str) -> Gathered:
    """Read the records of one suite and compare them.

    Args:
        results: Root of all results.
        suite: Name of the suite.

    Raises:
        StoreError: The suite has no results.
    """
    listing = read_suite(results, suite)
    parsed = parse(listing.finished)
    asked = asked_of(results / suite)
    found = sections(parsed, listing.failed, asked)
    return Gathered(suite=suite, listing=listing, parsed=parsed, asked=asked, sections=found)


def render(results: Path, reports: Path, suite: str) -> Path:
    """Write the report of one suite.

    Args:
        results: Root of all results.
        reports: Root of all reports; `reports/<suite>/` is made, and files of an earlier report replaced.
        suite: Name of the suite.

    Returns:
        The page, `reports/<suite>/index.html`.

    Raises:
        StoreError: The suite has no results, or the report cannot be written.
    """
    return write_report(gather(results, suite), reports)


def write_report(gathered: Gathered, reports: Path) -> Path:
    """Write the report of what was gathered; see `render`."""
    found, folder = gathered.sections, reports / gathered.suite
    refuse_links(folder, folder / "tables", folder / "figures")
    damaged = _damaged(gathered, folder)

    addresses: dict[Path, str] = {}

    def link(stored: Stored) -> str:
        machine = stored.folder.parent
        # A machine has many cells, whose names are safe in addresses.
        if machine not in addresses:
            addresses[machine] = _relative(machine, folder)
        return f"{addresses[machine]}/{stored.folder.name}/record.json"

    # Figures are drawn by other processes while tables are made here.
    chapters = begun_chapters(found, link)
    report = Report(
        head=_head(gathered, len(damaged)),
        groups=grouped(found, link),
        chapters=chapters(),
        damaged=damaged_table(damaged),
    )
    write(folder, report)
    return folder / "index.html"


def asked_of(folder: Path) -> dict[str, Asked]:
    """Machine → what its last run asked for, where a file says so.

    Args:
        folder: Folder of a suite's results.
    """
    machines = sorted(path for path in folder.iterdir() if path.is_dir())
    found = ((machine.name, read_asked(machine)) for machine in machines)
    return {name: asked for name, asked in found if asked is not None}


def _head(gathered: Gathered, damaged: int) -> dict[str, str]:
    found, asked = gathered.sections, gathered.asked
    shown = [stored for section in found for stored in (*section.reported, *section.failed)]
    dates = [stored.record.started_at for stored in shown]
    reported = [measured for section in found for runs in section.pairs for measured in runs.conditions]
    return {
        "suite": gathered.suite,
        # Machines may have been asked at different times, when the suite said different things.
        "description": " ".join(dict.fromkeys(item.description for item in asked.values())).strip(),
        "machines": words.listed([section.machine for section in found]) or words.NOTHING,
        "newest": words.moment(max(dates)) if dates else words.NOTHING,
        "tally": tally(found, damaged),
        "mac": MAC,
        "profiler": PROFILER_NOTE,
        "task": shared_metric(found).task,
        "measured": measured_in_words(reported) or "Cost was not measured.",
    }


def _damaged(gathered: Gathered, folder: Path) -> list[tuple[str, str]]:
    found = (*gathered.listing.damaged, *gathered.parsed.malformed)
    return [(_relative(path, folder), why) for path, why in found]


def _relative(path: Path, folder: Path) -> str:
    # A report and its results may lie side by side, which Path.relative_to cannot express.
    # A folder's name need not be UTF-8, and its bytes are an address all the same.
    return quote(Path(os.path.relpath(path, folder)).as_posix(), errors="surrogateescape")
