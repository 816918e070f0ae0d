"""Every mistake of the table of marks is caught, and one that is not caught is told."""

import subprocess
import sys
from pathlib import Path

WRONG = ("SURVIVES", "BROKEN", "IDLE")
SCRIPTS = Path(__file__).parent.parent / "scripts"
sys.path.insert(0, str(SCRIPTS))
from marks import SECTIONS  # noqa: E402

OTHER_MARKS = """
import sys
import mutate
from marks.values import Mark, Section, mistakes

def mark(name, *rows, test="test_kernels_of_the_released_models"):
    tests = (f"tests/swat/test_geometry.py::{test}",)
    mutations = mistakes("swatbench/swat/geometry.py", *rows)
    return Mark(name=name, mark="", where="", code=(), tests=tests, mutations=mutations)

marks = (
    mark("good", ("wider", "return side + 1", "return side + 3")),
    mark("same", ("other words", "Cut C channels", "Divide C channels")),
    mark("no import", ("no such name", "return side + 1", "return side + 1\\n\\nmissing")),
    mark("idle", ("wider", "return side + 1", "return side + 3"), test="test_impossible_geometry_is_refused"),
    *([mark("twice", ("it", "alpha", ""))] if "twice" in sys.argv else []),
)
mutate.SECTIONS = (Section(title="", marks=marks),)
mutate.HEAVY = ("torch",)
sys.argv[1:] = []
mutate.main()
"""


def run(*command):
    return subprocess.run(
        [sys.executable, *command], cwd=SCRIPTS, capture_output=True, text=True, check=False
    )


def test_every_mistake_is_caught_by_the_tests_of_its_mark():
    made = run("mutate.py")
    assert made.returncode == 0, made.stdout + made.stderr
    mutations = sum(len(mark.mutations) for section in SECTIONS for mark in section.marks)
    assert made.stdout.count("caught   | ") == mutations > 100


def test_what_survives_is_broken_or_idle_is_told_apart():
    made = run("-c", OTHER_MARKS)
    assert made.returncode == 1
    assert [line.split(" | ")[:2] for line in made.stdout.splitlines() if " | " in line] == [
        ["caught  ", "good"],
        ["SURVIVES", "same"],
        ["BROKEN  ", "no import"],
        ["SURVIVES", "idle"],
    ]
    assert "NameError" in made.stdout
    assert [line.split(": ")[:2] for line in made.stderr.splitlines() if line.startswith(WRONG)] == [
        ["SURVIVES", "same"],
        ["IDLE", "same"],
        ["BROKEN", "no import"],
        ["IDLE", "no import"],
        ["SURVIVES", "idle"],
        ["IDLE", "idle"],
    ]


def test_a_text_that_does_not_stand_there_once_is_refused():
    made = run("-c", OTHER_MARKS, "twice")
    assert made.returncode == 1
    assert "geometry.py has the text" in made.stderr
    assert "times, not once" in made.stderr
