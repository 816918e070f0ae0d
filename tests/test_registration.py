"""After `import swatbench`, timm knows the SWAT models, whichever is imported first."""

import subprocess
import sys

import pytest
import timm

import swatbench
from swatbench.errors import ModelError
from swatbench.spec.catalog import PAIRS


@pytest.mark.parametrize("order", ["swatbench, timm", "timm, swatbench"])
def test_models_are_registered_in_either_order_of_import(order):
    program = f"import {order}\nprint(timm.list_models('swat_*'))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(sorted(f"swat_{name}" for name in PAIRS))


def test_looking_for_timm_without_importing_it_loses_nothing():
    program = "import importlib.util, swatbench\nimportlib.util.find_spec('timm')\n"
    program += "import timm\nprint('swat_deit_mini' in timm.list_models())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_timm_s_own_arguments_reach_the_model():
    model = timm.create_model("swat_deit_mini", num_classes=7, img_size=64, drop_path_rate=0.1)
    assert model.head.out_features == 7
    assert model.patch_embed.grid_size == (16, 16)
    assert model.blocks[0].mlp.positions.shape == (1, 16, 16)


def test_pretrained_weights_are_refused_since_there_are_none():
    with pytest.raises(ModelError, match="no pretrained weights"):
        timm.create_model("swat_deit_mini", pretrained=True)


def test_public_names_are_there_and_others_are_not():
    assert all(getattr(swatbench, name) is not None for name in swatbench.__all__)
    with pytest.raises(AttributeError, match="no attribute 'frobnicate'"):
        _ = swatbench.frobnicate
