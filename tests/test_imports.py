"""What is not needed is not loaded: a name costs no torch, and a report no timm."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
QUICKSTART = str(ROOT / "suites" / "quickstart.yaml")
RESULTS = ROOT / "results"
SUITE = "segmentation_quickstart"
TORCH = {"torch", "timm", "torchvision", "fvcore", "torch_tb_profiler", "tensorboard"}
DRAWING = {"matplotlib", "pandas", "scipy", "statsmodels"}
HEAVY = TORCH | DRAWING | {"numpy", "pydantic", "PIL", "psutil", "jinja2"}
READING = {"numpy", "pydantic", "psutil"}
"""What it takes to read a suite, and to say what machine this is."""

_PROGRAM = """
import json, sys
from contextlib import redirect_stdout
heavy, commands = json.loads(sys.argv[1])
told = []

def loaded():
    told.append(sorted(set(heavy) & set(sys.modules)))

import swatbench
loaded()
from swatbench.cli import main
for command in commands:
    sys.argv = ["swatbench", *command]
    try:
        with redirect_stdout(sys.stderr):
            main()
        code = 0
    except SystemExit as end:
        code = end.code
    assert not code, (command, code)
    loaded()
print(json.dumps(told))
"""


def loaded_by(*commands: list[str]) -> list[set[str]]:
    """Heavy packages that are loaded after `import swatbench` and after each command, in one process."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, json.dumps([sorted(HEAVY), commands])],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return [set(names) for names in json.loads(done.stdout)]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    (machine,) = (path for path in (RESULTS / SUITE).iterdir() if path.is_dir())
    other = tmp_path_factory.mktemp("other") / machine.name
    shutil.copytree(machine, other)
    told = ["--results", str(RESULTS)]
    commands = {
        "--help": ["--help"],
        "run --help": ["run", "--help"],
        "profile --help": ["profile", "--help"],
        "models": ["models"],
        "models --model": ["models", "--model", "swat_swin_t"],
        "check": ["check", QUICKSTART],
        "check --schema": ["check", "--schema"],
        "status": ["status", SUITE, *told],
        "compare": ["compare", str(machine), str(other)],
        "report": ["report", SUITE, *told, "--reports", str(tmp_path_factory.mktemp("reports"))],
    }
    return dict(zip(("import", *commands), loaded_by(*commands.values()), strict=True))


def test_importing_swatbench_loads_nothing_heavy(loaded):
    assert loaded["import"] == set()


def test_the_list_of_commands_loads_nothing_heavy(loaded):
    assert loaded["--help"] == set()


@pytest.mark.parametrize("command", ["run --help", "profile --help", "models", "models --model"])
def test_what_is_told_of_options_and_models_needs_no_arrays(loaded, command):
    # Typer itself loads pydantic where a command has options.
    assert loaded[command] <= {"pydantic"}


@pytest.mark.parametrize("command", ["check", "check --schema", "status"])
def test_reading_a_suite_draws_nothing(loaded, command):
    assert loaded[command] <= READING


@pytest.mark.parametrize("command", ["compare", "report"])
def test_reporting_loads_no_torch(loaded, command):
    assert not loaded[command] & TORCH


def test_what_is_looked_for_would_be_seen(loaded):
    assert loaded["report"] >= {"matplotlib", "pandas"}
