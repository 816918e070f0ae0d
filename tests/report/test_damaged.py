"""Reports of stores in which something is broken: it is listed and skipped, and the rest stands."""

import csv
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from swatbench.report.page import render
from tests.report.measured import detail


def _replaced(old: str, new: str) -> Callable[[Path], None]:
    def spoil(record: Path) -> None:
        text = record.read_text()
        assert old in text
        record.write_text(text.replace(old, new, 1))

    return spoil


def _values(**changes: Any) -> Callable[[Path], None]:
    return lambda record: _write(record, json.loads(record.read_text()) | changes)


def _write(record: Path, values: Any) -> None:
    record.write_text(json.dumps(values))


def _as_folder(record: Path) -> None:
    record.unlink()
    record.mkdir()


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut short": (lambda record: record.write_bytes(record.read_bytes()[:900]), "damaged"),
    "empty": (lambda record: record.write_bytes(b""), "Expecting value"),
    "no text": (lambda record: record.write_bytes(b"\xff\xfe\x00{}"), "damaged"),
    "not UTF-8": (lambda record: record.write_bytes(record.read_bytes() + b"\xff"), "decode"),
    "a list": (lambda record: _write(record, [1]), "no JSON object"),
    "a wrong type": (_values(duration_s="long"), "duration_s"),
    "a field that no one knows": (_values(colour="red"), "colour"),
    "no version": (_replaced('"schema_version": 3,', '"layout": 3,'), "names no schema_version"),
    "a newer version": (_values(schema_version=99), "layout 99"),
    "no cell": (_values(cell={}), "cell is no train cell"),
    "not a number": (_replaced('"duration_s": 42.0', '"duration_s": NaN'), "NaN is not a number"),
    "not a number in the cell": (
        _replaced('"threads": 1', '"threads": Infinity'),
        "Infinity is not a number",
    ),
    "a number beyond all": (_replaced('"duration_s": 42.0', '"duration_s": 1e999'), "duration_s"),
    "a count beyond all": (_replaced('"images_seen": 15000', f'"images_seen": {10**30}'), "images_seen"),
    "thousands of digits": (_replaced('"cores": 2', f'"cores": {"9" * 5000}'), "damaged"),
    "nested deeply": (lambda record: record.write_text("[" * 100_000), "damaged"),
    "a cell nested deeply": (_replaced('"threads": 1', f'"threads": {"[" * 900}{"]" * 900}'), "damaged"),
    "a folder": (_as_folder, "cannot be read"),
    "no predictions": (lambda record: (record.parent / "predictions.npz").unlink(), "No such file"),
    "no curve": (lambda record: (record.parent / "curve.jsonl").unlink(), "No such file"),
    "another curve": (lambda record: (record.parent / "curve.jsonl").write_text("{}"), "is not the file"),
    "a recipe of another kind": (_replaced('"epochs": 3', '"epochs": "many"'), "recipe.epochs"),
    "a path as a file": (_replaced('"curve.jsonl":', '"../curve.jsonl":'), "without folders"),
}
"""What is done to a record, and what the report says of it."""


@pytest.fixture
def without_figures(monkeypatch):
    monkeypatch.setattr("swatbench.report.figures._makers", lambda *_: [])


def rows_of(folder: Path, table: str) -> list[dict[str, Any]]:
    with (folder / "tables" / f"{table}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.usefixtures("without_figures")
def test_every_kind_of_damage_is_listed_and_hides_nothing_else(world, tmp_path):
    for seed in (0, 1):
        for arm, percent in (("baseline", 50.0), ("swat", 60.0)):
            world.train(arm=arm, seed=seed, percent=percent)
    folders = {name: world.train("mixer_mini", seed=seed) for seed, name in enumerate(DAMAGE)}
    for name, folder in folders.items():
        DAMAGE[name][0](folder / "record.json")
    report = render(world.results, tmp_path / "reports", world.suite).parent
    why = {Path(row["file"]).parent.name: row["why"] for row in rows_of(report, "damaged")}
    assert len(why) == len(DAMAGE)
    for name, folder in folders.items():
        assert DAMAGE[name][1] in why[folder.name], name
    assert {row["pair"] for row in rows_of(report, "accuracy")} == {"deit_mini"}
    (difference,) = rows_of(report, "across_seeds")
    assert float(difference["points"]) == pytest.approx(10.0)
    assert f"{len(DAMAGE)} damaged records skipped" in (report / "index.html").read_text()


def _with_content(folder: Path, file: str, content: bytes) -> None:
    """Put something else into a file, with its true digest in the record."""
    (folder / file).write_bytes(content)
    files = json.loads((folder / "record.json").read_text())["files"]
    _values(files=files | {file: hashlib.sha256(content).hexdigest()})(folder / "record.json")


@pytest.mark.parametrize("file", ["modules.jsonl", "breakdown.jsonl"])
@pytest.mark.parametrize("content", [b"{}\n", b"\xff\x00"])
@pytest.mark.usefixtures("without_figures")
def test_a_measurement_that_was_written_with_other_rows_is_damaged(world, tmp_path, file, content):
    _with_content(detail(world.cost()).folder, file, content)
    world.cost("mixer_mini")
    report = render(world.results, tmp_path / "reports", world.suite).parent
    (row,) = rows_of(report, "damaged")
    assert row["why"].startswith("The file is damaged: ")
    assert {row["pair"] for row in rows_of(report, "cost")} == {"mixer_mini"}


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00\xff\xff{"])
@pytest.mark.usefixtures("without_figures")
def test_arrays_and_curves_that_hold_something_else_are_not_used(world, tmp_path, content):
    _with_content(world.cost(), "samples.npz", content)
    for arm in ("baseline", "swat"):
        folder = world.train(arm=arm)
        _with_content(folder, "predictions.npz", content)
        _with_content(folder, "curve.jsonl", content)
    report = render(world.results, tmp_path / "reports", world.suite).parent
    assert rows_of(report, "damaged") == []
    assert {row["arm"] for row in rows_of(report, "cost")} == {"baseline", "swat"}
    assert len(rows_of(report, "across_seeds")) == 1
    assert rows_of(report, "these_images") == []
    why = {row["what"]: row["why"] for row in rows_of(report, "not_compared")}
    assert set(why) == {"accuracy across images", "inference time", "training time"}


def test_report_imports_no_torch(world, tmp_path):
    world.train()
    program = (
        "import sys; from swatbench.cli import main\n"
        f"sys.argv = ['swatbench', 'report', 'toy', '--results', {str(world.results)!r},"
        f" '--reports', {str(tmp_path / 'reports')!r}]\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "loaded = {'torch', 'timm', 'torchvision', 'fvcore'} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
