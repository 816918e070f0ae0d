"""Every command block of the README and the docs does what it says, in a copy of the tree."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from swatbench.spec.load import load_suite

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
SETUP = re.compile(r"python3 -m venv|\. \.venv/bin/activate|pip install|uv pip install")
"""Lines that make the environment: CI has run them literally before it came here."""
CHECK = "python scripts/check.py"
"""The line of the second block that runs these very tests."""


def blocks(language):
    """(page, number, text) of every block in that language."""
    pattern = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return [
        pytest.param(text, id=f"{page.relative_to(ROOT)}-{number}")
        for page in PAGES
        for number, text in enumerate(pattern.findall(page.read_text()), start=1)
    ]


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The files that git would commit, in a new folder."""
    folder = tmp_path_factory.mktemp("copy")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


def shell(command, folder):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def quickstart(copy):
    """The copy after the first block of the README, and the seconds that its last line took."""
    start = time.monotonic()
    run_block(copy, blocks("bash")[0].values[0])
    return copy, time.monotonic() - start


def run_block(folder, text):
    for line in text.splitlines():
        if line and not SETUP.match(line) and line != CHECK:
            done = shell(line, folder)
            assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("text", blocks("bash"))
def test_every_command_runs(quickstart, text):
    folder, _ = quickstart
    run_block(folder, text)


def test_the_quickstart_keeps_its_promise(quickstart):
    folder, wall_time_s = quickstart
    promise = load_suite(folder / "suites" / "quickstart.yaml").promise
    # Twice, because a machine that runs tests may be doing other things as well.
    assert wall_time_s < 2 * promise.wall_time_s
    top1 = {}
    for path in folder.glob("results/quickstart/*/*/record.json"):
        record = json.loads(path.read_text())
        assert record["status"] == "finished"
        if record["train"]:
            key = record["cell"]["pair"]["name"], record["cell"]["arm"]
            top1.setdefault(key, []).append(record["train"]["top1_percent"])
    assert {len(scores) for scores in top1.values()} == {2}
    for pair in ("deit_mini", "mixer_mini"):
        gain = (sum(top1[pair, "swat"]) - sum(top1[pair, "baseline"])) / 2
        assert gain >= promise.min_gain_points, pair
    report = folder / "reports" / "quickstart"
    assert "points top-1" in (report / "index.html").read_text()
    for name in ("accuracy_macs", "accuracy_params"):
        assert (report / "figures" / f"{name}.svg").is_file()


def test_ci_runs_the_second_block_and_that_is_the_whole_check():
    second = blocks("bash")[1].values[0]
    assert second.splitlines()[-1] == CHECK
    assert "n == 2' README.md" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("text", blocks("python"))
def test_every_python_block_runs(text):
    exec(compile(text, "README.md", "exec"), {})


@pytest.mark.parametrize("text", blocks("console"))
def test_what_is_too_long_to_run_names_what_is_there(copy, text):
    """These blocks download or train for hours; their scripts and suites must exist and be valid."""
    for path in re.findall(r"\b(?:scripts|suites)/\S+", text):
        assert (copy / path).is_file(), path
        if path.endswith(".yaml"):
            assert shell(f"swatbench check {path}", copy).returncode == 0
