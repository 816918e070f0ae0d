"""Models by their names: found in the catalogue, in timm, in a folder or a user's code, or refused."""

import json
import pickle
import sys
from functools import partial

import pytest
import timm
import torch
from timm.layers import use_fused_attn

from swatbench.errors import MachineError, ModelError
from swatbench.models.build import build_model
from swatbench.models.named import build_named, find_named, import_code
from swatbench.spec.catalog import PAIRS, parts_of

FACTORIES = """
import torch
from torch import nn

print("a line of the user's own")
NUMBER = 3
model = nn.Linear(2, 2)
kept = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 4, 5))

class Net(nn.Module):
    default_cfg = {"input_size": (3, 6, 8)}

    def __init__(self, classes=5):
        super().__init__()
        self.head = nn.Linear(3 * 6 * 8, classes)

    def forward(self, images):
        return self.head(images.flatten(1))

class ByValue(nn.Module):
    def forward(self, images):
        if images.sum() != 0:
            return images
        return torch.zeros(len(images), 4)

class Pyramid(Net):
    def forward(self, images):
        return (self.head(images.flatten(1)),)

class Nested:
    make = Net

def anywhere():
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 5))

def same():
    return kept

def sharing():
    return nn.Sequential(kept, nn.Linear(5, 5))

def text():
    return "a net"

def raising():
    raise RuntimeError("no weights today")

def leaving():
    raise SystemExit(3)

def half():
    return Net().half()

def sized(width, depth=2):
    return Net()
"""


@pytest.fixture
def code(tmp_path, monkeypatch):
    """A folder that is the current one, with modules of a user's, which are forgotten afterwards."""
    files = {
        "swatbench_nets": FACTORIES,
        "swatbench_broken": "import swatbench_missing_module",
        "swatbench_exits": "raise SystemExit('done')",
        "swatbench_syntax": "def :",
    }
    for name, text in files.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    for name in files:
        sys.modules.pop(name, None)


def build(name, *, num_classes=10, seed=0, input_size=(3, 32, 32), fused_attention=False):
    return build_named(
        name, num_classes=num_classes, seed=seed, fused_attention=fused_attention, input_size=input_size
    )


def equal(one, other):
    one, other = one.state_dict(), other.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("arm", ["baseline", "swat", "class_token"])
def test_a_name_of_the_catalogue_is_the_model_that_a_suite_trains(arm):
    pair = PAIRS["deit_mini"]
    name = "deit_mini" if arm == "baseline" else f"{arm}_deit_mini"
    found = find_named(name)
    assert (found.pair, found.arm, found.parts) == (pair.as_dict(), arm, parts_of(pair, arm))
    assert (found.input_size, found.num_classes, found.catalogued) == ((3, 32, 32), 10, True)
    suites = build_model(pair.as_dict(), found.parts, num_classes=10, seed=3, fused_attention=False)
    assert equal(build(name, seed=3), suites)
    assert not equal(build(name, seed=4), suites)


@pytest.mark.parametrize("name", ["swat_deit_mini", "swat_mixer_mini", "swat_swin_mini"])
def test_a_model_of_the_catalogue_takes_images_that_are_no_squares(name):
    found = find_named(name, size=(32, 64))
    assert (found.input_size, found.own_size) == ((3, 32, 64), (3, 32, 32))
    model = build(name, input_size=found.input_size).eval()
    assert model(torch.zeros(1, 3, 32, 64)).shape == (1, 10)


def test_another_size_changes_no_kernel_of_swat():
    kernels = [
        {key: value.shape for key, value in build("swat_swin_mini", input_size=size).named_parameters()}
        for size in ((3, 32, 32), (3, 64, 64))
    ]
    assert kernels[0] == kernels[1]


