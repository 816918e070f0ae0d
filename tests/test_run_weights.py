"""`--eval-only`: weights of a run, a file, timm or the Hub are tested, or refused without running them."""

import json
import os
import shutil
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from swatbench.cell import weights as weights_module
from swatbench.cell.weights import find_weights
from swatbench.errors import CheckpointError, MachineError, ModelError
from tests.commands import run_commands
from tests.data.jpegs import make_jpeg_folder

TEST, CLASSES = 15, 3
SUITE = {
    "name": "tested",
    "pairs": ["mixer_mini"],
    "arms": ["baseline", "swat"],
    "seeds": [0],
    "data": {
        "source": "folder",
        "root": "images",
        "train_images": 24,
        "test_images": TEST,
        "num_classes": CLASSES,
        "further_tests": [{"name": "again", "root": "images/validation", "images": TEST}],
    },
    "recipe": {
        "epochs": 1,
        "batch_size": 12,
        "learning_rate": 1e-3,
        "augmentation": {"crop": "resized"},
    },
    "execution": {"device": "cpu", "precision": "fp32", "workers": 0},
    "cost": None,
}
HUB_MODEL: dict[str, Any] = {"img_size": 32, "depth": 1}
REVISION = "0" * 40


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """A folder with images and a suite whose two models have been trained."""
    room = tmp_path_factory.mktemp("room")
    make_jpeg_folder(room / "images", classes=CLASSES, train=24, test=TEST)
    (room / "suite.yaml").write_text(json.dumps(SUITE))
    trained = run_commands(room, {"train": ["run", "suite.yaml", "--json"]})["train"]
    assert (trained.code, len(trained.told["finished"])) == (0, 4), trained
    return room


def trained(room, arm):
    """Folder of the finished train cell of an arm."""
    (folder,) = (
        path.parent for path in room.glob(f"results/*/*/mixer_mini-{arm}-seed0-*/weights.safetensors")
    )
    return folder


def save_hub_model(cache):
    """Leave a small model where the Hub's client keeps what it has fetched before."""
    folder = cache / "models--nobody--small"
    snapshot = folder / "snapshots" / REVISION
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(REVISION)
    torch.manual_seed(0)
    model = timm.create_model("vit_tiny_patch16_224", num_classes=CLASSES, **HUB_MODEL)
    save_file(model.state_dict(), snapshot / "model.safetensors")
    prepared = {"mean": [0.5] * 3, "std": [0.25] * 3, "crop_pct": 1.0, "interpolation": "bilinear"}
    own = {"input_size": [3, 32, 32], "num_classes": CLASSES, "first_conv": "patch_embed.proj"}
    config = {"architecture": "vit_tiny_patch16_224", "num_classes": CLASSES, "model_args": HUB_MODEL}
    config["pretrained_cfg"] = {**prepared, **own, "classifier": "head"}
    (snapshot / "config.json").write_text(json.dumps(config))


class Malicious:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.fixture(scope="module")
def ended(room):
    """How each test of weights ended, one after another; nothing can be fetched."""
    own = trained(room, "baseline") / "weights.safetensors"
    shutil.copy(own, room / "copied.safetensors")
    (room / "cut.safetensors").write_bytes(own.read_bytes()[:-1000])
    torch.save({"state_dict": Malicious(room / "executed")}, room / "malicious.pt")
    (room / "noise.pth").write_bytes(b"no weights at all")
    save_hub_model(room / "hub")

    def tested(weights, *options):
        return ["run", "suite.yaml", "--eval-only", "--weights", weights, "--json", *options]

    baseline, swat = ("--model", "mixer_mini"), ("--model", "swat_mixer_mini")
    commands = {
        "own": tested(own),
        "own again": tested(own),
        "swat": tested(trained(room, "swat") / "weights.safetensors"),
        "copied": tested("copied.safetensors", *baseline),
        "hub": tested("hf-hub:nobody/small"),
        "report": ["report", "tested"],
        "no model": tested("copied.safetensors"),
        "unknown model": tested("copied.safetensors", "--model", "mixer_nini"),
        "missing": tested("missing.pt", *baseline),
        "cut": tested("cut.safetensors", *baseline),
        "other": tested("copied.safetensors", *swat),
        "malicious": tested("malicious.pt", *baseline),
        "noise": tested("noise.pth", *baseline),
        "unknown name": tested("vit_tiny_patch16"),
        "no tag": tested("vit_tiny_patch16_224"),
        "unknown tag": tested("vit_tiny_patch16_224.nobody"),
        "long": tested("x" * 5_000),
        "not fetched": tested("test_vit.r160_in1k"),
        "no such id": tested("hf-hub:nobody/nothing"),
        "weights alone": ["run", "suite.yaml", "--weights", "copied.safetensors"],
        "option alone": ["run", "suite.yaml", "--eval-only"],
        "model alone": ["run", "suite.yaml", "--model", "mixer_mini"],
    }
    return run_commands(room, commands, HF_HUB_OFFLINE="1", HF_HUB_CACHE=str(room / "hub"))


