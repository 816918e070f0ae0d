"""Functions in processes of their own: many side by side, or one that is asked and answers.

Every process is fresh, ignores Ctrl-C (its parent decides), and dies with its parent, however that ends.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any

from swatbench.errors import SwatbenchError

Say = Callable[[object], None]
"""How a task tells its parent something, while it runs."""

REQUESTS = (signal.SIGTERM, signal.SIGINT)
"""What a process is asked to stop by."""
_PR_SET_PDEATHSIG = 1
KILL_AFTER_S = 9.0
"""Time that processes get to end by themselves when the parent stops, which itself has 10 s."""


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
    # Started before, since its start lets signals through.
    resource_tracker.ensure_running()
    with _held():
        forkserver.ensure_running()


@contextmanager
def _held() -> Iterator[None]:
    """Hold requests to stop back until the end of the block; what is started in it hears none at all."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, REQUESTS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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
                _begin(task, start, running)
                on_start(task.name)
            if not running:
                return
            sources = [source for one in running for source in (one.messages, one.process.sentinel)]
            wait(sources, again_s if len(running) < jobs else None)
            for one in tuple(running):
                # Asked first, so that nothing is missed; a process of its own may hold the pipe open.
                over = not one.process.is_alive()
                if not _relay(one, on_message) or over:
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
    running: list[_Running] = []
    try:
        one = _begin(Task(name="ask", call=partial(_answer, call)), start, running)
        while _spoke(one, timeout_s):
            kind, content = one.messages.recv()
            if kind == "answer":
                return content
            if kind == "error":
                raise content
            on_message(content)
    except EOFError:
        process = running[-1].process
        process.join()
        raise ProcessDiedError(process.exitcode or 0) from None
    finally:
        _end(running)
    raise TimeoutError


def _spoke(one: _Running, timeout_s: float | None) -> bool:
    """Wait until a process has said something; False if it is silent for too long.

    Raises:
        EOFError: It ended, and has said nothing more.
    """
    ready = wait([one.messages, one.process.sentinel], timeout_s)
    if ready and not one.messages.poll():
        raise EOFError
    return bool(ready)


def _answer(call: Callable[[Say], Any], send: Say) -> None:
    try:
        send(("answer", call(lambda message: send(("message", message)))))
    except SwatbenchError as error:
        send(("error", error))


def _begin(task: Task, start: BaseContext, running: list[_Running]) -> _Running:
    messages, theirs = start.Pipe(duplex=False)
    process = start.Process(target=_work, args=(task.call, theirs), name=task.name)  # type: ignore[attr-defined]
    one = _Running(task=task, process=process, messages=messages)
    # Before it starts: a signal's exception may come at any moment, and must find whom to end.
    running.append(one)
    process.start()
    theirs.close()
    return one


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


def _end(running: Sequence[_Running]) -> None:
    """End processes, all within `KILL_AFTER_S`; a second request to stop waits until that is done."""
    with _held():
        started = [one.process for one in running if one.process.pid is not None]
        for process in started:
            process.terminate()
        until_s = time.monotonic() + KILL_AFTER_S
        for process in started:
            process.join(max(0.0, until_s - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()


def _work(call: Callable[[Say], None], messages: Connection) -> None:
    # What a user's model prints must not come between the lines of a command's answer.
    os.dup2(2, 1)
    # Ctrl-C reaches the whole process group; the parent decides what ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, REQUESTS)  # the server holds them back
    end_with_parent()
    call(partial(_say, messages))


def _say(messages: Connection, message: object) -> None:
    try:
        messages.send(message)
    except BrokenPipeError:
        # The parent is gone. Raised, it would be taken for the task's own failure, and recorded as that.
        os._exit(1)


def end_with_parent() -> None:
    """Let this process end when the one that asked for it does, however that ends.

    A process waits for messages that nobody will send, and a disk may keep it from looking: where it was
    forked off its parent, the kernel itself ends it (on Linux).
    """
    parent = multiprocessing.parent_process()
    assert parent is not None
    if sys.platform == "linux" and os.getppid() == parent.pid:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_die_with, args=[parent.sentinel], daemon=True).start()


def _die_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
