"""`swatbench profile`: which cells it asks for, which arguments it refuses, and what it tells in the end."""

import json

import pytest

from swatbench.cell.named import cells_of
from swatbench.errors import ModelError
from swatbench.spec.catalog import PAIRS, parts_of
from swatbench.spec.cost import Cost
from swatbench.spec.request import ProfileRequest
from tests.commands import run_commands

NETS = """
from torch import nn

def small():
    return nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), nn.Flatten(), nn.Linear(8 * 8 * 8, 10))

def leaky():
    return nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), nn.Flatten(), Odd())

class Odd(nn.Linear):
    def __init__(self):
        super().__init__(8 * 8 * 8, 10)

    def forward(self, x):
        if x.requires_grad:
            raise RuntimeError("this net does not train")
        return super().forward(x)
"""
SUITE = {
    "name": "priced",
    "pairs": ["mixer_mini"],
    "num_classes": 10,
    "execution": {"device": "cpu", "precision": "fp32"},
    "cost": {
        "batch_size": 2,
        "max_rounds": 6,
        "budget_s": 5,
        "threads": 1,
        "training": False,
        "breakdown": False,
    },
}
QUICK = ("--batch", "2", "--rounds", "6", "--budget", "5", "--threads", "1", "--device", "cpu")
PLAIN = ("--no-training", "--no-breakdown", "--precision", "fp32")


def asked(*models, **changes):
    machine, cells = cells_of(ProfileRequest(models=models, device="cpu", precision="fp32", **changes))
    assert {cell.num_classes for cell in cells} == {machine.num_classes}
    return cells


@pytest.fixture
def folders(tmp_path):
    """Folders that hold a configuration of timm's, and the names they are asked for by."""

    def write(*places):
        for place in places:
            (tmp_path / place).mkdir(parents=True)
            config = {"architecture": "test_vit", "num_classes": 10}
            (tmp_path / place / "config.json").write_text(json.dumps(config))
        return [f"local-dir:{tmp_path / place}" for place in places]

    return write


def test_two_arms_of_a_pair_are_that_pair_and_the_first_is_the_reference():
    (cell,) = asked("swat_deit_mini", "deit_mini")
    assert cell.pair == PAIRS["deit_mini"].as_dict()
    assert list(cell.arms.items()) == [("swat", parts_of(PAIRS["deit_mini"], "swat")), ("baseline", ())]
    assert (cell.models, cell.input_size, cell.num_classes) == ({}, (3, 32, 32), 10)


def test_one_model_of_the_catalogue_is_one_arm_of_its_pair():
    (cell,) = asked("tokenization_deit_mini")
    assert (cell.pair["name"], cell.arms) == ("deit_mini", {"tokenization": ("tokenization",)})


def test_at_another_size_the_arms_are_built_by_their_names():
    (cell,) = asked("deit_mini", "swat_deit_mini", size=(32, 64))
    assert cell.models == {"baseline": "deit_mini", "swat": "swat_deit_mini"}
    assert (cell.pair, cell.input_size) == (PAIRS["deit_mini"].as_dict(), (3, 32, 64))


def test_models_of_two_pairs_are_a_pair_of_their_own():
    (cell,) = asked("deit_mini", "swat_mixer_mini")
    assert cell.pair == {"name": "deit_mini against swat_mixer_mini", "img_size": 32}
    assert cell.arms == {"deit_mini": (), "swat_mixer_mini": ()}
    assert cell.models == {"deit_mini": "deit_mini", "swat_mixer_mini": "swat_mixer_mini"}
    assert cell.id.startswith("deit_mini-against-swat_mixer_mini-cost-")


def test_models_that_are_made_for_other_images_or_classes_need_to_be_told_which():
    with pytest.raises(
        ModelError, match=r"deit_mini is made for images of 3 × 32 × 32, and deit_ti for .*224"
    ):
        asked("deit_mini", "deit_ti")
    with pytest.raises(ModelError, match=r"10 classes, and deit_ti for logits of 1000 classes.*--classes"):
        asked("deit_mini", "deit_ti", size=(32, 32))
    (cell,) = asked("deit_mini", "deit_ti", size=(32, 32), num_classes=7)
    assert (cell.input_size, cell.num_classes) == ((3, 32, 32), 7)


def test_arms_are_never_called_alike_and_never_as_the_second_copy(folders):
    (cell,) = asked(*(names := folders("a/net", "b/net")))
    assert cell.models == dict(zip(["net (1)", "net (2)"], names, strict=True))
    (cell,) = asked(*folders("twin"))
    assert list(cell.arms) == ["twin (model)"]


def test_every_mode_and_layout_is_a_cell():
    layouts, modes = ("contiguous", "channels_last"), ("eager", "compiled")
    cells = asked("deit_mini", cost=Cost(layouts=layouts, modes=modes))
    assert {(cell.layout, cell.mode) for cell in cells} == {
        (one, other) for one in layouts for other in modes
    }
    assert len({cell.id for cell in cells}) == 4


