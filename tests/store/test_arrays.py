import hashlib
import time
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from swatbench.errors import StoreError
from swatbench.store.arrays import read_arrays, write_arrays

ARRAYS = {
    "inference/swat": np.array([0.1, 0.2]),
    "inference/twin": np.array([], dtype=np.float64),
    "label": np.arange(6, dtype=np.int16).reshape(2, 3),
    "one": np.array(3.5, dtype=np.float32),
}


def test_what_was_written_is_read_to_the_bit(tmp_path: Path) -> None:
    write_arrays(tmp_path, "a.npz", ARRAYS)
    found = read_arrays(tmp_path / "a.npz")
    assert set(found) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        assert found[name].tobytes() == array.tobytes()


def test_numpy_reads_it_without_us(tmp_path: Path) -> None:
    write_arrays(tmp_path, "a.npz", ARRAYS)
    with np.load(tmp_path / "a.npz") as archive:
        assert archive["label"].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_bytes_depend_on_neither_time_nor_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = write_arrays(tmp_path, "a.npz", ARRAYS)
    monkeypatch.setattr(time, "time", lambda: 2e9)
    monkeypatch.setattr(time, "localtime", lambda *_: time.gmtime(2e9))
    second = write_arrays(tmp_path, "b.npz", dict(reversed(ARRAYS.items())))
    assert first == second == hashlib.sha256((tmp_path / "a.npz").read_bytes()).hexdigest()
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    dates = {info.date_time for info in zipfile.ZipFile(tmp_path / "b.npz").infolist()}
    assert dates == {(1980, 1, 1, 0, 0, 0)}


def test_other_numbers_give_another_digest(tmp_path: Path) -> None:
    other = {**ARRAYS, "one": np.array(3.5000002, dtype=np.float32)}
    assert write_arrays(tmp_path, "a.npz", ARRAYS) != write_arrays(tmp_path, "b.npz", other)


def test_python_objects_are_neither_written_nor_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Object arrays"):
        write_arrays(tmp_path, "a.npz", {"x": np.array([{}], dtype=object)})
    assert list(tmp_path.iterdir()) == []
    np.savez(tmp_path / "b.npz", x=np.array([{}], dtype=object))
    with pytest.raises(StoreError, match="damaged"):
        read_arrays(tmp_path / "b.npz")


def test_a_missing_file_is_a_store_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file"):
        read_arrays(tmp_path / "a.npz")


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04", b"\x93NUMPY", b"\x80\x04."])
def test_junk_is_a_store_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(StoreError):
        read_arrays(tmp_path / "a.npz")


def test_a_lone_array_is_no_archive(tmp_path: Path) -> None:
    with (tmp_path / "a.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(StoreError):
        read_arrays(tmp_path / "a.npz")


def test_any_broken_byte_is_a_store_error_or_other_numbers(tmp_path: Path) -> None:
    write_arrays(tmp_path, "a.npz", {"x": np.arange(3.0), "y": np.arange(2)})
    path = tmp_path / "a.npz"
    whole = path.read_bytes()
    for position in range(len(whole)):
        for flip in (0x01, 0x80, 0xFF):
            broken = bytearray(whole)
            broken[position] ^= flip
            path.write_bytes(broken)
            with suppress(StoreError):
                read_arrays(path)
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(StoreError):
            read_arrays(path)
