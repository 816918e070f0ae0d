"""The live file of a running cell: grows a line at a time, is cut back on resume, survives a torn end."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from swatbench.errors import StoreError
from swatbench.store.live import LIVE, TAIL_BYTES, LiveWriter, read_live
from swatbench.store.record import CurvePoint

START = datetime(2025, 3, 1, 12, tzinfo=UTC)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def seconds(self) -> float:
        return (self.now - START).total_seconds()


def progress(step: int, **changes: float) -> dict[str, float]:
    values = {"epoch": 1, "epochs": 3, "step": step, "steps": 300, "loss": 2.0, "learning_rate": 0.1}
    return {**values, "images_per_s": 50.0, **changes}


def point(step: int, top1: float | None) -> CurvePoint:
    return CurvePoint(
        epoch=step // 100,
        step=step,
        loss=1.5,
        learning_rate=0.1,
        top1_percent=top1,
        compute_s=9.0,
        data_s=1.0,
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def writer(tmp_path: Path, clock: Clock) -> LiveWriter:
    return LiveWriter(tmp_path / "cell", clock=clock, monotonic=clock.seconds)


def steps(folder: Path) -> list[tuple[str, int]]:
    lines = map(json.loads, (folder / LIVE).read_text().splitlines())
    return [(line["kind"], line["step"]) for line in lines]


def test_each_line_is_there_at_once_and_says_when(tmp_path: Path, writer: LiveWriter, clock: Clock) -> None:
    writer.resume()
    clock.move(1.5)
    writer.report(progress(10, loss=1.25))
    line = json.loads((tmp_path / "cell" / LIVE).read_text().splitlines()[-1])
    assert line == {
        "kind": "report",
        "at": "2025-03-01T12:00:01.500+00:00",
        "clock_s": 1.5,
        **progress(10, loss=1.25),
    }
    writer.epoch(point(100, 40.0))
    assert steps(tmp_path / "cell") == [("start", 0), ("report", 10), ("epoch", 100)]


def test_how_far_and_how_fast_is_read_back(tmp_path: Path, writer: LiveWriter, clock: Clock) -> None:
    writer.resume()
    clock.move(100)  # the warm-up before the first report is no part of the rate
    writer.report(progress(50))
    clock.move(10)
    writer.report(progress(90))
    clock.move(10)
    writer.epoch(point(100, 40.0))
    live = read_live(tmp_path / "cell")
    assert live is not None
    assert (live.step, live.steps, live.top1_percent) == (100, 300, 40.0)
    assert live.at == START + timedelta(seconds=120)
    assert live.share == pytest.approx(1 / 3)
    assert live.steps_per_s == pytest.approx(50 / 20)
    assert live.miou_percent is None


def test_of_segmentation_the_last_mean_iou_is_read_back(tmp_path: Path, writer: LiveWriter) -> None:
    for epoch, miou in enumerate((20.0, 30.0, None), start=1):
        writer.epoch(point(100 * epoch, None).model_copy(update={"miou_percent": miou}))
    live = read_live(tmp_path / "cell")
    assert live is not None
    assert (live.top1_percent, live.miou_percent) == (None, 30.0)


def test_a_cell_without_a_report_has_neither_share_nor_rate(tmp_path: Path, writer: LiveWriter) -> None:
    assert read_live(tmp_path / "cell") is None
    writer.resume()
    live = read_live(tmp_path / "cell")
    assert live is not None
    assert (live.step, live.steps, live.share, live.steps_per_s) == (0, None, None, None)


def test_on_resume_the_file_is_cut_back_to_the_checkpoint(
    tmp_path: Path, writer: LiveWriter, clock: Clock
) -> None:
    writer.resume()
    for step in (50, 100, 150, 190):
        clock.move(10)
        writer.report(progress(step))
        if step == 100:
            writer.epoch(point(100, 40.0))
    clock.move(5000)
    writer.resume(150)
    folder = tmp_path / "cell"
    kept = [("start", 0), ("report", 50), ("report", 100), ("epoch", 100), ("report", 150)]
    assert steps(folder) == [*kept, ("start", 150)]
    live = read_live(folder)
    assert live is not None
    assert (live.step, live.steps, live.steps_per_s) == (150, 300, None)
    for step in (160, 200):
        clock.move(10)
        writer.report(progress(step))
    live = read_live(folder)
    assert live is not None
    assert live.steps_per_s == pytest.approx(4.0)  # the pause is no part of it
    assert [path.name for path in folder.iterdir()] == [LIVE]


def test_a_cell_that_starts_anew_keeps_no_line(tmp_path: Path, writer: LiveWriter) -> None:
    writer.resume()
    writer.report(progress(0))
    writer.report(progress(10))
    writer.resume(0)
    assert steps(tmp_path / "cell") == [("start", 0)]


@pytest.mark.parametrize("torn", [b'{"kind": "repo', b"\xff\xfe", b"[1]\n", b'{"kind": "report"}\n', b"17\n"])
def test_a_torn_line_is_left_out_and_gone_after_resume(
    tmp_path: Path, writer: LiveWriter, torn: bytes
) -> None:
    writer.resume()
    writer.report(progress(10))
    folder = tmp_path / "cell"
    with (folder / LIVE).open("ab") as file:
        file.write(torn)
    live = read_live(folder)
    assert live is not None
    assert live.step == 10
    writer.resume(10)
    assert steps(folder) == [("start", 0), ("report", 10), ("start", 10)]


def test_only_the_end_of_a_long_file_is_read(tmp_path: Path, writer: LiveWriter) -> None:
    folder = tmp_path / "cell"
    writer.resume()
    start = (folder / LIVE).read_bytes()
    line = b'{"kind": "report", "at": "2025-03-01T12:00:00+00:00", "step": %d, "steps": 9000}\n'
    middle = b"".join(line % step for step in range(5000))
    assert len(middle) > 4 * TAIL_BYTES
    (folder / LIVE).write_bytes(start + middle + line.replace(b"12:00", b"12:01") % 6000)
    live = read_live(folder)
    assert live is not None
    assert (live.step, live.steps) == (6000, 9000)
    assert live.steps_per_s is not None
    assert 1000 / 60 < live.steps_per_s < 2000 / 60


def test_a_beat_says_alive_and_adds_no_line(tmp_path: Path, writer: LiveWriter) -> None:
    writer.resume()
    path = tmp_path / "cell" / LIVE
    os.utime(path, (0, 0))
    writer.beat()
    live = read_live(path.parent)
    assert live is not None
    assert datetime.now(UTC) - live.touched < timedelta(minutes=1)
    assert steps(path.parent) == [("start", 0)]


def test_what_cannot_be_written_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "cell").write_text("a file where the folder should be")
    writer = LiveWriter(tmp_path / "cell")
    for write in (writer.resume, writer.beat, lambda: writer.report(progress(1))):
        with pytest.raises(StoreError, match=LIVE):
            write()


def test_a_full_disk_is_told_as_such() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    writer = LiveWriter(Path("/dev"))
    writer._path = Path("/dev/full")
    with pytest.raises(StoreError, match="No space left"):
        writer.report(progress(1))
