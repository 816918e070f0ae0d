"""What `swatbench profile` asks: sizes in words, names that can be judged early, values that do not fit."""

import pytest
from pydantic import ValidationError

from swatbench.errors import ModelError
from swatbench.spec.cost import Cost
from swatbench.spec.execution import Execution
from swatbench.spec.request import ProfileRequest, check_name, size_of


@pytest.mark.parametrize(
    ("text", "size"),
    [("224", (224, 224)), ("512x2048", (512, 2048)), ("32 × 64", (32, 64)), ("1x1", (1, 1))],
)
def test_a_size_is_one_side_or_height_and_width(text, size):
    assert size_of(text) == size


@pytest.mark.parametrize("text", ["", "x", "224x", "x224", "1x2x3", "-4", "2.5", "224*224", "123456"])
def test_anything_else_is_no_size(text):
    with pytest.raises(ValueError, match="is no image size"):
        size_of(text)


@pytest.mark.parametrize(
    "name", ["swat_deit_ti", "deit_tii", "vit_tiny_patch16_224.augreg_in21k", "nets:swat_x"]
)
def test_a_name_that_may_be_timm_s_or_a_factory_s_is_not_judged_early(name):
    check_name(name)


@pytest.mark.parametrize(
    ("name", "words"),
    [("swat_deit_tii", "Did you mean swat_deit_ti"), ("merging_deit_ti", "deit_ti has no arm merging")],
)
def test_a_name_that_begins_as_an_arm_does_is_judged_early(name, words):
    with pytest.raises(ModelError, match=words):
        check_name(name)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"models": ()}, "models"),
        ({"models": ("a", "a")}, "models"),
        ({"models": ("a", "b", "c")}, "models"),
        ({"size": (0, 4)}, "size"),
        ({"size": (4, 16_385)}, "size"),
        ({"num_classes": 0}, "num_classes"),
        ({"precision": "int8"}, "precision"),
    ],
)
def test_what_does_not_fit_is_refused(changes, field):
    with pytest.raises(ValidationError) as refused:
        ProfileRequest.model_validate({"models": ("deit_ti",), **changes})
    assert {error["loc"][0] for error in refused.value.errors()} == {field}


def test_a_request_says_where_and_in_what_arithmetic_as_a_suite_does():
    asked = ProfileRequest(models=("deit_ti",), device="cpu", precision="bf16", fused_attention=True)
    assert asked.execution == Execution(device="cpu", precision="bf16", fused_attention=True)
    assert asked.cost == Cost()
