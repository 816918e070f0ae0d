"""The command about this machine: `doctor`."""

from pathlib import Path
from typing import Annotated

import typer

from swatbench.cli.arguments import Json, print_json, stage_teller


def doctor(
    data: Annotated[
        Path | None, typer.Option(help="A suite file: say whether its images come fast enough, too.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what this machine has, and what is wrong with it."""
    from swatbench.console import print_table
    from swatbench.doctor import examine, examine_data
    from swatbench.spec.load import load_training_suite

    suite = load_training_suite(data) if data is not None else None
    findings = examine(Path.cwd())
    if suite is not None:
        findings += examine_data(suite, on_stage=stage_teller(quiet=as_json))
    if as_json:
        print_json([finding.as_dict() for finding in findings])
    else:
        rows = [(finding.name, finding.found, finding.fix or "") for finding in findings]
        print_table(rows, ("", "found", "what to do"))
    if any(finding.fix for finding in findings):
        raise typer.Exit(8)
