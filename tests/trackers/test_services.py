"""What each service is told, through stand-ins with the signatures of the real packages."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CONFIG = {"arm": "swat", "recipe": {"epochs": 3}}
LOSS = {"train/loss": 2.0}


def test_wandb_gets_a_run_in_the_suites_project_and_the_same_one_on_resume(
    tmp_path: Path, stand_in: Callable[..., Any], opened: Callable[..., Any]
) -> None:
    _, calls = stand_in("wandb")
    for step in (0, 20, 0):
        tracker = opened("wandb", step=step)
        tracker.log(step + 10, LOSS)
        tracker.close()
    (_, project, name, first, resume, folder, config, settings), log, end = calls[:3]
    assert (project, name, resume, config) == ("toy", "deit_mini-swat-seed0", "allow", CONFIG)
    assert Path(folder) == tmp_path / "cell"
    assert (settings["silent"], settings["console"]) == (True, "off")
    assert (log, end) == (("log", 10, LOSS), ("finish",))
    assert calls[3][3] == first
    assert calls[6][3] != first


def test_mlflow_gets_flat_parameters_once_and_the_same_run_on_resume(
    stand_in: Callable[..., Any], opened: Callable[..., Any]
) -> None:
    _, calls = stand_in("mlflow")
    config = {**CONFIG, "long": "x" * 600, **{f"key{i}": i for i in range(120)}}
    for step in (0, 20):
        tracker = opened("mlflow", step=step, config=config)
        tracker.log(step + 10, LOSS)
        tracker.close()
    assert calls[:2] == [("set_experiment", "toy"), ("start_run", None, "7", "deit_mini-swat-seed0")]
    described = [call for call in calls if call[0] == "log_params"]
    assert [len(call[1]) for call in described] == [100, 23]
    params = described[0][1] | described[1][1]
    assert (params["arm"], params["recipe.epochs"], params["key119"]) == ("swat", "3", "119")
    assert len(params["long"]) == 500
    assert ("log", 10, LOSS, "server-1") in calls
    assert calls[-4:] == [
        ("set_experiment", "toy"),
        ("start_run", "server-1", "7", "deit_mini-swat-seed0"),
        ("log", 30, LOSS, "server-1"),
        ("finish",),
    ]


def test_trackio_gets_a_run_and_prints_nothing(
    stand_in: Callable[..., Any], opened: Callable[..., Any], capfd: pytest.CaptureFixture[str]
) -> None:
    _, calls = stand_in("trackio")
    for step in (0, 20):
        tracker = opened("trackio", step=step)
        tracker.log(step + 10, LOSS)
        tracker.close()
    name = "deit_mini-swat-seed0"
    assert calls[:3] == [
        ("init", "toy", name, CONFIG, "never", False, False, False),
        ("log", 10, LOSS),
        ("finish",),
    ]
    assert calls[3] == ("init", "toy", name, CONFIG, "allow", False, False, False)
    assert capfd.readouterr().out == ""
