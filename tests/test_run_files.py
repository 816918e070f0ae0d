"""Whole runs on JPEGs, on tar shards and on a folder of Hugging Face, with all that changes images."""

import json
import shutil
import tarfile

import numpy as np
import pytest

from tests.commands import run_commands
from tests.data.jpegs import images_of, make_hf, make_jpeg_folder, make_shards

TRAIN, TEST, CLASSES = 45, 15, 3
NEEDED = {"train": f"needs {TRAIN} images of 3 classes", "validation": f"needs {TEST} images of 3 classes"}
RECIPE = {
    "epochs": 1,
    "batch_size": 12,
    "micro_batch_size": 6,
    "learning_rate": 1e-3,
    "ema": {"decay": 0.5},
    "augmentation": {
        "crop": "resized",
        "auto_augment": "rand-m9-mstd0.5-inc1",
        "erasing_probability": 0.5,
        "mixup_alpha": 0.8,
        "cutmix_alpha": 1.0,
    },
}
V2 = {"name": "v2", "root": "v2", "images": TEST}
FURTHER = [
    V2,
    {"name": "numbered", "root": "numbered", "images": 10},
    {"name": "among", "root": "numbered", "images": 10, "among_its_classes": True},
]


def write(folder, name, source, *, file=None, root=None, **data):
    """Write a suite file and return its name."""
    counts = {"train_images": TRAIN, "test_images": TEST, "num_classes": CLASSES}
    suite = {
        "name": name,
        "pairs": ["mixer_mini"],
        "arms": ["baseline", "swat"],
        "seeds": [0],
        "data": {"source": source, "root": root or name, **counts, **data},
        "recipe": RECIPE,
        "execution": {"device": "cpu", "precision": "fp32", "jobs": 2, "workers": 1},
        "cost": None,
    }
    path = folder / f"{file or name}.yaml"
    path.write_text(json.dumps(suite))
    return path.name


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """A folder with the same images as JPEGs, as shards and as parquet, and with two further test sets."""
    room = tmp_path_factory.mktemp("room")
    jpegs = make_jpeg_folder(room / "folder", classes=CLASSES, train=TRAIN, test=TEST)
    make_shards(room / "wds", jpegs)
    make_hf(room / "parquet", jpegs)
    shutil.copytree(jpegs / "validation", room / "v2")
    for label, name in enumerate(("n00000001", "n00000002")):
        shutil.copytree(jpegs / "validation" / name, room / "numbered" / str(label))
    return room


@pytest.fixture(scope="module")
def ended(room):
    """How each command ended; they ran one after another."""
    folder = write(room, "folder", "folder", further_tests=[V2])
    more = write(room, "folder", "folder", file="more", further_tests=FURTHER)
    wds = write(room, "wds", "wds/x", further_tests=FURTHER[1:2])
    hfds = write(room, "hfds", "hfds/parquet", root="cache")
    commands = {
        "folder": ["run", folder, "--json"],
        "again": ["run", folder, "--json"],
        "more": ["run", more, "--json"],
        "status": ["status", more, "--json"],
        "report": ["report", "folder"],
        "wds": ["run", wds, "--json"],
        "hfds": ["run", hfds, "--json"],
    }
    return run_commands(room, commands)


@pytest.fixture(scope="module")
def cells(room, ended):
    """Source → (arm, test) → folder and record of the cell; the test of a train cell is `validation`."""
    assert {name: end.code for name, end in ended.items()} == dict.fromkeys(ended, 0), ended
    found = {}
    for path in room.glob("results/*/*/*/record.json"):
        record = json.loads(path.read_text())
        test = record["evaluation"]["test"] if record["evaluation"] else "validation"
        found.setdefault(record["suite"], {})[record["cell"]["arm"], test] = path.parent, record
    return found


def predictions(cell):
    with np.load(cell[0] / "predictions.npz") as arrays:
        return dict(arrays)


@pytest.mark.parametrize("source", ["folder", "wds", "hfds"])
def test_every_source_trains_on_all_steps_and_tests_every_image(cells, source):
    for arm in ("baseline", "swat"):
        _, record = cells[source][arm, "validation"]
        result = record["train"]
        assert record["status"] == "finished"
        assert (result["images_seen"], result["test_images"]) == (36, TEST)
        assert 0 < result["data_s"] <= result["train_s"]
        assert [one["weights"] for one in result["evaluated"]] == ["ema", "raw"]
        assert [one["images"] for one in result["evaluated"]] == [TEST, TEST]
        assert predictions(cells[source][arm, "validation"])["label"].shape == (TEST,)


@pytest.mark.parametrize("source", ["folder", "wds", "hfds"])
def test_both_arms_saw_the_same_images_with_the_same_changes(cells, source):
    baseline, swat = (cells[source][arm, "validation"][1]["train"] for arm in ("baseline", "swat"))
    for key in ("order_sha256", "augmentation_sha256", "recipe_sha256"):
        assert baseline[key] == swat[key]


def test_predictions_come_in_the_order_of_the_source(room, cells):
    in_turn = [label for _, label in images_of(room / "folder", "test")]
    for source, labels in {"folder": sorted(in_turn), "wds": in_turn, "hfds": in_turn}.items():
        for arm in ("baseline", "swat"):
            found = predictions(cells[source][arm, "validation"])
            assert found["label"].tolist() == labels
            correct = int((found["predicted"] == found["label"]).sum())
            assert cells[source][arm, "validation"][1]["train"]["correct"] == correct


