"""TensorBoard's files, read back by TensorBoard."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def curve(folder: Path, tag: str) -> list[tuple[int, float]]:
    events = EventAccumulator(str(folder / "cell" / "tensorboard")).Reload()
    return [(event.step, event.value) for event in events.Scalars(tag)]


def test_curves_are_read_back_by_optimizer_step(tmp_path: Path, opened: Callable[..., Any]) -> None:
    tracker = opened()
    tracker.log(10, {"train/loss": 2.0, "train/learning_rate": 0.5})
    tracker.log(20, {"train/loss": 1.5})
    tracker.log(20, {"test/top1_percent": 40.0})
    tracker.close()
    assert curve(tmp_path, "train/loss") == [(10, 2.0), (20, 1.5)]
    assert curve(tmp_path, "train/learning_rate") == [(10, 0.5)]
    assert curve(tmp_path, "test/top1_percent") == [(20, 40.0)]


def test_what_came_after_the_checkpoint_is_struck_out_on_resume(
    tmp_path: Path, opened: Callable[..., Any]
) -> None:
    first = opened()
    for step in (10, 20, 30):
        first.log(step, {"train/loss": float(step)})
    first.close()
    second = opened(step=20)
    second.log(25, {"train/loss": 0.25})
    second.close()
    assert curve(tmp_path, "train/loss") == [(10, 10.0), (20, 20.0), (25, 0.25)]


def test_a_run_that_starts_anew_strikes_out_all(tmp_path: Path, opened: Callable[..., Any]) -> None:
    for value in (1.0, 2.0):
        tracker = opened()
        tracker.log(1, {"train/loss": value})
        tracker.close()
    assert curve(tmp_path, "train/loss") == [(1, 2.0)]
