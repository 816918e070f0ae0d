"""What several commands take, and how they print and speak."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from swatbench.visible import cut, visible, visible_json, visible_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from swatbench.store.record import Record
    from swatbench.watcher import Ended

SuiteNamed = Annotated[str, typer.Argument(help="A suite's name or file.", show_default=False)]
Results = Annotated[Path, typer.Option(help="Folder of all results.")]
Reports = Annotated[Path, typer.Option(help="Folder of all reports.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of words.")]
Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]


def name_of(suite: str) -> str:
    """Name of a suite that is given by name or by file.

    Raises:
        SuiteError: The file is missing or wrong.
    """
    if not suite.endswith((".yaml", ".yml")):
        return suite
    from swatbench.spec.load import load_suite

    return load_suite(Path(suite)).name


def say(text: str, *, err: bool = False) -> None:
    """Print lines for a person; whatever names and messages hold, nothing in them commands the terminal."""
    typer.echo(visible_lines(text), err=err)


def print_json(value: Any) -> None:
    """Print a value as the one JSON object of a command."""
    typer.echo(visible_json(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)))


def tell_failures(failed: "Sequence[Record | Ended]") -> None:
    """Say on standard error which cells failed, and why."""
    for record in failed:
        assert record.failure is not None
        say(f"failed: {visible(record.cell_id)}: {cut(visible(record.failure.message))}", err=True)


def stage_teller(*, quiet: bool) -> Callable[[str], None]:
    """What says on standard error what begins."""
    return lambda stage: None if quiet else say(stage, err=True)