def test_a_copy_of_the_test_split_gives_what_the_test_split_gave(cells):
    for arm in ("baseline", "swat"):
        copied, own = (predictions(cells["folder"][arm, test]) for test in ("v2", "validation"))
        assert copied["predicted"].tolist() == own["predicted"].tolist()
        np.testing.assert_allclose(copied["margin"], own["margin"], atol=1e-5)
        record = cells["folder"][arm, "validation"][1]
        evaluated = cells["folder"][arm, "v2"][1]["evaluation"]["evaluated"]
        assert [one["top1_percent"] for one in evaluated] == [
            one["top1_percent"] for one in record["train"]["evaluated"]
        ]


def test_a_model_can_be_held_to_the_classes_of_a_further_set(cells):
    for arm in ("baseline", "swat"):
        free, held = (predictions(cells["folder"][arm, test]) for test in ("numbered", "among"))
        assert held["label"].tolist() == free["label"].tolist() == [0] * 5 + [1] * 5
        assert set(held["predicted"].tolist()) <= {0, 1}
        stays = free["predicted"] < 2
        assert held["predicted"][stays].tolist() == free["predicted"][stays].tolist()


def test_shards_take_further_tests_by_number(cells):
    for arm in ("baseline", "swat"):
        assert cells["wds"][arm, "numbered"][1]["evaluation"]["evaluated"][0]["images"] == 10


def test_a_second_run_skips_all_and_a_further_test_trains_nothing_anew(ended):
    assert len(ended["folder"].told["finished"]) == 4
    assert (ended["again"].told["finished"], ended["again"].told["skipped"]) == ([], 4)
    added = ended["more"].told
    assert added["skipped"] == 4
    assert sorted(name.split("-on-")[1].split("-")[0] for name in added["finished"]) == sorted(
        ["numbered", "among"] * 2
    )


def test_the_status_counts_all_as_done(ended):
    (machine,) = ended["status"].told["machines"]
    assert {cell["state"] for cell in machine["cells"]} == {"done"}
    assert len(machine["cells"]) == 8


def test_the_report_compares_the_arms_on_every_test_set(room, ended):
    page = room / "reports" / "folder"
    assert ended["report"].out.strip().endswith("reports/folder/index.html")
    html = (page / "index.html").read_text()
    tables = [
        (page / "tables" / f"{name}.csv").read_text() for name in ("evaluations", "further_differences")
    ]
    for name in ("v2", "numbered", "among"):
        assert all(name in text for text in (html, *tables))
    assert all(len(table.splitlines()) > 3 for table in tables)


def test_no_record_names_a_folder_of_this_machine(room, cells):
    assert cells
    for path in room.glob("results/**/*.json*"):
        assert str(room) not in path.read_text()


def cut(shard, *, keep):
    """Cut a shard short in the middle of its image number `keep`."""
    with tarfile.open(shard) as members:
        end = [member for member in members if member.name.endswith(".jpg")][keep].offset_data + 100
    with shard.open("r+b") as file:
        file.truncate(end)


DAMAGES = {
    "split": ("validation", "found: test, train"),
    "image": ("train", f"{TRAIN - 1} images are there"),
    "empty": (
        "validation",
        f"1 of the {TEST} files are empty or missing (n00000001/ILSVRC2012_val_00000001.JPEG)",
    ),
    "shard": ("train", "1 of 2 shards are cut short or damaged (train-0001.tar: "),
    "rows": ("validation", "it cannot be opened"),
}


def damage(room, name):
    """Copy the images, damage the copy and write a suite for it; return its name."""
    source = {"shard": "wds", "rows": "parquet"}.get(name, "folder")
    copy = room / f"damaged-{name}"
    shutil.copytree(room / source, copy)
    match name:
        case "split":
            (copy / "validation").rename(copy / "test")
        case "image":
            (copy / "train" / "n00000002" / "n00000002_1.JPEG").unlink()
        case "empty":
            (copy / "validation" / "n00000001" / "ILSVRC2012_val_00000001.JPEG").write_bytes(b"")
        case "shard":
            cut(copy / "train-0001.tar", keep=10)
        case "rows":
            (copy / "data" / "validation-00000-of-00001.parquet").unlink()
            return write(room, copy.name, f"hfds/{copy.name}", root="cache")
    return write(room, copy.name, "wds/x" if name == "shard" else "folder")


@pytest.fixture(scope="module")
def refused(room):
    """How a run on each kind of damaged data ended."""
    commands = {name: ["run", damage(room, name)] for name in DAMAGES}
    return run_commands(room, commands)


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_data_are_refused_in_one_line_before_anything_is_trained(room, refused, name):
    end, (split, found) = refused[name], DAMAGES[name]
    assert (end.code, end.out, end.errors.count("\n")) == (3, "", 1), end
    assert end.errors.startswith("error: ")
    assert f"The {split} split {NEEDED[split]}" in end.errors
    assert found in end.errors
    assert not (room / "results" / f"damaged-{name}").exists()
