"""Whole commands on small and read-only file systems, where this system lets its user mount any."""

import json

import pytest

from tests.faults.mounted import again_inside, can_mount


@pytest.mark.skipif(not can_mount(), reason="no file system can be mounted here")
def test_a_full_or_read_only_disk_is_told_in_one_line_and_the_run_goes_on_once_it_is_mended(tmp_path):
    assert again_inside(["--sizes", "2", "--out", str(tmp_path / "found.json")]) == 0
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["wrong"] == 0
    assert found["told"] >= 6
    assert found["full_results"] == found["full_reports"] == 2
    assert found["read_only_results"] == found["read_only_reports"] == 1
