"""Stand-ins with the signatures of wandb 0.31, mlflow-skinny 3.17 and trackio 0.43, which note what comes."""

import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from swatbench.trackers.open import open_trackers

Calls = list[tuple[Any, ...]]


def _wandb(package: Any, calls: Calls) -> None:
    class Run:
        def log(self, data: dict[str, Any], step: int | None = None) -> None:
            calls.append(("log", step, data))

        def finish(self) -> None:
            calls.append(("finish",))

    def init(
        *, project: str, name: str, resume: str, config: dict[str, Any], settings: Any, **place: str
    ) -> Run:
        assert place.keys() == {"id", "dir"}
        calls.append(("init", project, name, place["id"], resume, place["dir"], config, settings))
        return Run()

    package.init, package.Settings = init, lambda **settings: settings


def _mlflow(package: Any, calls: Calls) -> None:
    def set_experiment(experiment_name: str) -> SimpleNamespace:
        calls.append(("set_experiment", experiment_name))
        return SimpleNamespace(experiment_id="7")

    def start_run(
        run_id: str | None = None, experiment_id: str | None = None, run_name: str | None = None
    ) -> SimpleNamespace:
        calls.append(("start_run", run_id, experiment_id, run_name))
        return SimpleNamespace(info=SimpleNamespace(run_id=run_id or "server-1"))

    def log_params(params: dict[str, Any], *, run_id: str) -> None:
        calls.append(("log_params", params, run_id))

    def log_metrics(metrics: dict[str, float], step: int | None = None, *, run_id: str) -> None:
        calls.append(("log", step, metrics, run_id))

    package.set_experiment, package.start_run = set_experiment, start_run
    package.log_params, package.log_metrics = log_params, log_metrics
    package.end_run = lambda: calls.append(("finish",))


def _trackio(package: Any, calls: Calls) -> None:
    class Run:
        def log(self, metrics: dict[str, Any], step: int | None = None) -> None:
            calls.append(("log", step, metrics))

        def finish(self) -> None:
            print("* Run finished.")
            calls.append(("finish",))

    def init(
        project: str,
        name: str,
        *,
        config: dict[str, Any],
        resume: str,
        embed: bool,
        auto_log_gpu: bool,
        auto_log_cpu: bool,
    ) -> Run:
        print(f"* Trackio project initialized: {project}")
        calls.append(("init", project, name, config, resume, embed, auto_log_gpu, auto_log_cpu))
        return Run()

    package.init = init


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], tuple[Any, Calls]]:
    """Put a stand-in in a package's place, and return it with the list of the calls that it gets."""

    def put(name: str) -> tuple[Any, Calls]:
        package: Any = ModuleType(name)
        package.__spec__ = ModuleSpec(name, loader=None)
        calls: Calls = []
        {"wandb": _wandb, "mlflow": _mlflow, "trackio": _trackio}[name](package, calls)
        monkeypatch.setitem(sys.modules, name, package)
        return package, calls

    return put


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., Any]:
    """Open trackers of a cell below `tmp_path`."""

    def open_them(*names: str, **changes: Any) -> Any:
        config = {"arm": "swat", "recipe": {"epochs": 3}}
        asked = {"run_name": "deit_mini-swat-seed0", "suite": "toy", "config": config, **changes}
        return open_trackers(names, folder=tmp_path / "cell", **asked)

    return open_them
