"""`docs/reliability.md` says what the harnesses found, and names only commands and tests that are there."""

import importlib.util
import json
import re
from pathlib import Path

import pytest
from typer.main import get_command

from swatbench.cell.watch import GRACE_S, GRACE_TOGETHER_S
from swatbench.cli import app
from swatbench.data.survey import SAMPLED
from swatbench.errors import CheckpointError, StoreError, SuiteError
from swatbench.spec.document import MAX_DEPTH, MAX_NODES
from swatbench.spec.load import MAX_BYTES
from swatbench.spec.problem import MOST_TOLD
from swatbench.spec.suite import MOST_CELLS
from tests.faults.blows import STOP_S
from tests.faults.stopped import CODES
from tests.faults.suites import LIMIT_S
from tests.faults.test_kills import KILLS

ROOT = Path(__file__).parent.parent
FOUND = ROOT / "results" / "reliability"
PAGE = (ROOT / "docs" / "reliability.md").read_text()
ROW = re.compile(
    r"^\| (?P<what>[^|]+) \| (?P<value>[^|]+) \| `(?P<file>\w+\.json)`: `(?P<key>\w+)` \|$", re.MULTILINE
)
NEVER = {
    "kills.json": ("broken",),
    "disk.json": ("hand_wrong", "training_wrong"),
    "mounted.json": ("wrong",),
    "sharing.json": ("real_differing", "real_not_whole", "small_at_once", "small_beside", "small_early"),
    "suites.json": ("otherwise",),
    "images.json": ("escaped", "slow"),
    "weights.json": ("escaped", "executed"),
    "text.json": ("broken_out",),
    "resources.json": ("cells_failed", "trained_failed", "trained_processes_left"),
    "offline.json": ("attempts_to_reach_a_network",),
}
"""File → what must never have happened in it."""
STATED = (
    f"within {STOP_S:.0f} s",
    "exit code {} or {}".format(*CODES.values()),
    f"with {KILLS} kills",
    f"within {GRACE_S:.0f} s",
    f"within {GRACE_TOGETHER_S:.0f} s",
    f"exit code {StoreError.exit_code}",
    f"exit code {SuiteError.exit_code}",
    f"exit code {CheckpointError.exit_code}",
    "exit code 1",
    f"at most {MOST_TOLD} problems",
    f"less than {LIMIT_S:.0f} s",
    f"at most {MAX_BYTES:,} bytes",
    f"{MAX_NODES:,} values",
    f"{MAX_DEPTH} levels",
    f"{MOST_CELLS:,} cells",
    f"{SAMPLED} images of each split",
    "float64, float16 and bfloat16",
    "SHA-256",
)
"""Every number of the text, as the code has it; the longest are taken out first."""


def found_in(file):
    return json.loads((FOUND / file).read_text())


def shown(value):
    return ("no", "yes")[value] if isinstance(value, bool) else f"{value:,}"


def spans():
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", ROW.sub("", PAGE))]


@pytest.mark.parametrize(
    "row", [pytest.param(row, id=f"{row['file']}-{row['key']}") for row in ROW.finditer(PAGE)]
)
def test_every_figure_is_what_a_harness_found(row):
    assert row["value"] == shown(found_in(row["file"])[row["key"]]), row["what"]


def test_every_row_of_a_table_is_a_figure_and_every_file_is_told_of():
    rows = [
        line
        for line in PAGE.splitlines()
        if line.startswith("|") and not line.startswith(("|---", "| what |"))
    ]
    assert len(rows) == len(ROW.findall(PAGE))
    assert {row["file"] for row in ROW.finditer(PAGE)} == {path.name for path in FOUND.glob("*.json")}


def test_every_number_of_the_text_is_that_of_the_code():
    text = " ".join(re.sub(r"`[^`]*`|\]\([^)]*\)", "", ROW.sub("", PAGE)).split())
    for words in sorted(STATED, key=len, reverse=True):
        assert words in text, words
        text = text.replace(words, "")
    assert re.findall(r".{0,20}\d.{0,20}", text.replace("Decision 21", "")) == []


@pytest.mark.parametrize("file", sorted(path.name for path in FOUND.glob("*.json")))
def test_what_must_never_happen_did_not(file):
    found = found_in(file)
    assert {key: found[key] for key in NEVER[file] if found[key]} == {}


def test_every_harness_that_it_names_takes_the_options_that_it_names():
    named = [span.split() for span in spans() if span.startswith("python -m ")]
    assert {words[2].rpartition(".")[2] for words in named} == {Path(file).stem for file in NEVER}
    for _, _, module, *options in named:
        spec = importlib.util.find_spec(module)
        assert spec is not None
        assert spec.origin is not None
        source = Path(spec.origin).read_text()
        missing = [one for one in options if one.startswith("--") and f'"{one}"' not in source]
        assert missing == [], module


def test_every_command_test_and_page_that_it_names_is_there():
    for span in spans():
        if span.startswith("swatbench "):
            _, command, option, *_ = span.split()
            assert option in [o for one in get_command(app).commands[command].params for o in one.opts]
    tests = [span for span in spans() if span.startswith("tests/")]
    assert len(tests) > 10
    for path in (*tests, "scripts/check.py"):
        assert (ROOT / path).is_file(), path
    for link in re.findall(r"\]\(([^)#]+)", PAGE):
        assert (ROOT / "docs" / link).exists(), link
