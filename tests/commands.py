"""Commands of swatbench, several after one another in one process, so that torch is imported once for all."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

_MAIN = """
import io, json, sys
from contextlib import redirect_stderr, redirect_stdout
from swatbench.cli import main

ended = []
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["swatbench", *arguments]
    out, errors, code = io.StringIO(), io.StringIO(), 0
    with redirect_stdout(out), redirect_stderr(errors):
        try:
            main()
        except SystemExit as end:
            code = end.code
    ended.append((code, out.getvalue(), errors.getvalue()))
print(json.dumps(ended))
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended.

    Attributes:
        code: Its exit code.
        out: What it printed.
        errors: What it printed on standard error.
    """

    code: int
    out: str
    errors: str

    @property
    def told(self) -> Any:
        """What `--json` told."""
        return json.loads(self.out)


def run_commands(folder, commands, *, timeout_s=300, **variables) -> dict[str, Ended]:
    """Run commands in a folder; processes that they start must leave no line on standard error.

    Args:
        folder: Working folder.
        commands: Name of a command → its arguments.
        timeout_s: Longest time for all of them.
        variables: Added to the environment.
    """
    done = subprocess.run(
        [sys.executable, "-c", _MAIN, json.dumps([[*map(str, one)] for one in commands.values()])],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return {name: Ended(*end) for name, end in zip(commands, json.loads(done.stdout), strict=True)}
