"""The documents on reports show what the committed results give, and explain all that a report can hold."""

import csv
import io
import re
from pathlib import Path

import pytest

from swatbench.report.axes import AXES
from swatbench.report.groups import GROUPS
from swatbench.report.page import render

ROOT = Path(__file__).parent.parent
GALLERY = (ROOT / "docs" / "gallery.md").read_text()
EXPLAINED = " ".join((ROOT / "docs" / "report.md").read_text().split())


def test_every_picture_of_the_gallery_is_there():
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", GALLERY)
    assert len(pictures) >= 9
    for picture in pictures:
        assert (ROOT / "docs" / picture).is_file(), picture


def test_the_sentence_that_is_read_aloud_is_the_report_s_own():
    quoted = " ".join(line.removeprefix("> ") for line in GALLERY.splitlines() if line.startswith("> "))
    assert "points top-1" in quoted
    assert quoted in (ROOT / "reports" / "cifar10" / "report.md").read_text()


@pytest.mark.parametrize("suite", ["cifar10", "profile", "segmentation_quickstart"])
def test_committed_reports_are_those_of_the_committed_results(suite, tmp_path, monkeypatch):
    # Bytes of pictures follow the version of matplotlib; the numbers must not.
    for kind, made in {"_svg": "<svg></svg>\n", "_png": b"", "_pdf": b""}.items():
        monkeypatch.setattr(f"swatbench.report.canvas.{kind}", lambda *_, made=made: made)
    folder = render(ROOT / "results", tmp_path, suite).parent
    made = {path.name: path.read_text() for path in folder.glob("tables/*.csv")}
    kept = {path.name: path.read_text() for path in (ROOT / "reports" / suite).glob("tables/*.csv")}
    assert made.keys() == kept.keys()
    for name, text in made.items():
        ours, theirs = _values(text), _values(kept[name])
        assert [value for value in ours if isinstance(value, str)] == [
            value for value in theirs if isinstance(value, str)
        ], name
        # Processors differ in the last digits of a sum.
        assert [value for value in ours if isinstance(value, float)] == pytest.approx(
            [value for value in theirs if isinstance(value, float)], rel=1e-9, nan_ok=True
        ), name


def test_every_table_that_a_report_can_hold_is_explained():
    titles = [make((), lambda _: "").title for group in GROUPS for make in (*group.tables, *group.folded)]
    assert len(titles) > 25
    for title in titles:
        assert title.lower() in EXPLAINED.lower(), title


def test_every_cost_that_accuracy_is_set_against_is_named():
    for axis in AXES:
        assert axis.noun.split()[-1] in EXPLAINED, axis.noun


def _values(text: str) -> list[str | float]:
    """Every value of a table but addresses of records, which depend on where the report lies."""
    plain = re.sub(r"[^\s,\"]*results/\S+?record\.json", "", text)
    return [_number(value) for row in csv.reader(io.StringIO(plain)) for value in row]


def _number(value: str) -> str | float:
    try:
        return float(value)
    except ValueError:
        return value
