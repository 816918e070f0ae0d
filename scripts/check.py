"""Runs exactly what CI runs, in the environment it is started in, and stops at the first failure.

With `--audit` it also asks, over the network, whether anything that is installed has a known weakness.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import shutil
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


AUDIT = [
    sys.executable,
    "-m",
    "pip_audit",
    "--format",
    "json",
    "--progress-spinner",
    "off",
    "--timeout",
    "10",
]
"""Prints which installed packages have known weaknesses, and which versions mend them."""


def consistency() -> list[str]:
    """The command that says whether installed packages are what they require of one another; no network."""
    if any(importlib.metadata.distributions(name="pip")):
        return [sys.executable, "-m", "pip", "check"]
    return [shutil.which("uv") or "uv", "pip", "check", "--python", sys.executable]


def audit() -> str | None:
    """Ask for known weaknesses, and say in a line what came of it.

    Returns:
        What is to be mended; None where nothing is, or nobody could be asked.
    """
    if importlib.util.find_spec("pip_audit") is None:
        print("   skipped: pip-audit is not installed (uv pip install -e '.[audit]')")
        return None
    done = subprocess.run(AUDIT, check=False, capture_output=True, text=True)
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        why = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        print(f"   skipped: the list of known weaknesses could not be asked ({why[:200]})")
        return None
    weak = [(one["name"], one["version"], vuln) for one in found for vuln in one.get("vulns", ())]
    for name, version, vuln in weak:
        print(
            f"   {name} {version}: {vuln['id']}, mended in {', '.join(vuln['fix_versions']) or 'no version'}"
        )
    print(f"   {len(found)} packages, {len(weak)} known weaknesses")
    mended = sorted({name for name, _, vuln in weak if vuln["fix_versions"]})
    return f"newer versions mend {', '.join(mended)}" if mended else None


def main() -> None:
    """Run every check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--audit", action="store_true", help="ask for known weaknesses of what is installed")
    asked = parser.parse_args()
    print("== audit", flush=True)
    if not asked.audit:
        print("   skipped: it needs a network; --audit asks")
    elif (wrong := audit()) is not None:
        sys.exit(f"audit failed: {wrong}")
    for name, command in (("dependencies", consistency()), *CHECKS):
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
