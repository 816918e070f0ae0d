"""Every kind of image that a folder may hold is used as its owner expects, or refused by name."""

import json
import os
import shutil
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from swatbench.data.decode import notes_of, opened, to_indices, to_rgb
from swatbench.data.shares import Share, read_share
from swatbench.data.sources import load_dataset
from swatbench.data.survey import survey
from swatbench.data.surveys import survey_all
from swatbench.errors import DataError
from swatbench.spec.data import Data
from tests.commands import run_commands
from tests.data.jpegs import make_hf, make_shards
from tests.data.mask_folders import make_mask_folder, mask_data
from tests.data.refusals import refused
from tests.faults.images import read_mutants
from tests.faults.pictures import REFUSED, USED, H, W, colours, few_bits, frames, grey, palette, saved

FIRST = "train/n00000001/n00000001_0.JPEG"

# Under Pillow's limit of a bomb lies its limit of a warning, which is refused as well.
pytestmark = pytest.mark.filterwarnings("ignore:.*EXIF.*:UserWarning", "ignore:Truncated File Read")


def decoded(content: bytes) -> np.ndarray:
    with opened(BytesIO(content)) as picture:
        return np.asarray(to_rgb(picture))


@pytest.mark.parametrize("kind", USED)
def test_what_can_be_used_looks_as_its_owner_expects(kind):
    pixels = decoded(USED[kind]()).astype(int)
    if kind.startswith(("1 ×", "one bit")):
        return
    assert pixels.shape == (H, W, 3)
    expected = grey()[:, :, None] if "grey" in kind else colours()
    exact = not any(word in kind for word in ("JPEG", "WebP", "GIF", "palette"))
    assert np.abs(pixels - expected).mean() <= (0 if exact else 6), kind


def test_pillow_alone_would_turn_sixteen_bits_white():
    with Image.open(BytesIO(USED["grey PNG of 16 bits"]())) as picture:
        assert (np.asarray(picture.convert("RGB")) == 255).mean() > 0.9


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_used_is_refused_by_name_before_training(make_data, kind):
    content, said = REFUSED[kind]
    data, root = make_data("folder")
    (root / FIRST).write_bytes(content())
    what = refused(data)
    assert what.startswith("Image 0 of train cannot be decoded (")
    assert said in what


@pytest.mark.parametrize("kind", ["hfds", "wds"])
def test_shards_and_tables_are_read_alike(jpegs, tmp_path, monkeypatch, kind):
    folder = tmp_path / "folder"
    shutil.copytree(jpegs / "folder", folder)
    (folder / FIRST).write_bytes(USED["grey PNG of 16 bits"]())
    (folder / "train/n00000002/n00000002_1.JPEG").write_bytes(REFUSED["GIF of two pictures"][0]())
    (make_hf if kind == "hfds" else make_shards)(tmp_path / kind, folder)
    monkeypatch.chdir(tmp_path)
    source, root = ("hfds/hfds", "cache") if kind == "hfds" else ("wds/some", "wds")
    asked = {"train_images": 24, "test_images": 8, "num_classes": 4, "keep_decoded": False}
    train = load_dataset(Data(source=source, root=root, **asked), sampled=False).train
    found = survey(train)
    assert found.notes == {"grey of 16 bits, of which 8 are kept": 1}
    assert [error.what for error in found.refused] == [
        "Image 1 of train cannot be decoded (it holds several pictures, and nothing says which is meant)."
    ]
    share = Share(every=24)
    image = (
        next(read_share(train, share, training=False))[0]
        if kind == "wds"
        else train.open(training=False)[0][0]
    )
    assert np.array_equal(np.asarray(image)[:, :, 0], grey())


def test_a_symbolic_loop_ends_in_one_sentence(make_data):
    data, root = make_data("folder")
    for name in ("n00000001", "n00000002"):
        (root / "train" / name / "loop").symlink_to(root / "train")
    assert f"a symbolic link leads to {root / 'train'} once more" in refused(data)


def test_a_loop_beside_the_masks_ends_in_one_sentence(tmp_path):
    root = make_mask_folder(tmp_path)
    for name in ("a", "b"):
        (root / "annotations" / "training" / name).symlink_to(root / "annotations" / "training")
    assert "a symbolic link leads to" in refused(mask_data(root))


def test_what_is_no_file_is_no_image(make_data):
    data, root = make_data("folder")
    (root / "train/n00000001/folder.jpg").mkdir()
    assert load_dataset(data).train.images == 24
    (root / FIRST).unlink()
    (root / FIRST).mkdir()
    assert "23 images are there" in refused(data)
    (root / FIRST).rmdir()
    os.mkfifo(root / FIRST)
    assert f"files are empty or missing ({FIRST.partition('/')[2]})" in refused(data)
    (root / FIRST).unlink()
    (root / FIRST).symlink_to(root / FIRST)
    assert f"files are empty or missing ({FIRST.partition('/')[2]})" in refused(data)


@pytest.mark.parametrize("error", [FileNotFoundError(2, "gone"), PermissionError(13, "Permission denied")])
def test_a_file_that_is_gone_or_closed_when_it_is_read_is_named(make_data, error, monkeypatch):
    data, root = make_data("folder")
    train = load_dataset(data).train.open(training=True)

    def closed(*_):
        raise error

    if error.errno == 2:
        (root / FIRST).unlink()
    else:  # root, who may run the tests, reads whatever is closed
        monkeypatch.setattr("builtins.open", closed)
    with pytest.raises(DataError, match="Image 0 of train cannot be decoded") as caught:
        train[0]
    assert caught.value.where == str(root / FIRST)


