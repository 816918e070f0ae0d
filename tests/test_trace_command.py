"""`swatbench trace`: what it finds, what it tells, and how it opens it."""

import subprocess
from importlib import import_module

import pytest

from swatbench.errors import MachineError, StoreError
from swatbench.measure.trace import tensorboard_command

cli = import_module("swatbench.cli.trace")  # The package's attribute of that name is the command.


@pytest.fixture
def folder(tmp_path):
    """What a profiled pair leaves, of which the command reads no more than the names."""
    for name in ("baseline-training", "swat-training"):
        for path in (f"perfetto/{name}.json", f"tensorboard/{name}/swatbench.1.pt.trace.json"):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text("{}")
    return tmp_path


@pytest.fixture
def started(monkeypatch):
    """Commands that were started, none of which runs."""
    commands = []

    def run(command, *, check):
        assert not check
        commands.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(cli.subprocess, "run", run)
    return commands


def test_the_command_tells_what_there_is_and_how_to_look_at_it(folder, started, capsys):
    cli.trace(folder, port=7007)
    told = capsys.readouterr().out
    assert "ui.perfetto.dev" in told
    assert str(folder / "perfetto" / "swat-training.json") in told
    assert str(folder / "tensorboard" / "baseline-training") in told
    assert "-m tensorboard.main" in told
    assert "--host 127.0.0.1 --port 7007" in told
    assert not started


def test_open_starts_tensorboard_in_the_foreground(folder, started):
    cli.trace(folder, in_browser=True, port=7007)
    assert started == [tensorboard_command(folder, port=7007)]


def test_ctrl_c_ends_it_quietly_and_a_taken_port_is_told(folder, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.subprocess, "run", interrupted)
    cli.trace(folder, in_browser=True)
    monkeypatch.setattr(cli.subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 1))
    with pytest.raises(MachineError, match=r"exit code 1\..*--port"):
        cli.trace(folder, in_browser=True)


def test_a_missing_plugin_is_told(folder, started, monkeypatch):
    monkeypatch.setattr(cli, "find_spec", lambda name: None if name == "torch_tb_profiler" else object())
    with pytest.raises(MachineError, match="pip install torch-tb-profiler"):
        cli.trace(folder, in_browser=True)
    assert not started


def test_a_folder_without_traces_is_told(tmp_path):
    with pytest.raises(StoreError, match="no traces"):
        cli.trace(tmp_path)
    with pytest.raises(StoreError, match="no such folder"):
        cli.trace(tmp_path / "missing")


def test_a_file_is_told_to_be_one(folder):
    with pytest.raises(StoreError, match=r"swat-training\.json: This is a file\. Name the folder"):
        cli.trace(folder / "perfetto" / "swat-training.json")


def test_the_folder_for_one_viewer_is_told_and_opened_as_far_as_it_goes(folder, started, capsys):
    cli.trace(folder / "perfetto")
    told = capsys.readouterr().out
    assert str(folder / "perfetto" / "swat-training.json") in told
    assert "tensorboard.main" not in told
    with pytest.raises(StoreError, match="no traces for TensorBoard"):
        cli.trace(folder / "perfetto", in_browser=True)
    cli.trace(folder / "tensorboard", in_browser=True, port=7007)
    assert started == [tensorboard_command(folder / "tensorboard", port=7007)]
