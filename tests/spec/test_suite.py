import pytest
from pydantic import ValidationError

from swatbench.errors import ModelError
from swatbench.spec.catalog import (
    ARMS,
    CLASS_TOKEN,
    FAMILY_PARTS,
    PAIRS,
    PARTS,
    arms_of,
    find_model,
    model_name,
    parts_of,
)
from swatbench.spec.data import Data
from swatbench.spec.suite import Suite


def test_arms_apply_known_parts_in_order() -> None:
    for parts in ARMS.values():
        assert list(parts) == [part for part in (*PARTS, CLASS_TOKEN) if part in parts]


def test_every_family_s_parts_are_known_and_every_pair_has_a_family() -> None:
    assert {pair.family for pair in PAIRS.values()} == set(FAMILY_PARTS)
    for parts in FAMILY_PARTS.values():
        assert list(parts) == [part for part in (*PARTS, CLASS_TOKEN) if part in parts]


@pytest.mark.parametrize(
    ("pair", "swat"),
    [
        ("deit_ti", ("tokenization", "token_mixing", "channel_mixing")),
        ("mixer_ti", ("tokenization", "token_mixing", "channel_mixing")),
        ("resmlp_s12", ("tokenization", "token_mixing", "channel_mixing")),
        ("swin_t", ("tokenization", "token_mixing", "channel_mixing", "merging")),
        ("van_b2", ("tokenization", "channel_mixing", "merging")),
    ],
)
def test_swat_is_what_the_family_has_and_never_its_class_token(pair: str, swat: tuple[str, ...]) -> None:
    assert parts_of(PAIRS[pair], "swat") == swat


def test_an_arm_of_one_part_is_that_part_or_is_not_there() -> None:
    for pair in PAIRS.values():
        for arm in set(ARMS) - {"swat"}:
            if arm in arms_of(pair):
                assert parts_of(pair, arm) == ARMS[arm]
            else:
                with pytest.raises(ModelError, match=f"{pair.name} has no arm {arm}: .* {pair.family} lacks"):
                    parts_of(pair, arm)


def test_arms_that_only_some_pairs_have() -> None:
    having = {arm: {pair.family for pair in PAIRS.values() if arm in arms_of(pair)} for arm in ARMS}
    every = set(FAMILY_PARTS)
    assert having["class_token"] == {"deit"}
    assert having["merging"] == {"swin", "van"}
    assert having["token_mixing"] == having["mixing"] == every - {"van"}
    assert all(having[arm] == every for arm in ("baseline", "tokenization", "channel_mixing", "swat"))


def test_a_model_is_found_by_its_name() -> None:
    for pair in PAIRS.values():
        for arm in arms_of(pair):
            assert find_model(model_name(pair, arm)) == (pair, arm)
    assert find_model("class_token_deit_ti") == (PAIRS["deit_ti"], "class_token")
    assert find_model("van_b2") == (PAIRS["van_b2"], "baseline")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("swat_diet_ti", "Did you mean swat_deit_ti"),
        ("xyz", "Known: deit_ti, .*, swin_mini, and arms of them"),
        ("merging_deit_ti", "deit_ti has no arm merging"),
    ],
)
def test_a_name_that_is_none_is_told_what_to_write(name: str, told: str) -> None:
    with pytest.raises(ModelError, match=told):
        find_model(name)


def test_pairs_are_found_by_their_own_names() -> None:
    assert all(name == pair.name for name, pair in PAIRS.items())


def test_a_suite_cannot_be_changed(suite: Suite) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        suite.name = "other"


def test_the_subset_takes_no_root() -> None:
    with pytest.raises(ValidationError, match="takes no `root`"):
        Data(source="cifar10_subset", root="images")
