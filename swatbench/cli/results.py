"""The commands that read results: `report` writes pages from them, `status` says how far they are."""

from pathlib import Path

import typer

from swatbench.cli.arguments import Json, Reports, Results, SuiteNamed, name_of, print_json


def report(suite: SuiteNamed, results: Results = Path("results"), reports: Reports = Path("reports")) -> None:
    """Write the report of a suite from its results, without running anything."""
    from swatbench.report.page import render

    typer.echo(f"Report: {render(results, reports, name_of(suite))}")


def status(suite: SuiteNamed, results: Results = Path("results"), as_json: Json = False) -> None:
    """Say how far a suite is: cells done, running, failed and waiting, and about how long the rest takes."""
    from swatbench.status import suite_status

    name = name_of(suite)
    found = suite_status(results, name)
    if as_json:
        print_json({"suite": name, "machines": [machine.as_dict() for machine in found]})
        return
    for machine in found:
        typer.echo(f"{machine.table()}\n{machine.sentence()}\n")
    if not found:
        typer.echo("No run of this suite has begun.")
