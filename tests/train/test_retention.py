import hashlib
import itertools
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from swatbench.errors import CheckpointError, StoreError
from swatbench.store.record import CurvePoint
from swatbench.train.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from swatbench.train.retention import Retention

A, B = "a" * 64, "b" * 64


def point(epoch, top1, ema=None):
    times = {"compute_s": 1.0, "data_s": 0.5}
    rates = {"loss": 2.0, "learning_rate": 1e-3, "top1_percent": top1, "ema_top1_percent": ema}
    return CurvePoint(epoch=epoch, step=epoch * 10, **rates, **times)


def state(step, *, top1=(), ema=(), losses=(), digest=A):
    pairs = itertools.zip_longest(top1, ema)
    return Checkpoint(
        digest=digest,
        resumed=0,
        curve=tuple(point(i, *accuracies) for i, accuracies in enumerate(pairs, start=1)),
        step=step,
        losses=losses,
        compute_s=0.0,
        data_s=0.0,
        model={"weight": torch.full((100,), float(step))},
        optimizer={},
        ema=None,
        scaler=None,
    )


def kept(folder, *, every=None, best=False):
    return Retention(folder, keep_every_epochs=every, keep_best=best)


def silent(note):
    raise AssertionError(note)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def save_epochs(retention, accuracies):
    for epoch in range(1, len(accuracies) + 1):
        retention.save(state(epoch * 10, top1=accuracies[:epoch]), epoch_done=True)


def test_the_last_two_states_are_there_and_the_newest_is_loaded(tmp_path):
    retention = kept(tmp_path / "checkpoints")
    assert retention.load(A, silent) is None
    for step in (1, 2, 3):
        retention.save(state(step, losses=(1.0,) * step), epoch_done=False)
    assert names(retention.folder) == ["newest.ckpt", "previous.ckpt"]
    assert kept(retention.folder).load(A, silent).step == 3
    assert read_checkpoint(retention.folder / "previous.ckpt").step == 2


def test_states_after_every_so_many_epochs_are_kept(tmp_path):
    save_epochs(kept(tmp_path, every=3), [1.0] * 7)
    assert names(tmp_path) == ["epoch-0003.ckpt", "epoch-0006.ckpt", "newest.ckpt", "previous.ckpt"]
    assert read_checkpoint(tmp_path / "epoch-0003.ckpt").step == 30
    assert read_checkpoint(tmp_path / "epoch-0006.ckpt").step == 60


def test_a_state_inside_an_epoch_is_not_kept(tmp_path):
    retention = kept(tmp_path, every=1, best=True)
    retention.save(state(3, losses=(1.0,) * 3), epoch_done=False)
    retention.save(state(13, top1=[50.0], losses=(1.0,) * 3), epoch_done=False)
    kept(tmp_path, every=1, best=True).load(A, silent)
    assert names(tmp_path) == ["newest.ckpt", "previous.ckpt"]


@pytest.mark.parametrize(
    ("accuracies", "best_epochs"),
    [
        ([10.0, 30.0, 20.0, 40.0], [1, 2, 2, 4]),
        ([30.0, 30.0, 10.0, 30.0], [1, 1, 1, 1]),
        ([None, 0.0, None, 5.0], [None, 2, 2, 4]),
    ],
)
def test_the_best_state_is_replaced_only_by_a_better_one(tmp_path, accuracies, best_epochs):
    retention = kept(tmp_path, best=True)
    for epoch, best in enumerate(best_epochs, start=1):
        retention.save(state(epoch * 10, top1=accuracies[:epoch]), epoch_done=True)
        found = read_checkpoint(tmp_path / "best.ckpt")
        assert (found and found.step) == (best and best * 10)


def test_the_accuracy_of_the_moving_average_decides_where_there_is_one(tmp_path):
    retention = kept(tmp_path, best=True)
    retention.save(state(10, top1=[10.0], ema=[5.0]), epoch_done=True)
    retention.save(state(20, top1=[90.0, 10.0], ema=[5.0, 6.0]), epoch_done=True)
    assert read_checkpoint(tmp_path / "best.ckpt").step == 20


