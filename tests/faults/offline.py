"""A suite from file to report, and the other commands, where every way to a network is closed.

    python -m tests.faults.offline            # suites/quickstart.yaml itself, several minutes
    python -m tests.faults.offline --small    # one pair, one seed, few steps, as CI does it

Every Python process that is started is given an audit hook: looking up a name, and connecting or sending by
anything but a local socket file, is written down and refused. Where the system lets us, the processes also
have no network at all (`unshare --net`), which holds for libraries that are not written in Python, too.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.faults.outcome import write_outcome
from tests.faults.starts import ends_well

ROOT = Path(__file__).parents[2]
SUITE = ROOT / "suites" / "quickstart.yaml"
UNSHARE = ["unshare", "--net", "--map-root-user"]
LOG = "SOCKETS_ASKED_FOR"
"""Variable that names the file in which attempts are written down."""
HOOK = f'''
import os, socket, sys

_NAMES = {{"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo"}}
_WAYS = {{"socket.connect", "socket.sendto", "socket.sendmsg", "socket.bind"}}


def _refuse(event, arguments):
    if event in _NAMES or (event in _WAYS and arguments[0].family != socket.AF_UNIX):
        with open(os.environ["{LOG}"], "a") as file:
            file.write(f"{{event}} {{arguments[1:] if event in _WAYS else arguments}}\\n")
        raise OSError(101, "Network is unreachable")


sys.addaudithook(_refuse)
'''
"""Read by every Python process that finds it on its path."""


@dataclass(frozen=True, slots=True)
class Closed:
    """How commands ended without a network.

    Attributes:
        codes: Exit code of each.
        errors: What each printed on standard error.
        asked: Every attempt to reach a network.
        unshared: Whether the system itself gave them no network.
    """

    codes: tuple[int, ...]
    errors: tuple[str, ...]
    asked: tuple[str, ...]
    unshared: bool


def small_suite() -> dict[str, object]:
    """The quickstart's kinds of cells, as few and as short as they can be."""
    suite = yaml.safe_load(SUITE.read_text())
    suite |= {"pairs": suite["pairs"][-1:], "seeds": [0]}
    del suite["promise"]
    # To PyYAML alone, 3e-3 is a word.
    suite["recipe"] |= {
        "learning_rate": float(suite["recipe"]["learning_rate"]),
        "epochs": 1,
        "batch_size": 1000,
        "warmup_epochs": 0,
    }
    suite["cost"] |= {"batch_size": 2, "max_rounds": 6, "budget_s": 2}
    return suite


def commands(suite: str, name: str) -> list[list[str]]:
    """Every command that has no need of a network."""
    brief = ["--batch", "1", "--rounds", "6", "--budget", "0.2", "--threads", "1", "--no-breakdown"]
    return [
        ["--help"],
        ["check", suite],
        ["run", suite, "--quiet"],
        ["report", name],
        ["models"],
        ["profile", "--model", "mixer_mini", *brief],
        ["doctor"],
    ]


def run_closed(folder: Path, arguments: Sequence[Sequence[str]]) -> Closed:
    """Run commands of swatbench one after another, with every way to a network closed."""
    hooks, log = folder / "hooks", folder / "asked.txt"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(HOOK)
    log.write_text("")
    unshared = ends_well([*UNSHARE, "true"])
    before = UNSHARE if unshared else []
    path = os.pathsep.join([str(hooks), str(ROOT)])
    variables = {**os.environ, "PYTHONPATH": path, LOG: str(log), "OMP_NUM_THREADS": "1"}
    ended = [
        subprocess.run(
            [*before, sys.executable, "-m", "swatbench", *one],
            cwd=folder,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=3_600,
        )
        for one in arguments
    ]
    return Closed(
        codes=tuple(one.returncode for one in ended),
        errors=tuple(one.stderr for one in ended),
        asked=tuple(log.read_text().splitlines()),
        unshared=unshared,
    )


def main() -> None:
    """Run everything, and keep how it ended."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("results/reliability/offline.json"))
    asked = parser.parse_args()
    suite = json.dumps(small_suite()) if asked.small else SUITE.read_text()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "suite.yaml").write_text(suite)
        all_of_them = commands("suite.yaml", "quickstart")
        closed = run_closed(Path(folder), all_of_them)
        finished = len([*Path(folder).glob("results/quickstart/*/*/record.json")])
    print(*closed.errors, *closed.asked, sep="\n")
    found = {
        "commands": len(all_of_them),
        "commands_ended_well": sum(code in (0, 8) for code in closed.codes),
        "cells": finished,
        "attempts_to_reach_a_network": len(closed.asked),
        "without_a_network_device": closed.unshared,
        "small": asked.small,
    }
    write_outcome(asked.out, found, packages=("torch", "timm"))


if __name__ == "__main__":
    main()
