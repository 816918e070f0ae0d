"""What a tracker is, and the names of the values that it is given."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from swatbench.progress import Progress
from swatbench.store.atomic import write_bytes_atomic
from swatbench.store.record import CurvePoint

_TRAINING = ("loss", "learning_rate", "images_per_s", "data_share")
_RUN = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TEST = ("top1_percent", "ema_top1_percent", "miou_percent", "ema_miou_percent")


class Tracker(Protocol):
    """Whoever draws the curves of one training run."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Take values, by name, as they are after so many optimizer steps of the run."""
        ...

    def close(self) -> None:
        """Take it that nothing more comes."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One go at a training run; a run that was interrupted has another one later.

    Attributes:
        folder: The cell's folder.
        run_name: Name of the run, which is the cell's.
        suite: Name of the suite, by which runs are grouped.
        config: What the cell was asked, as JSON values.
        step: Optimizer steps that were done before.
    """

    folder: Path
    run_name: str
    suite: str
    config: Mapping[str, Any]
    step: int

    def known_run(self, service: str) -> str | None:
        """The name that a service has for the run that goes on here; None where one begins."""
        path = self._run_file(service)
        if self.step == 0 or not path.is_file():
            return None
        name = path.read_text(errors="replace").strip()
        # Services make folders and addresses of it.
        return name if _RUN.fullmatch(name) else None

    def remember_run(self, service: str, name: str) -> None:
        """Keep the name that a service has for the run, so that a later session can go on with it.

        Raises:
            StoreError: The file cannot be written.
        """
        write_bytes_atomic(self._run_file(service), f"{name}\n".encode())

    def _run_file(self, service: str) -> Path:
        return self.folder / f"{service}-run.txt"


def training_values(progress: Progress) -> dict[str, float]:
    """What is tracked of the last steps: `train/loss`, `train/learning_rate`, `train/images_per_s` and so on.

    Args:
        progress: How far the run is.
    """
    return {f"train/{name}": float(getattr(progress, name)) for name in _TRAINING}


def epoch_values(point: CurvePoint) -> dict[str, float]:
    """What is tracked of an epoch: `test/top1_percent` and `test/ema_top1_percent`, where they were measured.

    Of segmentation it is `test/miou_percent` and `test/ema_miou_percent`.

    Args:
        point: The epoch's point of the curve.
    """
    found = {f"test/{name}": getattr(point, name) for name in _TEST}
    return {name: float(value) for name, value in found.items() if value is not None}
