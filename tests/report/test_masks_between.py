"""Suites of segmentation beside one another, held against limits, and set against published numbers."""

import pytest

from swatbench.report.axes import BY_NAME
from swatbench.report.between import compare_folders
from swatbench.report.between_files import between_json, markdown_of
from swatbench.report.between_tables import between_tables
from swatbench.report.between_words import between_sentences
from swatbench.report.canvas import SERIES
from swatbench.report.gates import judge, line, parse_gate
from swatbench.report.metric import MIOU
from swatbench.report.palette import Shade
from swatbench.report.per_point import per_point_table
from swatbench.report.points import points, published_points
from swatbench.report.published import published_for, published_rows
from swatbench.report.published_table import published_table
from swatbench.report.scatter import scatters
from swatbench.report.weights import weights_of
from tests.report.conftest import World
from tests.report.segmented import segmentation_of

LARGE = {"crop_size": 512, "short_side": 512, "long_side": 2048}


@pytest.fixture
def other(tmp_path):
    return World(results=tmp_path / "checkout" / "results")


def between(one, other):
    return compare_folders(one.results / one.suite, other.results / other.suite)


def table(found, name):
    return next(item for item in between_tables(found) if item.name == name)


def address(stored):
    return stored.folder.name


def rows(made):
    return made.frame.astype(object).where(made.frame.notna(), None).to_dict(orient="records")


def test_the_same_counts_are_called_the_same(world, other):
    for each in (world, other):
        each.segmented(seeds=(0, 1))
    found = between(world, other)
    assert [(item.arm, item.same, item.changed_images) for item in found.accuracy] == [
        ("baseline", True, 0),
        ("swat", True, 0),
    ]
    assert any("same predictions to the last bit" in text for text in between_sentences(found))


def test_a_change_is_one_of_miou_with_its_intervals_and_no_mcnemar(world, other):
    for seed in (0, 1, 2):
        world.segment(arm="swat", seed=seed, miou=40.0)
        other.segment(arm="swat", seed=seed, miou=42.0 + 0.3 * seed)
    found = between(world, other)
    (item,) = found.accuracy
    gain = item.after_percent - item.before_percent
    assert item.accuracy.seeds.points == pytest.approx(gain)
    assert item.accuracy.images.decided
    assert item.changed_images > 30
    shown = table(found, "accuracy")
    titles = [column.title for column in shown.columns]
    assert {"A, mIoU %", "B, mIoU %", "Images with other counts"} <= {*titles}
    assert "mcnemar" not in {*shown.frame.columns}
    (text,) = [text for text in between_sentences(found) if text.startswith("swin_mini swat")]
    assert "points mIoU, B less A" in text
    assert "% of the images have other counts" in text
    assert "McNemar" not in text
    assert "top-1" not in markdown_of(found)
    assert between_json(found)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"backbone": "b" * 64}, "weights of the backbone differ (aaaaaaaaaa and bbbbbbbbbb)"),
        ({"segmentation": {"crop_size": 48}}, "crop_size: 32 and 48"),
    ],
)
def test_one_arm_that_was_trained_otherwise_is_refused_by_name(world, other, changes, why):
    world.segment(backbone="a" * 64)
    other.segment(**({"backbone": "a" * 64} | changes))
    found = between(world, other)
    assert found.accuracy == ()
    assert why in found.refused[0].why


def test_a_classifier_is_not_set_beside_a_segmenter(world, other):
    world.segment("deit_mini")
    other.train("deit_mini")
    world.cost("deit_mini", segmentation=segmentation_of("deit_mini"))
    other.cost("deit_mini")
    found = between(world, other)
    assert not found.compared
    assert "one segments and the other classifies" in found.refused[0].why
    counts = [item.why for item in found.refused if item.what == "counts"]
    assert all("UPerNet on four taps" in why for why in counts)
    assert len(counts) == 2


def test_counts_of_two_heads_are_not_compared(world, other):
    world.cost("swin_mini", segmentation=segmentation_of("swin_mini"))
    other.cost("swin_mini", segmentation=segmentation_of("swin_mini", decoder_channels=64))
    found = between(world, other)
    assert found.costs.counts == ()
    assert found.costs.times == ()
    assert any("decoder_channels differs (16 and 64)" in item.why for item in found.refused)


def test_costs_are_compared_whatever_the_images_were_changed_by(world, other):
    world.cost("swin_mini", segmentation=segmentation_of("swin_mini"))
    other.cost("swin_mini", segmentation=segmentation_of("swin_mini", shown=0))
    found = between(world, other)
    assert len(found.costs.counts) == 4
    assert found.costs.times


def test_a_gain_is_gated_in_points_of_miou(world):
    world.segmented(seeds=(0, 1, 2))
    gates = [parse_gate(text) for text in ("min_gain_points=2", "min_gain_points=9")]
    met, broken = judge(gates, world.gather())
    assert (met.verdict, broken.verdict) == ("met", "broken")
    assert "points mIoU (95 % CI" in line(met)
    assert "top-1" not in line(met)


