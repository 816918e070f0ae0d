"""Segmenters whose backbones begin with a classifier's weights: of a suite's runs, of files, or refused."""

import hashlib
import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

from swatbench.backbones import backbones_of
from swatbench.cell.backbone import begin_with
from swatbench.errors import CheckpointError
from swatbench.job import Job
from swatbench.models.build import build_model
from swatbench.models.digests import initial_digests
from swatbench.models.segmenter import build_segmenter
from swatbench.spec.catalog import PAIRS, parts_of
from swatbench.spec.cells import TrainCell
from swatbench.spec.execution import Execution
from swatbench.spec.load import load_training_suite
from swatbench.store.files import read_record
from tests.commands import run_commands
from tests.data.jpegs import make_jpeg_folder
from tests.data.mask_folders import make_mask_folder
from tests.faults.weight_files import canary, torch_file
from tests.mask_suites import DATA, TEST, TRAIN, write_suite

CLASSES = 3
PAIR, ARMS = PAIRS["swin_mini"], ("baseline", "swat")
ABOUT_CLASSES = {
    "segmentation": None,
    "data": {
        **dict.fromkeys(DATA),
        "source": "folder",
        "root": "images",
        "train_images": TRAIN,
        "test_images": TEST,
        "num_classes": CLASSES,
    },
    "recipe": {"augmentation": {"crop": "resized"}, "ema": {"decay": 0.5}},
}


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """A folder with images, scenes, and two classifiers that have been trained."""
    room = tmp_path_factory.mktemp("room")
    make_jpeg_folder(room / "images", classes=CLASSES, train=TRAIN, test=TEST)
    make_mask_folder(room / "scenes", train=TRAIN, test=TEST)
    classifiers = write_suite(room, "classifiers", **ABOUT_CLASSES)
    trained = run_commands(room, {"train": ["run", classifiers, "--json"]})["train"]
    assert (trained.code, len(trained.told["finished"])) == (0, 2), trained
    return room


def classifier(room, arm):
    """Folder of a classifier."""
    (folder,) = room.glob(f"results/classifiers/*/swin_mini-{arm}-seed0-*")
    return folder


@pytest.fixture(scope="module")
def ended(room):
    """How runs that begin with these weights ended."""
    files = {
        name: str(classifier(room, arm) / "weights.safetensors")
        for name, arm in {"swin_mini": "baseline", "swat_swin_mini": "swat"}.items()
    }
    malicious = torch_file({"state_dict": canary(room / "executed")})
    (room / "malicious.pt").write_bytes(malicious)
    swapped = dict(zip(files, reversed(files.values()), strict=True))
    suites = {
        "by_suite": {"suite": "classifiers"},
        "by_file": {"files": files},
        "swapped": {"files": swapped},
        "missing": {"files": {**files, "swin_mini": "nowhere.safetensors"}},
        "malicious": {"files": {**files, "swin_mini": "malicious.pt"}},
        "unknown": {"suite": "nobody"},
    }
    commands = {
        name: ["run", write_suite(room, name, backbone=backbone), "--json"]
        for name, backbone in suites.items()
    }
    other_seed = write_suite(room, "other_seed", seeds=[1], backbone={"suite": "classifiers"})
    incomplete = write_suite(room, "incomplete", backbone={"files": {"swin_mini": files["swin_mini"]}})
    check = ["check", "by_suite.yaml", "--json"]
    commands |= {"other_seed": ["run", other_seed], "incomplete": ["run", incomplete], "check": check}
    return run_commands(room, commands)


def segmenter_record(room, suite, arm):
    (path,) = room.glob(f"results/{suite}/*/swin_mini-{arm}-seed0-[0-9a-f]*/record.json")
    return read_record(path)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize(
    ("suite", "file"), [("by_suite", "weights-ema.safetensors"), ("by_file", "weights.safetensors")]
)
def test_training_starts_from_the_classifier_s_tensors(room, ended, suite, file, arm):
    assert ended[suite].code == 0, ended[suite]
    weights, record = classifier(room, arm) / file, segmenter_record(room, suite, arm)
    assert record.cell["backbone"] == sha256(weights)
    model = build_model(
        PAIR.as_dict(), parts_of(PAIR, arm), num_classes=CLASSES, seed=9, fused_attention=False
    )
    model.load_state_dict(load_file(weights))
    given = {f"backbone.{name}": digest for name, digest in initial_digests(model).items()}
    started = record.train.shared_init_sha256
    own = {name: digest for name, digest in started.items() if name.startswith("backbone.")}
    assert own.items() <= given.items()
    assert len(own) > 40
    assert {name.split(".")[1] for name in given.keys() - own.keys()} <= {"head", "norm"}