def test_in_segmentation_mean_iou_decides(tmp_path):
    retention = kept(tmp_path, best=True)
    for average, best in ((False, 20), (True, 30)):
        curve = [point(i, None) for i in (1, 2, 3)]
        for i, (raw, ema) in enumerate([(10.0, 5.0), (30.0, 6.0), (20.0, 7.0)]):
            scores = {"miou_percent": raw} | ({"ema_miou_percent": ema} if average else {})
            curve[i] = curve[i].model_copy(update=scores)
            done = replace(state(10 * (i + 1)), curve=tuple(curve[: i + 1]))
            retention.save(done, epoch_done=True)
        assert read_checkpoint(tmp_path / "best.ckpt").step == best


def test_kept_states_take_no_further_space(tmp_path):
    save_epochs(kept(tmp_path, every=1, best=True), [10.0])
    inodes = {(tmp_path / name).stat().st_ino for name in ("newest.ckpt", "epoch-0001.ckpt", "best.ckpt")}
    assert len(inodes) == 1


def test_a_file_system_without_hard_links_gets_copies(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    save_epochs(kept(tmp_path, every=1, best=True), [10.0, 20.0])
    assert names(tmp_path) == [
        "best.ckpt",
        "epoch-0001.ckpt",
        "epoch-0002.ckpt",
        "newest.ckpt",
        "previous.ckpt",
    ]
    assert read_checkpoint(tmp_path / "best.ckpt").step == 20
    assert read_checkpoint(tmp_path / "epoch-0001.ckpt").step == 10


def test_a_damaged_newest_state_is_told_and_the_previous_one_used(tmp_path):
    save_epochs(kept(tmp_path), [10.0, 20.0])
    (tmp_path / "newest.ckpt").write_bytes((tmp_path / "newest.ckpt").read_bytes()[:-100])
    notes = []
    retention = kept(tmp_path, every=1)
    assert retention.load(A, notes.append).step == 10
    (note,) = notes
    assert str(tmp_path / "newest.ckpt") in note
    assert "is cut short or changed" in note
    assert "previous.ckpt, of step 10, is used instead" in note
    assert names(tmp_path) == ["newest.ckpt", "previous.ckpt"]
    retention.save(state(11, top1=[10.0], losses=(1.0,)), epoch_done=False)
    # The damaged file is gone, and the good one before it is not.
    assert read_checkpoint(tmp_path / "previous.ckpt").step == 10
    assert kept(tmp_path).load(A, silent).step == 11


def test_a_missing_newest_state_is_told_and_the_previous_one_used(tmp_path):
    save_epochs(kept(tmp_path), [10.0, 20.0])
    (tmp_path / "newest.ckpt").unlink()
    notes = []
    assert kept(tmp_path, every=1, best=True).load(A, notes.append).step == 10
    assert "There is no such file. previous.ckpt, of step 10, is used instead." in notes[0]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("damaged", [{"newest.ckpt"}, {"previous.ckpt"}, {"newest.ckpt", "previous.ckpt"}])
def test_where_there_are_files_and_none_is_whole_training_does_not_start_anew(tmp_path, damaged):
    for name in damaged:
        (tmp_path / name).write_bytes(b"junk")
    with pytest.raises(CheckpointError) as caught:
        kept(tmp_path).load(A, silent)
    error = caught.value
    # How processes that train together treat a failure follows from the name of its class.
    assert (type(error), error.where) == (CheckpointError, str(tmp_path))
    assert error.fix == "Delete the folder to train this cell from the start."
    for name in ("newest.ckpt", "previous.ckpt"):
        why = "The checkpoint is cut short" if name in damaged else "There is no such file."
        assert f"{name}: {why}" in error.what
    assert contents(tmp_path) == dict.fromkeys(damaged, b"junk")


def test_a_kept_state_that_is_copied_to_the_newest_is_gone_on_from(tmp_path):
    save_epochs(kept(tmp_path, every=1), [10.0, 20.0, 30.0])
    kept_state = (tmp_path / "epoch-0001.ckpt").read_bytes()
    for name in ("newest.ckpt", "previous.ckpt"):
        (tmp_path / name).write_bytes(b"junk")
    (tmp_path / "newest.ckpt").write_bytes(kept_state)
    assert kept(tmp_path, every=1).load(A, silent).step == 10


def another_version(path):
    """Make a file one that is whole, and that this version does not understand."""
    payload = path.read_bytes()[65:].replace(b"digest", b"digits")
    path.write_bytes(hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload)


@pytest.mark.parametrize("name", ["newest.ckpt", "previous.ckpt"])
def test_a_whole_state_of_another_version_is_neither_passed_over_nor_written_over(tmp_path, name):
    save_epochs(kept(tmp_path, every=1), [10.0, 20.0])
    another_version(tmp_path / name)
    if name == "previous.ckpt":
        (tmp_path / "newest.ckpt").write_bytes(b"junk")
    before = contents(tmp_path)
    with pytest.raises(CheckpointError, match="is whole, but another version") as caught:
        kept(tmp_path, every=1, best=True).load(A, silent)
    assert caught.value.where == str(tmp_path / name)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["newest.ckpt", "previous.ckpt"])
