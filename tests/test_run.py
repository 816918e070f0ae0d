"""A suite from file to records: skipped when finished, resumed when killed, changed when asked otherwise."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest

from swatbench.train.checkpoint import read_checkpoint
from tests.faults.starts import caught

ROOT = Path(__file__).parent.parent
SUITE = {
    "name": "small",
    "pairs": ["mixer_mini"],
    "arms": ["baseline", "swat"],
    "seeds": [0],
    "data": {"source": "cifar10_subset"},
    "recipe": {"epochs": 1, "batch_size": 250, "learning_rate": 1e-3},
    "execution": {"device": "cpu", "jobs": 2},
    "cost": None,
}
COST = {"batch_size": 2, "max_rounds": 6, "budget_s": 5, "threads": 1, "training": False}


def write(folder, **changes):
    """Write a suite file (JSON is YAML) and return its path."""
    path = folder / "suite.yaml"
    path.write_text(json.dumps({**SUITE, **changes}))
    return path


def command(suite, *options):
    return [sys.executable, "-m", "swatbench", "run", str(suite), "--json", *options]


def run(suite, *options, code=0):
    """Run a suite in its own folder and return what `--json` tells."""
    done = subprocess.run(
        command(suite, *options), cwd=suite.parent, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return json.loads(done.stdout)


def records(folder):
    paths = folder.glob("results/small/*/*/record.json")
    return {path.parent.name: json.loads(path.read_text()) for path in paths}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder in which the suite has been run once, with its cost."""
    folder = tmp_path_factory.mktemp("finished")
    told = run(write(folder, cost=COST))
    assert (len(told["finished"]), told["skipped"], told["failed"]) == (3, 0, [])
    return folder


def test_records_hold_what_was_asked_and_what_came_out(finished):
    cells = records(finished)
    assert len(cells) == 3
    for name, record in cells.items():
        assert record["cell_id"] == name
        assert record["environment"]["packages"]["torch"]
        if record["cell"]["kind"] == "train":
            assert record["train"]["images_seen"] == 5_000
            assert record["train"]["test_images"] == 1_000
        else:
            assert [arm["macs_agree"] for arm in record["cost"]["arms"]] == [True, True]


def test_arms_saw_the_same_and_started_alike(finished):
    baseline, swat = (
        record["train"] for _, record in sorted(records(finished).items()) if record["train"] is not None
    )
    for key in ("order_sha256", "augmentation_sha256", "recipe_sha256"):
        assert baseline[key] == swat[key]
    shared = baseline["shared_init_sha256"].keys() & swat["shared_init_sha256"].keys()
    assert len(shared) == 52
    assert all(baseline["shared_init_sha256"][name] == swat["shared_init_sha256"][name] for name in shared)


def test_predictions_and_curve_agree_with_the_record(finished):
    for path in finished.glob("results/small/*/*seed0*/record.json"):
        record = json.loads(path.read_text())["train"]
        with np.load(path.with_name("predictions.npz")) as arrays:
            assert (arrays["predicted"] == arrays["label"]).sum() == record["correct"]
            assert ((arrays["margin"] > 0) == (arrays["predicted"] == arrays["label"])).all()
            assert np.bincount(arrays["label"]).tolist() == [100] * 10
        (point,) = map(json.loads, path.with_name("curve.jsonl").read_text().splitlines())
        assert point["top1_percent"] == record["top1_percent"]


def test_a_second_run_does_nothing_and_a_changed_recipe_does_the_training_anew(finished):
    before = {path: path.stat().st_mtime_ns for path in finished.glob("results/small/*/*/*")}
    told = run(finished / "suite.yaml")
    assert (told["finished"], told["skipped"]) == ([], 3)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    changed = write(finished, cost=COST, recipe={**SUITE["recipe"], "learning_rate": 2e-3})
    told = run(changed)
    assert (len(told["finished"]), told["skipped"]) == (2, 1)
    assert len(records(finished)) == 5


def test_no_record_names_a_folder_of_this_machine(finished):
    for path in finished.glob("results/**/*.json*"):
        text = path.read_text()
        assert str(finished) not in text
        assert str(Path.home()) not in text


