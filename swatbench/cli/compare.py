"""The command `compare`: what changed from one folder of results to another."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from swatbench.cli.arguments import Json, print_json, say
from swatbench.visible import visible

if TYPE_CHECKING:
    from swatbench.report.between import Between

Side = Annotated[
    Path, typer.Argument(help="Folder of a machine, results/SUITE/MACHINE, or of a suite with one machine.")
]


def compare(
    results_a: Side,
    results_b: Side,
    *,
    output: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Also write compare.md and tables here.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what changed from A to B, two machines or two commits, and what cannot be compared."""
    from swatbench.report.between import compare_folders
    from swatbench.report.between_files import between_json, write_between

    found = compare_folders(results_a, results_b)
    page = None if output is None else write_between(found, output)
    if as_json:
        print_json(between_json(found) | ({} if page is None else {"written": str(page)}))
        return
    _tell(found)
    if page is not None:
        say(f"Comparison: {page}")


def _tell(found: "Between") -> None:
    from swatbench.console import print_table
    from swatbench.report.between_tables import between_tables
    from swatbench.report.between_words import between_sentences

    for said in between_sentences(found):
        say(visible(said))
    for table in between_tables(found):
        if len(table.frame):
            say(f"\n{table.title}. {table.note}")
            print_table(
                [[view.text for view in row] for row in table.views()],
                [column.title for column in table.columns],
            )
