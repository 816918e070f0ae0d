"""The commands that take a suite file: `run` does what it asks, `check` says what that would be."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from swatbench.cli.arguments import Json, Reports, Results, print_json, say, tell_failures

if TYPE_CHECKING:
    from swatbench.spec.plan import Planned
    from swatbench.spec.suite import ProfileSuite, Suite
    from swatbench.watcher import Outcome

MOST_LISTED = 200
"""Cells that `check` prints a line about."""


def run(
    suite: Annotated[
        Path, typer.Argument(help="A suite file, as suites/quickstart.yaml.", show_default=False)
    ],
    results: Results = Path("results"),
    reports: Reports = Path("reports"),
    jobs: Annotated[int | None, typer.Option(min=1, max=256, help="Cells trained side by side.")] = None,
    eval_only: Annotated[
        bool, typer.Option("--eval-only", help="Train nothing: test the weights that --weights names.")
    ] = False,
    weights: Annotated[
        str | None, typer.Option(help="A file, timm's name with its tag, or hf-hub:<id>; with --eval-only.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The model that a file's weights are of, as swat_deit_ti.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
    as_json: Json = False,
) -> None:
    """Train, evaluate and measure every cell of SUITE that is not finished, then write the report."""
    asked = _asked(suite, jobs=jobs, eval_only=eval_only, weights=weights, model=model)

    from swatbench.console import watching
    from swatbench.run import run_suite
    from swatbench.world import world_of

    silent = quiet or as_json or not world_of().first
    with watching(quiet=silent) as watch:
        outcome = run_suite(asked, results=results, watch=watch, weights=weights, model=model)
    if outcome is None:  # Of several processes, the first one tells.
        return

    from swatbench.report.page import render

    _tell(outcome, render(results, reports, asked.name), quiet=quiet, as_json=as_json)
    if outcome.failed:
        raise typer.Exit(1)


def check(
    suite: Annotated[Path | None, typer.Argument(help="A suite file.", show_default=False)] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of suite files.")] = False,
    as_json: Json = False,
) -> None:
    """Validate SUITE and list its cells with their estimated cost, without running anything."""
    from swatbench.spec.load import load_suite
    from swatbench.spec.plan import plan, plan_costs
    from swatbench.spec.schema import schema_text

    if schema:
        typer.echo(schema_text(), nl=False)
        return
    if suite is None:
        raise typer.BadParameter("name a suite file, or ask for --schema", param_hint="SUITE")
    asked = load_suite(suite)
    rows = plan(asked)
    if as_json:
        measured = [one.as_dict() for one in plan_costs(asked)]
        print_json({"suite": asked.name, "cells": [row.as_dict() for row in rows], "measured": measured})
        return
    _tell_plan(suite, asked, rows)


def _asked(
    path: Path, *, jobs: int | None, eval_only: bool, weights: str | None, model: str | None
) -> "Suite | ProfileSuite":
    """The suite with what the arguments change in it, once they fit one another."""
    if eval_only != (weights is not None) or (model is not None and not eval_only):
        raise typer.BadParameter(
            "--eval-only needs --weights, and without it there is neither that nor --model"
        )
    from swatbench.spec.catalog import find_model
    from swatbench.spec.load import load_suite, load_training_suite

    suite = load_suite(path) if weights is None else load_training_suite(path)
    if model is not None:
        find_model(model)
    if jobs is None:
        return suite
    return suite.model_copy(update={"execution": suite.execution.model_copy(update={"jobs": jobs})})


def _tell(outcome: "Outcome", page: Path, *, quiet: bool, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "suite": outcome.suite,
                "results": str(outcome.folder),
                "report": str(page),
                "finished": [record.cell_id for record in outcome.finished],
                "skipped": outcome.skipped,
                "failed": [record.cell_id for record in outcome.failed],
                "others": [record.cell_id for record in outcome.others],
            }
        )
    elif not quiet:
        counts = f"{len(outcome.finished)} finished, {outcome.skipped} skipped, {len(outcome.failed)} failed"
        others = f"; {len(outcome.others)} finished by other runs meanwhile" if outcome.others else ""
        say(f"{counts}{others}.\nReport: {page}")
    tell_failures(outcome.failed)


def _tell_plan(path: Path, suite: "Suite | ProfileSuite", rows: "tuple[Planned, ...]") -> None:
    from swatbench.console import print_table
    from swatbench.report.words import count, quantity, whole
    from swatbench.spec.plan import plan_costs
    from swatbench.status.words import span

    if rows:
        print_table(
            [
                (
                    r.pair,
                    r.arm,
                    str(r.seed),
                    whole(r.images_seen),
                    *map(quantity, (r.forward_macs, r.training_macs)),
                )
                for r in rows[:MOST_LISTED]
            ],
            ("pair", "arm", "seed", "images seen", "MACs of an image", "MACs of training, about"),
        )
    if len(rows) > MOST_LISTED:
        say(f"These are the first {MOST_LISTED} of {whole(len(rows))}; --json lists all.")
    known = [row.training_macs for row in rows if row.training_macs is not None]
    about = f", about {quantity(sum(known))} MACs in all" if len(known) == len(rows) else ""
    parts = [f"{count(len(rows), 'cell')} to train{about}"] if rows else []
    costs = plan_costs(suite)
    if costs and not rows:
        print_table(
            [
                (c.pair, c.precision, c.mode, c.layout, ", ".join(map(str, c.batch_sizes)), span(c.timing_s))
                for c in costs
            ],
            ("pair", "precision", "mode", "layout", "batches", "timing, at most about"),
        )
    if costs:
        parts.append(f"{count(len(costs), 'cell')} to measure cost in")
    say(f"{path}: valid; {', and '.join(parts)}.")
    if suite.promise is not None:
        took = span(suite.promise.wall_time_s)
        say(f"Expected: {took} on {suite.promise.hardware}.")