def test_heads_of_both_arms_start_alike_and_as_without_weights(room, ended):
    assert ended["by_file"].code == 0
    heads = []
    for arm in ARMS:
        started = segmenter_record(room, "by_file", arm).train.shared_init_sha256
        heads.append({name: one for name, one in started.items() if not name.startswith("backbone.")})
    assert heads[0] == heads[1]
    segmentation = load_training_suite(room / "by_file.yaml").segmentation_of("swin_mini")
    fresh = build_segmenter(PAIR.as_dict(), (), segmentation, num_classes=5, seed=0, fused_attention=False)
    assert heads[0].items() <= initial_digests(fresh).items()


def test_a_suite_that_names_weights_is_checked_without_them(ended):
    assert (ended["check"].code, len(ended["check"].told["cells"])) == (0, 2)


def test_weights_of_another_model_fail_with_one_line_for_each_cell(ended):
    assert (ended["swapped"].code, len(ended["swapped"].told["failed"])) == (1, 2)
    lines = ended["swapped"].errors.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("failed: swin_mini-") for line in lines), lines
    assert all("lack" in line or "hold besides" in line for line in lines), lines


REFUSED = {
    "missing": (5, "nowhere.safetensors: The backbone's weights cannot be read: No such file"),
    "malicious": (5, "malicious.pt: These weights cannot be read: it is a pickle that asks for posix.system"),
    "unknown": (6, "nobody"),
    "other_seed": (5, "Suite 'classifiers' has no finished training of swin_mini baseline with seed 1 here."),
    "incomplete": (2, "backbone.files: needs each of swat_swin_mini, swin_mini and no other"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_weights_that_are_not_there_are_refused_in_one_line(room, ended, name):
    code, said = REFUSED[name]
    assert (ended[name].code, ended[name].out, ended[name].errors.count("\n")) == (code, "", 1), ended[name]
    assert said in ended[name].errors
    assert not list(room.glob(f"results/{name}/*/*/record.json"))
    assert not (room / "executed").exists()


def test_trained_weights_are_tested_without_those_that_they_began_with(room, ended):
    assert ended["by_file"].code == 0
    (weights,) = room.glob("results/by_file/*/swin_mini-swat-seed0-*/weights.safetensors")
    (asked,) = room.glob("results/by_file/*/asked.json")
    before = json.loads(asked.read_text())["cells"]
    here = {"backbone": {"files": {"swin_mini": "gone.pt", "swat_swin_mini": "gone.pt"}}}
    test = ["run", write_suite(room, "by_file", **here), "--eval-only", "--weights", weights, "--json"]
    tested = run_commands(room, {"test": test})["test"]
    assert tested.code == 0, tested
    (path,) = room.glob(f"results/by_file/*/{tested.told['finished'][0]}/record.json")
    evaluated = read_record(path).evaluation.evaluated
    assert evaluated[0].miou_percent == segmenter_record(room, "by_file", "swat").train.miou_percent
    assert (len(before), json.loads(asked.read_text())["cells"]) == (2, before)


def test_no_result_names_a_folder_of_this_machine(room, ended):
    assert ended["by_file"].code == 0
    for path in room.glob("results/**/*.json*"):
        assert str(room) not in path.read_text(), path


def test_of_an_average_and_the_weights_themselves_the_average_is_taken_and_only_of_this_machine(room, ended):
    assert ended["by_suite"].code == 0
    suite = load_training_suite(room / "by_suite.yaml")
    machine = classifier(room, "swat").parent.name
    found = backbones_of(suite, results=room / "results", machine=machine)
    assert {model: file.path.name for model, file in found.items()} == {
        ("swin_mini", arm, 0): "weights-ema.safetensors" for arm in ARMS
    }
    with pytest.raises(CheckpointError, match="has no finished training of swin_mini baseline with seed 0"):
        backbones_of(suite, results=room / "results", machine="another")


def job_of(room, tmp_path, weights):
    """A job of the baseline's cell, whose weights are elsewhere."""
    record = segmenter_record(room, "by_file", "baseline")
    return Job(
        suite="x",
        cell=TrainCell.model_validate_json(json.dumps(record.cell)),
        folder=tmp_path,
        environment=record.environment,
        execution=Execution(device="cpu"),
        workers=0,
        weights=str(weights),
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [("other", "changed while the suite was running"), ("cut", "cannot be read"), ("gone", "are not there")],
)
def test_weights_that_changed_since_the_run_began_are_refused(room, ended, tmp_path, change, said):
    assert ended["by_file"].code == 0
    path = tmp_path / "weights.safetensors"
    source = classifier(room, "baseline")
    if change == "other":
        path.write_bytes((source / "weights-ema.safetensors").read_bytes())
    elif change == "cut":
        path.write_bytes((source / "weights.safetensors").read_bytes()[:-1000])
    job = job_of(room, tmp_path, path)
    model = build_segmenter(
        PAIR.as_dict(), (), job.cell.segmentation, num_classes=5, seed=0, fused_attention=False
    )
    before = initial_digests(model)
    with pytest.raises(CheckpointError, match=said):
        begin_with(job, job.cell, model, lambda _: None)
    assert initial_digests(model) == before
