"""What segmenters cost: in a suite that trains, in one that does not, by name; and how fast masks come."""

from functools import partial

import numpy as np
import pytest
import torch

from swatbench import data_speed, doctor
from swatbench.cell.named import cells_of
from swatbench.errors import ModelError
from swatbench.models.segmenter import build_segmenter
from swatbench.spec.catalog import PAIRS, parts_of
from swatbench.spec.load import load_training_suite
from swatbench.spec.request import ProfileRequest
from swatbench.spec.segmentation import Segmentation
from swatbench.store.files import read_record
from tests.commands import run_commands
from tests.data.mask_folders import make_mask_folder
from tests.mask_suites import QUICK, SEGMENTATION, TEST, TRAIN, write_suite

BRIEF = ("--batch", "2", "--rounds", "6", "--budget", "0.2", "--threads", "1", "--device", "cpu")
PLAIN = ("--no-training", "--no-breakdown", "--precision", "fp32")
AS_SEGMENTER = ("--task", "segmentation", "--size", "32x64", "--json", *BRIEF)


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """A folder with images and masks."""
    room = tmp_path_factory.mktemp("room")
    make_mask_folder(room / "scenes", train=TRAIN, test=TEST)
    return room


@pytest.fixture(scope="module")
def ended(room):
    """How each measurement ended."""
    trains = write_suite(room, "trains", cost=QUICK)
    nothing = dict.fromkeys(("seeds", "data", "recipe"))
    only = {"device": "cpu", "precision": "fp32", "jobs": None, "workers": None}
    sized = {"num_classes": 7, "input_size": [32, 64], "execution": only, "cost": QUICK | {"training": False}}
    priced = write_suite(room, "priced", pairs=["swin_mini", "deit_mini"], **nothing, **sized)
    models = {
        "model": ("--model", "swat_swin_mini"),
        "arms": ("--compare", "swin_mini", "swat_swin_mini", *PLAIN),
        "pairs": ("--compare", "swin_mini", "van_b2", "--classes", "3", *PLAIN),
        "deit": ("--compare", "swin_mini", "deit_mini", *PLAIN),
        "timm": ("--model", "resnet18", *PLAIN),
        "module": ("--model", "nets:small", *PLAIN),
        "mixer": ("--model", "mixer_mini", *PLAIN),
    }
    commands = {
        "trains": ["run", trains, "--json"],
        "priced": ["profile", "--suite", priced, "--json"],
        **{name: ["profile", *asked, *AS_SEGMENTER] for name, asked in models.items()},
    }
    return run_commands(room, commands, timeout_s=500)


def cost_of(room, suite, pair):
    """The record of a pair's cost, and the folder that it is in."""
    (path,) = room.glob(f"results/{suite}/*/{pair}-cost-*/record.json")
    return read_record(path), path.parent


def built(pair, arm, *, num_classes, size, **changes):
    segmentation = Segmentation.model_validate(SEGMENTATION | changes).of(PAIRS[pair])
    parts = parts_of(PAIRS[pair], arm)
    asked = {"num_classes": num_classes, "seed": 0, "fused_attention": False, "size": size}
    return build_segmenter(PAIRS[pair].as_dict(), parts, segmentation, **asked)


def test_a_suite_measures_the_segmenters_that_it_trains(room, ended):
    assert (ended["trains"].code, len(ended["trains"].told["finished"])) == (0, 3), ended["trains"]
    record, folder = cost_of(room, "trains", "swin_mini")
    assert record.cell["input_size"] == [3, 32, 32]
    assert record.cell["segmentation"]["head"] == "upernet"
    assert [arm.macs_agree for arm in record.cost.arms] == [True, True]
    trained = {
        one.arm: one.train.params
        for one in map(read_record, room.glob("results/trains/*/*/record.json"))
        if one.kind == "train"
    }
    assert {arm.arm: arm.params for arm in record.cost.arms} == trained
    with np.load(folder / "samples.npz") as samples:
        names = set(samples)
    assert any("training" in name for name in names), names


def test_a_suite_that_does_not_train_measures_at_the_size_it_names(room, ended):
    assert ended["priced"].code == 0, ended["priced"]
    heads = {"swin_mini": "upernet", "deit_mini": "upernet_on_taps"}
    for pair, head in heads.items():
        record, _ = cost_of(room, "priced", pair)
        assert (record.cell["input_size"], record.cell["num_classes"]) == ([3, 32, 64], 7)
        assert record.cell["segmentation"]["head"] == head
        assert [arm.macs_agree for arm in record.cost.arms] == [True, True]
        for arm in record.cost.arms:
            model = built(pair, arm.arm, num_classes=7, size=(32, 64))
            assert arm.params == sum(value.numel() for value in model.parameters())


