"""Tasks in processes of their own: order, messages, exit codes, and no survivors."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from swatbench.errors import MachineError
from swatbench.processes import ProcessDiedError, Task, _say, ask, context, run_tasks


def tell(number, say):
    say(("number", number))


def hurt(say):
    say(("pid", os.getpid()))
    os.kill(os.getpid(), signal.SIGKILL)


def wait(_say):
    time.sleep(60)


def sleep(say):
    say(("pid", os.getpid()))
    time.sleep(60)


def collect(tasks, *, jobs=1, on_message=None):
    events = []
    run_tasks(
        tasks,
        jobs=jobs,
        start=context(),
        on_start=lambda name: events.append(("start", name)),
        on_message=on_message or (lambda name, message: events.append((name, message))),
        on_end=lambda name, code: events.append(("end", name, code)),
    )
    return events


def test_one_job_runs_tasks_in_order_and_relays_what_they_say():
    events = collect([Task(name=str(n), call=partial(tell, n)) for n in range(2)])
    assert events == [
        ("start", "0"),
        ("0", ("number", 0)),
        ("end", "0", 0),
        ("start", "1"),
        ("1", ("number", 1)),
        ("end", "1", 0),
    ]


def test_two_jobs_are_under_way_together():
    events = collect([Task(name=str(n), call=partial(tell, n)) for n in range(2)], jobs=2)
    assert events[:2] == [("start", "0"), ("start", "1")]


def test_a_killed_task_reports_its_signal_and_the_others_go_on():
    events = collect([Task(name="hurt", call=hurt), Task(name="well", call=partial(tell, 1))])
    assert ("end", "hurt", -signal.SIGKILL) in events
    assert ("end", "well", 0) in events


def test_leaving_early_ends_every_process():
    pids = []

    def stop(_name, message):
        pids.append(message[1])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect([Task(name="sleep", call=sleep)], on_message=stop)
    assert not psutil.pid_exists(pids[0]) or psutil.Process(pids[0]).status() == psutil.STATUS_ZOMBIE


def double(number, say):
    say("thinking")
    return 2 * number


def refuse(_say):
    raise MachineError("It cannot be done.", where="here", fix="Do not.")


def test_a_process_that_is_asked_answers():
    said = []
    assert ask(partial(double, 21), start=context(), on_message=said.append) == 42
    assert said == ["thinking"]


def test_a_user_s_error_comes_back_whole_and_a_death_is_told():
    with pytest.raises(MachineError) as caught:
        ask(refuse, start=context())
    assert (caught.value.where, caught.value.fix) == ("here", "Do not.")
    with pytest.raises(ProcessDiedError, match="SIGKILL"):
        ask(hurt, start=context())


def test_a_silent_process_is_ended():
    with pytest.raises(TimeoutError):
        ask(wait, start=context(), timeout_s=0.5)
    assert not multiprocessing.active_children()


def talk(say):
    for _ in range(100_000):
        say("words " * 100)


def test_an_error_of_a_callback_is_raised_and_no_end_of_the_process():
    def fail(_name, _message):
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        collect([Task(name="talk", call=talk)], on_message=fail)
    assert not multiprocessing.active_children()


ORPHAN = """
import sys, time
from swatbench.processes import Task, context, run_tasks
import test_processes

if __name__ == "__main__":
    show = lambda name, message: print(message[1], flush=True)
    quiet = lambda *_: None
    tasks = [Task(name="sleep", call=test_processes.sleep)]
    run_tasks(tasks, jobs=1, start=context(), on_start=quiet, on_message=show, on_end=quiet)
"""


def test_a_task_dies_with_a_killed_parent(tmp_path):
    script = tmp_path / "orphan.py"
    script.write_text(ORPHAN)
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (here, here.parent)))}
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        pid = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 20
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(pid)


def leave_a_child(say):
    """A child that holds the pipe open after this process has ended."""
    say(("child", os.fork() or time.sleep(60)))
    os._exit(3)


def test_a_task_that_died_is_noticed_though_a_child_of_it_lives():
    began_s = time.monotonic()
    events = collect([Task(name="one", call=leave_a_child)])
    assert time.monotonic() - began_s < 30
    assert events[-1] == ("end", "one", 3)
    os.kill(events[1][1][1], signal.SIGKILL)


def test_a_process_that_died_is_noticed_though_a_child_of_it_lives():
    said = []
    with pytest.raises(ProcessDiedError, match="exit code 3"):
        ask(leave_a_child, start=context(), on_message=lambda told: said.append(told[1]))
    os.kill(said[0], signal.SIGKILL)


def outlive(path, _say):
    """Ends half a second after it is asked to, and says so."""

    def end(*_):
        time.sleep(0.5)
        path.write_text("ended")
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    _say("ready")
    time.sleep(60)


def test_a_second_request_to_stop_waits_until_all_have_ended(tmp_path):
    """Whoever presses Ctrl-C twice must not lose the checkpoint that the first one asked for."""

    def stop(*_):
        threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGINT]).start()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect([Task(name="one", call=partial(outlive, tmp_path / "told"))], on_message=stop)
    assert (tmp_path / "told").read_text() == "ended"


def test_a_message_to_a_parent_that_is_gone_is_no_failure_of_the_task():
    """It would be taken for the cell's own, and recorded."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    ours.close()
    pid = os.fork()
    if not pid:
        try:
            _say(theirs, "words")
        finally:
            os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