def test_a_model_of_timm_is_built_as_its_configuration_says():
    plain, tagged = find_named("test_vit"), find_named("vit_tiny_patch16_224.augreg_in21k")
    assert plain.input_size == timm.get_pretrained_cfg("test_vit").input_size
    assert (plain.catalogued, plain.arm, plain.parts) == (False, "test_vit", ())
    assert (tagged.input_size, tagged.num_classes) == ((3, 224, 224), 21_843)


def test_a_model_that_states_no_classes_gets_the_usual_number():
    assert timm.get_pretrained_cfg("vit_small_patch14_dinov2").num_classes == 0
    assert find_named("vit_small_patch14_dinov2", size=(28, 28)).num_classes == 1000


def test_size_and_classes_reach_a_model_of_timm():
    found = find_named("test_vit", size=(64, 96), num_classes=7)
    assert (found.input_size, found.num_classes, found.pair["img_size"]) == ((3, 64, 96), 7, 64)
    model = build("test_vit", num_classes=7, input_size=(3, 64, 96)).eval()
    assert model(torch.zeros(1, 3, 64, 96)).shape == (1, 7)
    assert model.patch_embed.img_size == (64, 96)


@pytest.mark.parametrize("fused", [False, True])
def test_attention_is_fused_where_that_is_asked(fused):
    before = use_fused_attn()
    model = build("test_vit", input_size=(3, 160, 160), fused_attention=fused)
    assert {block.attn.fused_attn for block in model.blocks} == {fused}
    timm.layers.set_fused_attn(before)


@pytest.fixture
def folder(tmp_path):
    """Write a folder as timm saves models, without weights, and return its name."""

    def write(**config):
        place = tmp_path / "saved" / "my_vit"
        place.mkdir(parents=True)
        (place / "config.json").write_text(json.dumps(config))
        return f"local-dir:{place}"

    return write


def test_a_folder_needs_no_weights_and_its_path_is_told_nowhere(folder):
    name = folder(
        architecture="test_vit",
        num_classes=6,
        model_args={"img_size": 64},
        pretrained_cfg={"input_size": [3, 160, 160], "num_classes": 6},
    )
    found = find_named(name)
    assert (found.input_size, found.num_classes) == ((3, 64, 64), 6)
    assert (found.name, found.arm, found.pair["name"]) == (name, "my_vit", "my_vit")
    assert build(name, num_classes=6, input_size=(3, 64, 64)).patch_embed.img_size == (64, 64)


def test_a_folder_without_a_usable_configuration_is_refused(folder, tmp_path):
    with pytest.raises(ModelError, match=r"nothing: The folder cannot be read.*config\.json"):
        find_named(f"local-dir:{tmp_path / 'nothing'}")
    with pytest.raises(ModelError, match=r"timm cannot make it: .*no_such_net"):
        find_named(folder(architecture="no_such_net", pretrained_cfg={}))


def test_without_a_network_the_hub_is_no_fault_of_the_name(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(MachineError, match=r"The Hub gives no model 'hf-hub:org/net'.*local-dir"):
        find_named("hf-hub:org/net")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("merging_deit_ti", "deit_ti has no arm merging"),
        ("swat_swin_tt", "Did you mean swat_swin_t"),
        ("vit_tiny_patch16_225", "Did you mean vit_tiny_patch16_224"),
        ("resnet18.a9_in1k", r"resnet18 has no tag 'a9_in1k'. Its tags: .*a1_in1k"),
        ("timm/resnet18", "Write hf-hub:timm/resnet18"),
        ("qqqqqqqq", r"`swatbench models` and `timm.list_models\(\)`"),
    ],
)
def test_an_unknown_name_is_told_with_what_may_have_been_meant(name, words):
    with pytest.raises(ModelError, match=words):
        find_named(name)


def test_a_size_that_a_model_does_not_take_is_refused():
    with pytest.raises(ModelError, match=r"crossvit_tiny_240: It does not take images of 3 × 224 × 224"):
        find_named("crossvit_tiny_240", size=(224, 224))
    with pytest.raises(ModelError, match=r"swat_deit_mini: It does not take images of 3 × 2 × 2"):
        find_named("swat_deit_mini", size=(2, 2))