def test_a_state_that_the_disk_does_not_give_is_neither_passed_over_nor_written_over(
    tmp_path, monkeypatch, name
):
    save_epochs(kept(tmp_path), [10.0, 20.0])
    if name == "previous.ckpt":
        (tmp_path / "newest.ckpt").write_bytes(b"junk")
    before = contents(tmp_path)
    real = hashlib.file_digest

    def stale(file, *values):
        if Path(file.name).name == name:
            raise OSError(116, "Stale file handle")
        return real(file, *values)

    monkeypatch.setattr(hashlib, "file_digest", stale)
    with pytest.raises(StoreError, match="cannot be read: Stale file handle") as caught:
        kept(tmp_path).load(A, silent)
    assert caught.value.where == str(tmp_path / name)
    assert contents(tmp_path) == before


def test_a_disk_that_does_not_say_what_is_there_is_a_store_error(tmp_path, monkeypatch):
    retention = kept(tmp_path)
    save_epochs(retention, [10.0, 20.0])
    real = Path.stat

    def stat(path, **options):
        if path.suffix == ".ckpt":
            raise OSError(5, "Input/output error", str(path))
        return real(path, **options)

    for name in ("stat", "exists"):
        # From Python 3.14 on, Path.exists is False for any error.
        monkeypatch.setattr(Path, name, stat if name == "stat" else lambda _: False)
    for call in (lambda: retention.load(A, silent), lambda: retention.save(state(30), epoch_done=False)):
        with pytest.raises(StoreError, match="Input/output error"):
            call()
    monkeypatch.undo()
    assert kept(tmp_path).load(A, silent).step == 20


def test_a_state_of_another_cell_is_refused(tmp_path):
    retention = kept(tmp_path)
    retention.save(state(10, top1=[10.0], digest=B), epoch_done=True)
    with pytest.raises(CheckpointError, match="belongs to cell bbbbbbbbbb"):
        retention.load(A, silent)
    (tmp_path / "newest.ckpt").rename(tmp_path / "previous.ckpt")
    with pytest.raises(CheckpointError, match="belongs to cell bbbbbbbbbb") as caught:
        retention.load(A, lambda _: None)
    assert caught.value.where == str(tmp_path / "previous.ckpt")


def test_clearing_leaves_what_is_kept_for_good(tmp_path):
    retention = kept(tmp_path, every=2, best=True)
    save_epochs(retention, [10.0, 5.0])
    (tmp_path / ".incoming.ckpt.77.tmp").write_bytes(b"half")
    retention.clear()
    assert names(tmp_path) == ["best.ckpt", "epoch-0002.ckpt"]


def test_clearing_removes_a_folder_in_which_nothing_is_kept(tmp_path):
    retention = kept(tmp_path / "checkpoints")
    save_epochs(retention, [10.0])
    retention.clear()
    assert not retention.folder.exists()
    retention.clear()


def test_what_a_killed_process_left_half_written_is_removed(tmp_path):
    save_epochs(kept(tmp_path), [10.0])
    (tmp_path / ".incoming.ckpt.77.tmp").write_bytes(b"half")
    kept(tmp_path).load(A, silent)
    assert names(tmp_path) == ["newest.ckpt"]


