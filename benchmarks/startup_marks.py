"""Loaded where cells are forked off, in place of the modules themselves: notes when each part is over.

`startup.py` names it to the command that it times, and gives the file for the marks. What is imported is the
same; a mark costs one line in a file.
"""

import json
import os
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

FILE = "SWATBENCH_STARTUP_MARKS"
"""Variable that names the file."""


def mark(name: str) -> None:
    """Add a line: what is over, in which process, when by the steady clock, and its processor time so far."""
    told = {
        "name": name,
        "process": os.getpid(),
        "at_s": time.monotonic(),
        "processor_s": time.process_time(),
    }
    file = os.open(os.environ[FILE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, f"{json.dumps(told)}\n".encode())
    os.close(file)


def marked(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """The call, with a mark at its end."""

    @wraps(call)
    def outer(*arguments: Any, **options: Any) -> Any:
        result = call(*arguments, **options)
        mark(name)
        return result

    return outer


mark("command")

from swatbench.cell import machine, record, train  # noqa: E402  (the time of this is what is asked)
from swatbench.train.step import Stepper  # noqa: E402

assert record
mark("imports")

for home, call, part in (
    (machine, "load_dataset", "machine"),
    (train, "load_dataset", "data"),
    (train, "initial_digests", "model"),
    (Stepper, "take", "first step"),
):
    setattr(home, call, marked(part, getattr(home, call)))
