"""Models that a user's code makes: what is found of them, and how what cannot be used is told."""

import pickle
import sys
from functools import partial

import pytest

from swatbench.errors import ModelError
from swatbench.models.factory import import_module
from swatbench.models.named import build_named, find_named

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

def inside_torch():
    return nn.Sequential(
        nn.Flatten(), "no module"
    )

class Gray(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 4)

    def forward(self, images):
        return self.stem(images).mean((2, 3))

class Digits(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(28 * 28, 10))

class StatedGray(Gray):
    default_cfg = {"input_size": (1, 32, 32)}

def leaving():
    raise SystemExit(3)

def half():
    return Net().half()

def sized(width, depth=2):
    return Net()
"""

INSIDE_TORCH = FACTORIES.splitlines().index("def inside_torch():") + 2
"""The line of that function's call of torch, counted from 1."""


@pytest.fixture
def code(tmp_path, monkeypatch):
    """A folder that is the current one, with modules of a user's, which are forgotten afterwards."""
    files = {
        "swatbench_nets": FACTORIES,
        "swatbench_broken": "import swatbench_missing_module",
        "swatbench_exits": "raise SystemExit('done')",
        "swatbench_syntax": "def :",
        "swatbench_imports_syntax": "\n\nimport swatbench_syntax",
        "swatbench_torch": "import torch\ntorch.zeros(2).reshape(3)\n",
        "swatbench_number": "import json\n\njson.loads('{')\n",
    }
    for name, text in files.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    for name in files:
        sys.modules.pop(name, None)


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
    find_named("deit_mini")
    assert "swatbench_nets" not in sys.modules
    import_module("swatbench_nets:no_such_factory")
    assert "swatbench_nets" in sys.modules


@pytest.mark.usefixtures("code")
def test_a_model_that_needs_values_is_called_with_values():
    assert find_named("swatbench_nets:ByValue").num_classes == 4


@pytest.mark.usefixtures("code")
def test_a_factory_s_builder_can_be_sent_to_another_process():
    send = partial(build_named, "swatbench_nets:Net", num_classes=5, seed=1, fused_attention=False)
    made = pickle.loads(pickle.dumps(send))(input_size=(3, 6, 8))
    again = send(input_size=(3, 6, 8)).state_dict()
    assert all(value.equal(again[key]) for key, value in made.state_dict().items())


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
        ("swatbench_syntax:Net", r"SyntaxError: [^(]*\(swatbench_syntax\.py, line 1\)\.$"),
        ("swatbench_imports_syntax:Net", r"SyntaxError: [^(]*\(swatbench_syntax\.py, line 1\)\.$"),
        ("swatbench_torch:Net", r"RuntimeError: .* \(swatbench_torch\.py, line 2\)\.$"),
        ("swatbench_number:Net", r"JSONDecodeError: .* \(swatbench_number\.py, line 3\)\.$"),
        ("swatbench_nets:inside_torch", rf"TypeError: .* \(swatbench_nets\.py, line {INSIDE_TORCH}\)\.$"),
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


@pytest.mark.usefixtures("code")
def test_a_factory_of_images_of_one_channel_is_told_how_to_state_them():
    with pytest.raises(ModelError, match=r'default_cfg = {"input_size": \(1, 224, 224\)}\.$') as told:
        find_named("swatbench_nets:Gray")
    assert "--size" not in str(told.value)
    with pytest.raises(ModelError, match=r'--size, or .*default_cfg = {"input_size": \(C, H, W\)}\.$'):
        find_named("swatbench_nets:Digits")
    assert find_named("swatbench_nets:StatedGray").input_size == (1, 32, 32)
