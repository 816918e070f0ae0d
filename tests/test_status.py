"""How far a suite is, told from files alone, quickly and without torch."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from swatbench.errors import StoreError
from swatbench.status import MachineStatus, suite_status
from swatbench.status.cell import CellStatus
from swatbench.store.files import read_suite
from swatbench.store.live import LIVE, LiveWriter
from swatbench.store.lock import LOCK, take

NOW = datetime.now(UTC)
MACHINE = "some-cpu-2-cores"


class Folder:
    """The results of a suite on one machine, written by hand."""

    def __init__(self, results: Path) -> None:
        self.results, self.path = results, results / "toy" / MACHINE
        self.cells: list[str] = []

    def cell(self, name: str) -> str:
        self.cells.append(f"{name}-{len(self.cells):010x}")
        return self.cells[-1]

    def ask(self, *, jobs: int = 1, cost: dict[str, Any] | None = None) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        suite = {"name": "toy", "execution": {"jobs": jobs}, "cost": cost}
        asked = {"suite": suite, "cells": self.cells}
        (self.path / "asked.json").write_text(json.dumps(asked))

    def record(self, name: str, status: str = "finished", **values: Any) -> Path:
        path = self.path / name / "record.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"status": status, "duration_s": 0.0, **values}))
        return path

    def trained(self, name: str, *, took_s: float, top1: float = 50.0) -> Path:
        return self.record(name, duration_s=took_s, train={"top1_percent": top1, "train_s": took_s / 2})

    def live(self, name: str, *, steps: tuple[int, ...], of: int = 100, every_s: float = 10.0) -> Path:
        moments = iter(NOW + timedelta(seconds=every_s * i) for i in range(-len(steps), 1))
        seconds = iter(every_s * i for i in range(len(steps) + 1))
        clocks = {"clock": lambda: next(moments), "monotonic": lambda: next(seconds)}
        writer = LiveWriter(self.path / name, **clocks)
        writer.resume()
        for step in steps:
            writer.report({"step": step, "steps": of, "epoch": 1, "epochs": 1})
        path = self.path / name / LIVE
        # These tests may run long after they were collected, which is when NOW was.
        os.utime(path, (NOW.timestamp(), NOW.timestamp()))
        return path

    @contextmanager
    def run(self, name: str) -> Iterator[None]:
        claim = take(self.path / name / LOCK)
        assert claim is not None
        yield
        claim.close()

    def look(self) -> MachineStatus:
        (machine,) = suite_status(self.results, "toy")
        return machine

    def states(self) -> list[str]:
        return [cell.state for cell in self.look().cells]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "results")


def test_a_cell_is_known_by_its_folder(folder: Folder) -> None:
    for name in ("deit_mini-swat-seed4", "swin_t-class_token-seed0-on-v2", "mixer_ti-cost"):
        folder.cell(name)
    folder.cell("vit-tiny.augreg-named-on-test")
    folder.ask()
    told = [(c.kind, c.pair, c.arm, c.seed, c.test, c.state) for c in folder.look().cells]
    assert told == [
        ("train", "deit_mini", "swat", 4, None, "waiting"),
        ("evaluate", "swin_t", "class_token", 0, "v2", "waiting"),
        ("cost", "mixer_ti", None, None, None, "waiting"),
        ("evaluate", "vit-tiny.augreg", "named", None, "test", "waiting"),
    ]


def test_done_and_failed_cells_say_what_came_out(folder: Folder) -> None:
    trained, tested, broken = (folder.cell(name) for name in ("a-swat-seed0", "a-swat-seed0-on-v2", "b-swat"))
    folder.ask()
    folder.record(trained, duration_s=20.0, train={"top1_percent": 61.5, "train_s": 7_260.0})
    folder.record(tested, duration_s=3.0, evaluation={"evaluated": [{"top1_percent": 44.0}]})
    folder.record(broken, "failed", failure={"message": "The training loss became nan.\nLower it."})
    first, second, third = folder.look().cells
    assert (first.state, first.top1_percent, first.took_s) == ("done", 61.5, 7_260.0)  # both its sessions
    assert (second.state, second.top1_percent, second.took_s) == ("done", 44.0, 3.0)
    assert (third.state, third.reason) == ("failed", "The training loss became nan.")
    assert folder.look().counts() == {"done": 2, "running": 0, "interrupted": 0, "failed": 1, "waiting": 0}
    assert "Time left" not in folder.look().sentence()


def test_a_cell_runs_while_a_run_holds_it(folder: Folder) -> None:
    name, other = folder.cell("deit_mini-swat-seed0"), folder.cell("deit_mini-swat-seed1")
    folder.ask()
    folder.live(name, steps=(20, 43))
    assert folder.states() == ["interrupted", "waiting"]
    assert not (folder.path / name / LOCK).exists()
    with folder.run(name):
        running = folder.look()
        assert running.running
        assert [cell.state for cell in running.cells] == ["running", "waiting"]
        assert running.table().splitlines()[1].split(maxsplit=4)[4] == "43 %, 25 s left"
    assert folder.states() == ["interrupted", "waiting"]
    assert not folder.look().running
    assert folder.look().cells[0].share == pytest.approx(0.43)
    with folder.run(other):  # It has only just begun.
        assert folder.states() == ["interrupted", "running"]


def test_a_failed_cell_that_is_tried_again_runs(folder: Folder) -> None:
    name = folder.cell("deit_mini-swat-seed0")
    folder.ask()
    record = folder.record(name, "failed", failure={"message": "Out of memory."})
    with folder.run(name):
        assert folder.states() == ["running"]
        folder.live(name, steps=(10,))
        os.utime(record, (NOW.timestamp() - 60,) * 2)
        assert folder.look().cells[0].share == pytest.approx(0.1)
    assert folder.states() == ["failed"]


def test_a_cell_is_done_once_it_has_its_record_and_not_when_it_is_let_go(folder: Folder) -> None:
    name = folder.cell("deit_mini-swat-seed0")
    folder.ask()
    folder.live(name, steps=(100,))
    folder.trained(name, took_s=10)
    with folder.run(name):
        assert folder.states() == ["done"]


def test_a_copy_of_finished_results_is_done_whatever_its_times(folder: Folder) -> None:
    name = folder.cell("deit_mini-swat-seed0")
    folder.ask()
    record = folder.trained(name, took_s=10)
    folder.live(name, steps=(100,))
    os.utime(record, (0, 0))
    assert folder.states() == ["done"]


def test_time_left_is_that_of_the_most_alike_shared_by_the_jobs(folder: Folder) -> None:
    names = ("a-base-seed0", "a-swat-seed0", "a-base-seed1", "a-swat-seed1", "a-new-seed1", "b-base-seed1")
    base, swat, *_ = (folder.cell(name) for name in names)
    folder.ask(jobs=2)
    folder.trained(base, took_s=100)
    folder.trained(swat, took_s=200)
    # 100 and 200 of the same pair and arm, 150 of the same pair, 150 of all.
    assert folder.look().left_s == pytest.approx((100 + 200 + 150 + 150) / 2)
    assert folder.look().left_out == 0


def test_time_left_of_a_running_cell_follows_its_rate(folder: Folder) -> None:
    running, _ = folder.cell("a-base-seed0"), folder.cell("a-base-seed1")
    folder.ask(jobs=4)
    folder.live(running, steps=(20, 40))  # 2 steps a second: 30 s for the other 60, 50 s for another run
    with folder.run(running):
        found = folder.look()
    assert found.cells[0].left_s == pytest.approx(30)
    assert found.left_s == pytest.approx(50)  # side by side, the longest decides


def test_time_left_counts_what_an_interrupted_cell_has_done(folder: Folder) -> None:
    done, half = folder.cell("a-base-seed0"), folder.cell("a-base-seed1")
    folder.ask()
    folder.trained(done, took_s=80)
    folder.live(half, steps=(25,))
    assert folder.look().left_s == pytest.approx(60)
    assert "Time left once one is: about 1 min (an estimate)." in folder.look().sentence()


def test_time_left_of_cost_cells_is_their_budget_until_one_is_done(folder: Folder) -> None:
    first, _ = folder.cell("a-cost"), folder.cell("b-cost")
    folder.ask(jobs=2, cost={"budget_s": 15.0, "training": True})
    assert folder.look().left_s == pytest.approx(60)
    folder.record(first, duration_s=20.0)
    assert folder.look().left_s == pytest.approx(20)


def test_time_left_is_unknown_or_says_what_it_leaves_out(folder: Folder) -> None:
    first = folder.cell("a-base-seed0")
    folder.ask()
    assert folder.look().left_s is None
    assert "unknown" in folder.look().sentence()
    folder.cell("a-base-seed1")
    folder.cell("a-base-seed0-on-v2")
    folder.ask()
    folder.trained(first, took_s=3_600)
    assert (folder.look().left_s, folder.look().left_out) == (3_600, 1)
    assert "about 1 h (an estimate, without 1 of which" in folder.look().sentence()


@pytest.mark.parametrize("asked", [None, "{", '{"suite": {}, "cells": ["../../../etc", "x"]}'])
def test_damaged_files_are_no_reason_to_fail(folder: Folder, asked: str | None) -> None:
    folder.trained("deit_mini-swat-seed0-0123456789", took_s=10)
    folder.record("torn").write_bytes(b"{")
    folder.record("list").write_bytes(b"[]")
    if asked is not None:
        (folder.path / "asked.json").write_text(asked)
    states = {cell.cell: cell.state for cell in folder.look().cells}
    if asked and asked != "{":
        assert states == {"../../../etc": "waiting", "x": "waiting"}
    else:
        assert states["deit_mini-swat-seed0-0123456789"] == "done"


@pytest.mark.parametrize("name", ["toi", ".."])
def test_a_suite_never_run_is_told_as_a_report_tells_it(folder: Folder, name: str) -> None:
    folder.ask()
    with pytest.raises(StoreError) as told:
        suite_status(folder.results, name)
    with pytest.raises(StoreError) as wanted:
        read_suite(folder.results, name)
    assert str(told.value) == str(wanted.value)


def test_a_row_names_cells_as_a_suite_does() -> None:
    cell = CellStatus(
        cell="x", kind="train", pair="a", arm="swat", seed=0, test=None, state="done", top1_percent=61.54
    )
    table = MachineStatus(machine="m", running=False, cells=(cell,), left_s=None, left_out=0)
    assert [line.split() for line in table.table().splitlines()] == [
        ["pair", "arm", "seed", "state", "top-1", "took", "progress"],
        ["a", "swat", "0", "done", "61.5", "%"],
    ]


def test_segmenters_are_told_by_their_mean_iou(folder: Folder) -> None:
    trained, tested = (folder.cell(name) for name in ("a-swat-seed0", "a-swat-seed0-on-v2"))
    folder.ask()
    folder.record(trained, duration_s=20.0, train={"top1_percent": None, "miou_percent": 44.5})
    folder.record(tested, duration_s=3.0, evaluation={"evaluated": [{"miou_percent": 43.0}]})
    status = folder.look()
    assert [(cell.top1_percent, cell.miou_percent) for cell in status.cells] == [(None, 44.5), (None, 43.0)]
    head, first, _ = (line.split() for line in status.table().splitlines())
    assert (head[4], first[4:6]) == ("mIoU", ["44.5", "%"])


def test_two_thousand_cells_are_told_in_under_a_second(folder: Folder) -> None:
    names = [folder.cell(f"deit_mini-swat-seed{seed}") for seed in range(2_000)]
    folder.ask(jobs=4)
    digests = {f"blocks.{i}.mixing.weight": f"{i:064x}" for i in range(150)}
    for name in names[:1_900]:
        train = {"top1_percent": 50.0, "train_s": 60.0, "shared_init_sha256": digests}
        folder.record(name, duration_s=60.0, train=train)
    start = time.process_time()
    found = folder.look()
    lines = found.table().splitlines()
    took_s = time.process_time() - start
    assert len(lines) == 2_001
    assert found.counts()["done"] == 1_900
    assert found.left_s == pytest.approx(100 * 60 / 4)
    assert took_s < 1.0


COMMAND = """
import sys
from swatbench import cli
sys.argv = ["swatbench", "status", *sys.argv[1:]]
try:
    cli.main()
