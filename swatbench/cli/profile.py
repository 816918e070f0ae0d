"""The command `profile`: what one model costs, or two beside one another, or the pairs of a suite."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from swatbench.cli.arguments import Device, Json, Precision, Reports, Results, print_json, say, tell_failures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from swatbench.spec.request import ProfileRequest
    from swatbench.spec.suite import ProfileSuite
    from swatbench.store.files import Stored
    from swatbench.store.record import Record
    from swatbench.watcher import Ended

WITH_SUITE = frozenset({"suite", "results", "reports", "trace", "as_json", "quiet"})
"""Options that go with a suite, whose file says all else."""

BATCHES = {"classification": 8, "segmentation": 2}
"""Task → images in one call where nothing is said; published segmenters train on two images a card."""

_FIELDS = {
    "models": "--compare",
    "num_classes": "--classes",
    "batch_size": "--batch",
    "modes": "--mode",
    "layouts": "--layout",
    "budget_s": "--budget",
    "max_rounds": "--rounds",
    "memory_limit_bytes": "--memory-limit",
}
"""Field of a request → option, where their names differ."""


def profile(
    context: typer.Context,
    *,
    model: Annotated[
        str | None,
        typer.Option(
            help="The catalogue's or timm's name, hf-hub:ORG/NAME, local-dir:FOLDER or MODULE:FACTORY."
        ),
    ] = None,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="A B", help="Two such models, timed in turn; ratios are B to A."),
    ] = None,
    suite: Annotated[Path | None, typer.Option(help="A suite file that trains nothing.")] = None,
    batch: Annotated[
        int | None,
        typer.Option(min=1, max=65_536, help="Images in one call; 8 if not given, 2 for segmentation."),
    ] = None,
    sweep: Annotated[
        list[int] | None, typer.Option(min=1, max=65_536, help="Time this batch too; may be repeated.")
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(help="Pixels of the images, 224 or 512x2048 (H × W); the model's own if not given."),
    ] = None,
    classes: Annotated[
        int | None, typer.Option(min=1, help="Classes of the logits; the model's own if not given.")
    ] = None,
    task: Annotated[
        Literal["classification", "segmentation"],
        typer.Option(help="Measure a model as it is, or with the UPerNet head that fits it."),
    ] = "classification",
    device: Annotated[Device, typer.Option(help="Where to measure.")] = "auto",
    precision: Annotated[Precision, typer.Option(help="Autocast type.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, max=1024, help="CPU threads; all cores if not given.")
    ] = None,
    mode: Annotated[
        list[str] | None,
        typer.Option(metavar="MODE", help="eager (default), compiled or cuda_graph; may be repeated."),
    ] = None,
    layout: Annotated[
        list[str] | None,
        typer.Option(metavar="LAYOUT", help="contiguous (default) or channels_last; may be repeated."),
    ] = None,
    training: Annotated[bool, typer.Option(help="Also measure a training step.")] = True,
    breakdown: Annotated[bool, typer.Option(help="Also say where the time goes.")] = True,
    budget: Annotated[float, typer.Option(help="Seconds for timing one protocol at one batch.")] = 15.0,
    rounds: Annotated[int, typer.Option(min=6, max=10_000, help="Most rounds of timing.")] = 60,
    largest_batch: Annotated[
        bool, typer.Option("--largest-batch", help="Also search the largest batch that fits into memory.")
    ] = False,
    memory_limit: Annotated[
        str | None, typer.Option(help="Memory that it must fit into, as 2GiB; all that is free if not given.")
    ] = None,
    trace: Annotated[Path | None, typer.Option(help="Folder to leave profiler traces in.")] = None,
    results: Results = Path("results"),
    reports: Reports = Path("reports"),
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
    as_json: Json = False,
) -> None:
    """Count and measure a model, two models in turn, or a suite: MACs, time, memory, and where they go."""
    if [model, compare, suite].count(None) != 2:
        raise typer.BadParameter("give exactly one of --model, --compare and --suite")
    if suite is not None:
        _refuse_beside_suite(context)
        _profile_suite(suite, results, reports, trace, quiet=quiet, as_json=as_json)
        return
    if memory_limit is not None and not largest_batch:
        raise typer.BadParameter("needs --largest-batch", param_hint="--memory-limit")
    request = _request(
        models=(model,) if model is not None else compare,
        size=None if size is None else _size(size),
        num_classes=classes,
        segmentation={} if task == "segmentation" else None,
        device=device,
        precision=precision,
        cost={
            "batch_size": batch or BATCHES[task],
            "sweep": tuple(sweep or ()),
            "threads": threads,
            "modes": tuple(mode or ("eager",)),
            "layouts": tuple(layout or ("contiguous",)),
            "training": training,
            "breakdown": breakdown,
            "budget_s": budget,
            "max_rounds": rounds,
            "largest_batch": largest_batch,
            "deployed": True,
            "memory_limit_bytes": None if memory_limit is None else _bytes(memory_limit),
        },
    )
    _profile_models(request, results, trace, quiet=quiet, as_json=as_json)


def _refuse_beside_suite(context: typer.Context) -> None:
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        given = source is not None and source.name == "COMMANDLINE"
        if given and parameter.name not in WITH_SUITE:
            raise typer.BadParameter(
                "does not go with --suite: the file says it", param_hint=parameter.opts[0]
            )


def _size(text: str) -> tuple[int, int]:
    from swatbench.spec.request import size_of

    try:
        return size_of(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--size") from None


def _bytes(text: str) -> int:
    from pydantic import ByteSize, TypeAdapter, ValidationError

    try:
        return int(TypeAdapter(ByteSize).validate_python(text))
    except ValidationError:
        raise typer.BadParameter(
            f"{text!r} is no amount of memory: write 2GiB or 500MB", param_hint="--memory-limit"
        ) from None


def _request(**asked: Any) -> "ProfileRequest":
    """The request, once its values fit; the first that does not is told by the name of its option."""
    from pydantic import ValidationError

    from swatbench.spec.request import ProfileRequest, check_name

    try:
        request = ProfileRequest.model_validate(asked)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = next((str(one) for one in reversed(first["loc"]) if isinstance(one, str)), "")
        option = _FIELDS.get(field, f"--{field}")
        raise typer.BadParameter(first["msg"].removeprefix("Value error, "), param_hint=option) from None
    for name in request.models:
        check_name(name)
    return request


def _profile_models(
    request: "ProfileRequest", results: Path, trace: Path | None, *, quiet: bool, as_json: bool
) -> None:
    from swatbench import run as runs
    from swatbench.console import watching

    if not (quiet or as_json):
        say("looking at the models", err=True)
    with watching(quiet=quiet or as_json) as watch:
        stored = runs.profile_models(request, results=results, watch=watch, trace=trace)
    finished = [one for one in stored if one.record.status == "finished"]
    failed = [one.record for one in stored if one.record.status != "finished"]
    _tell(finished, failed, quiet=quiet, as_json=as_json)


def _profile_suite(
    path: Path, results: Path, reports: Path, trace: Path | None, *, quiet: bool, as_json: bool
) -> None:
    from swatbench.console import watching
    from swatbench.report.page import render
    from swatbench.run import run_suite
    from swatbench.world import world_of

    suite = _untrained(path)
    with watching(quiet=quiet or as_json or not world_of().first) as watch:
        outcome = run_suite(suite, results=results, watch=watch, trace=trace)
    if outcome is None:  # Of several processes, the first one tells.
        return
    if trace is not None and outcome.skipped and not quiet:
        say(f"{outcome.skipped} cells were measured before, and leave no trace.", err=True)
    page = render(results, reports, suite.name)
    measured = _measured(results, suite.name, outcome.folder)
    _tell(measured, outcome.failed, page, quiet=quiet, as_json=as_json)


def _untrained(path: Path) -> "ProfileSuite":
    from swatbench.errors import SuiteError
    from swatbench.spec.load import load_suite
    from swatbench.spec.suite import ProfileSuite

    suite = load_suite(path)
    if not isinstance(suite, ProfileSuite):
        fix = f"Use `swatbench run {path}`, or leave out data, recipe and seeds."
        raise SuiteError("this suite trains.", where=str(path), fix=fix)
    return suite


def _measured(results: Path, suite: str, folder: Path) -> "list[Stored]":
    """The finished cost cells that a suite asks for on this machine, those of earlier runs included."""
    from swatbench.store.asked import read_asked
    from swatbench.store.files import read_suite

    asked = read_asked(folder)
    cells = asked.cells if asked is not None else ()
    found = read_suite(results, suite).finished
    return [one for one in found if one.folder.parent == folder and one.folder.name in cells]


def _tell(
    finished: "Sequence[Stored]",
    failed: "Sequence[Record | Ended]",
    page: Path | None = None,
    *,
    quiet: bool,
    as_json: bool,
) -> None:
    from swatbench.report.profile import profile_json, profile_tables

    if as_json:
        places = {} if page is None else {"report": str(page)}
        failures = {record.cell_id: record.failure.message for record in failed if record.failure}
        print_json({**profile_json(finished), **places, "failed": failures})
    elif not quiet:
        from swatbench.console import print_table

        for table in profile_tables(finished):
            say(table.title)
            print_table(table.rows, table.columns)
        if page is not None:
            say(f"Report: {page}")
    tell_failures(failed)
    if failed:
        raise typer.Exit(1)
