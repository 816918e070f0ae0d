"""Clocks that are set in mid-run: how long things take is told by a clock that nobody sets."""

import ast
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import swatbench
from swatbench.store.live import LiveWriter, read_live
from swatbench.train.state import Listener

ROOT = Path(swatbench.__file__).parent
WALL = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.today", "date.today"}
MOMENTS = {"job.py", "store/live.py"}
"""Where the wall clock may be read: for the moment at which a record or a line of a live file was begun."""


def test_the_wall_clock_is_read_for_moments_and_for_no_duration():
    found = {path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py") if WALL & set(_calls(path))}
    assert found == MOMENTS


def _calls(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


@pytest.mark.parametrize("days", [-1, 1])
def test_the_rate_of_a_cell_is_the_same_when_the_clock_jumps(tmp_path, days):
    moments = iter(datetime(2025, 3, 1, tzinfo=UTC) + timedelta(days=days * (i > 1)) for i in range(4))
    seconds = iter([100.0, 110.0, 120.0, 130.0])
    writer = LiveWriter(tmp_path, clock=lambda: next(moments), monotonic=lambda: next(seconds))
    writer.resume()
    for step in (10, 30, 50):
        writer.report({"step": step, "steps": 100})
    assert read_live(tmp_path).steps_per_s == pytest.approx(2.0)
    again = LiveWriter(tmp_path, monotonic=lambda: 5.0)  # after the machine was started anew
    again.resume(30)
    assert [read_live(tmp_path).step, read_live(tmp_path).steps_per_s] == [30, None]


def test_a_live_file_without_the_other_clock_is_read_by_its_moments(tmp_path):
    lines = [{"kind": "report", "at": f"2025-03-01T12:00:0{s}+00:00", "step": 2 * s} for s in (1, 9)]
    (tmp_path / "live.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert read_live(tmp_path).steps_per_s == pytest.approx(2.0)


def test_checkpoints_and_epochs_are_timed_by_a_clock_that_nobody_sets(monkeypatch):
    """What `every_s` and the curve's times are measured by does not move with the wall clock."""
    nobody = Listener(progress=len, epoch=len, begin=len, note=len)
    before_s = nobody.clock()
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert 0 <= nobody.clock() - before_s < 60
