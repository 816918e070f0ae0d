"""A disk that is full, read-only or emptied at any change: one line says so, and later the run goes on."""

import pytest

from tests.faults.disk import changes_of, meet, sample
from tests.faults.faulty import FAULTS
from tests.faults.flows import by_hand


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Every change of a run by hand, and what comes out of it."""
    return changes_of(by_hand, tmp_path_factory.mktemp("undisturbed"))


@pytest.mark.parametrize("fault", FAULTS)
def test_every_change_may_fail_and_nothing_is_torn(tmp_path, undisturbed, fault):
    """One space less at every single change; of the other faults some, the first and last of each kind."""
    changes, wanted = undisturbed
    numbers = range(len(changes)) if fault == "full_once" else sample(changes, 40)
    met = [meet(by_hand, tmp_path, at=at, fault=fault, wanted=wanted) for at in numbers]
    assert [one for one in met if one.wrong] == []
    told = [one.error for one in met if one.error is not None]
    if fault != "deleted":  # A folder that is gone is made again, but for a moment between two calls.
        assert len(told) > len(met) / 2
    assert all(len(line.splitlines()) == 1 for line in told)


def test_what_is_counted_holds_every_kind_of_file(undisturbed):
    changes, _ = undisturbed
    for name in ("asked.json", "live.jsonl", "newest.ckpt", "best.ckpt", "record.json", "index.html"):
        assert f"rename {name}" in changes, name
    for name in ("weights.safetensors", "curve.jsonl", "predictions.npz"):
        assert f"rename {name}" in changes, name
    assert {"write live.jsonl", "open .lock", "touch live.jsonl"} <= set(changes)
