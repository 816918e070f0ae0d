import pytest

from swatbench.errors import StoreError
from swatbench.store.record import SCHEMA_VERSION
from swatbench.store.upgrade import UPGRADES, NewerRecordError, upgrade

STEPS = {
    1: lambda record: {**record, "name": record["title"]},
    2: lambda record: {key: value for key, value in record.items() if key != "title"},
}


def test_every_older_layout_has_its_step() -> None:
    assert set(UPGRADES) == set(range(1, SCHEMA_VERSION))


def test_steps_are_taken_one_after_the_other() -> None:
    old = {"schema_version": 1, "title": "x"}
    assert upgrade(old, where="r", upgrades=STEPS, current=3) == {"schema_version": 3, "name": "x"}
    assert upgrade(old, where="r", upgrades=STEPS, current=2) == {
        "schema_version": 2,
        "name": "x",
        "title": "x",
    }
    assert old == {"schema_version": 1, "title": "x"}


def test_the_present_layout_stays_as_it_is() -> None:
    now = {"schema_version": SCHEMA_VERSION, "x": 1}
    assert upgrade(now, where="r") == now


def test_a_newer_layout_says_so() -> None:
    with pytest.raises(
        NewerRecordError, match="r: The record has layout 7; this swatbench reads layouts up to 3"
    ):
        upgrade({"schema_version": 7}, where="r", upgrades=STEPS, current=3)


@pytest.mark.parametrize("version", [None, "1", 1.0, True])
def test_a_record_without_a_version_is_refused(version: object) -> None:
    with pytest.raises(StoreError, match="names no schema_version"):
        upgrade({"schema_version": version}, where="r")


def test_a_forgotten_layout_is_refused() -> None:
    with pytest.raises(StoreError, match="Layout 0 of records is no longer read"):
        upgrade({"schema_version": 0}, where="r")
