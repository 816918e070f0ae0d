"""Curves as TensorBoard's event files, beside each cell (`tensorboard --logdir results/<suite>`)."""

import threading
from collections.abc import Mapping
from functools import cache
from types import ModuleType

from swatbench.trackers.tracker import Session

FOLDER = "tensorboard"
FLUSH_S = 10
"""Longest time that a value waits in memory, in seconds."""


class TensorBoard:
    """Writes one event file a session into `<cell>/tensorboard`.

    Args:
        package: The module `torch.utils.tensorboard`.
        session: The session; what an earlier one wrote about later steps is struck out.
    """

    def __init__(self, package: ModuleType, session: Session) -> None:
        _tell_once()
        self._writer = package.SummaryWriter(
            str(session.folder / FOLDER), purge_step=session.step + 1, flush_secs=FLUSH_S
        )

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Write values by optimizer step."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()


@cache
def _tell_once() -> None:
    """Keep its thread from printing what stopped it, as a full disk: the next value is answered with that."""
    before = threading.excepthook

    def hook(failed: threading.ExceptHookArgs) -> None:
        if failed.exc_value is None or getattr(failed.thread, "exception", None) is not failed.exc_value:
            before(failed)

    threading.excepthook = hook