MASKS = {
    "another size": (lambda mask: saved(mask[:-1], "PNG"), "and its mask"),
    "unknown label": (
        lambda mask: saved(np.maximum(mask, 9), "PNG"),
        "holds index 9, which is none of 0 to 5",
    ),
    "colours": (lambda mask: saved(np.stack([mask] * 3, -1), "PNG"), "is of mode RGB"),
    "grey with alpha": (lambda mask: saved(Image.fromarray(mask).convert("LA"), "PNG"), "is of mode LA"),
    "labels above 255": (lambda mask: saved(mask.astype(np.uint16) << 8, "PNG"), "holds index"),
    "JPEG": (lambda mask: saved(mask, "JPEG"), "it is no PNG file"),
    "two pictures": (lambda _: frames("PNG"), "several pictures"),
    "cut short": (lambda mask: saved(mask, "PNG")[:60], "cannot be decoded"),
}


@pytest.mark.parametrize("kind", MASKS)
def test_a_mask_that_cannot_be_used_is_refused_by_name_before_training(tmp_path, kind):
    root = make_mask_folder(tmp_path)
    path = root / "annotations" / "validation" / "scene_0.png"
    change, said = MASKS[kind]
    path.write_bytes(change(np.array(Image.open(path))))
    with pytest.raises(DataError) as caught:
        load_dataset(mask_data(root))
    assert caught.value.where == str(path)
    assert said in caught.value.what


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_indices_of_few_bits_are_not_stretched(bits):
    indices = np.arange(64).reshape(4, 16) % 2**bits
    with opened(BytesIO(few_bits(indices, bits)), formats=("PNG",)) as mask:
        assert to_indices(mask).astype(int).tolist() == indices.tolist()


def test_indices_of_a_palette_are_its_indices_transparent_or_not():
    for transparent in (False, True):
        content = palette(transparent=transparent)
        with opened(BytesIO(content), formats=("PNG",)) as mask, Image.open(BytesIO(content)) as plain:
            assert np.array_equal(to_indices(mask), np.array(plain))


def test_all_bad_images_are_counted_and_named_at_once(make_data, tmp_path):
    data, root = make_data("folder")
    (root / FIRST).write_bytes(REFUSED["text"][0]())
    (root / "train/n00000002/n00000002_5.JPEG").write_bytes(REFUSED["bomb"][0]())
    (root / "validation/n00000001/ILSVRC2012_val_00000001.JPEG").write_bytes(USED["rotated JPEG"]())
    train, test = survey_all(data, on_stage=lambda _: None)
    assert [error.where for error in train.refused] == [
        str(root / FIRST),
        str(root / "train/n00000002/n00000002_5.JPEG"),
    ]
    assert (test.refused, test.notes) == ((), {"with a rotation in EXIF, which is not applied": 1})
    suite = {
        "name": "bad",
        "pairs": ["mixer_mini"],
        "seeds": [0],
        "data": json.loads(data.model_dump_json(exclude_unset=True)),
    }
    suite["recipe"] = {
        "epochs": 1,
        "batch_size": 8,
        "learning_rate": 1e-3,
        "augmentation": {"crop": "resized"},
    }
    (tmp_path / "suite.yaml").write_text(json.dumps(suite))
    told = run_commands(tmp_path, {"doctor": ["doctor", "--images", "suite.yaml", "--json"]})["doctor"]
    found = {one["name"]: one for one in told.told}
    assert told.code == 8
    assert found["train"]["found"].startswith(f"2 of 24 images cannot be used: {root / FIRST}; ")
    assert found["validation"]["found"].startswith("all 8 images can be decoded; 1 with a rotation")


def test_shards_and_masks_are_surveyed_too(make_data, tmp_path):
    data, _ = make_data("wds")
    dataset = load_dataset(data)
    assert survey(dataset.train).images == 24
    assert survey(dataset.train).refused == ()
    masks = make_mask_folder(tmp_path / "masks")
    (masks / "annotations" / "training" / "scene_0.png").write_bytes(
        saved(np.full((9, 9), 77, np.uint8), "PNG")
    )
    train, test = survey_all(mask_data(masks), on_stage=lambda _: None)
    assert (len(train.refused), len(test.refused)) == (1, 0)
    assert "holds index 77" in train.refused[0].what


def test_a_pipe_in_the_name_of_a_folder_or_of_a_shard_starts_nothing(make_data, tmp_path):
    data, root = make_data("wds")
    info = json.loads((root / "_info.json").read_text())
    info["splits"]["train"]["filenames"][0] = f"pipe:touch {tmp_path}/started #"
    (root / "_info.json").write_text(json.dumps(info))
    assert "1 of 2 shards are missing" in refused(data)
    named = tmp_path / "pipe:touch started #"
    shutil.copytree(root, named)
    refused(data.model_copy(update={"root": named.name}))
    assert not (tmp_path / "started").exists()


def test_notes_are_of_what_is_done():
    with opened(BytesIO(USED["palette with transparency"]())) as picture:
        assert notes_of(picture) == ("with transparency, which is left out",)


def test_mutated_images_are_decoded_or_refused_and_nothing_else():
    found = read_mutants(300, seed=1)
    assert (found["escaped"], found["slow"]) == (0, 0)
    assert found["decoded"] + found["refused"] == 300
    assert min(found["decoded"], found["refused"]) > 20
