"""Bad suite files, a few hundred of them; `python -m tests.faults.suites` tries thousands."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from swatbench.errors import SuiteError
from swatbench.spec.load import load_suite, parse_suite
from swatbench.spec.problem import MOST_TOLD
from swatbench.spec.suite import MOST_CELLS
from tests.commands import run_commands
from tests.faults.mutants import KINDS, TEXTS
from tests.faults.suites import LIMIT_S, Tally, assert_clear, outcome_of, some_mutants, try_mutants

IN_CI = 300
NOBODY = 65_534


@pytest.mark.parametrize("kind", KINDS)
def test_a_spoiled_suite_is_valid_or_one_clear_error_and_soon(kind, tmp_path):
    tally = Tally()
    wanted = round(KINDS[kind][0] * IN_CI)
    try_mutants(kind, wanted, tmp_path, tally, derandomize=True)()
    assert tally.outcomes.total() >= wanted
    assert tally.outcomes[f"{kind}_refused"] > 0


def test_the_command_ends_with_its_exit_code_and_no_traceback(tmp_path):
    (tmp_path / "valid.yaml").write_text(TEXTS["quickstart"])
    for number, data in enumerate(some_mutants(30, derandomize=True)):
        (tmp_path / f"mutant{number:02}.yaml").write_bytes(data)
    files = sorted(path.name for path in tmp_path.glob("*.yaml"))
    ended = run_commands(tmp_path, {name: ["check", name] for name in files})
    assert len(ended) > 25
    for name, end in ended.items():
        assert end.code in (0, 2), name
        assert (end.code == 0) == (end.errors == ""), name
        assert end.code == 0 or end.errors.startswith("error: "), name
    assert ended["valid.yaml"].code == 0


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _zeros(path: Path) -> None:
    path.touch()
    os.truncate(path, 100_000_000)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


SPECIAL = {
    "a folder": Path.mkdir,
    "a pipe that nobody writes to": _pipe,
    "a socket": _socket,
    "a device without an end": lambda path: path.symlink_to("/dev/zero"),
    "a link to itself": lambda path: path.symlink_to(path),
    "a link to nothing": lambda path: path.symlink_to("gone"),
    "nothing": lambda path: None,  # noqa: ARG005
    "a hundred megabytes of zeros": _zeros,
    "a hundred megabytes of text": lambda path: path.write_bytes(b"name: x\n" * 12_500_000),
}


@pytest.mark.parametrize("kind", SPECIAL)
def test_what_is_no_file_of_text_is_one_clear_error(kind, tmp_path):
    path = tmp_path / "s.yaml"
    SPECIAL[kind](path)
    begin = time.monotonic()
    with pytest.raises(SuiteError) as caught:
        load_suite(path)
    assert time.monotonic() - begin < 5 * LIMIT_S
    assert_clear(caught.value, path)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="POSIX alone")
def test_a_file_that_may_not_be_read_says_so(tmp_path):
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o755)
    path = tmp_path / "s.yaml"
    path.write_text(TEXTS["quickstart"])
    path.chmod(0)
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from swatbench.spec.load import load_suite\n"
        f"os.setuid({NOBODY}) if os.geteuid() == 0 else None\n"
        "try:\n    load_suite(Path(sys.argv[1]))\n"
        "except Exception as error:\n    print(type(error).__name__, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == (
        f"SuiteError '{path}': the file cannot be read: Permission denied. See to its permissions.\n"
    )


@pytest.mark.parametrize("name", ["a\nb.yaml", "\x1b[31m.yaml", "a\u202eb.yaml", os.fsdecode(b"\xff.yaml")])
def test_a_file_s_own_name_commands_no_terminal(name, tmp_path):
    (tmp_path / name).write_text("name: [\n")
    end = run_commands(tmp_path, {"check": ["check", name]})["check"]
    assert end.code == 2
    assert end.errors.isprintable() or end.errors.rstrip("\n").isprintable()
    assert end.errors.count("\n") == 1


def _grown(**changes):
    tree = yaml.safe_load(TEXTS["imagenet"])
    tree["data"]["further_tests"] = []
    return yaml.safe_dump(tree | changes)


def test_cells_that_multiply_are_refused_by_a_stated_number_before_they_are_listed():
    pairs = len(yaml.safe_load(TEXTS["imagenet"])["pairs"])
    most = MOST_CELLS // (2 * pairs)
    arms = ["baseline", "swat"]
    assert parse_suite(_grown(arms=arms, seeds=[*range(most)]), file="s.yaml").seeds[-1] == most - 1
    begin = time.process_time()
    with pytest.raises(SuiteError, match=r"seeds: \d+ pairs × 2 arms × \d+ seeds, are .* at most 20,000"):
        parse_suite(_grown(arms=arms, seeds=[*range(most + 1)]), file="s.yaml")
    assert time.process_time() - begin < LIMIT_S


def test_a_suite_of_the_most_cells_is_checked_in_time(tmp_path):
    path = tmp_path / "s.yaml"
    pairs = len(yaml.safe_load(TEXTS["imagenet"])["pairs"])
    path.write_text(_grown(arms=["baseline", "swat"], seeds=[*range(MOST_CELLS // (2 * pairs))]))
    assert outcome_of(path)[0] == "valid"


def test_many_problems_are_told_by_the_first_and_their_number():
    text = TEXTS["quickstart"] + "".join(f"k{number}: 1\n" for number in range(500))
    with pytest.raises(SuiteError) as caught:
        parse_suite(text, file="s.yaml")
    lines = str(caught.value).splitlines()
    assert len(lines) == MOST_TOLD + 1
    assert lines[-1] == "s.yaml: 480 more problems follow; mend these first."