def test_a_full_disk_is_a_store_error_and_leaves_the_states_as_they_were(tmp_path, monkeypatch):
    retention = kept(tmp_path, every=1)
    save_epochs(retention, [10.0, 20.0])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="Free some space"):
        retention.save(state(30, top1=[10.0, 20.0, 30.0]), epoch_done=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_copy_that_finds_no_space_is_a_store_error(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    monkeypatch.setattr("shutil.copyfileobj", full)
    with pytest.raises(StoreError, match="Free some space"):
        save_epochs(kept(tmp_path, every=1), [10.0])
    assert names(tmp_path) == ["newest.ckpt"]


class Killed(BaseException):
    """Stands for the end of the process."""


def killing(monkeypatch, survived):
    """End the process, so to say, at the call to the file system after so many."""
    calls = itertools.count()

    def wrap(owner, name):
        real = getattr(owner, name)

        def call(*values, **options):
            if next(calls) >= survived:
                raise Killed
            return real(*values, **options)

        monkeypatch.setattr(owner, name, call)

    for name in ("replace", "unlink"):
        wrap(Path, name)
    for name in ("link", "fsync"):
        wrap(os, name)


def test_whichever_call_is_the_last_one_the_next_run_finds_all_that_was_saved(tmp_path, monkeypatch):
    accuracies = [10.0, 20.0, 30.0]
    steps = []
    for survived in range(40):
        folder = tmp_path / str(survived)
        retention = kept(folder, every=1, best=True)
        save_epochs(retention, accuracies[:2])
        with monkeypatch.context() as patch:
            killing(patch, survived)
            try:
                retention.save(state(30, top1=accuracies), epoch_done=True)
                done = True
            except Killed:
                done = False
        found = kept(folder, every=1, best=True).load(A, silent)
        steps.append(found.step)
        # What is kept is what the newest state says is kept.
        assert read_checkpoint(folder / "best.ckpt").step == found.step
        assert (folder / "epoch-0003.ckpt").exists() == (found.step == 30)
        assert read_checkpoint(folder / "previous.ckpt").step == found.step - 10
        if done:
            break
    assert done
    assert steps == sorted(steps)
    assert {20, 30} == set(steps)
    assert steps.count(30) > 5


SAVING = """
import json, os, random, signal, sys, time
from pathlib import Path
import torch
from swatbench.train.checkpoint import Checkpoint
from swatbench.train.retention import Retention

torch.set_num_threads(1)
# A killed process leaves what it wrote to the system; waiting for the disk is against power cuts.
os.fsync = lambda descriptor: None
weights = torch.rand(50_000)

def retention(folder):
    return Retention(folder, keep_every_epochs=1, keep_best=True)

def state(step):
    return Checkpoint(
        digest="a" * 64, resumed=0, curve=(), step=step, losses=(), compute_s=0.0, data_s=0.0,
        model={"weight": weights + step}, optimizer={}, ema=None, scaler=None,
    )

def save_on(folder, step, said):
    keeper = retention(folder)
    while True:
        step += 1
        os.write(said, b"s")
        keeper.save(state(step), epoch_done=True)
        os.write(said, b"d")

folder, found, notes, rng = Path(sys.argv[1]), [], [], random.Random(0)
step = 0
for _ in range(30):
    heard, said = os.pipe()
    child = os.fork()
    if child == 0:
        save_on(folder, step, said)
    os.close(said)
    done = sum(os.read(heard, 1) == b"d" for _ in range(rng.randint(1, 8)))
    time.sleep(rng.uniform(0.0, 0.01))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while block := os.read(heard, 4096):
        done += block.count(b"d")
    os.close(heard)
    loaded = retention(folder).load("a" * 64, notes.append)
    now = loaded.step if loaded else 0
    whole = loaded is None or torch.equal(loaded.model["weight"], weights + now)
    found.append([step + done, now, whole])
    step = now
print(json.dumps([found, notes, sorted(path.name for path in folder.iterdir())]))
"""


def test_thirty_kills_at_random_moments_lose_nothing_that_was_saved(tmp_path):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SAVING, str(tmp_path / "checkpoints")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    found, notes, files = json.loads(done.stdout)
    assert len(found) == 30
    for promised, loaded, whole in found:
        assert whole
        # The save that was under way may or may not have come through.
        assert loaded in (promised, promised + 1)
    assert found[-1][1] > 30, "too few saves for a test"
    assert notes == []
    assert files == ["newest.ckpt", "previous.ckpt"]


def test_a_former_state_of_the_same_name_is_replaced(tmp_path):
    save_epochs(kept(tmp_path, every=1), [10.0])
    retention = kept(tmp_path, every=1)
    write_checkpoint(tmp_path / "epoch-0001.ckpt", state(99, digest=B))
    retention.save(state(10, top1=[12.0]), epoch_done=True)
    assert read_checkpoint(tmp_path / "epoch-0001.ckpt").digest == A
