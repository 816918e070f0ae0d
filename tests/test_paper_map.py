"""The map from the paper's marks to code and tests is the one that its table gives, and names what exists."""

import importlib
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
import paper_map  # noqa: E402
from marks import SECTIONS  # noqa: E402

MARKS = [mark for section in SECTIONS for mark in section.marks]


def test_the_page_is_the_one_that_would_be_written():
    assert paper_map.PAGE.read_text() == paper_map.page(), "run python scripts/paper_map.py"


@pytest.mark.parametrize("mark", MARKS, ids=lambda mark: mark.name)
def test_what_a_mark_names_exists(mark):
    for dotted in mark.code:
        module, names = imported(dotted)
        assert Path(module.__file__) == paper_map.find_symbol(dotted)
        found = module
        for name in names:
            found = getattr(found, name)
    for test in (*mark.tests, *mark.also):
        assert paper_map.find_test(test).is_file()


def imported(dotted):
    """The module of a dotted name, and the names within it."""
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        try:
            return importlib.import_module(".".join(parts[:count])), parts[count:]
        except ModuleNotFoundError:
            continue
    raise AssertionError(dotted)


def test_what_does_not_exist_is_refused():
    with pytest.raises(LookupError, match="no module defines"):
        paper_map.find_symbol("swatbench.swat.mixing.StructureAwareLinear.backwards")
    with pytest.raises(LookupError, match="no test"):
        paper_map.find_test("tests/swat/test_mixing.py::test_nothing")


@pytest.mark.parametrize("mark", MARKS, ids=lambda mark: mark.name)
def test_every_mark_has_code_tests_and_mistakes_that_can_be_made(mark):
    assert mark.code
    assert mark.tests
    assert mark.mutations
    for mutation in mark.mutations:
        text = (ROOT / mutation.file).read_text()
        assert text.count(mutation.old) == 1, mutation
        assert mutation.old != mutation.new


def test_marks_have_names_of_their_own():
    assert len({mark.name for mark in MARKS}) == len(MARKS) > 25


def test_links_of_the_page_lead_somewhere():
    links = [part.split(")")[0] for part in paper_map.page().split("](")[1:]]
    assert len(links) > 100
    assert all((paper_map.PAGE.parent / link).exists() for link in links)
