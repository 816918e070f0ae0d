"""Traces of profiled steps, for Perfetto as they were recorded and for TensorBoard's profiler plugin mended.

A folder of traces holds `perfetto/<name>.json` and `tensorboard/<name>/swatbench.<time>.pt.trace.json`; the
plugin (torch-tb-profiler 0.4.3) takes each folder under `tensorboard` for a run, and compares two runs in its
diff view. It knows traces as torch wrote them in 2022, so in its copy

- annotations are operators (`cpu_op`): it drops annotations, and so shows no time in DataLoader and no
  optimizer;
- ranges of modules (`swatbench.measure.ranges`) are module events: as operators they would fill the operator
  view, and as modules they give the module view and are what the diff view lines two models up by;
- phases stay annotations, which it drops: around the modules they would hide them;
- calls of CUDA's runtime and driver are `Runtime`: by today's names it finds no operator of a kernel;
- what marks steps on the card is left out: it would count each step twice;
- the machine's name and the path of the recording are left out.
"""

import gzip
import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swatbench.errors import StoreError
from swatbench.store.refusal import refused

if TYPE_CHECKING:
    from torch.profiler import profile

MODULE = "module::"
"""Before a module's path in the name of its range; alone it is the model itself."""
PHASE = "phase::"
"""Before a phase in the name of its range."""

_SUFFIX = ".pt.trace.json"
_RUNTIME = frozenset({"cuda_runtime", "cuda_driver"})
Event = dict[str, Any]


def write_traces(
    profiler: "profile", folder: Path, name: str, *, clock: Callable[[], float] = time.time
) -> tuple[Path, Path]:
    """Write what a profiler recorded for Perfetto and for TensorBoard, replacing a run of that name.

    Args:
        profiler: Has stopped.
        folder: For all traces that are compared.
        name: Of the run, as `swat-training`; what a file's name may not hold becomes `-`.
        clock: Seconds since 1970, which the plugin tells several recordings of one run apart by.

    Returns:
        The file for Perfetto and that for TensorBoard.

    Raises:
        StoreError: They cannot be written.
    """
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "model"
    recorded = folder / "perfetto" / f"{name}.json"
    copy = folder / "tensorboard" / name / f"swatbench.{round(clock() * 1000)}{_SUFFIX}"
    try:
        _write(profiler, recorded, copy)
    except OSError as error:
        raise refused(error, Path(error.filename or recorded), "written") from error
    return recorded, copy


def _write(profiler: "profile", recorded: Path, copy: Path) -> None:
    """Write both files in place of those of an earlier run."""
    run = copy.parent
    for parent in (recorded.parent, run):
        parent.mkdir(parents=True, exist_ok=True)
    for earlier in run.glob(f"*{_SUFFIX}"):
        earlier.unlink()
    profiler.export_chrome_trace(str(recorded))
    for_tensorboard(recorded, copy)


def for_tensorboard(recorded: Path, copy: Path) -> None:
    """Write a copy of a trace that torch-tb-profiler reads rightly; any trace of torch.profiler will do.

    Args:
        recorded: As `export_chrome_trace` writes it; compressed where its name ends with `.gz`.
        copy: To be written, in a folder of its own run; its name ends with `.pt.trace.json`, or with that and
            `.gz`.

    Raises:
        StoreError: The file holds no trace.
    """
    trace = _read(recorded)
    events = [_mended(event) for event in trace["traceEvents"] if not _marks_steps_on_the_card(event)]
    _link_modules(events)
    kept = {key: value for key, value in trace.items() if key not in {"host_name", "traceName"}}
    text = json.dumps({**kept, "traceEvents": events}, separators=(",", ":")).encode()
    copy.write_bytes(gzip.compress(text) if copy.suffix == ".gz" else text)


def recordings(folder: Path) -> tuple[Path, ...]:
    """Traces for Perfetto in a folder and below, which may be the one that they lie in."""
    found = (path for path in folder.rglob("*.json") if path.absolute().parent.name == "perfetto")
    return tuple(sorted(found))


def runs(folder: Path) -> tuple[Path, ...]:
    """Folders in a folder and below that TensorBoard's plugin takes for runs."""
    return tuple(sorted({path.parent for path in folder.rglob(f"*{_SUFFIX}*")}))


def tensorboard_command(folder: Path, *, port: int) -> tuple[str, ...]:
    """The command that shows a folder's runs, to this machine alone."""
    where = ("--logdir", str(folder), "--host", "127.0.0.1", "--port", str(port))
    return (sys.executable, "-m", "tensorboard.main", "--load_fast=false", *where)


def _read(path: Path) -> dict[str, Any]:
    raw = path.read_bytes()
    try:
        trace = json.loads(gzip.decompress(raw) if path.suffix == ".gz" else raw)
    except (ValueError, gzip.BadGzipFile, EOFError) as error:
        raise _no_trace(path) from error
    if not isinstance(trace, dict) or not isinstance(trace.get("traceEvents"), list):
        raise _no_trace(path)
    return trace


def _no_trace(path: Path) -> StoreError:
    return StoreError(
        "The file is no trace of torch.profiler.",
        where=str(path),
        fix="Give one that `export_chrome_trace` wrote.",
    )


def _marks_steps_on_the_card(event: Event) -> bool:
    return event.get("cat") == "gpu_user_annotation" and event["name"].startswith("ProfilerStep#")


def _mended(event: Event) -> Event:
    """The event under the category that the plugin knows it by."""
    category = event.get("cat")
    if category in _RUNTIME:
        return {**event, "cat": "Runtime"}
    if category != "user_annotation" or event["name"].startswith(PHASE):
        return event
    if event["name"].startswith(MODULE):
        path = event["name"].removeprefix(MODULE)
        return {**event, "cat": "python_function", "name": f"nn.Module: {path or 'model'}"}
    return {**event, "cat": "cpu_op"}


def _link_modules(events: list[Event]) -> None:
    """Number the modules and their calls, and tell each call in which other one it was made."""
    modules: dict[str, int] = {}
    around: dict[Any, list[tuple[float, int]]] = {}
    for number, event in enumerate(_module_calls(events), start=1):
        stack = around.setdefault(event["tid"], [])
        while stack and stack[-1][0] <= event["ts"]:
            stack.pop()
        module = modules.setdefault(event["name"], len(modules))
        parent = stack[-1][1] if stack else None
        event["args"] = {"Python id": number, "Python parent id": parent, "Python module id": module}
        stack.append((event["ts"] + event["dur"], number))


def _module_calls(events: list[Event]) -> Iterator[Event]:
    ours = (e for e in events if e.get("cat") == "python_function" and "args" in e and _is_ours(e))
    yield from sorted(ours, key=lambda event: (event["ts"], -event["dur"]))


def _is_ours(event: Event) -> bool:
    return event["name"].startswith("nn.Module: ") and "Python id" not in event["args"]