MISTAKES = {
    ("--model", "swat_deit_tii"): (4, "Did you mean swat_deit_ti"),
    (): (2, "exactly one of --model, --compare and --suite"),
    ("--model", "deit_mini", "--compare", "a", "b"): (2, "exactly one of"),
    ("--compare", "a", "a"): (2, "Invalid value for --compare: a is listed 2 times"),
    ("--model", "deit_mini", "--size", "32x"): (2, "Invalid value for --size: '32x' is no image size"),
    ("--model", "deit_mini", "--size", "99999"): (2, "Invalid value for --size"),
    ("--model", "deit_mini", "--sweep", "4", "--sweep", "4"): (2, "Invalid value for --sweep: 4 is listed"),
    ("--model", "deit_mini", "--sweep", "0"): (2, "--sweep"),
    ("--model", "deit_mini", "--mode", "fast"): (2, "--mode"),
    ("--model", "deit_mini", "--mode", "eager", "--mode", "eager"): (2, "Invalid value for --mode"),
    ("--model", "deit_mini", "--budget", "nan"): (2, "Invalid value for --budget"),
    ("--model", "deit_mini", "--memory-limit", "2GiB"): (2, "--memory-limit: needs --largest-batch"),
    ("--model", "deit_mini", "--largest-batch", "--memory-limit", "much"): (
        2,
        "'much' is no amount of memory",
    ),
    ("--model", "deit_mini", "--largest-batch", "--memory-limit", "0GiB"): (2, "value for --memory-limit"),
    ("--suite", "trains.yaml"): (2, "trains.yaml: this suite trains. Use `swatbench run trains.yaml`"),
    ("--suite", "priced.yaml", "--batch", "4"): (2, "--batch: does not go with --suite"),
    ("--suite", "prised.yaml"): (2, "Did you mean priced.yaml?"),
}


def test_a_wrong_argument_is_told_by_its_option_before_anything_is_measured(tmp_path):
    trains = {
        "seeds": [0],
        "data": {"source": "cifar10_subset"},
        "recipe": {"epochs": 1, "batch_size": 250, "learning_rate": 1e-3},
    }
    (tmp_path / "priced.yaml").write_text(json.dumps(SUITE))
    paired = {key: value for key, value in SUITE.items() if key != "num_classes"}
    (tmp_path / "trains.yaml").write_text(json.dumps({**paired, **trains}))
    commands = {arguments: ["profile", *arguments] for arguments in MISTAKES}
    ended = run_commands(tmp_path, commands, COLUMNS="200")
    for arguments, (code, words) in MISTAKES.items():
        told = ended[arguments].errors
        assert (ended[arguments].code, words in told) == (code, True), (arguments, told)
    assert not (tmp_path / "results").exists()


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """What four profiles told, and the folder that they ran in."""
    folder = tmp_path_factory.mktemp("profiles")
    (folder / "nets_of_mine.py").write_text(NETS)
    (folder / "priced.yaml").write_text(json.dumps(SUITE))
    small = ("--size", "32", *QUICK)
    commands = {
        "model": ["profile", "--model", "swat_mixer_mini", *QUICK, "--sweep", "1", "--json"],
        "two": ["profile", "--compare", "mixer_mini", "nets_of_mine:small", *small, *PLAIN],
        "failed": ["profile", "--model", "nets_of_mine:leaky", *small, "--json"],
        "unknown": ["profile", "--model", "nets_of_mine:smal"],
        "suite": ["profile", "--suite", "priced.yaml", "--json"],
        "suite again": ["profile", "--suite", "priced.yaml", "--quiet"],
    }
    return folder, run_commands(folder, commands, timeout_s=500)


def test_a_profile_has_the_promised_numbers_in_both_protocols(ended):
    _, ends = ended
    assert ends["model"].code == 0, ends["model"].errors
    (told,) = ends["model"].told["profiles"]
    (arm,) = told["arms"]
    assert (told["pair"], arm["arm"], arm["params"]) == ("mixer_mini", "swat", 163_386)
    assert told["condition"]["batch_size"] == 2
    times = {(one["protocol"], one["batch_size"]): one for one in told["times"]}
    assert times.keys() == {(name, size) for name in ("inference", "training") for size in (1, 2)}
    for (_, size), one in times.items():
        assert one["images_per_s"] == pytest.approx(size / one["p50_s"])
    assert {row["protocol"] for row in told["breakdown"]} == {"inference", "training"}
    assert sum(row["macs"] for row in told["modules"]) == arm["macs"]


def test_a_profile_leaves_a_record_that_names_what_was_measured(ended):
    folder, ends = ended
    (told,) = ends["model"].told["profiles"]
    record = json.loads((folder / told["record"]).read_text())
    assert (record["suite"], record["cell"]["arms"].keys()) == ("models", {"swat"})


def test_two_models_are_told_with_their_ratio(ended):
    _, ends = ended
    assert ends["two"].code == 0, ends["two"].errors
    assert "mixer_mini against nets_of_mine:small" in ends["two"].out
    assert "Ratio of time to mixer_mini" in ends["two"].out


def test_a_model_that_fails_is_told_and_ends_with_one(ended):
    _, ends = ended
    assert (ends["failed"].code, ends["failed"].told["profiles"]) == (1, [])
    (message,) = ends["failed"].told["failed"].values()
    assert "this net does not train" in message
    assert "this net does not train" in ends["failed"].errors


def test_a_user_s_mistake_in_a_name_ends_with_its_code(ended):
    _, ends = ended
    assert ends["unknown"].code == 4
    assert "Did you mean small?" in ends["unknown"].errors


def test_a_suite_is_profiled_once_and_its_report_written(ended):
    folder, ends = ended
    assert ends["suite"].code == 0, ends["suite"].errors
    (told,) = ends["suite"].told["profiles"]
    assert [arm["arm"] for arm in told["arms"]] == ["baseline", "swat"]
    assert (folder / ends["suite"].told["report"]).exists()
    assert (ends["suite again"].code, ends["suite again"].out) == (0, "")
    assert json.loads((folder / told["record"]).read_text())["started_at"] == told["started_at"]