def test_a_failed_cell_is_a_record_and_the_others_go_on(tmp_path):
    suite = write(
        tmp_path, recipe={**SUITE["recipe"], "learning_rate": 1e30, "clip_grad_norm": None}, cost=COST
    )
    told = run(suite, code=1)
    assert len(told["failed"]) == 2
    assert [name for name in told["finished"] if "cost" in name]
    failures = [record["failure"] for record in records(tmp_path).values() if record["failure"]]
    assert {failure["error"] for failure in failures} == {"TrainingError"}
    assert (tmp_path / "reports" / "small" / "index.html").is_file()


def children(pid):
    return psutil.Process(pid).children(recursive=True)


def started(suite, **options):
    """A run in the background that hears Ctrl-C, even where these tests themselves run deaf to it."""
    return subprocess.Popen(
        command(suite),
        cwd=suite.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 (no threads here)
        **options,
    )


def stop(suite, number, *, after_steps):
    """Start a run, send it a signal once so many steps are kept; return its exit code and its workers."""
    with started(suite) as going:
        deadline = time.monotonic() + 120
        while steps_kept(suite) < after_steps:
            assert time.monotonic() < deadline, "no checkpoint was written"
            assert going.poll() is None, going.stderr.read()
            time.sleep(0.1)
        workers = children(going.pid)
        os.kill(going.pid, number)
        _, errors = going.communicate(timeout=60)
    assert "Traceback" not in errors, errors
    return going.returncode, workers


def test_ctrl_c_while_everything_is_still_starting_ends_in_one_line(tmp_path):
    """Ctrl-C reaches the whole process group, the server that is importing torch included."""
    suite = write(tmp_path)
    with started(suite, process_group=0) as going:
        while signal.SIGTERM not in caught(going.pid):  # until then, modules are loaded, and nothing is said
            time.sleep(0.01)
        time.sleep(2)
        os.killpg(going.pid, signal.SIGINT)
        _, errors = going.communicate(timeout=60)
    assert going.returncode == 130
    assert errors == "Stopped. Finished cells are kept; the same command goes on from here.\n"


def steps_kept(suite):
    """Steps in the checkpoint of the suite's one cell."""
    found = list(suite.parent.glob("results/small/*/*/checkpoints/newest.ckpt"))
    checkpoint = read_checkpoint(found[0]) if found else None
    return checkpoint.step if checkpoint else 0


def test_a_run_stopped_in_three_ways_goes_on_to_the_same_end(tmp_path):
    """Bit for bit: what a resumed run predicts equals what a run that was left alone predicts."""
    recipe = {**SUITE["recipe"], "epochs": 3, "ema": {"decay": 0.9}}
    execution = {**SUITE["execution"], "checkpoints": {"every_s": 0.5}}
    (tmp_path / "alone").mkdir()
    (tmp_path / "stopped").mkdir()
    stopped = write(tmp_path / "stopped", arms=["baseline"], recipe=recipe, execution=execution)
    ends = [(signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)]
    for steps, (number, code) in zip((5, 15, 25), ends, strict=True):
        ended, workers = stop(stopped, number, after_steps=steps)
        assert ended == code
        # Asked to stop, it keeps the step that it is at; killed, what it kept before.
        assert steps_kept(stopped) >= steps
        _, alive = psutil.wait_procs(workers, timeout=20)
        assert not [one for one in alive if one.status() != psutil.STATUS_ZOMBIE]
        assert records(stopped.parent) == {}

    run(stopped)
    run(write(tmp_path / "alone", arms=["baseline"], recipe=recipe))
    (resumed,), (alone,) = (records(tmp_path / name).values() for name in ("stopped", "alone"))
    assert (resumed["resumed"], alone["resumed"]) == (3, 0)
    files = [
        next((tmp_path / name).glob("results/small/*/*/predictions.npz")) for name in ("stopped", "alone")
    ]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert resumed["train"]["test_loss"] == alone["train"]["test_loss"]
    assert not list(tmp_path.glob("**/*.ckpt"))
