"""How the time and memory of `swatbench report` grow with the number of cells.

    python benchmarks/report_scale.py [--cells 1000 5000 20000] [--json FILE]

For each number of cells a store is generated (`report_scale_store.py`) and reported in a fresh process. The
table has that process's wall time, its CPU time and its peak memory, what it wrote, and whether it imported
torch. Wall time means something on a machine with nothing else to do; CPU time suffers less from company.
Stores lie in a temporary folder that is removed; 20,000 cells take 1.2 GB of it.

Promised, and the exit code is 1 where it is not kept: 20,000 cells are reported in less than 30 seconds and
2 GB, and torch is never imported.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from report_scale_cells import SUITE
from report_scale_store import LEAST, make_store
from rich.console import Console
from rich.table import Table

import swatbench
from swatbench.store.provenance import environment

CELLS = (1_000, 5_000, 20_000)
LIMIT_CELLS, LIMIT_S, LIMIT_BYTES = 20_000, 30.0, 2 * 10**9


_PROGRAM = (
    "import atexit, sys; from swatbench.cli import main; "
    "atexit.register(lambda: print(*sys.modules, file=sys.stderr)); main()"
)
"""The command, which tells at its end what was imported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One report in a fresh process.

    Attributes:
        cells: Cells of the store.
        wall_s: From start to end of the process.
        cpu_s: Processor time of it, in the system too.
        peak_bytes: Its largest resident set.
        written_bytes: Size of all files of the report.
        page_bytes: Size of its page alone.
        imported_torch: Whether a part of torch was imported.
    """

    cells: int
    wall_s: float
    cpu_s: float
    peak_bytes: int
    written_bytes: int
    page_bytes: int
    imported_torch: bool


def main() -> int:
    """Report every store, print the table; 1 where a promise is not kept."""
    asked = _arguments()
    console = Console(stderr=True)
    runs = []
    for cells in asked.cells:
        with tempfile.TemporaryDirectory(prefix="report-scale-") as folder:
            console.print(f"generating {cells:,} cells")
            made = make_store(Path(folder) / "results", cells)
            console.print(f"reporting {made:,} cells")
            runs.append(reported(Path(folder), made))
    Console(width=None if sys.stdout.isatty() else 120).print(as_table(runs))
    if asked.json:
        content = {
            "environment": environment().model_dump(mode="json"),
            "runs": [asdict(run) for run in runs],
        }
        asked.json.write_text(json.dumps(content, indent=1) + "\n")
    misses = missed(runs)
    for sentence in misses:
        console.print(f"not kept: {sentence}")
    return 1 if misses else 0


def reported(folder: Path, cells: int) -> Run:
    """Write the report of a store in a process of its own.

    Args:
        folder: Where `results` lies and `reports` is made.
        cells: Cells of the store.

    Raises:
        RuntimeError: The command failed.
    """
    imports = folder / "imports.txt"
    command = [sys.executable, "-c", _PROGRAM, "report", SUITE]
    command += ["--results", str(folder / "results"), "--reports", str(folder / "reports")]
    variables = compiled(folder)
    silent = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)
    told = (os.POSIX_SPAWN_OPEN, 2, str(imports), os.O_WRONLY | os.O_CREAT, 0o600)
    # Else what the generator wrote would go to the disk while the report is timed.
    os.sync()
    started = time.perf_counter()
    process = os.posix_spawn(sys.executable, command, variables, file_actions=[silent, told])
    # Of all ways to wait, this alone tells what one child used.
    _, status, used = os.wait4(process, 0)
    wall_s = time.perf_counter() - started
    if status:
        raise RuntimeError(f"swatbench report ended with {status}: {imports.read_text()[-2000:]}")
    written = [path for path in (folder / "reports").rglob("*") if path.is_file()]
    return Run(
        cells=cells,
        wall_s=wall_s,
        cpu_s=used.ru_utime + used.ru_stime,
        peak_bytes=used.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        written_bytes=sum(path.stat().st_size for path in written),
        page_bytes=(folder / "reports" / SUITE / "index.html").stat().st_size,
        imported_torch="torch" in imports.read_text().split(),
    )


def compiled(folder: Path) -> dict[str, str]:
    """Variables of a process that finds all modules compiled, as an installation's are after their first use.

    Args:
        folder: Where they are kept.
    """
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    variables["PYTHONPYCACHEPREFIX"] = str(folder / "compiled")
    # The package that this file imported, wherever the command is run from.
    variables["PYTHONPATH"] = str(Path(swatbench.__file__).parents[1])
    subprocess.run([sys.executable, "-c", "import swatbench.report.page"], env=variables, check=True)
    return variables


def missed(runs: Sequence[Run]) -> list[str]:
    """The promises that are not kept, in words."""
    found = [f"torch was imported for {run.cells:,} cells" for run in runs if run.imported_torch]
    for run in (run for run in runs if run.cells <= LIMIT_CELLS):
        if run.wall_s > LIMIT_S:
            found.append(f"{run.cells:,} cells took {run.wall_s:.0f} s, more than {LIMIT_S:.0f}")
        if run.peak_bytes > LIMIT_BYTES:
            found.append(f"{run.cells:,} cells took {run.peak_bytes / 1e9:.1f} GB of memory, more than 2")
    return found


def as_table(runs: Sequence[Run]) -> Table:
    """The runs for reading."""
    table = Table(title="swatbench report")
    for head in (
        "cells",
        "wall, s",
        "CPU, s",
        "peak memory, MB",
        "written, MB",
        "page, MB",
        "torch imported",
    ):
        table.add_column(head, justify="right")
    for run in runs:
        sizes = (run.peak_bytes, run.written_bytes, run.page_bytes)
        table.add_row(
            f"{run.cells:,}",
            f"{run.wall_s:.1f}",
            f"{run.cpu_s:.1f}",
            *(f"{size / 1e6:.1f}" for size in sizes),
            "yes" if run.imported_torch else "no",
        )
    return table


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", type=_cells, nargs="+", default=CELLS, help="sizes of the stores")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    return parser.parse_args()


def _cells(text: str) -> int:
    cells = int(text)
    if cells < LEAST:
        raise argparse.ArgumentTypeError(f"a store has {LEAST} cells at least")
    return cells


if __name__ == "__main__":
    sys.exit(main())
