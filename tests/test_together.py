"""Whole runs by two processes that torchrun starts, against one process alone."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from safetensors.numpy import load_file

from tests.data.jpegs import make_jpeg_folder

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
SUITE = {
    "name": "small",
    "pairs": ["mixer_mini"],
    "arms": ["baseline"],
    "seeds": [0],
    "data": {
        "source": "folder",
        "root": "images",
        "train_images": 30,
        "test_images": 7,
        "num_classes": 3,
    },
    "recipe": {
        "epochs": 12,
        "batch_size": 8,
        "micro_batch_size": 4,
        "learning_rate": 1e-3,
        "drop_path_rate": 0.2,
        "ema": {"decay": 0.9},
        "augmentation": {
            "crop": "resized",
            "auto_augment": "rand-m9-mstd0.5-inc1",
            "erasing_probability": 0.25,
            "mixup_alpha": 0.5,
            "cutmix_alpha": 1.0,
        },
    },
    "execution": {"precision": "fp32", "device": "cpu", "workers": 0, "checkpoints": {"every_s": 0.01}},
    "cost": None,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with images and a suite in it."""
    folder = tmp_path_factory.mktemp("together")
    make_jpeg_folder(folder / "images", classes=3, train=30, test=7)
    (folder / "suite.yaml").write_text(json.dumps(SUITE))
    return folder


def started(folder, results, *launcher):
    command = [sys.executable, *launcher, "-m", "swatbench", "run", "suite.yaml", "--results", results]
    return subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def ended(going):
    out, errors = going.communicate(timeout=240)
    return going.returncode, out, errors


def cell(folder, results):
    (path,) = (folder / results).glob("small/*/mixer_mini-*")
    return path


def second_process(pid):
    """The process of rank 1 under torchrun."""
    for process in psutil.Process(pid).children(recursive=True):
        if process.environ().get("RANK") == "1":
            return process
    raise AssertionError("there is no second process")


def test_two_processes_one_of_which_is_killed_end_with_the_bits_of_one_alone(folder):
    """Same micro-batches, so the same sums: images, mixing, dropped paths, average, test of an odd number."""
    code, _, errors = ended(started(folder, "alone"))
    assert code == 0, errors

    with started(folder, "shared", *TORCHRUN) as going:
        deadline = time.monotonic() + 120
        while not list((folder / "shared").glob("small/*/*/checkpoints/previous.ckpt")):
            assert time.monotonic() < deadline, "no checkpoint was written"
            assert going.poll() is None, going.stderr.read()
            time.sleep(0.02)
        second_process(going.pid).send_signal(signal.SIGKILL)
        code, _, errors = ended(going)
    assert code != 0
    ours = [line for line in errors.splitlines() if line.startswith(("error:", "Stopped"))]
    assert len(ours) == 1, errors
    assert "goes on from" in ours[0]
    assert not (cell(folder, "shared") / "record.json").exists()

    code, _, errors = ended(started(folder, "shared", *TORCHRUN))
    assert code == 0, errors
    alone, shared = (
        json.loads((cell(folder, results) / "record.json").read_text()) for results in ("alone", "shared")
    )
    assert (alone["resumed"], shared["resumed"]) == (0, 1)
    assert (alone["train"]["processes"], shared["train"]["processes"]) == (1, 2)
    assert shared["digest"] == alone["digest"]
    assert shared["train"]["test_images"] == 7
    for key in ("evaluated", "order_sha256", "augmentation_sha256", "images_seen", "correct"):
        assert shared["train"][key] == alone["train"][key], key
    for name in ("weights.safetensors", "weights-ema.safetensors"):
        ours, theirs = (load_file(cell(folder, results) / name) for results in ("alone", "shared"))
        for key, value in ours.items():
            assert (value == theirs[key]).all(), f"{name} {key}"
    files = [(cell(folder, results) / "predictions.npz").read_bytes() for results in ("alone", "shared")]
    assert files[0] == files[1]


def test_a_mistake_is_told_once_and_by_one_process(folder):
    """The images are looked at by the first process alone, whose answer ends all."""
    wrong = {**SUITE, "data": {**SUITE["data"], "test_images": 9}}
    (Path(folder) / "wrong.yaml").write_text(json.dumps(wrong))
    command = [sys.executable, *TORCHRUN, "-m", "swatbench", "run", "wrong.yaml"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode != 0
    ours = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(ours) == 1, done.stderr
    assert "7" in ours[0]
    assert "9" in ours[0]
