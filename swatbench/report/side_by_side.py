"""Work that leaves nothing behind but its result, done by as many processes as there are processors."""

import multiprocessing
import os
import signal
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import count
from typing import Any, TypeVar

from swatbench.processes import end_with_parent

ResultT = TypeVar("ResultT")

_LEAST = 8
"""Fewer pieces of work are done here: starting processes would take longer."""

_BEGUN: dict[int, Sequence[Callable[[], Any]]] = {}
"""Number of a piece of work → its functions; forked processes find them here, with all that they refer to."""
_NUMBERS = count()


def side_by_side(makers: Sequence[Callable[[], ResultT]]) -> list[ResultT]:
    """Call every function, and return what each returns, in order.

    Args:
        makers: Functions that change nothing; what they return must survive pickling.
    """
    return begun(makers)()


def begun(makers: Sequence[Callable[[], ResultT]]) -> Callable[[], list[ResultT]]:
    """Begin to call every function in other processes; what is returned waits for the results.

    Args:
        makers: Functions that change nothing; what they return must survive pickling.
    """
    workers = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1, len(makers))
    if workers < 2 or len(makers) < _LEAST or multiprocessing.parent_process() is not None:
        return lambda: [make() for make in makers]
    number = next(_NUMBERS)
    _BEGUN[number] = makers
    context = multiprocessing.get_context("fork")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_as_a_worker)
    with warnings.catch_warnings():
        # From Python 3.12 on, forking beside threads of numerical libraries, which wait, is warned of.
        warnings.simplefilter("ignore", DeprecationWarning)
        coming = [pool.submit(_make, number, place) for place in range(len(makers))]
    return lambda: _finished(number, pool, coming)


def _finished(number: int, pool: ProcessPoolExecutor, coming: Sequence[Future[Any]]) -> list[Any]:
    try:
        return [future.result() for future in coming]
    except BrokenProcessPool:
        # A process that was killed, for want of memory say, takes its work along; here it is done again.
        return [make() for make in _BEGUN[number]]
    except BaseException:
        # Or whoever asks the program to stop would wait for work that nobody wants any more.
        for process in tuple(pool._processes.values()):  # noqa: SLF001
            process.kill()
        raise
    finally:
        pool.shutdown()
        del _BEGUN[number]


def _as_a_worker() -> None:
    # The parent's own ways to end, which speak to the user, are not the worker's.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()


def _make(number: int, place: int) -> object:
    return _BEGUN[number][place]()
