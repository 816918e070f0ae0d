import copy
from pathlib import Path

import jsonschema
import pytest

from swatbench.spec.catalog import ARMS, PAIRS
from swatbench.spec.document import read_document
from swatbench.spec.schema import schema_text, suite_schema
from swatbench.spec.suite import Suite


def test_the_committed_schema_is_current(repository: Path) -> None:
    committed = (repository / "suites" / "suite.schema.json").read_text(encoding="utf-8")
    assert committed == schema_text(), "write it anew: swatbench check --schema > suites/suite.schema.json"


def test_it_is_a_schema_of_the_named_draft() -> None:
    jsonschema.Draft202012Validator.check_schema(suite_schema())


def test_every_field_of_every_model_has_a_description() -> None:
    schema = suite_schema()
    for model in schema["$defs"].values():
        assert model["description"], model["title"]
        for name, field in model["properties"].items():
            assert field.get("description"), f"{model['title']}.{name}"
    assert schema["$defs"]["Recipe"]["properties"]["weight_decay"]["description"] == "Weight decay."


def test_names_are_offered_for_completion() -> None:
    for kind in ("Suite", "ProfileSuite"):
        properties = suite_schema()["$defs"][kind]["properties"]
        assert properties["pairs"]["items"]["enum"] == sorted(PAIRS)
        assert properties["arms"]["items"]["enum"] == list(ARMS)


def test_a_suite_fits_and_a_wrong_one_does_not(text: str) -> None:
    value = read_document(text).value
    jsonschema.validate(value, suite_schema())
    for change in (
        {"pairs": ["deit_mni"]},
        {"extra": 1},
        {"seeds": []},
        {"recipe": {"epochs": 0, "batch_size": 1, "learning_rate": 0.1}},
        {"name": "A B"},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**copy.deepcopy(value), **change}, suite_schema())


def test_the_shipped_suites_fit_and_name_their_schema(repository: Path) -> None:
    for path in sorted((repository / "suites").glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        assert text.startswith("# yaml-language-server: $schema=suite.schema.json\n"), path.name
        jsonschema.validate(read_document(text).value, suite_schema())


def test_a_value_dumped_and_read_again_is_the_same(suite: Suite) -> None:
    jsonschema.validate(suite.model_dump(mode="json"), suite_schema())
    assert Suite.model_validate_json(suite.model_dump_json()) == suite
