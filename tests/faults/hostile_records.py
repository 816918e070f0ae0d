"""Records with a hostile text in every field that takes one, and the report of them."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from swatbench.report.page import render
from swatbench.report.selection import _parse_one
from swatbench.store.files import Stored
from swatbench.store.record import Record
from tests.faults import sinks
from tests.report.conftest import World
from tests.report.measured import detail


def strings_in(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths to the strings of a JSON value."""
    if isinstance(value, str):
        yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from strings_in(item, (*at, key))


def spoil(folder: Path, text: str) -> int:
    """Put a text before every string of a record that may be any text, and say how many those are."""
    values = json.loads((folder / "record.json").read_text())
    spoiled = 0
    for at in [at for at in strings_in(values) if at[0] != "files"]:
        node = values
        for key in at[:-1]:
            node = node[key]
        kept, node[at[-1]] = node[at[-1]], text + node[at[-1]]
        if _still_read(folder, values):
            spoiled += 1
        else:
            node[at[-1]] = kept
    values["environment"]["packages"][text] = text
    (folder / "record.json").write_text(json.dumps(values))
    return spoiled


def _still_read(folder: Path, values: Any) -> bool:
    try:
        record = Record.model_validate_json(json.dumps(values))
    except ValidationError:
        return False
    stored = Stored(record=record, folder=folder)
    return record.status != "finished" or not isinstance(_parse_one(stored), str)


def hostile_report(root: Path, text: str) -> tuple[Path, int]:
    """A report of records with a text in every field that takes one; its folder, and how many fields did."""
    world = World(results=root / "results")
    for arm in ("baseline", "swat"):
        for number in (0, 1):
            world.train("deit_mini", arm, number, classes=tuple(f"{text}{n}" for n in range(10)))
    detail(world.cost("deit_mini", full=True, sweep=(1, 16)))
    world.further(seeds=(2,))
    world.fail(message=text)
    fields = sum(spoil(path.parent, text) for path in sorted(world.results.glob("*/*/*/record.json")))
    return render(world.results, root / "reports", world.suite).parent, fields


def check_report(folder: Path) -> int:
    """See that no file of a report says more than text, and say how many files were looked at."""
    checks: dict[str, Callable[[str], Any]] = {
        ".html": sinks.check_page,
        ".svg": sinks.check_figure,
        ".md": sinks.markdown_structure,
        ".csv": sinks.check_csv,
        ".tex": sinks.tex_structure,
    }
    found = [path for path in sorted(folder.rglob("*")) if path.suffix in checks]
    for path in found:
        checks[path.suffix](path.read_text())
    return len(found)