finally:
    assert not {"torch", "timm", "matplotlib"} & set(sys.modules)
"""


def swatbench(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", COMMAND, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_the_command_takes_a_name_and_needs_no_torch(folder: Folder) -> None:
    folder.trained(folder.cell("deit_mini-swat-seed0"), took_s=75, top1=61.0)
    folder.cell("deit_mini-swat-seed1")
    folder.ask()
    done = swatbench("toy", "--results", folder.results)
    assert (done.returncode, done.stderr) == (0, "")
    words = " ".join(done.stdout.split())
    assert "deit_mini swat 0 done 61.0 % 1 min 15 s" in words
    assert f"{MACHINE}: 1 done, 1 waiting. No run is under way." in words


def test_the_command_takes_a_file_and_prints_json(folder: Folder) -> None:
    suite = Path(__file__).parent.parent / "suites" / "quickstart.yaml"
    folder.trained(folder.cell("deit_mini-swat-seed0"), took_s=75)
    folder.ask()
    (folder.results / "toy").rename(folder.results / "quickstart")
    done = swatbench(suite, "--results", folder.results, "--json")
    told = json.loads(done.stdout)
    assert told["suite"] == "quickstart"
    (machine,) = told["machines"]
    assert (machine["machine"], machine["running"], machine["left_s"]) == (MACHINE, False, 0.0)
    assert machine["counts"]["done"] == len(machine["cells"]) == 1


def test_the_command_ends_with_the_code_of_missing_results(tmp_path: Path) -> None:
    done = swatbench("nothing", "--results", tmp_path)
    assert done.returncode == 6
    assert "There are no results of suite 'nothing'" in done.stderr
