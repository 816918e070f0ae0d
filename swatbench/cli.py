"""The commands: each one parses its arguments and makes one call."""

import json
import signal
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer

from swatbench.errors import StoreError, SwatbenchError

INTERRUPTED, PIPE_CLOSED, TERMINATED = 130, 141, 143
"""Exit codes of a program ended by SIGINT, by SIGPIPE and by SIGTERM."""

app = typer.Typer(
    name="swatbench",
    help="Does a structural change to a token-based model help, and what does it cost?",
    epilog="Exit codes: 0 done, 1 a cell failed, 2 suite or argument, 3 data, 4 model, 6 results or output, "
    "8 machine, 130 and 143 interrupted, 141 output closed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

SuiteFile = Annotated[
    Path, typer.Argument(help="A suite file, as suites/quickstart.yaml.", show_default=False)
]
Results = Annotated[Path, typer.Option(help="Folder of all results.")]
Reports = Annotated[Path, typer.Option(help="Folder of all reports.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of words.")]
Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "fp32", "bf16"]


def main() -> None:
    """Run the command line; a user's mistake ends with one message and its exit code."""
    signal.signal(signal.SIGTERM, _on_sigterm)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without × or → must not end the program
    try:
        app()
    except SwatbenchError as error:
        _fail(error)
    except SystemExit as end:
        # Typer turns Ctrl-C into this exit code.
        if end.code == INTERRUPTED:
            _stop(INTERRUPTED)
        if isinstance(end.__context__, BrokenPipeError):
            sys.exit(PIPE_CLOSED)
        raise
    except OSError as error:
        _fail(StoreError(f"The output cannot be written: {error.strerror}.", fix="Free or choose a place."))


