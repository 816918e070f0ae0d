import json
import shutil
import tarfile
from io import BytesIO

import pytest

from swatbench.data.sources import load_dataset
from tests.data.jpegs import add_member, images_of
from tests.data.refusals import refused

PATTERN = {"train_split": "train-{0000..0001}.tar|24", "test_split": "validation-{0000..0001}.tar|8"}


def test_shards_by_a_pattern_are_those_by_name(make_data, capfd):
    data, root = make_data("wds")
    digest = load_dataset(data).digest
    (root / "_info.json").unlink()
    assert load_dataset(data.model_copy(update=PATTERN)).digest == digest
    assert capfd.readouterr().err == ""


def test_a_pattern_with_another_count_is_refused(make_data):
    data, _ = make_data("wds", **(PATTERN | {"test_split": "validation-{0000..0001}.tar|9"}))
    assert "the split is said to have 9 images" in refused(data)


def test_missing_shards_are_named(make_data):
    data, root = make_data("wds")
    (root / "train-0001.tar").unlink()
    assert "1 of 2 shards are missing (train-0001.tar)" in refused(data)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("pattern", [False, True])
def test_a_half_downloaded_shard_is_refused_by_its_name(make_data, share, pattern):
    data, root = make_data("wds", **(PATTERN if pattern else {}))
    path = root / "train-0001.tar"
    whole = path.read_bytes().rstrip(b"\0")
    path.write_bytes(whole[: int(share * len(whole))])
    what = refused(data)
    assert what.startswith(f"The {data.train_split} split needs 24 images of 4 classes, but")
    assert "train-0001.tar" in what


def test_a_shard_cut_at_any_block_is_refused(make_data):
    data, root = make_data("wds")
    path = root / "validation-0001.tar"
    whole = path.read_bytes()
    end = len(whole.rstrip(b"\0"))
    for cut in range(0, end, 512):
        path.write_bytes(whole[:cut])
        assert "validation-0001.tar" in refused(data)


def test_zeros_where_a_shard_was_not_written_yet_are_refused(make_data):
    data, root = make_data("wds")
    path = root / "validation-0001.tar"
    whole = path.read_bytes()
    path.write_bytes(whole[:2048].ljust(len(whole), b"\0"))
    assert "validation-0001.tar" in refused(data)


def rewrite(root, *members, count):
    with tarfile.open(root / "validation-0001.tar", "w") as shard:
        for name, content in members:
            add_member(shard, name, content)
    info = json.loads((root / "_info.json").read_text())
    info["splits"]["validation"] |= {"shard_lengths": [4, count], "num_samples": 4 + count}
    (root / "_info.json").write_text(json.dumps(info))


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ([("a.jpg", b"x")], "a has 1 images and 0 labels, not one of each"),
        ([("a.cls", b"1")], "a has 0 images and 1 labels"),
        ([("a.jpeg", b"x"), ("a.cls", b"1")], "a has 0 images"),
        ([("a.jpg", b"x"), ("b.jpg", b"x"), ("a.cls", b"1"), ("b.cls", b"1")], "a has 1 images and 0 labels"),
        ([("a.jpg", b"x"), ("a.cls", b"one")], "the label of a is no number"),
        ([("a.jpg", b""), ("a.cls", b"1")], "the image a is empty"),
        ([("a.jpg", b"x"), ("a.cls", b"7")], "label 7 is none of 0 to 3"),
        ([("a.jpg", b"x"), ("a.cls", b"-1")], "label -1 is none of 0 to 3"),
    ],
)
def test_samples_that_timm_would_leave_out_or_mistake_are_refused(make_data, members, why):
    data, root = make_data("wds", test_images=5)
    rewrite(root, *members, count=1)
    assert why in refused(data)


def test_members_that_webdataset_does_not_look_at_do_no_harm(make_data, jpegs):
    data, root = make_data("wds", test_images=8)
    members = [("__about__", b"x"), ("README", b"x")]
    for path, label in images_of(jpegs / "folder", "test")[4:]:
        members += [
            (f"./some/{path.stem}.JPG", path.read_bytes()),
            (f"./some/{path.stem}.cls", b"%d\n" % label),
            (f"./some/{path.stem}.json", b"{}"),
        ]
    rewrite(root, *members, count=4)
    dataset = load_dataset(data)
    assert dataset.test.filename(7) == "ILSVRC2012_val_00000008.JPEG"


@pytest.mark.parametrize(
    "change",
    [
        lambda info: info["splits"].pop("train"),
        lambda info: info.pop("splits"),
        lambda info: info["splits"]["train"].pop("filenames"),
        lambda info: info["splits"].update(train=3),
        lambda info: info["splits"]["train"].update(alt_label="label"),
        lambda info: info["splits"]["train"].update(filenames=[]),
    ],
)
def test_an_info_file_of_another_kind_is_refused(make_data, change):
    data, root = make_data("wds")
    info = json.loads((root / "_info.json").read_text())
    change(info)
    (root / "_info.json").write_text(json.dumps(info))
    assert refused(data).startswith("The train split needs 24 images")


def test_a_stream_is_whole_and_the_same_for_a_test_whatever_the_processes(make_data):
    dataset = load_dataset(make_data("wds")[0])
    reader = dataset.test.open(training=False).reader
    assert (reader.dist_rank, reader.dist_num_replicas, reader.num_samples) == (0, 1, 8)
    assert dataset.train.open(training=True, seed=5, batch_size=4).reader.common_seed == 5


def test_members_that_swell_when_they_are_read_are_refused(make_data):
    for name, kind in (("swollen.cls", tarfile.REGTYPE), ("swollen.jpg", tarfile.GNUTYPE_SPARSE)):
        data, root = make_data("wds")
        member = tarfile.TarInfo(name)
        member.type, member.size = kind, 2_000
        with tarfile.open(root / "train-0001.tar", "a") as shard:
            shard.addfile(member, BytesIO(bytes(2_000)))
        assert f"{name} is sparse, or too large for a label" in refused(data)
        shutil.rmtree(root)
