"""The figure of predicted masks: what is drawn, what is left out and told, and how small it stays."""

import base64
import re
from unittest import mock

import numpy as np
import pytest

from swatbench.report.canvas import SERIES
from swatbench.report.groups import group_of
from swatbench.report.mask_colours import (
    MOST_NAMED,
    STRIPES,
    colour_of,
    coloured,
    smaller_mask,
    smaller_picture,
)
from swatbench.report.mask_pictures import MOST_PIXELS, mask_pictures
from swatbench.report.page import render
from swatbench.spec.segmentation import IGNORED
from swatbench.store.files import write_arrays, write_record
from swatbench.store.record import Record


def drawing_of(world, pair="swin_mini"):
    (section,) = world.gather()
    return mask_pictures(section.of_pair(pair), "")


def rewrite(folder, arrays):
    sha = write_arrays(folder, "masks.npz", arrays)
    record = Record.model_validate_json((folder / "record.json").read_text())
    write_record(folder, record.model_copy(update={"files": {**record.files, "masks.npz": sha}}))


def masks(folder):
    with np.load(folder / "masks.npz") as kept:
        return dict(kept)


def test_a_pair_has_one_figure_of_its_first_seed_s_masks(world):
    world.segmented(seeds=(3, 1))
    drawing = drawing_of(world)
    assert drawing.name == "masks_swin_mini"
    assert group_of(drawing).name == "accuracy"
    assert "rows are test images 0 and 1" in drawing.alt
    scores = re.findall(r"(\w+) \(seed 1\) (\d\d\.\d) % mIoU", drawing.alt)
    assert [arm for arm, _ in scores] == ["baseline", "swat"]
    assert 38 < float(scores[0][1]) < float(scores[1][1]) < 47
    assert "Head: UPerNet." in drawing.caption
    # Two rows of an image, its mask and two predictions.
    assert drawing.svg.count("<image ") == 8
    assert "data:image/png;base64," in drawing.svg
    assert 'href="http' not in drawing.svg


def test_the_legend_names_the_classes_that_are_seen(world):
    for arm in ("baseline", "swat"):
        world.segment(arm=arm, classes=("sky", "_tree", "天", "x" * 60))
    with mock.patch("swatbench.report.mask_pictures.draw") as draw:
        drawing_of(world)
    labels = [entry.get_label() for entry in draw.call_args.kwargs["legend"]]
    assert labels == ["sky", " _tree", "?", "x" * 60, "ignored"]
    assert drawing_of(world) is not None


def test_many_classes_have_no_legend_and_the_caption_says_so(world):
    names = tuple(f"class {number}" for number in range(MOST_NAMED + 1))
    world.segment(classes=names)
    drawing = drawing_of(world)
    assert "Of 21 classes some colours are near one another, so there is no legend." in drawing.caption


def test_without_masks_there_is_no_figure_and_the_report_is_fine(world, tmp_path):
    world.segmented(seeds=(0,))
    for folder in world.results.glob("*/*/swin_mini-*"):
        record = Record.model_validate_json((folder / "record.json").read_text())
        files = {name: sha for name, sha in record.files.items() if name != "masks.npz"}
        write_record(folder, record.model_copy(update={"files": files}))
        (folder / "masks.npz").unlink()
    assert drawing_of(world) is None
    page = render(world.results, tmp_path / "reports", "toy")
    assert page.is_file()
    assert not [*page.parent.glob("figures/masks_*")]


def test_an_arm_whose_masks_are_missing_damaged_or_of_other_images_is_left_out_and_told(world):
    world.segment(arm="baseline")
    folder = world.segment(arm="swat")
    found = masks(folder)
    rewrite(folder, {**found, "label_0": 1 - np.minimum(found["label_0"], 1)})
    assert "Without swat: its masks are of other images." in drawing_of(world).caption
    rewrite(folder, {"image_0": found["image_0"], "label_0": found["label_0"]})
    drawing = drawing_of(world)
    assert "Without swat: its file of masks holds none that fit their images." in drawing.caption
    assert "swat (seed" not in drawing.alt
    rewrite(folder, {**found, "image_0": found["image_0"].astype(float)})
    assert "Without swat: its masks are of other images." in drawing_of(world).caption


def test_a_file_of_masks_that_is_no_archive_is_told(world):
    world.segment(arm="baseline")
    folder = world.segment(arm="swat")
    (section,) = world.gather()
    (folder / "masks.npz").write_bytes(b"PK")
    assert "Without swat: its masks cannot be read" in mask_pictures(section.of_pair("swin_mini"), "").caption


def test_large_images_are_made_smaller(world):
    folder = world.segment()
    rng = np.random.default_rng(0)
    label = rng.integers(0, 4, (600, 900), dtype=np.uint8)
    image = rng.integers(0, 256, (600, 900, 3), dtype=np.uint8)
    rewrite(folder, {"image_7": image, "label_7": label, "predicted_7": label})
    drawing = drawing_of(world)
    assert "test image 7" in drawing.alt
    pictures = re.findall(r"data:image/png;base64,([^\"]*)", drawing.svg)
    sizes = [_size(base64.b64decode(text)) for text in pictures]
    assert len(sizes) == 3
    assert all(max(size) <= MOST_PIXELS for size in sizes)
    assert len(drawing.svg) < 1_000_000


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (257, 3), (256, 256), (999, 1001)])
def test_smaller_pictures_keep_their_mean_and_fit(shape):
    picture = np.full((*shape, 3), 77, np.uint8)
    small = smaller_picture(picture, MOST_PIXELS)
    assert set(np.unique(small)) == {77}
    assert max(small.shape[:2]) <= MOST_PIXELS
    assert max(smaller_mask(picture[..., 0], MOST_PIXELS).shape) <= MOST_PIXELS


def test_blocks_are_averaged():
    picture = np.zeros((4, 4, 3), np.uint8)
    picture[0, 1] = 200
    assert smaller_picture(picture, 2)[0, 0].tolist() == [50, 50, 50]


def test_colours_of_few_classes_are_told_apart_from_one_another_and_from_what_is_ignored():
    named = [colour_of(label) for label in range(MOST_NAMED)]
    found = _lab(np.array([list(bytes.fromhex(colour[1:])) for colour in (*named, *STRIPES)], dtype=float))
    apart = np.linalg.norm(found[:, None] - found[None], axis=2) + 1e3 * np.eye(len(found))
    # The two greys are one thing.
    apart[-1, -2] = apart[-2, -1] = 1e3
    assert apart.min() > 30
    # The page gives colours of pairs other ones in the dark, which pictures have not.
    assert not {*named, *STRIPES} & {colour.lower() for colour in SERIES}
    assert len({colour_of(label) for label in range(255)}) == 255


def _lab(rgb):
    """CIELAB of 8-bit sRGB, in daylight (D65)."""
    linear = np.where(rgb > 10, ((rgb / 255 + 0.055) / 1.055) ** 2.4, rgb / 255 / 12.92)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(linear @ to_xyz.T / to_xyz.sum(axis=1)).T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def test_masks_are_painted_by_class_and_striped_where_ignored():
    mask = np.array([[0, 3, IGNORED, 200]], dtype=np.uint8)
    picture = coloured(mask)
    told = [f"#{bytes(pixel.tolist()).hex()}" for pixel in picture[0]]
    assert told[:2] == [colour_of(0), colour_of(3)]
    assert told[2] in STRIPES
    assert told[3] == colour_of(200)


def _size(png):
    return int.from_bytes(png[16:20]), int.from_bytes(png[20:24])
