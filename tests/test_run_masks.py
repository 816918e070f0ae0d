"""Whole runs on images with masks: records, pairing, averages, several tests, and weights tested again."""

import json

import numpy as np
import pytest

from swatbench.store.files import read_record
from tests.commands import run_commands
from tests.data.mask_folders import CLASSES, make_mask_folder
from tests.mask_suites import TEST, TRAIN, write_suite

BOTH_WAYS = [{"name": "plain"}, {"name": "more", "scales": [0.5, 1.0], "flip": True}]
COUNTS = ("intersection", "predicted", "labelled")


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """A folder with images and masks."""
    room = tmp_path_factory.mktemp("room")
    make_mask_folder(room / "scenes", train=TRAIN, test=TEST)
    return room


@pytest.fixture(scope="module")
def ended(room):
    """How each command ended; they ran one after another."""
    average = {"ema": {"decay": 0.5}, "epochs": 2, "drop_path_rate": 0.1}
    averaged = write_suite(room, "averaged", recipe=average, segmentation={"tests": BOTH_WAYS})
    slides = write_suite(room, "slides", pairs=["mixer_mini"], segmentation={"norm": "groupnorm"})
    runs_on = write_suite(room, "runs_on", pairs=["deit_mini"], recipe={"steps_per_epoch": 5, "epochs": 2})
    commands = {
        "averaged": ["run", averaged, "--json"],
        "again": ["run", averaged, "--json"],
        "status": ["status", averaged, "--json"],
        "slides": ["run", slides, "--json"],
        "runs_on": ["run", runs_on, "--json"],
    }
    return run_commands(room, commands)


@pytest.fixture(scope="module")
def cells(room, ended):
    """Suite → arm → folder and record of the train cell."""
    assert {name: end.code for name, end in ended.items()} == dict.fromkeys(ended, 0), ended
    return found_in(room)


def found_in(room):
    found = {}
    for path in sorted(room.glob("results/*/*/*/record.json")):
        record = read_record(path)
        found.setdefault(record.suite, {})[record.arm] = path.parent, record
    return found


def miou_percent(folder, file):
    """Mean IoU that the counts of a file give."""
    with np.load(folder / file) as counts:
        found, predicted, labelled = (counts[name].sum(axis=0, dtype=np.int64) for name in COUNTS)
        assert counts["loss"].shape == (TEST,)
    union = predicted + labelled - found
    return 100 * float(np.mean(found[union > 0] / union[union > 0]))


@pytest.mark.parametrize("suite", ["averaged", "slides", "runs_on"])
def test_every_score_of_a_record_is_that_of_its_counts(cells, suite):
    for folder, record in cells[suite].values():
        assert record.status == "finished"
        assert record.train.test_images == TEST
        assert record.train.top1_percent is None
        for one in record.train.evaluated:
            assert one.miou_percent == pytest.approx(miou_percent(folder, one.file), rel=1e-12)
            assert len(one.per_class_percent) == CLASSES
        assert record.train.miou_percent == record.train.evaluated[0].miou_percent
        named = {one.file for one in record.train.evaluated} | {"curve.jsonl", "masks.npz"}
        assert record.files.keys() == named
        assert named <= {path.name for path in folder.iterdir()}


def test_both_arms_saw_the_same_and_started_alike_with_their_heads(cells):
    for of_arms in cells.values():
        baseline, swat = (of_arms[arm][1].train for arm in ("baseline", "swat"))
        for key in ("order_sha256", "augmentation_sha256", "recipe_sha256"):
            assert getattr(baseline, key) == getattr(swat, key)
        assert baseline.params != swat.params
        shared = baseline.shared_init_sha256.keys() & swat.shared_init_sha256.keys()
        own = {name for name in shared if not name.startswith("backbone.")}
        assert own == {name for name in baseline.shared_init_sha256 if not name.startswith("backbone.")}
        assert len(own) > 20
        assert len(shared - own) > 20
        assert all(baseline.shared_init_sha256[name] == swat.shared_init_sha256[name] for name in shared)


def test_an_average_and_two_ways_of_testing_have_a_file_each(cells):
    files = [
        ("ema", "plain", "predictions.npz"),
        ("ema", "more", "predictions-more.npz"),
        ("raw", "plain", "predictions-raw.npz"),
        ("raw", "more", "predictions-more-raw.npz"),
    ]
    for folder, record in cells["averaged"].values():
        assert [(one.weights, one.inference, one.file) for one in record.train.evaluated] == files
        assert (record.train.weights, record.train.inference) == ("ema", "plain")
        assert (folder / "weights-ema.safetensors").exists()
        assert len({(folder / file).read_bytes() for _, _, file in files}) == 4
        points = [json.loads(line) for line in (folder / "curve.jsonl").read_text().splitlines()]
        assert [point["epoch"] for point in points] == [1, 2]
        assert points[-1]["ema_miou_percent"] == record.train.evaluated[0].miou_percent
        assert points[-1]["miou_percent"] == record.train.evaluated[2].miou_percent
        assert {point["top1_percent"] for point in points} == {None}


