import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from swatbench.errors import StoreError
from swatbench.store.files import (
    Stored,
    cell_folder,
    finished_record,
    read_record,
    read_suite,
    write_record,
)
from swatbench.store.record import SCHEMA_VERSION, CurvePoint, Record
from swatbench.store.rows import write_rows
from swatbench.store.upgrade import NewerRecordError


def rewrite(folder: Path, **changes: object) -> None:
    path = folder / "record.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_cell_lies_at_suite_machine_and_id(tmp_path: Path) -> None:
    assert cell_folder(tmp_path, "small", "nvidia-h200", "a-1") == tmp_path / "small" / "nvidia-h200" / "a-1"


@pytest.mark.parametrize("name", ["", "..", ".", "a/b", "/a", "a\\b", "a b", "a\n", "ä", "-a", "x" * 201])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    for names in ((name, "m", "c"), ("s", name, "c"), ("s", "m", name)):
        with pytest.raises(ValueError, match="no folder name"):
            cell_folder(tmp_path, *names)


def test_a_record_is_read_as_it_was_written(tmp_path: Path, record: Record) -> None:
    path = write_record(tmp_path, record)
    assert path == tmp_path / "record.json"
    assert read_record(path) == record


def test_a_record_is_text_for_eyes_and_diffs(tmp_path: Path, record: Record) -> None:
    first = write_record(tmp_path / "a", record).read_bytes()
    assert write_record(tmp_path / "b", record.model_copy()).read_bytes() == first
    text = first.decode()
    assert text.endswith("}\n")
    assert '\n  "cell_id": "deit_mini-swat-seed0-0123456789",\n' in text
    keys = list(json.loads(text))
    assert keys == sorted(keys)


def test_no_record_holds_what_is_no_number(tmp_path: Path, record: Record) -> None:
    bad = record.model_copy(update={"duration_s": math.nan})
    with pytest.raises(ValueError, match="JSON compliant"):
        write_record(tmp_path, bad)
    worse = record.model_copy(update={"cell": {**record.cell, "x": math.inf}})
    with pytest.raises(ValueError, match="JSON compliant"):
        write_record(tmp_path, worse)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValidationError, match="finite number"):
        Record.model_validate({**record.model_dump(), "duration_s": math.nan})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"train": None}, "needs its result"),
        ({"status": "failed"}, "needs a failure"),
        ({"cell": {}}, "no train cell with pair"),
        ({"cell": {"kind": "other", "pair": {"name": "x"}}}, "no train cell with pair"),
        ({"cell": {"kind": "train", "pair": {"name": "x"}, "arm": "swat"}}, "no train cell with pair"),
        ({"cell": {"kind": "cost", "pair": {}}}, "no train cell with pair"),
        ({"files": {"../x": "0"}}, "without folders"),
        ({"extra": 1}, "Extra inputs"),
        ({"schema_version": True}, "schema_version"),
        ({"duration_s": "1"}, "duration_s"),
    ],
)
def test_a_record_that_readers_cannot_rely_on_is_damaged(
    store: Callable[..., Path], changes: dict[str, object], reason: str
) -> None:
    folder = store()
    rewrite(folder, **changes)
    with pytest.raises(StoreError, match=reason):
        read_record(folder / "record.json")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"\xff",
        b'"x"',
        b'{"a": NaN}',
        b"[" * 100_000,
        b"{}",
        b'{"schema_version": "1"}',
    ],
)
def test_a_torn_record_is_a_store_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"record\.json"):
        read_record(path)


def test_a_value_that_is_no_number_is_found_wherever_it_stands(store: Callable[..., Path]) -> None:
    path = store() / "record.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 0, "rate": NaN'))
    with pytest.raises(StoreError, match="NaN is not a number"):
        read_record(path)


def test_a_record_cut_at_any_byte_is_damaged_not_misread(store: Callable[..., Path]) -> None:
    path = store() / "record.json"
    whole = path.read_bytes().rstrip()
    for length in range(0, len(whole), 13):
        path.write_bytes(whole[:length])
        with pytest.raises(StoreError):
            read_record(path)


def test_raw_data_come_back(
    store: Callable[..., Path], points: tuple[CurvePoint, ...], predictions: dict[str, np.ndarray]
) -> None:
    folder = store()
    stored = Stored(record=read_record(folder / "record.json"), folder=folder)
    assert stored.curve() == points
    found = stored.predictions()
    assert found.keys() == predictions.keys()
    for name, array in predictions.items():
        np.testing.assert_array_equal(found[name], array)
    with pytest.raises(StoreError, match=r"samples\.npz: The file cannot be read: No such file"):
        stored.samples()


