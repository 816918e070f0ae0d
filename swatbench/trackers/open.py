"""The trackers of one training run behind one: TensorBoard always, services where they are asked for."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from swatbench.errors import MachineError, first_line
from swatbench.trackers.background import Background
from swatbench.trackers.services import SERVICES, restrain
from swatbench.trackers.tensorboard import TensorBoard
from swatbench.trackers.tracker import Session, Tracker

CLOSE_S = 10.0
"""Longest time that the end of a run waits for trackers, in seconds."""
_REASON_CHARACTERS = 300


def require_trackers(names: Iterable[str]) -> None:
    """See that the packages of services are installed, without importing them.

    Args:
        names: Services, as a suite lists them.

    Raises:
        MachineError: A package is not installed.
    """
    for name in names:
        if find_spec(name) is None:
            raise _missing(name)


def open_trackers(
    names: Sequence[str],
    *,
    folder: Path,
    run_name: str,
    suite: str,
    config: Mapping[str, Any],
    step: int = 0,
    on_note: Callable[[str], None] = lambda note: None,  # noqa: ARG005
) -> Tracker:
    """Open TensorBoard's files and the services that are asked for.

    Each works in a thread of its own, so that none holds up training. One that fails is told of once, by the
    thread that logs or closes, and gets nothing more.

    Args:
        names: Services (`services.SERVICES`); none for TensorBoard alone.
        folder: The cell's folder.
        run_name: Name of the run.
        suite: Name of the suite.
        config: What the cell was asked, as JSON values.
        step: Optimizer steps that a checkpoint brings; what was tracked of later ones is struck
            out in TensorBoard, and follows a second time in services.
        on_note: Told in a sentence what a user should know.

    Returns:
        A tracker that hands everything on; `close` waits for `CLOSE_S` at most.

    Raises:
        MachineError: A package is not installed.
    """
    session = Session(folder=folder, run_name=run_name, suite=suite, config=config, step=step)
    opens: dict[str, Callable[[], Tracker]] = {
        "TensorBoard": partial(TensorBoard, import_module("torch.utils.tensorboard"), session)
    }
    restrain()
    for name in names:
        try:
            # Here and not in the thread: a process that forks in the middle of an import may stand still.
            package = import_module(name)
        except ImportError as error:
            raise _missing(name) from error
        opens[name] = partial(SERVICES[name], package, session)
    return _Several([Background(name, open_one) for name, open_one in opens.items()], on_note)


class _Several:
    def __init__(self, trackers: Sequence[Background], on_note: Callable[[str], None]) -> None:
        self._trackers, self._on_note = list(trackers), on_note

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._drop_failed()
        if values:
            for tracker in self._trackers:
                tracker.log(step, values)

    def close(self) -> None:
        for tracker in self._trackers:
            tracker.finish()
        until = time.monotonic() + CLOSE_S
        late = [one for one in self._trackers if not one.join(max(0.0, until - time.monotonic()))]
        self._drop_failed()
        for tracker in late:
            self._on_note(f"{tracker.name} did not take the last values within {CLOSE_S:.0f} s.")
        self._trackers.clear()

    def _drop_failed(self) -> None:
        for tracker in [one for one in self._trackers if one.failure is not None]:
            self._trackers.remove(tracker)
            assert tracker.failure is not None
            reason = first_line(tracker.failure)[:_REASON_CHARACTERS]
            self._on_note(f"{tracker.name} is switched off: {reason}")


def _missing(name: str) -> MachineError:
    return MachineError(
        f"The tracker {name} is not installed.",
        where="execution.trackers",
        fix="Install it (pip install 'swatbench[trackers]'), or take it out of the suite.",
    )
