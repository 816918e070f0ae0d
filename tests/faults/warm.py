"""A process that has imported everything and forks commands of swatbench off itself, on request.

To import torch and timm takes longer than all else that a small run does. What is forked off goes the way of
`python -m swatbench` from its main function on; where that executes a Python of its own (the server that
cells are forked off, multiprocessing's tracker), a fork of this one does the same work, its imports done.

Requests and answers are lines of JSON on standard input and output: `{"arguments", "folder", "errors"}`
starts a command in a session of its own and answers its process id, `{"poll": id}` its exit code or null.
"""

import atexit
import gc
import json
import os
import signal
import sys
from contextlib import suppress
from importlib import import_module
from multiprocessing import util
from typing import NoReturn

PRELOADED = (
    "swatbench.cli",
    "swatbench.cell.record",
    "swatbench.run",
    "swatbench.report.page",
    "torch.utils.tensorboard",
)


def main() -> None:
    """Serve until standard input ends."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    for name in PRELOADED:
        import_module(name)
    gc.freeze()
    util.spawnv_passfds = _forked
    for line in sys.stdin:
        asked = json.loads(line)
        answer = _poll(asked["poll"]) if "poll" in asked else os.fork()
        if answer == 0 and "poll" not in asked:
            _become(asked)
        print(json.dumps(answer), flush=True)
    os._exit(0)


def _become(asked: dict) -> NoReturn:
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # as `python -m swatbench` has it until its main function
    nothing = os.open(os.devnull, os.O_RDWR)
    errors = os.open(asked["errors"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for descriptor, place in ((nothing, 0), (nothing, 1), (errors, 2)):
        os.dup2(descriptor, place)
    os.chdir(asked["folder"])
    sys.argv = ["swatbench", *asked["arguments"]]
    code: object = 0
    try:
        import_module("swatbench.cli").main()
    except SystemExit as end:
        code = end.code
    # What an interpreter does at its end, but for the libraries of torch, which a cold run has not loaded.
    atexit._run_exitfuncs()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 0)


def _poll(pid: int) -> int | None:
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


def _forked(_: bytes, arguments: list, kept: tuple[int, ...]) -> int:
    """Do what `multiprocessing.util.spawnv_passfds` does, with the program that is already in memory."""
    pid = os.fork()
    if pid:
        return pid
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 (names are numbers)
        if int(name) not in {0, 1, 2, *kept}:
            _close(int(name))
    for number in (signal.SIGINT, signal.SIGTERM):
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    try:
        exec(arguments[-1], {})
    except SystemExit:
        pass
    finally:
        os._exit(0)


def _close(descriptor: int) -> None:
    with suppress(OSError):  # of the listing itself
        os.close(descriptor)


if __name__ == "__main__":
    main()
