"""Runs exactly what CI runs, in the environment it is started in, and stops at the first failure."""

import subprocess
import sys
import time

CHECKS = (
    ("format", ["ruff", "format", "--check", "."]),
    ("lint", ["ruff", "check", "."]),
    ("types", ["pyright"]),
    ("imports", ["lint-imports"]),
    ("tests", ["pytest", "-q", "--durations=10"]),
)


def main() -> None:
    """Run every check."""
    for name, command in CHECKS:
        print(f"== {name}: {' '.join(command)}", flush=True)
        start = time.monotonic()
        code = subprocess.run(command, check=False).returncode
        if code:
            sys.exit(f"{name} failed")
        print(f"   {time.monotonic() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
