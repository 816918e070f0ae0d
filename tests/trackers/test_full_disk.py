"""TensorBoard on a disk that is full: switched off with a word, and no traceback of its thread."""

import time

from swatbench.trackers.open import open_trackers
from tests.faults.faulty import Disk, failing, full


def test_a_full_disk_switches_it_off_in_one_line(tmp_path, capfd):
    notes = []
    with failing(Disk(tmp_path / "cell", at=2, fault=full)) as disk:
        tracker = open_trackers(
            (), folder=tmp_path / "cell", run_name="cell", suite="small", config={}, on_note=notes.append
        )
        until_s = time.monotonic() + 60
        while not notes and time.monotonic() < until_s:
            tracker.log(1, {"loss": 1.0})
            time.sleep(0.05)
        tracker.close()
    assert len(disk.changes) > 2
    assert notes == ["TensorBoard is switched off: [Errno 28] No space left on device"]
    assert "Traceback" not in capfd.readouterr().err
