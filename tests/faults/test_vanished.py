"""Images that vanish in mid-run: the cell fails with a word about them, and goes on once they are back."""

import shutil

from swatbench.cell.record import run_cell
from swatbench.store.files import CURVE, RECORD, read_record
from tests.faults.flows import Training, outcome
from tests.faults.sharing import write_suite


def test_images_that_vanish_fail_the_cell_and_it_goes_on_when_they_are_back(tmp_path):
    folder, away = write_suite(tmp_path / "suite"), tmp_path / "away"
    flow = Training(folder, keep_decoded=False)
    job = flow.jobs(tmp_path / "vanished")[0]
    seen = []

    def vanish(message):
        seen.append(message)
        if len(seen) == 2:  # In the middle of the first epoch or at its end.
            (folder / "images").rename(away)

    failed = run_cell(job, vanish).failure
    assert failed is not None
    assert failed.error == "DataError", failed
    assert "\n" not in failed.message
    assert "No such file" in failed.message, failed
    assert not (job.folder / CURVE).exists()

    shutil.move(away, folder / "images")
    flow(tmp_path / "vanished")
    flow(tmp_path / "alone")
    assert read_record(job.folder / RECORD).resumed == 1
    assert outcome(tmp_path / "vanished") == outcome(tmp_path / "alone")