@app.command()
def run(
    suite: SuiteFile,
    results: Results = Path("results"),
    reports: Reports = Path("reports"),
    jobs: Annotated[int | None, typer.Option(min=1, max=256, help="Cells trained side by side.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
    as_json: Json = False,
) -> None:
    """Train, evaluate and measure every cell of SUITE that is not finished, then write the report."""
    from swatbench.spec.load import load_suite

    asked = load_suite(suite)
    if jobs is not None:
        asked = asked.model_copy(update={"execution": asked.execution.model_copy(update={"jobs": jobs})})

    from swatbench.console import watching
    from swatbench.run import run_suite

    with watching(quiet=quiet or as_json) as watch:
        outcome = run_suite(asked, results=results, watch=watch)

    from swatbench.report.page import render

    page = render(results, reports, asked.name)
    if as_json:
        _print_json(
            {
                "suite": outcome.suite,
                "results": str(outcome.folder),
                "report": str(page),
                "finished": [record.cell_id for record in outcome.finished],
                "skipped": outcome.skipped,
                "failed": [record.cell_id for record in outcome.failed],
            }
        )
    elif not quiet:
        counts = f"{len(outcome.finished)} finished, {outcome.skipped} skipped, {len(outcome.failed)} failed"
        typer.echo(f"{counts}.\nReport: {page}")
    for record in outcome.failed:
        assert record.failure is not None
        typer.echo(f"failed: {record.cell_id}: {record.failure.message}", err=True)
    if outcome.failed:
        raise typer.Exit(1)


@app.command()
def profile(
    model: Annotated[str, typer.Option(help="A pair, as deit_ti, or an arm and a pair, as swat_deit_ti.")],
    batch: Annotated[int, typer.Option(min=1, max=65_536, help="Images in one call.")] = 8,
    device: Annotated[Device, typer.Option(help="Where to measure.")] = "auto",
    precision: Annotated[Precision, typer.Option(help="Autocast type.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, max=1024, help="CPU threads; all cores if not given.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Count and measure one model: parameters, MACs, latency, throughput, memory."""
    from swatbench.spec.catalog import find_model

    find_model(model)  # a misspelt name is told before torch is loaded

    from swatbench import run as runs

    found = runs.profile(
        model,
        batch=batch,
        device=device,
        precision=precision,
        threads=threads,
        on_stage=lambda stage: None if as_json else typer.echo(stage, err=True),
    )
    if as_json:
        _print_json(found)
        return
    from swatbench.console import print_table
    from swatbench.report.profile import profile_rows

    print_table(profile_rows(found))


@app.command()
def report(
    suite: Annotated[str, typer.Argument(help="A suite's name or file.", show_default=False)],
    results: Results = Path("results"),
    reports: Reports = Path("reports"),
) -> None:
    """Write the report of a suite from its results, without running anything."""
    from swatbench.report.page import render

    name = suite
    if suite.endswith((".yaml", ".yml")):
        from swatbench.spec.load import load_suite

        name = load_suite(Path(suite)).name
    typer.echo(f"Report: {render(results, reports, name)}")


@app.command()
def models(
    model: Annotated[str | None, typer.Option(help="Tell what is in one model, as swat_swin_t.")] = None,
    as_json: Json = False,
) -> None:
    """List the pairs, their arms and the published numbers, or tell what is in one model."""
    from swatbench.console import print_table
    from swatbench.report import listing

    if as_json:
        _print_json(listing.catalogue() if model is None else listing.describe(model))
    elif model is not None:
        print_table(listing.describe_rows(listing.describe(model)))
    else:
        print_table(listing.pair_rows(), listing.PAIR_COLUMNS)
        print_table(listing.arm_rows(), listing.ARM_COLUMNS)
        typer.echo(listing.LEGEND)


@app.command()
def check(
    suite: Annotated[Path | None, typer.Argument(help="A suite file.", show_default=False)] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of suite files.")] = False,
    as_json: Json = False,
) -> None:
    """Validate SUITE and list its cells with their estimated cost, without running anything."""
    from swatbench.spec.load import load_suite
    from swatbench.spec.plan import plan
    from swatbench.spec.schema import schema_text

    if schema:
        typer.echo(schema_text(), nl=False)
        return
    if suite is None:
        raise typer.BadParameter("name a suite file, or ask for --schema", param_hint="SUITE")
    asked = load_suite(suite)
    rows = plan(asked)
    if as_json:
        measured = list(asked.pairs) if asked.cost is not None else []
        _print_json({"suite": asked.name, "cells": [row.as_dict() for row in rows], "measured": measured})
        return
    from swatbench.console import print_table
    from swatbench.report.words import quantity, whole

    print_table(
        [
            (
                r.pair,
                r.arm,
                str(r.seed),
                whole(r.images_seen),
                *map(quantity, (r.forward_macs, r.training_macs)),
            )
            for r in rows
        ],
        ("pair", "arm", "seed", "images seen", "MACs of an image", "MACs of training, about"),
    )
    total = quantity(sum(row.training_macs or 0 for row in rows))
    pairs = len(asked.pairs)
    cost = f", and {pairs} pair{'s' if pairs > 1 else ''} to measure" if asked.cost is not None else ""
    typer.echo(f"{suite}: valid; {len(rows)} cells to train, about {total} MACs in all{cost}.")
    if asked.promise is not None:
        minutes = asked.promise.wall_time_s / 60
        typer.echo(f"Expected: {minutes:.3g} minutes on {asked.promise.hardware}.")


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say what this machine has, and what is wrong with it."""
    from swatbench.console import print_table
    from swatbench.doctor import examine

    findings = examine(Path.cwd())
    if as_json:
        _print_json([finding.as_dict() for finding in findings])
    else:
        rows = [(finding.name, finding.found, finding.fix or "") for finding in findings]
        print_table(rows, ("", "found", "what to do"))
    if any(finding.fix for finding in findings):
        raise typer.Exit(8)


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def _fail(error: SwatbenchError) -> NoReturn:
    typer.echo(f"error: {error}", err=True)
    sys.exit(error.exit_code)


def _stop(exit_code: int) -> NoReturn:
    kept = " Finished cells are kept; the same command goes on from here." if "run" in sys.argv[1:2] else ""
    typer.echo(f"Stopped.{kept}", err=True)
    sys.exit(exit_code)


def _on_sigterm(*_: object) -> NoReturn:
    _stop(TERMINATED)