def test_a_gain_of_one_seed_is_gated_by_its_images(world):
    world.segmented(seeds=(0,))
    (found,) = judge([parse_gate("min_gain_points=1")], world.gather())
    assert (found.verdict, found.found.low is not None) == ("met", True)
    assert "1 seed, so these checkpoints on 40 images" in found.why


def test_a_gain_that_was_not_compared_is_told_in_points_of_miou(world):
    world.segment(arm="baseline")
    world.segment(arm="swat", segmentation={"crop_size": 48})
    (found,) = judge([parse_gate("min_gain_points=1")], world.gather())
    assert (found.verdict, found.why) == ("nothing to judge", "points mIoU was not compared here")


def test_published_numbers_are_those_of_the_task():
    assert [point.pair for point in published_rows(MIOU)] == ["swin_t", "swin_s", "van_b2"]
    assert all(point.miou_percent is None for point in published_rows())
    assert len(published_rows()) == 20
    small, base = published_for(["swin_t", "swin_s"], MIOU)
    assert (small.score_percent, small.macs, small.params) == (44.5, 945e9, 60e6)
    assert (base.score_percent, base.macs, base.params) == (47.6, 1038e9, 81e6)
    assert {small.input, base.input} == {"512 × 2048"}
    (van,) = published_for(["van_b2"], MIOU)
    assert (van.score_percent, van.macs, van.params) == (50.1, 948e9, 57e6)


def measured(world, *, size, arms=("baseline", "swat"), pair="swin_t"):
    segmentation = segmentation_of(pair, **LARGE, decoder_channels=512)
    return world.cost(pair, arms, segmentation=segmentation, input_size=(3, *size), macs=944_000_000_000)


def test_published_segmenters_stand_in_the_table_as_what_they_are(world):
    measured(world, size=(512, 2048))
    world.cost("van_b2", segmentation=segmentation_of("van_b2"))
    table = published_table(world.gather(), address)
    swin, van = rows(table)
    assert (swin["published_miou_percent"], swin["miou_percent"]) == (44.5, None)
    assert (swin["published_input"], swin["input"]) == ("512 × 2048", "512 × 2048")
    assert swin["macs_ratio"] == pytest.approx(944 / 945)
    assert (swin["source"], swin["note"]) == ("Liu et al. 2021", "single-scale test")
    assert (van["published_macs"], van["macs_ratio"]) == (948e9, None)
    assert (van["published_miou_percent"], van["note"]) == (50.1, "multi-scale test")
    assert "ADE20K" in table.note
    assert "ImageNet" not in table.note


def test_macs_of_another_size_are_not_set_against_published_ones(world):
    measured(world, size=(512, 512))
    (swin,) = rows(published_table(world.gather(), address))
    assert (swin["published_macs"], swin["macs_ratio"]) == (945e9, None)
    assert (swin["published_input"], swin["input"]) == ("512 × 2048", "512 × 512")


@pytest.mark.parametrize(
    ("size", "axis", "grey"),
    [((512, 2048), "macs", True), ((512, 512), "macs", False), ((512, 2048), "params", False)],
)
def test_published_points_are_drawn_where_they_have_a_place(world, size, axis, grey):
    asked = {**LARGE, "decoder_channels": 512}
    for arm in ("baseline", "swat"):
        world.segment("swin_t", arm, segmentation=asked)
    measured(world, size=size)
    (section,) = world.gather()
    shades = {"swin_t": Shade(colour=SERIES[0], dotted=False)}
    (make,) = scatters(
        BY_NAME[axis],
        points(section),
        shades,
        "",
        weights=weights_of(section.pairs),
        metric=section.metric,
    )
    drawing = make()
    assert ("swin_t baseline, published" in drawing.svg) == grey
    told = "Grey: published by the cited papers (ADE20K, MACs for 512 × 2048 pixels)."
    assert (told in drawing.caption) == grey
    missing = "Published MACs are for 512 × 2048 pixels, not for ours, so they stand in the table alone."
    assert (missing in drawing.caption) == (axis == "macs" and not grey)
    assert "Head: UPerNet." in drawing.caption
    assert drawing.title.startswith("mIoU against")


def test_where_no_segmenter_is_trained_the_cited_papers_miou_stands_against_our_costs(world):
    measured(world, size=(512, 2048))
    (section,) = world.gather()
    (point,) = published_points(section)
    assert (point.arm, point.percent, point.seeds) == ("baseline", 44.5, 0)
    assert rows(per_point_table([section], address)) == []


def test_suites_of_classifiers_know_no_segmenter(world):
    world.cost("swin_t")
    table = published_table(world.gather(), address)
    assert {row["published_top1_percent"] for row in rows(table)} == {81.3, 81.7}
    assert "ADE20K" not in table.note