def test_a_curve_is_one_line_an_epoch(tmp_path: Path, points: tuple[CurvePoint, ...]) -> None:
    write_rows(tmp_path, "curve.jsonl", points)
    lines = (tmp_path / "curve.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3]
    write_rows(tmp_path, "curve.jsonl", points[:1])
    assert len((tmp_path / "curve.jsonl").read_text().splitlines()) == 1


def test_a_damaged_curve_is_a_store_error(store: Callable[..., Path]) -> None:
    folder = store()
    stored = Stored(record=read_record(folder / "record.json"), folder=folder)
    with (folder / "curve.jsonl").open("a") as file:
        file.write('{"epoch": 4, "st')
    with pytest.raises(StoreError, match=r"curve\.jsonl: The file is damaged"):
        stored.curve()


def test_a_suite_is_listed_over_all_machines(
    tmp_path: Path, store: Callable[..., Path], failed: Record
) -> None:
    store(machine="b-2-cores", cell_id="one")
    store(machine="a-2-cores", cell_id="two")
    store(machine="a-2-cores", cell_id="one")
    store(machine="a-2-cores", cell_id="three", suite="other")
    write_record(cell_folder(tmp_path, "small", "a-2-cores", "four"), failed)
    unfinished = cell_folder(tmp_path, "small", "a-2-cores", "five")
    unfinished.mkdir()
    (unfinished / "model.ckpt").write_bytes(b"x")
    (unfinished / ".record.json.0123.tmp").write_bytes(b"{")
    listing = read_suite(tmp_path, "small")
    places = [one.folder.relative_to(tmp_path / "small").as_posix() for one in listing.finished]
    assert places == ["a-2-cores/one", "a-2-cores/two", "b-2-cores/one"]
    assert [one.folder.name for one in listing.failed] == ["four"]
    assert listing.damaged == ()


def test_damage_is_listed_and_hides_nothing_else(tmp_path: Path, store: Callable[..., Path]) -> None:
    good, torn, flipped, lost, newer = (store(cell_id=name) for name in ("a", "b", "c", "d", "e"))
    (torn / "record.json").write_text('{"schema_')
    data = bytearray((flipped / "predictions.npz").read_bytes())
    data[-40] ^= 1
    (flipped / "predictions.npz").write_bytes(data)
    (lost / "curve.jsonl").unlink()
    rewrite(newer, schema_version=99)
    listing = read_suite(tmp_path, "small")
    assert [one.folder for one in listing.finished] == [good]
    assert [path.parent for path, _ in listing.damaged] == [torn, flipped, lost, newer]
    reasons = [reason for _, reason in listing.damaged]
    assert "damaged" in reasons[0]
    assert "predictions.npz is not the file that the record was written with" in reasons[1]
    assert "No such file" in reasons[2]
    assert "layout 99" in reasons[3]


def test_a_folder_where_the_record_should_be_is_damage(tmp_path: Path, store: Callable[..., Path]) -> None:
    folder = store()
    (folder / "record.json").unlink()
    (folder / "record.json").mkdir()
    assert len(read_suite(tmp_path, "small").damaged) == 1
    assert finished_record(folder, "0" * 64) is None


def test_a_suite_without_results_names_those_that_have_some(
    tmp_path: Path, store: Callable[..., Path]
) -> None:
    store()
    with pytest.raises(StoreError, match=r"no results of suite 'smal'.*There are results of: small\."):
        read_suite(tmp_path, "smal")
    with pytest.raises(StoreError, match=r"Run the suite first"):
        read_suite(tmp_path / "none", "small")
    with pytest.raises(StoreError, match="no results"):
        read_suite(tmp_path / "small", "..")


def test_an_empty_suite_is_an_empty_listing(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    listing = read_suite(tmp_path, "small")
    assert (listing.finished, listing.failed, listing.damaged) == ((), (), ())


def test_a_finished_cell_is_skipped(store: Callable[..., Path]) -> None:
    folder = store()
    found = finished_record(folder, "0" * 64)
    assert found is not None
    assert found.cell_id == "deit_mini-swat-seed0-0123456789"


def test_whatever_is_not_whole_runs_again(tmp_path: Path, store: Callable[..., Path], failed: Record) -> None:
    assert finished_record(tmp_path / "none", "0" * 64) is None
    assert finished_record(store(), "1" * 64) is None
    write_record(tmp_path / "failed", failed)
    assert finished_record(tmp_path / "failed", "0" * 64) is None
    lost = store(cell_id="lost")
    (lost / "predictions.npz").unlink()
    assert finished_record(lost, "0" * 64) is None
    changed = store(cell_id="changed")
    with (changed / "curve.jsonl").open("a") as file:
        file.write("\n")
    assert finished_record(changed, "0" * 64) is None
    torn = store(cell_id="torn")
    (torn / "record.json").write_bytes(b"")
    assert finished_record(torn, "0" * 64) is None


def test_the_record_of_a_newer_swatbench_is_not_overwritten(store: Callable[..., Path]) -> None:
    folder = store()
    rewrite(folder, schema_version=SCHEMA_VERSION + 1)
    with pytest.raises(NewerRecordError, match="Update swatbench"):
        finished_record(folder, "0" * 64)


def test_results_may_be_moved(tmp_path: Path, store: Callable[..., Path]) -> None:
    store()
    shutil.move(tmp_path / "small", tmp_path / "elsewhere")
    assert len(read_suite(tmp_path, "elsewhere").finished) == 1


def test_a_folder_with_a_hostile_name_is_listed_and_not_read(
    tmp_path: Path, store: Callable[..., Path]
) -> None:
    folder = store()
    machine = folder.parent
    machine.rename(machine.with_name('x"><img src=x>'))
    listing = read_suite(tmp_path, machine.parent.name)
    assert (listing.finished, len(listing.damaged)) == ((), 1)
