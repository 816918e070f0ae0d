import io
import pickle
import resource
import struct
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from swatbench.data.cifar10 import CLASSES, FOLDER, TEST, TRAIN, Split, read_split
from swatbench.data.plain_pickle import load_plain
from swatbench.errors import DataError

SMALL = Split(name="train", files=("data_batch_1", "data_batch_2"), images_per_file=3, digest="")


class Python2Pickler(pickle._Pickler):
    """Writes what Python 2's cPickle wrote: text as byte strings, numpy by the name it had then."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_text(self, obj):
        data = obj if isinstance(obj, bytes) else obj.encode("latin1")
        head = b"U" + bytes([len(data)]) if len(data) < 256 else b"T" + struct.pack("<i", len(data))
        self.write(head + data)
        self.memoize(obj)

    dispatch[bytes] = save_text
    dispatch[str] = save_text

    def save_global(self, obj, name=None):
        if getattr(obj, "__name__", "") != "_reconstruct":
            return super().save_global(obj, name)
        self.write(b"cnumpy.core.multiarray\n_reconstruct\n")
        return self.memoize(obj)


def python2(value):
    buffer = io.BytesIO()
    Python2Pickler(buffer, 2).dump(value)
    return buffer.getvalue()


def byte_keys(value):
    return pickle.dumps({key.encode(): content for key, content in value.items()}, protocol=2)


def write(root: Path, images, dump=pickle.dumps, names=SMALL.files) -> Path:
    (root / FOLDER).mkdir(exist_ok=True)
    data = images.pixels.numpy().reshape(len(names), -1, 3072)
    parts = zip(names, data, images.labels.chunk(len(names)), strict=True)
    for name, data, labels in parts:
        (root / FOLDER / name).write_bytes(dump({"data": data, "labels": labels.tolist()}))
    return root


def protocol(number):
    return lambda value: pickle.dumps(value, protocol=number)


@pytest.mark.parametrize(
    "dump",
    [python2, byte_keys, *map(protocol, range(5))],
    ids=["py2", "bytes", *(f"protocol{i}" for i in range(5))],
)
def test_batches_of_every_kind_of_pickle_are_read(tmp_path, make_images, dump):
    images = make_images(6)
    found = read_split(write(tmp_path, images, dump), replace(SMALL, digest=images.digest))
    assert (found.pixels == images.pixels).all()
    assert found.labels.tolist() == images.labels.tolist()


def test_the_python_2_pickles_of_this_test_look_like_the_original_ones(make_images):
    content = python2({"data": make_images(1).pixels.numpy().reshape(1, 3072), "labels": [6]})
    assert content.startswith(b"\x80\x02}q")
    assert b"cnumpy.core.multiarray\n_reconstruct\n" in content
    assert b"U\x06labels" in content
    assert b"_codecs" not in content
    # What Python 3 sees when it reads it as torchvision does.
    assert set(pickle.loads(content, encoding="latin1")) == {"data", "labels"}


def refusal(root: Path, split: Split = SMALL) -> DataError:
    with pytest.raises(DataError) as caught:
        read_split(root, split)
    assert "make_cifar10.py full" in caught.value.fix
    return caught.value


def test_a_missing_file_is_named_with_what_is_expected(tmp_path, make_images):
    write(tmp_path, make_images(6))
    (tmp_path / FOLDER / "data_batch_2").unlink()
    error = refusal(tmp_path)
    assert "train split needs 6 images in data_batch_1, data_batch_2" in error.what
    assert error.where == str(tmp_path / FOLDER / "data_batch_2")


def test_a_wrong_number_of_images_is_told_with_both_numbers(tmp_path, make_images):
    write(tmp_path, make_images(8))
    error = refusal(tmp_path)
    assert "4 images and 4 labels, expected 3 of each" in error.what


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": [1, 2]}, "3 images and 2 labels"),
        ({"labels": [1, 2, 10]}, "no list of numbers from 0 to 9"),
        ({"labels": [1, 2, True]}, "no list of numbers from 0 to 9"),
        ({"labels": "abc"}, "no list of numbers from 0 to 9"),
        ({"data": np.zeros((3, 3071), np.uint8)}, "rows of 3072"),
        ({"data": np.zeros((3, 3072), np.int64)}, "no uint8 array"),
        ({"data": np.zeros((), np.uint8)}, "rows of 3072"),
        ({"data": [1, 2, 3]}, "no uint8 array"),
    ],
)
def test_content_of_another_kind_is_refused(tmp_path, make_images, changes, message):
    write(tmp_path, make_images(6))
    batch = {"data": np.zeros((3, 3072), np.uint8), "labels": [1, 2, 3]} | changes
    (tmp_path / FOLDER / "data_batch_1").write_bytes(pickle.dumps(batch))
    assert message in refusal(tmp_path).what


@pytest.mark.parametrize("value", [{}, [], None, "text", {"data": None}, (1, 2)])
def test_a_pickle_of_something_else_is_refused(tmp_path, make_images, value):
    write(tmp_path, make_images(6))
    (tmp_path / FOLDER / "data_batch_1").write_bytes(pickle.dumps(value))
    assert "`data`" in refusal(tmp_path).what


def test_one_changed_pixel_is_refused(tmp_path, make_images):
    images = make_images(6)
    expected = replace(SMALL, digest=images.digest)
    read_split(write(tmp_path, images), expected)
    images.pixels[5, 2, 31, 31] ^= 1
    assert "not those of CIFAR-10" in refusal(write(tmp_path, images), expected).what


def test_nothing_in_a_pickle_is_called(tmp_path, make_images):
    class Harmful:
        def __reduce__(self):
            return Path.touch, (tmp_path / "called",)

    write(tmp_path, make_images(6))
    (tmp_path / FOLDER / "data_batch_1").write_bytes(pickle.dumps({"data": Harmful()}))
    assert "it asks to call pathlib" in refusal(tmp_path).what
    assert not (tmp_path / "called").exists()


def test_codecs_can_only_turn_latin_1_to_bytes(tmp_path, make_images):
    write(tmp_path, make_images(6))
    content = b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00hex\x86R."
    (tmp_path / FOLDER / "data_batch_1").write_bytes(content)
    assert "'hex' is not expected" in refusal(tmp_path).what


@pytest.mark.parametrize("state", [{"a": 1}, (None, {"__defaults__": None})])
def test_a_pickle_cannot_change_what_stands_in_for_what_it_names(state):
    content = b"c_codecs\nencode\n" + pickle.dumps(state, protocol=2)[2:-1] + b"b."
    with pytest.raises(ValueError, match="attribute"):
        load_plain(content)


def test_damaged_files_end_in_a_data_error_and_nothing_else(tmp_path, make_images):
    images = make_images(2)
    split = replace(SMALL, files=("test_batch",), images_per_file=2, digest=images.digest)
    write(tmp_path, images, python2, names=split.files)
    path = tmp_path / FOLDER / "test_batch"
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for place in [*range(160), *range(len(whole) - 40, len(whole)), *rng.integers(0, len(whole), 100)]:
        path.write_bytes(whole[:place])
        refusal(tmp_path, split)
        changed = bytearray(whole)
        changed[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        with suppress(DataError):
            # A change in what nobody reads, as the number of a memo, is no damage to the images.
            assert read_split(tmp_path, split).digest == images.digest


def test_one_wrong_bit_does_not_reserve_gigabytes(tmp_path, make_images):
    # With this bit the C unpickler takes 16 GB for its memo before it notices anything.
    write(tmp_path, make_images(6), python2)
    path = tmp_path / FOLDER / "data_batch_1"
    content = bytearray(path.read_bytes())
    place = content.index(b"R", content.index(b"u1"))
    content[place] = ord("r")
    path.write_bytes(content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refusal(tmp_path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_the_splits_are_those_of_cifar_10():
    assert len(TRAIN.files) * TRAIN.images_per_file == 50_000
    assert len(TEST.files) * TEST.images_per_file == 10_000
    assert len(set(CLASSES)) == 10