def predictions(folder):
    with np.load(folder / "predictions.npz") as arrays:
        return dict(arrays)


def of(room, end):
    """Test → folder and record of what a command finished."""
    folders = [next(room.glob(f"results/*/*/{name}")) for name in end.told["finished"]]
    records = [json.loads((folder / "record.json").read_text()) for folder in folders]
    return {
        record["evaluation"]["test"]: (folder, record)
        for folder, record in zip(folders, records, strict=True)
    }


@pytest.mark.parametrize(("name", "arm"), [("own", "baseline"), ("swat", "swat")])
def test_weights_of_a_run_give_what_its_record_says(room, ended, name, arm):
    assert ended[name].code == 0
    tested, source = of(room, ended[name]), trained(room, arm)
    record, own = json.loads((source / "record.json").read_text())["train"], predictions(source)
    assert set(tested) == {"test", "again"}
    for folder, again in tested.values():
        (evaluated,) = again["evaluation"]["evaluated"]
        assert evaluated["images"] == TEST
        assert evaluated["top1_percent"] == record["top1_percent"]
        assert (again["cell"]["arm"], again["cell"]["seed"]) == (arm, 0)
        found = predictions(folder)
        assert found["predicted"].tolist() == own["predicted"].tolist()
        np.testing.assert_allclose(found["margin"], own["margin"], atol=1e-5)


def test_weights_that_were_tested_are_skipped(ended):
    assert (ended["own again"].told["finished"], ended["own again"].told["skipped"]) == ([], 2)


def test_a_copy_elsewhere_is_tested_as_the_model_that_the_user_names(room, ended):
    own, copied = (of(room, ended[name]) for name in ("own", "copied"))
    for test in ("test", "again"):
        assert copied[test][1]["cell"]["seed"] is None
        assert copied[test][1]["cell"]["weights"] == own[test][1]["cell"]["weights"]
        assert predictions(copied[test][0])["margin"].tolist() == predictions(own[test][0])["margin"].tolist()


def test_a_model_of_the_hub_is_tested_with_its_own_preparation_of_images(room, ended):
    for _, record in of(room, ended["hub"]).values():
        cell, result = record["cell"], record["evaluation"]
        assert (cell["pair"]["name"], cell["arm"]) == ("hf-hub:nobody/small", "elsewhere")
        assert (cell["data"]["std"], cell["data"]["interpolation"]) == ([0.25] * 3, "bilinear")
        assert result["model"] == "hf-hub:nobody/small"
        assert result["evaluated"][0]["images"] == TEST


def test_the_report_lists_weights_from_elsewhere_beside_the_arms(room, ended):
    assert ended["report"].code == 0
    page = room / "reports" / "tested"
    table = (page / "tables" / "evaluations.csv").read_text()
    sha = of(room, ended["copied"])["test"][1]["cell"]["weights"]
    for text in (table, (page / "index.html").read_text()):
        assert "hf-hub:nobody/small" in text
        assert sha in text


def test_weights_that_cannot_be_fetched_fail_with_one_line_for_each_test(ended):
    end = ended["not fetched"]
    assert (end.code, len(end.told["failed"]), end.told["finished"]) == (1, 2, [])
    lines = end.errors.splitlines()
    assert len(lines) == 2
    said = "timm cannot fetch the weights of 'test_vit.r160_in1k': "
    assert all(line.startswith("failed: ") and said in line for line in lines)


def test_a_pickle_that_would_run_code_runs_none(room, ended):
    assert ended["malicious"].code == 5
    assert not (room / "executed").exists()


