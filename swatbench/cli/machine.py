"""The command about this machine: `doctor`."""

from pathlib import Path
from typing import Annotated

import typer

from swatbench.cli.arguments import Json, print_json, stage_teller


def doctor(
    data: Annotated[
        Path | None, typer.Option(help="A suite file: say whether its images come fast enough, too.")
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="A suite file: decode each of its images, and name those that are bad."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what this machine has, and what is wrong with it."""
    from swatbench.console import print_table
    from swatbench.doctor import examine, examine_data, examine_images
    from swatbench.spec.load import load_training_suite

    measured, decoded = (load_training_suite(path) if path is not None else None for path in (data, images))
    findings = examine(Path.cwd())
    if decoded is not None:
        findings += examine_images(decoded, on_stage=stage_teller(quiet=as_json))
    if measured is not None:
        findings += examine_data(measured, on_stage=stage_teller(quiet=as_json))
    if as_json:
        print_json([finding.as_dict() for finding in findings])
    else:
        rows = [(finding.name, finding.found, finding.fix or "") for finding in findings]
        print_table(rows, ("", "found", "what to do"))
    if any(finding.fix for finding in findings):
        raise typer.Exit(8)
