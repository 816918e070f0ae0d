"""Weights that cannot be used are refused in one line with exit code 5, and nothing in them runs."""

import json
import pickle
import zipfile
from io import BytesIO

import numpy as np
import pytest
import torch
from safetensors.torch import save, save_file

from swatbench.errors import CheckpointError, StoreError
from swatbench.models.weights import fit_weights, read_weights
from swatbench.store.arrays import packed, read_arrays
from swatbench.train.checkpoint import read_checkpoint
from tests.commands import run_commands
from tests.data.jpegs import make_jpeg_folder
from tests.faults.weight_files import FILES, PRECISIONS, Calls, canary, repacked, torch_file, zip_bomb
from tests.faults.weights import read_mutants, small_model


@pytest.fixture(scope="module")
def model():
    return small_model()


@pytest.fixture
def fitted(model, tmp_path):
    """Fits bytes to the model, as a file with an ending; returns what was noted."""

    def fit(content, ending):
        path, notes = tmp_path / f"weights{ending}", []
        path.write_bytes(content)
        fit_weights(model, read_weights(path), where=str(path), of="mixer_mini", on_note=notes.append)
        return notes

    return fit


@pytest.mark.parametrize("kind", FILES)
def test_what_cannot_be_used_is_refused_whole_and_runs_nothing(model, fitted, tmp_path, kind):
    ending, make, said = FILES[kind]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    content = make(before, tmp_path / "executed")
    with pytest.raises(CheckpointError) as caught:
        fitted(content, ending)
    assert not (tmp_path / "executed").exists()
    assert said in caught.value.what
    assert "\n" not in str(caught.value)
    assert "weights_only" not in str(caught.value)
    assert caught.value.where == str(tmp_path / f"weights{ending}")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_calls_of_this_test_do_run_where_nothing_forbids_it(tmp_path):
    pickle.loads(pickle.dumps(canary(tmp_path / "executed")))
    assert (tmp_path / "executed").exists()


@pytest.mark.parametrize("name", PRECISIONS)
@pytest.mark.parametrize("ending", [".safetensors", ".pt"])
def test_other_precisions_are_converted_with_a_note(model, fitted, name, ending):
    given = {name: value.clone() for name, value in small_model().state_dict().items()}
    state = {key: value.to(PRECISIONS[name]) for key, value in given.items()}
    notes = fitted(save(state) if ending == ".safetensors" else torch_file({"state_dict": state}), ending)
    assert notes == [f"Weights in {name} were converted to float32."]
    assert all(torch.equal(value, state[key].float()) for key, value in model.state_dict().items())
    assert fitted(save(given), ".safetensors") == []


def test_a_file_that_the_system_does_not_give_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="not there"):
        read_weights(tmp_path / "none.pt")
    (tmp_path / "folder.pt").mkdir()
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_weights(tmp_path / "folder.pt")


def test_a_checkpoint_that_is_a_bomb_is_refused_before_it_swells(model, tmp_path):
    import hashlib

    payload = zip_bomb(model.state_dict(), tmp_path)
    path = tmp_path / "last.ckpt"
    path.write_bytes(hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload)
    with pytest.raises(CheckpointError):
        read_checkpoint(path)


def test_predictions_that_are_a_bomb_or_hold_objects_are_refused(tmp_path):
    path = tmp_path / "predictions.npz"
    good = packed({"predicted": np.arange(9)})
    path.write_bytes(repacked(good, lambda _, content: content + bytes(50_000_000), zipfile.ZIP_DEFLATED))
    with pytest.raises(StoreError, match="compressed"):
        read_arrays(path)
    file = BytesIO()
    np.savez(file, predicted=np.array([Calls(print, "executed")], dtype=object))
    path.write_bytes(file.getvalue())
    with pytest.raises(StoreError, match="damaged"):
        read_arrays(path)


def test_mutated_files_are_used_or_refused_and_nothing_else(tmp_path):
    found = read_mutants(180, tmp_path, seed=2)
    assert (found["escaped"], found["slow"], found["told_in_more_than_a_line"]) == (0, 0, 0)
    assert found["used"] + found["refused"] == 180
    assert found["refused"] > 60


SUITE = {
    "name": "named",
    "pairs": ["mixer_mini"],
    "seeds": [0],
    "data": {"source": "folder", "root": "images", "train_images": 9, "test_images": 6, "num_classes": 3},
    "recipe": {"epochs": 1, "batch_size": 3, "learning_rate": 1e-3, "augmentation": {"crop": "resized"}},
    "execution": {"device": "cpu", "precision": "fp32", "workers": 0},
    "cost": None,
}


def test_the_command_ends_with_5_and_one_line_and_writes_no_cell(model, tmp_path):
    make_jpeg_folder(tmp_path / "images", classes=3, train=9, test=6)
    (tmp_path / "suite.yaml").write_text(json.dumps(SUITE))
    kinds = ("a call inside torch's file", "zip bomb", "of another model", "NaN", "huge header")
    commands = {}
    for number, kind in enumerate(kinds):
        ending, make, _ = FILES[kind]
        path = tmp_path / f"weights{number}{ending}"
        path.write_bytes(make(model.state_dict(), tmp_path / "executed"))
        commands[kind] = ["run", "suite.yaml", "--eval-only", "--weights", path.name, "--model", "mixer_mini"]
    save_file(model.half().state_dict(), tmp_path / "half.safetensors")
    model.float()
    commands["half"] = [
        "run",
        "suite.yaml",
        "--eval-only",
        "--weights",
        "half.safetensors",
        "--model",
        "mixer_mini",
    ]
    ended = run_commands(tmp_path, commands)
    for kind in kinds:
        assert (ended[kind].code, ended[kind].out, ended[kind].errors.count("\n")) == (5, "", 1), ended[kind]
        assert FILES[kind][2] in ended[kind].errors
    assert not (tmp_path / "executed").exists()
    assert ended["half"].code == 0, ended["half"]
    assert len(list(tmp_path.glob("results/*/*/*/record.json"))) == 1
