"""Hostile text, some hundred of it; `python -m tests.faults.text` tries thousands."""

import json
import os
import re
import shutil
import sys
import unicodedata
from pathlib import Path

import pytest

from swatbench.agenda import Agenda
from swatbench.errors import StoreError
from swatbench.job import Job
from swatbench.report import canvas
from swatbench.report.between import compare_folders
from swatbench.report.between_files import write_between
from swatbench.report.page import render
from swatbench.spec.execution import Execution
from swatbench.status import suite_status
from swatbench.store.files import read_suite
from swatbench.trackers.tracker import Session
from swatbench.visible import visible, visible_json, visible_lines
from tests.commands import run_commands
from tests.faults import sinks
from tests.faults.fragments import EVERYTHING, FRAGMENTS
from tests.faults.hostile_records import check_report, hostile_report
from tests.faults.text import check_texts, try_texts
from tests.report.conftest import World

SIGNS = re.compile("SYRIAC|KAITHI|EGYPTIAN|ARABIC (NUMBER|SIGN|FOOTNOTE|END|POUND|PIASTRE|DISPUTED)")
"""Names of characters of format that are signs, and seen."""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A report of hostile records, the folder above it, and the files that lay there before it."""
    root = tmp_path_factory.mktemp("hostile")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(canvas, "_png", lambda _: b"\x89PNG")
        patch.setattr(canvas, "_pdf", lambda _, __: b"%PDF")
        folder, fields = hostile_report(root, EVERYTHING)
    return root, folder, fields


def test_every_fragment_stays_text_in_every_sink():
    check_texts(FRAGMENTS)


def test_mixtures_of_them_stay_text_in_every_sink():
    try_texts(200, derandomize=True)()


def test_a_report_of_hostile_records_holds_nothing_but_text(hostile):
    _, folder, fields = hostile
    assert fields > 200
    assert check_report(folder) > 40
    page = sinks.check_page((folder / "index.html").read_text())
    assert visible(EVERYTHING)[:40] in page.said
    markdown = sinks.markdown_structure((folder / "report.md").read_text())
    raw = {kind for kind in markdown if kind.startswith("html")}
    assert all(
        re.match(r"html_block (<details>\n<summary>[\w ]+</summary>|</details>)\n$", one) for one in raw
    )
    addresses = {kind.partition(" ")[2] for kind in markdown if kind.startswith(("link_open", "image"))}
    assert all(re.match(r"(\.\./|figures/)[\w./-]+$", one) for one in addresses)
    commands = sinks.tex_structure((folder / "report.tex").read_text())
    assert {r"\input", r"\write", r"\immediate", r"\openout"} & {*commands} <= {r"\input"}
    assert commands.count(r"\input") == 1, "the one of the template"


def test_nothing_is_written_but_the_report(hostile):
    root, folder, _ = hostile
    made = {path.relative_to(root).parts[:2] for path in root.rglob("*") if path.is_file()}
    assert made == {("results", "toy"), ("reports", "toy")}
    assert folder == root / "reports" / "toy"
    names = [path.name for path in (root / "reports").rglob("*")]
    assert all(re.fullmatch(r"[\w.-]+", name) for name in names)


def test_no_command_lets_a_record_command_the_terminal(hostile, tmp_path):
    root, _, _ = hostile
    shutil.copytree(root / "results" / "toy", tmp_path / "results" / "other")
    shutil.copytree(root / "results" / "toy", tmp_path / "results" / "toy")
    asked = tmp_path / "results" / "toy" / "some-cpu-2-cores" / "asked.json"
    asked.write_text(json.dumps({"suite": {"description": EVERYTHING}, "cells": [EVERYTHING, "../.."]}))
    sides = [f"results/{suite}/some-cpu-2-cores" for suite in ("toy", "other")]
    commands = {
        "status": ["status", "toy"],
        "status of all": ["status", "other", "--json"],
        "compare": ["compare", *sides, "--output", "compared"],
        "compare as JSON": ["compare", *sides, "--json"],
        "report": ["report", "other", "--gate", "max_latency_ratio=9", "--undecided", "pass"],
        "of nothing": ["status", "\x1b[31m\u202e"],
    }
    for name, end in run_commands(tmp_path, commands).items():
        assert end.code in (0, 6, 9), (name, end.errors)
        sinks.check_terminal(end.out)
        sinks.check_terminal(end.errors)
        assert max(map(len, f"{end.out}\n".splitlines())) < 20_000
    check_report(tmp_path / "compared")


def test_every_character_that_is_not_seen_becomes_its_number():
    for char in map(chr, range(sys.maxunicode + 1)):
        unseen = unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")
        if unseen and not SIGNS.match(unicodedata.name(char, "")):
            assert char not in visible(f"a{char}b"), hex(ord(char))
    assert visible("a\r\n\tb\x1b\u202e\U000e0041") == "a b\\x1b\\u202e\\U000e0041"
    assert visible_lines("a\nb\x00") == "a\nb\\x00"


def test_json_keeps_its_values():
    value = {"a\x9b": ["\u202e\U000e0041\x7f\ud800", "é"], "b": 1}
    told = visible_json(json.dumps(value, ensure_ascii=False, indent=1))
    assert json.loads(told) == value
    assert "é" in told
    sinks.check_terminal(told)


@pytest.fixture
def world(tmp_path):
    made = World(results=tmp_path / "results")
    made.fail(message="m")
    return made


@pytest.mark.parametrize("name", [os.fsdecode(b"caf\xe9"), "\x1b[31m", "a b", "<b>", "\u202e", "=1"])
def test_a_machine_s_folder_with_a_hostile_name_is_told_and_hurts_nothing(world, name):
    shutil.copytree(world.results / "toy" / world.machine, world.results / "toy" / name)
    folder = render(world.results, world.results.parent / "reports", "toy").parent
    check_report(folder)
    assert "is none that swatbench writes" in (folder / "tables" / "damaged.csv").read_text()
    for machine in suite_status(world.results, "toy"):
        sinks.check_terminal(f"{machine.table()}\n{machine.sentence()}")


@pytest.mark.parametrize("kind", ["pipe", "device"])
@pytest.mark.parametrize(
    "name", ["record.json", "live.jsonl", "asked.json", "predictions.npz", "curve.jsonl"]
)
def test_a_pipe_or_a_device_in_the_results_is_not_waited_for(world, kind, name):
    folder = world.train("swin_mini")
    path = folder.parent / name if name == "asked.json" else folder / name
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    listing = read_suite(world.results, "toy")
    assert bool(listing.damaged) == (name not in ("live.jsonl", "asked.json"))
    assert suite_status(world.results, "toy")


@pytest.mark.parametrize("level", [("toy",), ("toy", "tables"), ("toy", "figures")])
def test_a_report_is_not_written_through_a_link(world, level):
    outside = world.results.parent / "outside"
    outside.mkdir()
    (outside / "mine.csv").write_text("mine")
    (outside / "mine.png").write_text("mine")
    reports = world.results.parent / "reports"
    link = reports.joinpath(*level)
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    with pytest.raises(StoreError, match=r"This is a link.*--reports") as caught:
        render(world.results, reports, "toy")
    assert caught.value.where == str(link)
    assert sorted(path.name for path in outside.iterdir()) == ["mine.csv", "mine.png"]
    assert (outside / "mine.csv").read_text() == "mine"


def test_a_comparison_is_not_written_through_a_link(world, tmp_path):
    other = World(results=tmp_path / "others")
    other.fail(message="n")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "tables").symlink_to(tmp_path)
    found = compare_folders(world.results / "toy" / world.machine, other.results / "toy" / other.machine)
    with pytest.raises(StoreError, match="This is a link"):
        write_between(found, tmp_path / "out")


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_a_run_does_not_write_through_a_link(world, train_cell, tmp_path, level):
    outside = tmp_path / "outside"
    outside.mkdir()
    cell = tmp_path / "store" / "suite" / "machine" / train_cell.id
    link = [cell.parent.parent, cell.parent, cell, cell / "events"][level]
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    job = Job(
        suite="suite",
        cell=train_cell,
        folder=cell,
        environment=world.environment,
        execution=Execution(),
        workers=0,
    )
    agenda = Agenda(
        suite=None, folder=cell.parent, environment=world.environment, jobs=(job,), cells=(), named=()
    )
    with pytest.raises(StoreError, match="This is a link"):
        agenda.todo()
    assert [*outside.iterdir()] == []


def test_the_roots_may_be_links(world, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "reports").symlink_to(tmp_path / "elsewhere")
    assert render(world.results, tmp_path / "reports", "toy").is_file()


@pytest.mark.parametrize("name", ["../../up", "a/b", "", "\x1b[31m", "x" * 65, "a b"])
def test_a_tracker_s_name_of_a_run_that_is_none_begins_a_new_one(tmp_path: Path, name):
    session = Session(folder=tmp_path, run_name="r", suite="s", config={}, step=3)
    (tmp_path / "wandb-run.txt").write_text(name)
    assert session.known_run("wandb") is None
    session.remember_run("wandb", "0123abcd")
    assert session.known_run("wandb") == "0123abcd"
