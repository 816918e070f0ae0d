"""Runs exactly what CI runs, in the environment it is started in, and stops at the first failure."""

import os
import subprocess
import sys
import time

ALONE = (
    *(f"tests/measure/test_{name}.py" for name in ("breakdown", "cost", "fits", "memory", "roofline")),
    "tests/test_readme.py",
)
"""Tests that measure this machine, and the quickstart, which takes two cores: nothing runs beside them."""
PAIRED = ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder", *(f"--ignore={path}" for path in ALONE)]
"""The other tests, in two processes; a file stays in one, since its tests share what is dear to make."""

CHECKS = (
    ("format", ["ruff", "format", "--check", "."]),
    ("lint", ["ruff", "check", "."]),
    ("types", ["pyright"]),
    ("imports", ["lint-imports"]),
    ("tests", ["pytest", "-q", "--durations=10", *PAIRED]),
    ("tests that run alone", ["pytest", "-q", "--durations=10", *ALONE]),
)
ONE_THREAD = {"tests": {"OMP_NUM_THREADS": "1"}}
"""Check → what is set for it: two processes of two threads each would wait for one another."""
COMPILED = {"PYTHONDONTWRITEBYTECODE": ""}
"""Set for all: else each of the many programs that tests start compiles anew what it imports, for seconds."""


def main() -> None:
    """Run every check."""
    for name, command in CHECKS:
        print(f"== {name}: {' '.join(command)}", flush=True)
        start = time.monotonic()
        code = subprocess.run(
            command, check=False, env=os.environ | COMPILED | ONE_THREAD.get(name, {})
        ).returncode
        if code:
            sys.exit(f"{name} failed")
        print(f"   {time.monotonic() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
