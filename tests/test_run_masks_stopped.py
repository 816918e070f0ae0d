"""Runs on images with masks that are stopped, that two processes share, or that are refused."""

import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from tests.commands import run_commands
from tests.data.mask_folders import make_mask_folder
from tests.mask_suites import TEST, TRAIN, write_suite
from tests.test_run import run, steps_kept, stop
from tests.test_together import TORCHRUN, ended, started

AVERAGED = {"ema": {"decay": 0.9}, "drop_path_rate": 0.2}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Images and masks, to be copied or linked."""
    return make_mask_folder(tmp_path_factory.mktemp("given") / "scenes", train=TRAIN, test=TEST)


def folder_with(scenes, folder):
    folder.mkdir()
    (folder / "scenes").symlink_to(scenes)
    return folder


def cell_of(folder, results="results"):
    (path,) = (folder / results).glob("small/*/swin_mini-*")
    return path


def record_of(cell):
    return json.loads((cell / "record.json").read_text())


def test_a_run_stopped_in_an_epoch_goes_on_to_the_same_end(scenes, tmp_path):
    recipe = {**AVERAGED, "epochs": 2, "steps_per_epoch": 60}
    execution = {"checkpoints": {"every_s": 0.2}}
    for name in ("alone", "stopped"):
        folder = folder_with(scenes, tmp_path / name)
        write_suite(folder, "small", arms=["baseline"], recipe=recipe, execution=execution)
    suite = tmp_path / "stopped" / "small.yaml"
    code, _ = stop(suite, signal.SIGTERM, after_steps=5)
    kept = steps_kept(suite)
    assert (code, kept % 60 != 0) == (143, True)

    run(suite)
    run(tmp_path / "alone" / "small.yaml")
    stopped, alone = (cell_of(tmp_path / name) for name in ("stopped", "alone"))
    assert [record_of(cell)["resumed"] for cell in (stopped, alone)] == [1, 0]
    assert record_of(stopped)["train"]["evaluated"] == record_of(alone)["train"]["evaluated"]
    for file in ("predictions.npz", "predictions-raw.npz", "masks.npz", "weights.safetensors"):
        assert (stopped / file).read_bytes() == (alone / file).read_bytes(), file


@pytest.fixture(scope="module")
def shared(scenes, tmp_path_factory):
    """A folder with suites for one process and for two."""
    folder = folder_with(scenes, tmp_path_factory.mktemp("together") / "room")
    changes = {"recipe": {**AVERAGED, "epochs": 3, "micro_batch_size": 2}, "arms": ["baseline"]}
    write_suite(folder, "small", segmentation={"norm": "groupnorm"}, **changes)
    (folder / "small.yaml").rename(folder / "suite.yaml")
    write_suite(folder, "small", **changes)
    return folder


def test_two_processes_end_with_the_bits_of_one_alone(shared):
    for results, launcher in {"alone": (), "together": TORCHRUN}.items():
        code, _, errors = ended(started(shared, results, *launcher))
        assert code == 0, errors
    alone, together = (cell_of(shared, results) for results in ("alone", "together"))
    results = [record_of(cell)["train"] for cell in (alone, together)]
    assert [result["processes"] for result in results] == [1, 2]
    for key in ("evaluated", "order_sha256", "augmentation_sha256", "images_seen", "shared_init_sha256"):
        assert results[0][key] == results[1][key], key
    for name in ("weights.safetensors", "weights-ema.safetensors"):
        ours, theirs = (load_file(cell / name) for cell in (alone, together))
        assert all((value == theirs[key]).all() for key, value in ours.items())
    for name in ("predictions.npz", "predictions-raw.npz", "masks.npz"):
        assert (alone / name).read_bytes() == (together / name).read_bytes(), name


def test_batch_norm_that_cannot_be_shared_is_told_once(shared):
    command = [sys.executable, *TORCHRUN, "-m", "swatbench", "run", "small.yaml", "--results", "refused"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=shared, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode != 0
    told = [line for line in done.stderr.splitlines() if line.startswith("failed:")]
    assert len(told) == 1, done.stderr
    assert "has batch norm, which torch shares between processes on CUDA alone" in told[0]
    assert "groupnorm" in told[0]


def mask_of(room, index=0):
    """One mask of the training split."""
    return sorted((room / "annotations" / "training").glob("*.png"))[index]


def damage(scenes, room, name):
    """Write a suite that cannot be run; return its name."""
    root = room / f"scenes-{name}"
    changes = {}
    if name != "root":
        shutil.copytree(scenes, root)
    match name:
        case "mask":
            mask_of(root).unlink()
        case "colours":
            path = mask_of(root)
            Image.open(path).convert("RGB").save(path)
        case "index":
            path = mask_of(root)
            pixels = np.array(Image.open(path))
            pixels[3, 3] = 77
            Image.fromarray(pixels).save(path)
        case "size":
            path = mask_of(root)
            Image.open(path).resize((10, 10)).save(path)
        case "count":
            changes = {"data": {"train_images": TRAIN + 1}}
        case "classifier":
            changes = {"segmentation": None}
        case "micro":
            changes = {"recipe": {"micro_batch_size": 1}}
        case "stage":
            changes = {"pairs": ["mixer_mini"], "segmentation": {"tests": [{"mode": "whole"}]}}
    changes["data"] = {"root": root.name, **changes.get("data", {})}
    return write_suite(room, name, **changes)


REFUSED = {
    "root": (3, "the folder is missing"),
    "mask": (3, "1 of its 12 images have no mask (scene_0)"),
    "colours": (3, "is of mode RGB, and so holds colours where indices of classes should be"),
    "index": (3, "holds index 77, which is none of 0 to 5"),
    "size": (3, "and its mask 10 × 10"),
    "count": (3, "needs 13 images of 5 classes, but 12 images are there"),
    "classifier": (2, "masks has masks; write `segmentation: {}`"),
    "micro": (2, "segmentation.norm: groupnorm"),
    "stage": (2, "mixer_mini takes images of one size, so single_scale must slide"),
}


@pytest.fixture(scope="module")
def refused(scenes, tmp_path_factory):
    """A folder, and how each run that cannot begin ended there."""
    room = tmp_path_factory.mktemp("refused")
    return room, run_commands(room, {name: ["run", damage(scenes, room, name)] for name in REFUSED})


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_trained_is_refused_in_one_line_before_anything_is_trained(refused, name):
    room, ends = refused
    code, said = REFUSED[name]
    assert (ends[name].code, ends[name].out, ends[name].errors.count("\n")) == (code, "", 1), ends[name]
    assert ends[name].errors.startswith("error: ")
    assert said in ends[name].errors
    assert not (room / "results" / name).exists()
