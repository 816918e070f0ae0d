"""Hostile text, in every field of a record that takes one, and by the thousand through every sink.

    python -m tests.faults.text --texts 5000 --seed 1 [--json FILE]

What a sink holds with hostile text in it must have the structure that it has with plain text.
"""

import argparse
import io
import json
import math
import tempfile
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from swatbench.cli.arguments import print_json, say
from swatbench.console import print_table
from swatbench.report.export import csv_text, escape_markdown, markdown_text
from swatbench.report.table import Column, Table, make_table
from swatbench.report.tex import tex_text
from swatbench.report.writing import Report, _render
from swatbench.store.provenance import git_state
from swatbench.visible import visible
from tests.faults import sinks
from tests.faults.fragments import EVERYTHING, FRAGMENTS
from tests.faults.hostile_records import check_report, hostile_report
from tests.faults.mutants import ROOT

PLAIN = "plain"
ROWS = 25
"""Texts of one table."""

texts = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=8), min_size=1, max_size=6).map("".join)


def table_of(found: Sequence[str]) -> Table:
    """A table with a text in a row, as text, as prose, in a link and beside a number."""
    columns = (
        Column(name="text", title="Text"),
        Column(name="prose", title="Prose", prose=True, link="address"),
        Column(name="value", title="Value", numeric=True),
        Column(name="links", title="Links", links=True),
    )
    rows = [
        {
            "machine": "m",
            "text": one,
            "prose": one,
            "address": "../r",
            "value": -1.5,
            "links": ((one, "../r"),),
        }
        for one in found
    ]
    return make_table("damaged", "Title", "Note.", columns, rows, extra=("address",))


def check_texts(found: Sequence[str]) -> None:
    """Send texts through every sink, and see that each stays what it is: text in its place."""
    ours, plain = table_of(found), table_of([PLAIN] * len(found))
    assert sinks.markdown_structure(markdown_text(ours)) == sinks.markdown_structure(markdown_text(plain))
    for one in found:
        assert sinks.markdown_structure(escape_markdown(f" {one}x")) == sinks.markdown_structure("x")
    assert sinks.tex_structure(tex_text(ours)) == sinks.tex_structure(tex_text(plain))
    rows = sinks.check_csv(csv_text(ours))
    assert len(rows) == len(found) + 1
    assert {row[rows[0].index("value")] for row in rows[1:]} == {"-1.5"}
    page, other = (sinks.check_page(_page(*pages)) for pages in ((ours, found[0] or PLAIN), (plain, PLAIN)))
    assert page.tags == other.tags
    assert all(visible(one).strip() in page.said for one in found)
    _check_terminal(found)


def _page(table: Table, head: str) -> str:
    names = ("suite", "description", "machines", "newest", "tally", "mac", "measured", "task")
    report = Report(head=dict.fromkeys(names, head), chapters=(), groups=(), damaged=table)
    return _render("page.html.jinja", report)


def _check_terminal(found: Sequence[str]) -> None:
    sinks.check_terminal(_printed(lambda: print_table([(one, one) for one in found], (found[0], "x"))))
    sinks.check_terminal(_printed(lambda: say("\n".join(found))))
    told = {"texts": list(found), found[0]: 1}
    assert sinks.check_json(_printed(lambda: print_json(told))) == told


def _printed(call: Callable[[], None]) -> str:
    out = io.StringIO()
    with redirect_stdout(out):
        call()
    return out.getvalue()


def try_texts(count: int, **options: Any) -> Callable[[], None]:
    """A function that sends about so many texts through every sink."""

    @settings(
        max_examples=math.ceil(count / ROWS),
        database=None,
        deadline=None,
        suppress_health_check=[*HealthCheck],
        phases=[Phase.generate],  # shrinking takes minutes
        **options,
    )
    @given(st.lists(texts, min_size=ROWS, max_size=ROWS))
    def tried(found: list[str]) -> None:
        check_texts(found)

    return tried


def main() -> None:
    """Try many texts, and write what became of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--texts", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, default=ROOT / "results" / "reliability" / "text.json")
    asked = parser.parse_args()
    commit = git_state(ROOT / "swatbench")[0]
    check_texts(FRAGMENTS)
    seed(asked.seed)(try_texts(asked.texts))()
    with tempfile.TemporaryDirectory() as name:
        folder, fields = hostile_report(Path(name), EVERYTHING)
        files = check_report(folder)
    # A text that breaks out has raised by now.
    found = {
        "texts": ROWS * math.ceil(asked.texts / ROWS),
        "seed": asked.seed,
        "fragments": len(FRAGMENTS),
        "sinks": 7,
        "broken_out": 0,
        "record_fields": fields,
        "report_files": files,
        "git_commit": commit,
    }
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_text(f"{json.dumps(found, indent=2)}\n")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
