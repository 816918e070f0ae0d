"""Trackers beside a run: missing ones are told before it, failing and silent ones do it no harm."""

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from swatbench.errors import MachineError
from swatbench.trackers import open as opening
from swatbench.trackers.open import require_trackers


@pytest.fixture
def notes() -> list[str]:
    return []


def log_until(tracker: Any, notes: list[str], count: int) -> None:
    """Log until so many notes came; a thread needs its time."""
    until = time.monotonic() + 5
    while len(notes) < count and time.monotonic() < until:
        tracker.log(1, {"train/loss": 1.0})
        time.sleep(0.01)


@pytest.mark.parametrize("name", ["wandb", "mlflow", "trackio"])
def test_a_missing_package_is_told_with_what_to_install(
    name: str, opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    for ask in (lambda: require_trackers([name]), lambda: opened(name)):
        with pytest.raises(MachineError, match=rf"{name} is not installed.*swatbench\[trackers\]"):
            ask()


def test_what_is_installed_is_asked_for_without_importing_it(stand_in: Callable[..., Any]) -> None:
    _, calls = stand_in("wandb")
    require_trackers(["wandb"])
    require_trackers([])
    assert calls == []


def test_one_that_cannot_be_opened_is_told_once_and_the_others_go_on(
    stand_in: Callable[..., Any], opened: Callable[..., Any], notes: list[str]
) -> None:
    package, _ = stand_in("wandb")
    _, calls = stand_in("trackio")

    def refuse(**_: object) -> None:
        raise RuntimeError("No API key configured.\nUse wandb login.")

    package.init = refuse
    tracker = opened("wandb", "trackio", on_note=notes.append)
    log_until(tracker, notes, 1)
    tracker.log(2, {"train/loss": 0.5})
    tracker.close()
    assert notes == ["wandb is switched off: No API key configured."]
    assert calls[-2:] == [("log", 2, {"train/loss": 0.5}), ("finish",)]


def test_one_that_fails_later_is_switched_off(
    stand_in: Callable[..., Any], opened: Callable[..., Any], notes: list[str]
) -> None:
    package, calls = stand_in("mlflow")

    def lost(*_: object, **__: object) -> None:
        calls.append(("lost",))
        raise ConnectionError

    package.log_metrics = lost
    tracker = opened("mlflow", on_note=notes.append)
    log_until(tracker, notes, 1)
    tracker.close()
    assert notes == ["mlflow is switched off: ConnectionError"]
    assert calls.count(("lost",)) == 1


def test_a_disk_that_takes_no_curves_stops_no_run(
    tmp_path: Path, opened: Callable[..., Any], notes: list[str]
) -> None:
    (tmp_path / "cell").write_text("a file where the folder should be")
    tracker = opened(on_note=notes.append)
    tracker.log(1, {"train/loss": 1.0})
    tracker.close()
    assert len(notes) == 1
    assert notes[0].startswith("TensorBoard is switched off: ")


def test_one_that_does_not_answer_holds_nothing_up(
    stand_in: Callable[..., Any],
    opened: Callable[..., Any],
    notes: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    package, _ = stand_in("wandb")
    answered = threading.Event()
    package.init = lambda **_: answered.wait(30)
    monkeypatch.setattr(opening, "CLOSE_S", 0.2)
    tracker = opened("wandb", on_note=notes.append)
    start = time.monotonic()
    for step in range(100):
        tracker.log(step, {"train/loss": 1.0})
    assert time.monotonic() - start < 1
    tracker.close()
    assert time.monotonic() - start < 3
    assert notes == ["wandb did not take the last values within 0 s."]
    answered.set()


def test_a_second_close_does_nothing(opened: Callable[..., Any], notes: list[str]) -> None:
    tracker = opened(on_note=notes.append)
    tracker.close()
    tracker.close()
    assert notes == []