def test_a_model_of_one_size_is_tested_by_windows_and_others_by_whole_images(cells):
    tests = {suite: of["swat"][1].cell["segmentation"]["tests"][0] for suite, of in cells.items()}
    assert (tests["slides"]["mode"], tests["slides"]["stride"]) == ("sliding", 21)
    assert (tests["runs_on"]["mode"], tests["averaged"]["mode"]) == ("whole", "whole")


def test_an_epoch_of_so_many_steps_goes_on_into_the_next_pass(cells):
    for folder, record in cells["runs_on"].values():
        assert record.train.images_seen == 2 * 5 * 4
        points = [json.loads(line) for line in (folder / "curve.jsonl").read_text().splitlines()]
        assert [point["step"] for point in points] == [5, 10]
        assert points[-1]["miou_percent"] == record.train.miou_percent


def test_shown_masks_agree_with_the_counts(cells):
    for folder, _ in cells["averaged"].values():
        with np.load(folder / "masks.npz") as masks, np.load(folder / "predictions.npz") as counts:
            assert {name.partition("_")[2] for name in masks} == set("0123")
            for i in range(4):
                image, label, predicted = (masks[f"{kind}_{i}"] for kind in ("image", "label", "predicted"))
                assert image.shape == (*label.shape, 3)
                there = label != 255
                assert there.sum() < label.size
                for name, pixels in (
                    ("labelled", label[there]),
                    ("predicted", predicted[there]),
                    ("intersection", label[there & (label == predicted)]),
                ):
                    expected = np.bincount(pixels, minlength=CLASSES).tolist()
                    assert counts[name][i].tolist() == expected


def test_a_second_run_skips_all_and_the_status_counts_them_as_done(ended):
    assert len(ended["averaged"].told["finished"]) == 2
    assert (ended["again"].told["finished"], ended["again"].told["skipped"]) == ([], 2)
    (machine,) = ended["status"].told["machines"]
    assert [cell["state"] for cell in machine["cells"]] == ["done", "done"]


@pytest.mark.parametrize(("suite", "pair"), [("averaged", "swin_mini"), ("slides", "mixer_mini")])
def test_the_report_has_mean_iou_and_the_figure_of_masks(room, cells, suite, pair):
    page = room / "reports" / suite
    html = (page / "index.html").read_text()
    assert "mIoU" in html
    assert list((page / "figures").glob(f"masks_{pair}*"))
    assert f"{cells[suite]['swat'][1].train.miou_percent:.1f}" in html


def test_no_record_names_a_folder_of_this_machine(room, cells):
    assert cells
    for path in room.glob("results/**/*.json*"):
        assert str(room) not in path.read_text()


@pytest.fixture(scope="module")
def tested(room, cells):
    """How tests of weights ended."""
    own = cells["averaged"]["swat"][0]
    (room / "copied.safetensors").write_bytes((own / "weights-ema.safetensors").read_bytes())

    def test(weights, *options):
        return ["run", "averaged.yaml", "--eval-only", "--weights", weights, "--json", *options]

    commands = {
        "raw": test(own / "weights.safetensors"),
        "ema": test("copied.safetensors", "--model", "swat_swin_mini"),
        "other": test("copied.safetensors", "--model", "swin_mini"),
        "timm": test("vit_tiny_patch16_224.augreg_in21k_ft_in1k"),
    }
    return run_commands(room, commands, HF_HUB_OFFLINE="1")


@pytest.mark.parametrize(("weights", "seed"), [("raw", 0), ("ema", None)])
def test_weights_of_a_run_give_the_masks_that_its_record_scores(room, cells, tested, weights, seed):
    assert tested[weights].code == 0, tested[weights]
    (name,) = tested[weights].told["finished"]
    folder = next(room.glob(f"results/averaged/*/{name}"))
    record, (source, own) = read_record(folder / "record.json"), cells["averaged"]["swat"]
    assert (record.cell["seed"], record.evaluation.model) == (seed, "swat_swin_mini")
    expected = [one for one in own.train.evaluated if one.weights == weights]
    assert [one.inference for one in record.evaluation.evaluated] == ["plain", "more"]
    for one, trained in zip(record.evaluation.evaluated, expected, strict=True):
        assert (one.miou_percent, one.images) == (trained.miou_percent, TEST)
        assert (folder / one.file).read_bytes() == (source / trained.file).read_bytes()


def test_weights_that_do_not_fit_are_refused_in_one_line(tested):
    assert tested["other"].code == 5
    assert "These are no weights of baseline swin_mini with 5 classes: " in tested["other"].errors
    assert tested["timm"].code == 2
    assert "This suite tests segmenters, and these weights are of a classifier" in tested["timm"].errors
    for end in (tested["other"], tested["timm"]):
        assert end.errors.count("\n") == 1, end.errors