def test_one_segmenter_is_told_with_its_training_step_and_its_parts(ended):
    assert ended["model"].code == 0, ended["model"].errors
    (told,) = ended["model"].told["profiles"]
    (arm,) = told["arms"]
    model = built(
        "swin_mini", "swat", num_classes=150, size=(32, 64), decoder_channels=512, auxiliary_channels=256
    )
    assert arm["params"] == sum(value.numel() for value in model.parameters())
    assert {one["protocol"] for one in told["times"]} == {"inference", "training"}
    assert sum(row["macs"] for row in told["modules"]) == arm["macs"]


@pytest.mark.parametrize(
    ("name", "models", "classes"),
    [("arms", ("swin_mini", "swat_swin_mini"), 150), ("pairs", ("swin_mini", "van_b2"), 3)],
)
def test_two_models_are_both_measured_with_their_heads(ended, name, models, classes):
    assert ended[name].code == 0, ended[name].errors
    (told,) = ended[name].told["profiles"]
    channels = {"decoder_channels": 512, "auxiliary_channels": 256}
    for arm, model in zip(told["arms"], models, strict=True):
        pair, parts = model.removeprefix("swat_"), "swat" if model.startswith("swat") else "baseline"
        segmenter = built(pair, parts, num_classes=classes, size=(32, 64), **channels)
        assert arm["params"] == sum(value.numel() for value in segmenter.parameters())


REFUSED = {
    "deit": (4, "swin_mini takes the head upernet, and deit_mini upernet_on_taps."),
    "timm": (4, "resnet18"),
    "module": (4, "nets:small"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_such_head_is_refused_in_one_line(ended, name):
    code, said = REFUSED[name]
    assert (ended[name].code, ended[name].out, ended[name].errors.count("\n")) == (code, "", 1), ended[name]
    assert said in ended[name].errors


def test_a_model_of_one_size_is_measured_at_the_size_that_is_named(ended):
    assert ended["mixer"].code == 0, ended["mixer"]
    (told,) = ended["mixer"].told["profiles"]
    assert told["arms"][0]["macs"] > 0


def test_without_a_size_a_segmenter_is_measured_on_crops_of_the_published_training():
    request = ProfileRequest(models=("swin_t", "swat_swin_t"), segmentation=Segmentation(), device="cpu")
    _, (cell,), _ = cells_of(request)
    assert (cell.input_size, cell.num_classes, cell.models) == ((3, 512, 512), 150, {})
    assert cell.pair == PAIRS["swin_t"].as_dict()


def test_a_name_of_timm_s_is_not_taken_for_a_backbone():
    with pytest.raises(ModelError, match="vit_tiny_patch16_224"):
        cells_of(ProfileRequest(models=("vit_tiny_patch16_224",), segmentation=Segmentation(), device="cpu"))


@pytest.fixture
def settings_come_back():
    deterministic, threads = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    yield
    torch.use_deterministic_algorithms(deterministic)
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("settings_come_back")
def test_the_loading_and_the_training_of_masks_are_measured(room):
    scenes = {"root": str(room / "scenes")}
    path = room / write_suite(room, "speed", data=scenes, pairs=["deit_mini"], recipe={"micro_batch_size": 2})
    stages = []
    (measured,) = data_speed.measure_data_speed(
        load_training_suite(path), seconds=0.1, on_stage=stages.append
    )
    assert measured.pair == "deit_mini"
    assert measured.loading_images_per_s > 0
    assert measured.training_images_per_s > 0
    assert stages == ["loading for deit_mini", "training deit_mini, baseline", "training deit_mini, swat"]


def test_doctor_tells_how_fast_masks_come(room, monkeypatch):
    path = room / write_suite(room, "examined", pairs=["deit_mini"], arms=["baseline"])
    monkeypatch.chdir(room)
    monkeypatch.setattr(doctor, "ask", partial(doctor.ask, timeout_s=300))
    (finding,) = doctor.examine_data(load_training_suite(path), seconds=0.1)
    assert finding.name == "deit_mini"
    assert "images/s are loaded" in finding.found


def test_the_suites_of_the_package_are_valid(pytestconfig):
    suites = ("suites/ade20k.yaml", "suites/segmentation_quickstart.yaml")
    ended = run_commands(pytestconfig.rootpath, {name: ["check", name] for name in suites})
    for name, end in ended.items():
        assert (end.code, end.errors) == (0, ""), end
        assert f"{name}: valid;" in end.out
