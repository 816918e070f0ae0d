"""Bad suite files, by the thousand: each is a valid suite or one clear error, soon and in little memory.

    python -m tests.faults.suites --suites 5000 --seed 1 [--json FILE]

Every file goes the way of `swatbench check`, and a valid suite of a few cells is expanded, too. What is
measured is processor time, since wall time on a shared machine is also that of others.
"""

import argparse
import io
import json
import math
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from swatbench.cli.suites import check
from swatbench.errors import SuiteError
from swatbench.spec.cells import Machine, Resolution, Speed
from swatbench.spec.expand import expand
from swatbench.spec.load import load_suite
from swatbench.spec.plan import plan, plan_costs
from swatbench.store.provenance import git_state
from swatbench.visible import visible_lines
from tests.faults.mutants import KINDS, ROOT

LIMIT_S = 2.0
"""Processor time of one file."""
LIMIT_BYTES = 300 * 2**20
"""Memory by which all files together may let the process grow."""
LIMIT_CHARACTERS = 30_000
EXPANDED = 200
"""Cells up to which a valid suite is expanded; `check` expands none."""
MACHINE = Machine(
    resolution=Resolution(device="cpu", precision="fp32", fused_attention=False, data_digest="a" * 64),
    speed=Speed(
        tf32=False, channels_last=False, compile="none", fused_optimizer=True, gradient_checkpointing=False
    ),
    num_classes=10,
)


@dataclass(slots=True)
class Tally:
    """What became of the files.

    Attributes:
        outcomes: Kind of change and outcome → files.
        slowest_s: Longest processor time of one file.
        total_s: That of all.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    total_s: float = 0.0

    def add(self, kind: str, outcome: str, took_s: float) -> None:
        """Count a file."""
        self.outcomes[f"{kind}_{outcome}"] += 1
        self.slowest_s = max(self.slowest_s, took_s)
        self.total_s += took_s


def outcome_of(path: Path) -> tuple[str, float]:
    """How the check of a file ends, `valid` or `refused`, and its processor time in seconds.

    Raises:
        AssertionError: The error is not clear, or it took too long.
    """
    begin = time.process_time()
    try:
        with redirect_stdout(io.StringIO()):
            check(path)
        outcome = "valid"
    except SuiteError as error:
        outcome = "refused"
        assert_clear(error, path)
    took_s = time.process_time() - begin
    assert took_s < LIMIT_S, f"{took_s:.1f} s of processor time"
    if outcome == "valid":
        _expand(path)
    return outcome, took_s


def assert_clear(error: SuiteError, path: Path) -> None:
    """See that every line of an error names the file, and that none commands the terminal."""
    text = str(error)
    assert error.exit_code == 2
    assert 0 < len(text) < LIMIT_CHARACTERS
    assert visible_lines(text) == text
    for line in text.splitlines():
        assert re.match(rf"(?:'.*{re.escape(path.name)}'|.*{re.escape(path.name)}(?::\d+){{0,2}}): \S", line)


def _expand(path: Path) -> None:
    suite = load_suite(path)
    if len(plan(suite)) + len(plan_costs(suite)) <= EXPANDED:
        with suppress(SuiteError):  # a batch that one process cannot take
            assert all(cell.id for cell in expand(suite, MACHINE, cores=2))


def try_mutants(kind: str, count: int, folder: Path, tally: Tally, **options: Any) -> Callable[[], None]:
    """A function that tries so many mutants; it raises at the first that ends otherwise than promised.

    Args:
        kind: How they are spoiled, a key of `KINDS`.
        count: Files.
        folder: Where to write them.
        tally: Takes what became of them.
        options: Further settings of hypothesis.
    """

    @_settings(count, **options)
    @given(KINDS[kind][1])
    def tried(data: bytes) -> None:
        path = folder / "mutant.yaml"
        path.write_bytes(data)
        tally.add(kind, *outcome_of(path))

    return tried


def some_mutants(count: int, **options: Any) -> list[bytes]:
    """About so many files, of every kind."""
    files: list[bytes] = []
    for share, strategy in KINDS.values():

        @_settings(max(1, round(share * count)), **options)
        @given(strategy)
        def kept(data: bytes) -> None:
            files.append(data)

        kept()
    return files


def _settings(count: int, **options: Any) -> settings:
    return settings(
        max_examples=count,
        database=None,
        deadline=None,
        suppress_health_check=[*HealthCheck],
        phases=[Phase.generate],  # shrinking takes minutes
        **options,
    )


def on_the_command_line(files: Sequence[bytes], folder: Path) -> Counter[int]:
    """Exit codes of `swatbench check` on files, each in a process of its own."""
    codes: Counter[int] = Counter()
    for number, data in enumerate(files):
        path = folder / f"mutant{number}.yaml"
        path.write_bytes(data)
        command = [sys.executable, "-m", "swatbench", "check", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=ROOT)
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode in (0, 2), done.stderr
        codes[done.returncode] += 1
    return codes


def main() -> None:
    """Try many files, and write what became of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--suites", type=int, default=5000)
    parser.add_argument("--processes", type=int, default=40, help="files that go through the command line")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, default=ROOT / "results" / "reliability" / "suites.json")
    asked = parser.parse_args()
    commit = git_state(ROOT / "swatbench")[0]
    tally = Tally()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as name:
        for kind, (share, _) in KINDS.items():
            tried = try_mutants(kind, math.ceil(share * asked.suites), Path(name), tally)
            seed(asked.seed)(tried)()
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
        codes = on_the_command_line(some_mutants(asked.processes, derandomize=True), Path(name))
    # A file that ends otherwise has raised by now.
    assert grown < LIMIT_BYTES, f"{grown / 2**20:.0f} MiB"
    found = {
        "suites": tally.outcomes.total(),
        "seed": asked.seed,
        "valid": sum(count for name, count in tally.outcomes.items() if name.endswith("valid")),
        "refused": sum(count for name, count in tally.outcomes.items() if name.endswith("refused")),
        "otherwise": 0,
        **dict(sorted(tally.outcomes.items())),
        "slowest_s": round(tally.slowest_s, 3),
        "mean_s": round(tally.total_s / tally.outcomes.total(), 4),
        "memory_grown_bytes": grown,
        "processes": codes.total(),
        "processes_exit_code_0": codes[0],
        "processes_exit_code_2": codes[2],
        "git_commit": commit,
    }
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_text(f"{json.dumps(found, indent=2)}\n")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
