"""Traces as they are written, found and read again."""

import gzip
import json
from pathlib import Path

import pytest

from swatbench.errors import StoreError
from swatbench.measure.trace import for_tensorboard, recordings, runs, write_traces
from tests.measure.traced import load_and_compute, on_a_card


def test_a_run_replaces_the_one_of_its_name(tmp_path):
    write_traces(load_and_compute(), tmp_path, "a/b c", clock=lambda: 1.5)
    _, copy = write_traces(load_and_compute(), tmp_path, "a/b c", clock=lambda: 2.5)
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.json")} == {
        "perfetto/a-b-c.json",
        "tensorboard/a-b-c/swatbench.2500.pt.trace.json",
    }
    assert runs(tmp_path) == (copy.parent,)


def test_compressed_traces_are_read_and_written(tmp_path):
    recorded, copy = tmp_path / "trace.json.gz", tmp_path / "torch.pt.trace.json.gz"
    recorded.write_bytes(gzip.compress(json.dumps(on_a_card()).encode()))
    for_tensorboard(recorded, copy)
    found = json.loads(gzip.decompress(copy.read_bytes()))
    assert [event["cat"] for event in found["traceEvents"]] == ["cpu_op", "cpu_op", "Runtime", "kernel"]


@pytest.mark.parametrize("text", ["{", "[]", '{"events": []}'])
def test_what_is_no_trace_is_refused(tmp_path, text):
    path = tmp_path / "trace.json"
    path.write_text(text)
    with pytest.raises(StoreError, match="no trace"):
        for_tensorboard(path, tmp_path / "copy.pt.trace.json")


@pytest.mark.parametrize("below", ["", "traces", "traces/perfetto"])
def test_recordings_are_found_in_their_own_folder_and_in_those_above(tmp_path, monkeypatch, below):
    path = tmp_path / "traces" / "perfetto" / "swat.json"
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    (tmp_path / "traces" / "other.json").write_text("{}")
    assert recordings(tmp_path / below) == (path,)
    monkeypatch.chdir(tmp_path / below)
    assert [found.absolute() for found in recordings(Path())] == [path]


@pytest.mark.parametrize("below", ["tensorboard", "tensorboard/swat"])
def test_runs_are_found_in_their_own_folder(tmp_path, below):
    path = tmp_path / "tensorboard" / "swat" / "swatbench.1.pt.trace.json"
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    assert runs(tmp_path / below) == (path.parent,)


def test_a_folder_that_cannot_be_written_is_told_by_its_name(tmp_path):
    (tmp_path / "perfetto").write_text("in the way")
    with pytest.raises(StoreError, match=r"perfetto: The file cannot be written: .*lies where a folder"):
        write_traces(load_and_compute(), tmp_path, "net")
