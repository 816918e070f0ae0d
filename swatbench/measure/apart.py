"""A pass of a measurement in a process of its own, whose ways to fail become messages for users."""

from collections.abc import Callable
from functools import partial
from multiprocessing.context import BaseContext
from typing import TypeVar

from swatbench.errors import MachineError, SwatbenchError, first_line
from swatbench.out_of_memory import let_go, out_of_memory
from swatbench.precision import set_tf32
from swatbench.processes import ProcessDiedError, Say, ask, context

LESS_MEMORY = "Lower `cost.batch_size` (--batch), or free memory."
"""What to do where memory ran out."""
_PRELOADED = ("torch", "timm", "swatbench.measure.fits")
"""Imported once by the server from which processes are forked; it never computes itself."""

T = TypeVar("T")


def default_start() -> BaseContext:
    """How passes are started where their caller says nothing: forked off a server that has imported torch."""
    return context(*_PRELOADED)


def run_apart(
    call: Callable[[Say], T],
    *,
    what: str,
    start: BaseContext | None = None,
    timeout_s: float | None = None,
) -> T:
    """Run one pass in a new process, which ends with it, and return what it returns.

    Args:
        call: What to run; it must survive pickling, and is handed a `Say`. Settings made in this process
            reach it only where `start` forks this process.
        what: The pass in a few words, for messages: `memory of swat, training`.
        start: How the process is started; None for `default_start`. A plain `fork` is safe only in a process
            that has imported torch and computed nothing: threads and CUDA do not survive it.
        timeout_s: Longest silence, in seconds; None for any, as a slow machine may well be at work.

    Raises:
        MachineError: The process ran out of memory or time, failed or died.
        SwatbenchError: Whatever `call` raised of that kind.
    """
    try:
        return ask(partial(_tell, call, what), start=start or default_start(), timeout_s=timeout_s)
    except ProcessDiedError as error:
        raise MachineError(f"The process of a pass ({what}) {error}.", fix=LESS_MEMORY) from error
    except TimeoutError as error:
        fix = "Lower `cost.batch_size` (--batch), or measure on a faster machine."
        raise MachineError(f"A pass ({what}) took longer than {timeout_s:g} s.", fix=fix) from error


def memory_ran_out(error: BaseException, what: str, *, fix: str = LESS_MEMORY) -> MachineError:
    """The message for a user whose memory ran out.

    Args:
        error: What was raised; the first line of its message is passed on.
        what: The pass in a few words.
        fix: What to do.
    """
    return MachineError(f"Memory ran out in a pass ({what}): {first_line(error)}.", fix=fix)


def _tell(call: Callable[[Say], T], what: str, say: Say) -> T:
    set_tf32(False)  # As where calls are timed, or the two would be of other arithmetic.
    try:
        return call(say)
    except SwatbenchError:
        raise
    except Exception as error:
        if out_of_memory(error):
            let_go(error)  # Or too little is left to send the message.
            raise memory_ran_out(error, what) from error
        words = f"{type(error).__name__}: {first_line(error)}"
        raise MachineError(f"A pass ({what}) failed: {words}.") from error
