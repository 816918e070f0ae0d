"""Commands of swatbench in sessions of their own, to be killed: cold, or forked off a warm process."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
Start = Callable[[list[str], Path], "Started"]
"""Starts a command in a folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A command that runs.

    Attributes:
        pid: Its process, which leads a session of its own.
        poll: Its exit code, negative for a signal; None while it runs.
        errors: File that its standard error goes to.
    """

    pid: int
    poll: Callable[[], int | None]
    errors: Path

    def ended(self, within_s: float) -> int | None:
        """Its exit code as soon as there is one; None if it runs for longer than that."""
        until_s = time.monotonic() + within_s
        while (code := self.poll()) is None and time.monotonic() < until_s:
            time.sleep(0.005)
        return code

    def send(self, number: int, *, to_all: bool) -> None:
        """Send a signal to the process, or to its whole group."""
        with suppress(ProcessLookupError):
            (os.killpg if to_all else os.kill)(self.pid, number)

    def survivors(self) -> list[psutil.Process]:
        """Processes of its session that still run, itself left out."""
        return [one for one in psutil.process_iter() if one.pid != self.pid and _belongs(one, self.pid)]

    def survived_s(self, within_s: float) -> float | None:
        """Time until the last process of its session is gone; None where one is still there after so long."""
        began_s = time.monotonic()
        while self.survivors():
            if time.monotonic() - began_s > within_s:
                return None
            time.sleep(0.02)
        return time.monotonic() - began_s


def _belongs(one: psutil.Process, session: int) -> bool:
    try:
        return os.getsid(one.pid) == session and one.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False


def ends_well(command: list[str]) -> bool:
    """Whether a program is there, and ends with exit code 0."""
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def caught(pid: int) -> set[int]:
    """The signals that a process has handlers for."""
    status = Path(f"/proc/{pid}/status").read_text()
    mask = int(next(line for line in status.splitlines() if line.startswith("SigCgt")).split()[1], 16)
    return {number + 1 for number in range(64) if mask >> number & 1}


def environment() -> dict[str, str]:
    """The environment of commands: this code, one thread, and compiled modules kept for the next start."""
    cache = os.environ.get("PYTHONPYCACHEPREFIX") or str(
        Path(os.environ.get("TMPDIR", "/tmp")) / "swatbench-pyc"
    )
    ours = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**ours, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONPYCACHEPREFIX": cache}


def cold(arguments: list[str], folder: Path) -> Started:
    """Start `python -m swatbench` as a user does."""
    errors = folder / "errors.txt"
    with errors.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "swatbench", *arguments],
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=file,
            start_new_session=True,
            # Heard even where these tests run in the background, deaf to it.
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        )
    return Started(pid=process.pid, poll=process.poll, errors=errors)


@contextmanager
def warm() -> Iterator[Start]:
    """A way to start commands with all imports done (see `warm.py`)."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.warm"],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as server:

        def ask(request: dict[str, Any]) -> Any:
            assert server.stdin is not None
            assert server.stdout is not None
            server.stdin.write(f"{json.dumps(request)}\n")
            server.stdin.flush()
            return json.loads(server.stdout.readline())

        def start(arguments: list[str], folder: Path) -> Started:
            errors = folder / "errors.txt"
            pid = ask({"arguments": arguments, "folder": str(folder), "errors": str(errors)})
            return Started(pid=pid, poll=_kept(lambda: ask({"poll": pid})), errors=errors)

        try:
            yield start
        finally:
            assert server.stdin is not None
            server.stdin.close()


def _kept(poll: Callable[[], int | None]) -> Callable[[], int | None]:
    """Asks no more once there is an answer: a process can be waited for once."""
    found: list[int] = []

    def asked() -> int | None:
        if not found and (code := poll()) is not None:
            found.append(code)
        return found[0] if found else None

    return asked