REFUSED = {
    "no model": (4, "Nothing beside the file says which model it is of. Name it: --model"),
    "unknown model": (4, "mixer_mini"),
    "cut": (5, "cut.safetensors: These weights cannot be read: "),
    "other": (5, "copied.safetensors: These are no weights of swat mixer_mini with 3 classes: they lack "),
    "malicious": (5, "malicious.pt: These weights cannot be read: it is a pickle that asks for posix.mkdir"),
    "noise": (5, "noise.pth: These weights cannot be read: it is no file of tensors, or is damaged"),
    "missing": (5, "missing.pt: The weights cannot be read: No such file"),
    "unknown name": (4, "timm has no such model. Did you mean vit_tiny_patch16_"),
    "no tag": (4, "Its tags: augreg_in21k, augreg_in21k_ft_in1k."),
    "unknown tag": (4, "Its tags: augreg_in21k, augreg_in21k_ft_in1k."),
    "long": (4, "timm has no such model."),
    "no such id": (8, "The Hub gives no model 'hf-hub:nobody/nothing': "),
}


@pytest.mark.parametrize("name", REFUSED)
def test_weights_that_name_nothing_are_refused_in_one_line(ended, name):
    code, said = REFUSED[name]
    end = ended[name]
    assert (end.code, end.out, end.errors.count("\n")) == (code, "", 1), end
    assert end.errors.startswith("error: ")
    assert said in end.errors


@pytest.mark.parametrize("name", ["weights alone", "option alone", "model alone"])
def test_options_that_need_one_another_are_refused_alone(ended, name):
    assert (ended[name].code, ended[name].out) == (2, "")
    assert "--eval-only needs --weights" in " ".join(ended[name].errors.split())


@pytest.fixture
def without_a_network(monkeypatch):
    """timm builds a small model of 3 classes instead of fetching one."""

    def create(name, *, pretrained):
        assert pretrained
        return timm.create_model(name.partition(".")[0], num_classes=CLASSES, img_size=32, depth=1)

    class Timm:
        create_model = staticmethod(create)

    monkeypatch.setattr(weights_module, "timm", Timm)


@pytest.mark.usefixtures("without_a_network")
def test_a_model_of_timm_is_fetched_by_name_and_tag():
    model = weights_module._fetched("vit_tiny_patch16_224.augreg_in21k_ft_in1k", CLASSES)
    assert model(torch.zeros(1, 3, 32, 32)).shape == (1, CLASSES)


@pytest.mark.usefixtures("without_a_network")
def test_a_model_with_other_classes_than_the_data_is_refused():
    with pytest.raises(ModelError, match="tells 3 classes apart, but the data have 1000"):
        weights_module._fetched("vit_tiny_patch16_224.augreg_in21k_ft_in1k", 1000)


def test_a_model_of_timm_brings_its_preparation_of_images():
    named = find_weights("vit_tiny_patch16_224.augreg_in21k_ft_in1k", None)
    assert named.pair == {"name": "vit_tiny_patch16_224.augreg_in21k_ft_in1k", "img_size": 224}
    assert named.preparation["mean"] == (0.5, 0.5, 0.5)
    assert named.preparation["crop_fraction"] == pytest.approx(0.9)


def test_a_folder_is_no_file_of_weights(tmp_path):
    with pytest.raises(CheckpointError, match="cannot be read"):
        find_weights(str(tmp_path), "mixer_mini")


def test_a_model_of_the_hub_must_say_how_its_images_are_prepared(monkeypatch):
    config = {"input_size": (3, 32, 32), "std": (1, 1, 1), "crop_pct": 1.0, "interpolation": "bicubic"}
    monkeypatch.setattr(weights_module, "load_model_config_from_hf", lambda _: (config, "x", {}))
    with pytest.raises(ModelError, match="prepared: 'mean' is missing"):
        find_weights("hf-hub:nobody/nothing", None)


def test_a_hub_that_cannot_be_reached_is_a_machines_matter(monkeypatch):
    def unreachable(_):
        raise ConnectionError("no route\nand more")

    monkeypatch.setattr(weights_module, "load_model_config_from_hf", unreachable)
    with pytest.raises(MachineError, match=r"'hf-hub:nobody/nothing': no route\. Look"):
        find_weights("hf-hub:nobody/nothing", None)
