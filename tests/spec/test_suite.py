from typing import get_args

import pytest
from pydantic import ValidationError

from swatbench.spec.catalog import ARMS, PAIRS, PARTS
from swatbench.spec.sources import SOURCES
from swatbench.spec.suite import Data, Suite


def test_the_sources_of_a_suite_are_those_of_the_table() -> None:
    assert set(get_args(Data.model_fields["source"].annotation)) == set(SOURCES)


def test_arms_apply_known_parts_in_order() -> None:
    for parts in ARMS.values():
        assert list(parts) == [part for part in PARTS if part in parts]


def test_pairs_are_found_by_their_own_names() -> None:
    assert all(name == pair.name for name, pair in PAIRS.items())


def test_a_suite_cannot_be_changed(suite: Suite) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        suite.name = "other"


def test_the_subset_takes_no_root() -> None:
    with pytest.raises(ValidationError, match="takes no `root`"):
        Data(source="cifar10_subset", root="images")
