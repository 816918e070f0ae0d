"""The commands: each one parses its arguments and makes one call."""

import multiprocessing
import os
import signal
import sys
from io import TextIOWrapper
from typing import NoReturn

import typer

from swatbench.cli import catalogue, machine, results, suites
from swatbench.cli.arguments import say
from swatbench.cli.compare import compare
from swatbench.cli.profile import profile
from swatbench.cli.trace import trace
from swatbench.errors import StoreError, SwatbenchError

INTERRUPTED, PIPE_CLOSED, TERMINATED = 130, 141, 143
"""Exit codes of a program ended by SIGINT, by SIGPIPE and by SIGTERM."""

app = typer.Typer(
    name="swatbench",
    help="Does a structural change to a token-based model help, and what does it cost?",
    epilog="Exit codes: 0 done, 1 a cell failed, 2 suite or argument, 3 data, 4 model, 5 weights, "
    "6 results or output, 8 machine, 9 gate, 130 and 143 interrupted, 141 output closed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for command in (
    suites.run,
    profile,
    trace,
    results.report,
    compare,
    results.status,
    catalogue.models,
    suites.check,
    machine.doctor,
):
    app.command()(command)


def main() -> None:
    """Run the command line; a user's mistake ends with one message and its exit code."""
    _prepare()
    try:
        app()
    except SwatbenchError as error:
        _fail(error)
    except KeyboardInterrupt:
        _stop(INTERRUPTED)
    except SystemExit as end:
        # Typer turns Ctrl-C into the first of these exit codes, wherever it is the one that notices.
        if end.code in (INTERRUPTED, TERMINATED):
            _stop(end.code)
        if isinstance(end.__context__, BrokenPipeError):
            sys.exit(PIPE_CLOSED)
        raise
    except OSError as error:
        if error.filename is not None:
            _fail(StoreError(f"The file cannot be used: {error.strerror}.", where=str(error.filename)))
        _fail(StoreError(f"The output cannot be written: {error.strerror}.", fix="Free or choose a place."))


def _prepare() -> None:
    signal.signal(signal.SIGTERM, _on_sigterm)
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:  # set by `python -m swatbench` while it loads
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Or the profiler's library writes to standard error that there is no card; read when torch is loaded.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without × or → must not end the program


def _fail(error: SwatbenchError) -> NoReturn:
    # Where one process of several fails, the others are asked to stop: one message is enough.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    say(f"error: {error}", err=True)
    sys.exit(error.exit_code)


def _stop(exit_code: int) -> NoReturn:
    for request in (signal.SIGINT, signal.SIGTERM):
        signal.signal(request, signal.SIG_IGN)  # all that is left is to say so
    for child in multiprocessing.active_children():
        child.kill()  # as those that draw a report, whose work this program's end would wait for
    from swatbench.world import world_of

    kept = " Finished cells are kept; the same command goes on from here." if _keeps(sys.argv) else ""
    if world_of().first:
        say(f"Stopped.{kept}", err=True)
    sys.exit(exit_code)


def _keeps(arguments: list[str]) -> bool:
    """Whether the command goes on, when it is given again, from where it was stopped."""
    command = arguments[1:2]
    return command == ["run"] or (command == ["profile"] and "--suite" in arguments)


def _on_sigterm(*_: object) -> NoReturn:
    # Whoever ends a whole group of processes, as timeout does, may send it twice.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # Told where the program ends: here it may be in the middle of a line, and its processes still run.
    sys.exit(TERMINATED)
