"""Functions in processes of their own: many side by side, or one that is asked and answers.

Every process is fresh, ignores Ctrl-C (its parent decides), and dies with its parent.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any

from swatbench.errors import SwatbenchError

Say = Callable[[object], None]
"""How a task tells its parent something, while it runs."""

KILL_AFTER_S = 30.0
"""Time that a process gets to end by itself when the parent stops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A function to run in a process of its own.

    Attributes:
        name: Name by which the task's messages are told apart.
        call: What to run; it must survive pickling, and is handed a `Say`.
    """

    name: str
    call: Callable[[Say], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    task: Task
    process: BaseProcess
    messages: Connection


def context(*preload: str) -> BaseContext:
    """The way processes are started: forked off a clean server that has imported heavy modules once.

    Args:
        preload: Modules that the server imports before the first fork; the first call decides.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    chosen = multiprocessing.get_context("forkserver")
    chosen.set_forkserver_preload(list(preload))
    _start_server()
    return chosen


def _start_server() -> None:
    """Start the server deaf to Ctrl-C, which would otherwise interrupt its imports with a traceback.

    It is deaf to SIGTERM too: schedulers send it to every process, and without the server nobody could wait
    for those that are writing their checkpoint. It ends with its parent.
    """
    if threading.current_thread() is not threading.main_thread():
        return  # Signals are set in the main thread alone; the server then starts with the first process.
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        forkserver.ensure_running()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_tasks(
    tasks: Iterable[Task | None],
    *,
    jobs: int,
    start: BaseContext,
    on_start: Callable[[str], None],
    on_message: Callable[[str, Any], None],
    on_end: Callable[[str, int], None],
    again_s: float = 1.0,
) -> None:
    """Run tasks, at most `jobs` at a time, in the given order.

    Leaving early, by an exception of a callback or a signal's, ends every process.

    Args:
        tasks: What to run, asked for one by one as there is room. None says that there is nothing now: then
            it is asked again later, and if nothing runs either, this is the end.
        jobs: Processes at a time.
        start: From `context`.
        on_start: Told a task's name when its process starts.
        on_message: Told a task's name and what it said.
        on_end: Told a task's name and its exit code, negative for a signal.
        again_s: Time until it is asked again, in seconds; sooner if a task ends.
    """
    coming = iter(tasks)
    running: list[_Running] = []
    ask_at_s = 0.0
    try:
        while True:
            while len(running) < jobs and time.monotonic() >= ask_at_s:
                task = next(coming, None)
                if task is None:
                    ask_at_s = time.monotonic() + again_s
                    break
                running.append(_begin(task, start))
                on_start(task.name)
            if not running:
                return
            wait([one.messages for one in running], again_s if len(running) < jobs else None)
            for one in tuple(running):
                if not _relay(one, on_message):
                    one.process.join()
                    running.remove(one)
                    on_end(one.task.name, one.process.exitcode or 0)
                    ask_at_s = 0.0
    finally:
        _end(running)


class ProcessDiedError(Exception):
    """A process ended before it answered.

    Attributes:
        exit_code: Its exit code, negative for a signal.
    """

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code

    def __str__(self) -> str:
        if self.exit_code == -signal.SIGKILL:
            return "was ended by SIGKILL, as the system does when memory runs out"
        if self.exit_code < 0:
            return f"was ended by {signal.Signals(-self.exit_code).name}"
        return f"ended with exit code {self.exit_code}"


def ask(
    call: Callable[[Say], Any],
    *,
    start: BaseContext,
    timeout_s: float | None = None,
    on_message: Callable[[Any], None] = lambda message: None,  # noqa: ARG005
) -> Any:
    """Run one function in a process of its own and return what it returns.

    Args:
        call: What to run; it must survive pickling, and is handed a `Say`.
        start: From `context`.
        timeout_s: Longest silence, in seconds; None for any.
        on_message: Told what the function says before it returns.

    Raises:
        SwatbenchError: The function raised it.
        ProcessDiedError: The process ended without an answer.
        TimeoutError: The process was silent for too long, and was ended.
    """
    one = _begin(Task(name="ask", call=partial(_answer, call)), start)
    try:
        while one.messages.poll(timeout_s):
            kind, content = one.messages.recv()
            if kind == "answer":
                return content
            if kind == "error":
                raise content
            on_message(content)
    except EOFError:
        one.process.join()
        raise ProcessDiedError(one.process.exitcode or 0) from None
    finally:
        _end([one])
    raise TimeoutError


def _answer(call: Callable[[Say], Any], send: Say) -> None:
    try:
        send(("answer", call(lambda message: send(("message", message)))))
    except SwatbenchError as error:
        send(("error", error))


def _begin(task: Task, start: BaseContext) -> _Running:
    messages, theirs = start.Pipe(duplex=False)
    process = start.Process(target=_work, args=(task.call, theirs), name=task.name)  # type: ignore[attr-defined]
    process.start()
    theirs.close()
    return _Running(task=task, process=process, messages=messages)


def _relay(one: _Running, on_message: Callable[[str, Any], None]) -> bool:
    """Pass on what a process has said; False once it has ended."""
    while True:
        try:
            if not one.messages.poll():
                return True
            message = one.messages.recv()
        except (EOFError, OSError):
            return False
        # Outside the try: an error of the callback is no end of the process.
        on_message(one.task.name, message)


def _end(running: Iterable[_Running]) -> None:
    for one in running:
        one.process.terminate()
    for one in running:
        one.process.join(KILL_AFTER_S)
        if one.process.is_alive():
            one.process.kill()
            one.process.join()


def _work(call: Callable[[Say], None], messages: Connection) -> None:
    # What a user's model prints must not come between the lines of a command's answer.
    os.dup2(2, 1)
    # Ctrl-C reaches the whole process group; the parent decides what ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    call(messages.send)


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