@pytest.mark.usefixtures("code")
def test_a_factory_is_called_and_its_model_says_its_size_and_classes():
    found = find_named("swatbench_nets:Net")
    assert (found.input_size, found.num_classes, found.pair["name"]) == ((3, 6, 8), 5, "swatbench_nets:Net")
    assert find_named("swatbench_nets:Nested.make").input_size == (3, 6, 8)
    assert find_named("swatbench_nets:anywhere").input_size == (3, 224, 224)
    assert find_named("swatbench_nets:anywhere", size=(9, 5), num_classes=5).input_size == (3, 9, 5)


@pytest.mark.usefixtures("code")
def test_what_a_user_s_module_prints_is_kept_out_of_the_output(capsys):
    find_named("swatbench_nets:Net")
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "a line of the user's own\n")


@pytest.mark.usefixtures("code")
def test_a_factory_s_module_can_be_imported_before_anything_is_built():
    import_code("deit_mini")
    assert "swatbench_nets" not in sys.modules
    import_code("swatbench_nets:no_such_factory")
    assert "swatbench_nets" in sys.modules


@pytest.mark.usefixtures("code")
def test_a_model_that_needs_values_is_called_with_values():
    assert find_named("swatbench_nets:ByValue").num_classes == 4


@pytest.mark.usefixtures("code")
def test_a_factory_s_builder_can_be_sent_to_another_process():
    send = partial(build_named, "swatbench_nets:Net", num_classes=5, seed=1, fused_attention=False)
    made = pickle.loads(pickle.dumps(send))(input_size=(3, 6, 8))
    assert equal(made, send(input_size=(3, 6, 8)))


@pytest.mark.usefixtures("code")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("swatbench_nowhere:Net", "There is no module swatbench_nowhere.*PYTHONPATH"),
        ("swatbench_nets.py:Net", r"There is no module swatbench_nets.py.*Leave out \.py"),
        ("./swatbench_nets:Net", "names no factory.*package.module:factory"),
        ("swatbench_nets:", "names no factory"),
        ("swatbench_broken:Net", "cannot be imported: ModuleNotFoundError: .*missing_module.*line 1"),
        ("swatbench_exits:Net", "cannot be imported: SystemExit: done"),
        ("swatbench_syntax:Net", "cannot be imported: SyntaxError"),
        ("swatbench_nets:Nett", "has no Nett. Did you mean Net"),
        ("swatbench_nets:NUMBER", "NUMBER cannot be called: it is a int"),
        ("swatbench_nets:model", "model is a model. Name a function"),
        ("swatbench_nets:sized", "sized needs arguments: width[.]"),
        (
            "swatbench_nets:raising",
            r"raising\(\) raised RuntimeError: no weights today .*nets.py, line \d+",
        ),
        ("swatbench_nets:leaving", r"leaving\(\) raised SystemExit: 3"),
        ("swatbench_nets:text", "returned no module but a str"),
        ("swatbench_nets:half", "head.weight is torch.float16 on cpu"),
        ("swatbench_nets:same", "share parameters"),
        ("swatbench_nets:sharing", "share parameters"),
        ("swatbench_nets:Pyramid", r"gives a tuple, and no logits of shape \(2, classes\)"),
        ("torch.nn:Identity", r"a tensor of shape \(2, 3, 224, 224\)"),
    ],
)
def test_a_factory_that_cannot_be_used_is_told_by_its_name_and_cause(name, words):
    with pytest.raises(ModelError, match=words):
        find_named(name)


@pytest.mark.usefixtures("code")
def test_a_factory_s_size_and_classes_must_be_those_that_are_asked_for():
    with pytest.raises(ModelError, match="tells 5 classes apart, and not the 7"):
        find_named("swatbench_nets:Net", num_classes=7)
    with pytest.raises(ModelError, match="does not take images of 3 × 8 × 8"):
        find_named("swatbench_nets:Net", size=(8, 8))
