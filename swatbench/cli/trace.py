"""The command about traces: `trace` tells what a folder holds, and opens it."""

import shlex
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from swatbench.cli.arguments import say
from swatbench.errors import MachineError, StoreError


def trace(
    folder: Annotated[Path, typer.Argument(help="A folder of traces, or one above it.", show_default=False)],
    in_browser: Annotated[
        bool, typer.Option("--open", help="Start TensorBoard on this machine's loopback, until Ctrl-C.")
    ] = False,
    port: Annotated[int, typer.Option(min=1, max=65_535, help="TensorBoard's port.")] = 6006,
) -> None:
    """List the traces of profiled steps, and say how to look at them."""
    from swatbench.measure.trace import recordings, runs, tensorboard_command

    perfetto, tensorboard = recordings(folder), runs(folder)
    if not perfetto and not tensorboard:
        raise _nothing(folder)
    if in_browser and not tensorboard:
        raise StoreError(
            "There are no traces for TensorBoard here.", where=str(folder), fix="Name the folder above."
        )
    command = tensorboard_command(folder, port=port)
    _tell(perfetto, tensorboard, command)
    if in_browser:
        _serve(command, port)


def _nothing(folder: Path) -> StoreError:
    if folder.is_file():
        return StoreError("This is a file.", where=str(folder), fix="Name the folder that it lies in.")
    what = "There are no traces here." if folder.is_dir() else "There is no such folder."
    fix = "Write some: swatbench profile --compare A B --trace FOLDER"
    return StoreError(what, where=str(folder), fix=fix)


def _tell(perfetto: tuple[Path, ...], tensorboard: tuple[Path, ...], command: tuple[str, ...]) -> None:
    if perfetto:
        say("For https://ui.perfetto.dev (Open trace file; the file stays on this machine):")
        for path in perfetto:
            say(f"  {path}")
    if tensorboard:
        say("For TensorBoard (PYTORCH_PROFILER; its view Diff compares two runs):")
        for path in tensorboard:
            say(f"  {path}")
        say(f"  {shlex.join(command)}")


def _serve(command: tuple[str, ...], port: int) -> None:
    """Run TensorBoard in the foreground until Ctrl-C."""
    for module, package in (("tensorboard", "tensorboard"), ("torch_tb_profiler", "torch-tb-profiler")):
        if find_spec(module) is None:
            raise MachineError(
                f"TensorBoard shows traces by its plugin, and {package} is not installed.",
                fix=f"Install it (`pip install {package}`), or open the file for Perfetto.",
            )
    say(f"http://127.0.0.1:{port}/#pytorch_profiler  (Ctrl-C ends it)")
    try:
        ended = subprocess.run(command, check=False).returncode  # noqa: S603  our own command
    except KeyboardInterrupt:
        return
    if ended:
        raise MachineError(
            f"TensorBoard ended with exit code {ended}.", fix="Is the port taken? Choose another by --port."
        )
