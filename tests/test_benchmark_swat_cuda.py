"""The CUDA benchmark: what it says without a device, and, on a CPU and tiny models, its rows and verdicts."""

import subprocess
import sys
from argparse import Namespace
from importlib import import_module
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    module = import_module("swat_cuda")
    monkeypatch.setattr(module, "DEVICE", "cpu")
    monkeypatch.setattr(module, "_reference", lambda model: model)
    return module


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_device_it_says_so_in_one_line():
    command = [sys.executable, str(FOLDER / "swat_cuda.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 8
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "torch finds no CUDA device" in done.stderr


@pytest.mark.parametrize("protocol", ["training", "inference"])
def test_a_row_compares_the_fast_form_with_the_two_others(benchmark, protocol):
    asked = Namespace(batch=2, precision="fp32", seconds=0.1, rounds=6)
    row = benchmark._row(asked, "deit_mini", protocol, "eager")
    assert set(row.as_dict()["seconds"]) == {"fast", "reference", "baseline", "twin"}
    lines = row.lines(batch_size=2).split("\n")
    assert [line.split(" | ")[4] for line in lines] == ["reference", "baseline"]
    assert all(line.count("|") == benchmark.HEAD.split("\n")[0].count("|") for line in lines)
    # The stand-in for the reference form is the fast form itself: twice its speed is out of reach.
    assert lines[0].endswith("| misses 2.00 |" if protocol == "training" else "|  |")


def test_a_speed_up_is_the_other_forms_time_over_the_fast_forms(benchmark, monkeypatch):
    seconds = {"fast": 1.0, "twin": 1.0, "reference": 2.5, "baseline": 0.8}
    samples = Namespace(seconds={form: torch.full((6,), value).numpy() for form, value in seconds.items()})
    monkeypatch.setattr(benchmark, "interleave", lambda *_, **__: samples)
    monkeypatch.setattr(benchmark, "_call", lambda *_: None)
    row = benchmark._row(Namespace(rounds=6, seconds=1.0), "deit_mini", "training", "eager")
    reference, baseline = row.lines(batch_size=256).split("\n")
    assert "| 256 | reference | 2.500 |" in reference
    assert reference.endswith("| reaches 2.00 |")
    assert "| baseline | 0.800 |" in baseline
    assert baseline.endswith("| misses 0.85 |")
