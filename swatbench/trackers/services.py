"""Weights & Biases, MLflow and trackio, each through its own package, with its own settings and addresses.

Where each sends its curves is decided by its own environment variables: WANDB_MODE and `wandb login`,
MLFLOW_TRACKING_URI, TRACKIO_DIR or TRACKIO_SPACE_ID. A run that goes on later is the same run there; steps
that are done a second time may then be drawn twice.

Source: the documentation of wandb 0.31, mlflow-skinny 3.17 and trackio 0.43.
"""

import logging
import os
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from io import StringIO
from types import MappingProxyType, ModuleType
from typing import Any
from uuid import uuid4

from swatbench.spec.dotted import flat
from swatbench.trackers.tracker import Session, Tracker

_MLFLOW_BATCH = 100
"""Most parameters that an MLflow server takes at once."""
_MLFLOW_CHARACTERS = 500
"""Longest value of a parameter that every MLflow server takes."""


class Wandb:
    """A run of Weights & Biases, in the project of the suite; offline runs lie in the cell's folder.

    Args:
        package: The module `wandb`.
        session: The session.
    """

    def __init__(self, package: ModuleType, session: Session) -> None:
        name = session.known_run("wandb") or uuid4().hex
        self._run = package.init(
            project=session.suite,
            name=session.run_name,
            id=name,
            resume="allow",
            dir=str(session.folder),
            config=dict(session.config),
            settings=package.Settings(silent=True, console="off", disable_code=True, disable_git=True),
        )
        session.remember_run("wandb", name)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Send values by optimizer step."""
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        """Send what is left."""
        self._run.finish()


class MLflow:
    """A run of MLflow, in the experiment of the suite.

    Args:
        package: The module `mlflow`.
        session: The session.
    """

    def __init__(self, package: ModuleType, session: Session) -> None:
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        self._mlflow = package
        known = session.known_run("mlflow")
        experiment = package.set_experiment(session.suite)
        run = package.start_run(
            run_id=known, experiment_id=experiment.experiment_id, run_name=session.run_name
        )
        self._run_id = run.info.run_id
        session.remember_run("mlflow", self._run_id)
        if known is None:
            self._describe(session.config)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Send values by optimizer step."""
        self._mlflow.log_metrics(dict(values), step=step, run_id=self._run_id)

    def close(self) -> None:
        """Say that the run is finished."""
        self._mlflow.end_run()

    def _describe(self, config: Mapping[str, Any]) -> None:
        params = [(key, str(value)[:_MLFLOW_CHARACTERS]) for key, value in flat(config).items()]
        for first in range(0, len(params), _MLFLOW_BATCH):
            self._mlflow.log_params(dict(params[first : first + _MLFLOW_BATCH]), run_id=self._run_id)


class Trackio:
    """A run of trackio, in the project of the suite.

    Args:
        package: The module `trackio`.
        session: The session.
    """

    def __init__(self, package: ModuleType, session: Session) -> None:
        # It prints to standard output, where a run with --json prints its object and nothing else.
        with redirect_stdout(StringIO()):
            self._run = package.init(
                project=session.suite,
                name=session.run_name,
                config=dict(session.config),
                resume="allow" if session.step > 0 else "never",
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Send values by optimizer step."""
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        """Send what is left."""
        with redirect_stdout(StringIO()):
            self._run.finish()


SERVICES: Mapping[str, Callable[[ModuleType, Session], Tracker]] = MappingProxyType(
    {"wandb": Wandb, "mlflow": MLflow, "trackio": Trackio}
)
"""Name in a suite, which is that of the package → what opens it."""


def restrain() -> None:
    """Ask for no output, no reports about the user and few retries, unless the environment says otherwise.

    It must come before the packages are imported.
    """
    # Seven by default, each after twice the wait: four minutes until a server that is not there is told of.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
