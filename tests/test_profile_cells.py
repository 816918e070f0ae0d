"""Models that a user names, as the cells that `swatbench profile` measures."""

import json
import re
import sys

import pytest

from swatbench.cell.named import cells_of
from swatbench.errors import ModelError
from swatbench.spec.catalog import PAIRS, parts_of
from swatbench.spec.cost import Cost
from swatbench.spec.request import ProfileRequest

GRAY = """
from torch import nn

class Net(nn.Sequential):
    default_cfg = {"input_size": (1, 32, 32)}

    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(32 * 32, 10))
"""


def asked(*models, **changes):
    return asked_with_places(*models, **changes)[0]


def asked_with_places(*models, **changes):
    request = ProfileRequest(models=models, device="cpu", precision="fp32", **changes)
    machine, cells, places = cells_of(request)
    assert {cell.num_classes for cell in cells} == {machine.num_classes}
    return cells, places


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
    (cell,) = asked(*folders("a/net", "b/net"))
    assert list(cell.models) == list(cell.arms) == ["net (1)", "net (2)"]
    (cell,) = asked(*folders("twin"))
    assert list(cell.arms) == ["twin (model)"]


def test_every_mode_and_layout_is_a_cell():
    layouts, modes = ("contiguous", "channels_last"), ("eager", "compiled")
    cells = asked("deit_mini", cost=Cost(layouts=layouts, modes=modes))
    assert {(cell.layout, cell.mode) for cell in cells} == {
        (one, other) for one in layouts for other in modes
    }
    assert len({cell.id for cell in cells}) == 4


def test_a_cell_keeps_no_folder_and_what_is_built_comes_with_one(folders, tmp_path):
    (cell,), places = asked_with_places(*folders("mine/net"))
    (name,) = cell.models.values()
    assert re.fullmatch("local-dir:net@[0-9a-f]{10}", name)
    assert str(tmp_path) not in cell.model_dump_json()
    assert places == {name: str(tmp_path / "mine" / "net")}
    assert asked_with_places("deit_mini", size=(64, 64))[1] == {}


def test_a_folder_of_another_configuration_is_another_cell(folders, tmp_path):
    (name,) = folders("net")
    (first,) = asked(name, num_classes=7)
    config = tmp_path / "net" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "num_classes": 12}))
    (second,) = asked(name, num_classes=7)
    assert first.id != second.id


def test_the_order_of_two_models_makes_another_cell():
    (one,), (other,) = asked("deit_mini", "swat_deit_mini"), asked("swat_deit_mini", "deit_mini")
    assert (one.reference, other.reference) == ("baseline", "swat")
    assert one.id != other.id


def test_models_of_other_channels_are_not_told_of_a_size(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "swatbench_gray", raising=False)
    (tmp_path / "swatbench_gray.py").write_text(GRAY)
    with pytest.raises(ModelError, match=r"images of 3 channels, and .* of 1 channel\..*default_cfg") as told:
        asked("deit_mini", "swatbench_gray:Net")
    assert "--size" not in str(told.value)
