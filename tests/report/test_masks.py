"""Suites of segmentation: what is compared, by what, and what is refused."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from swatbench.report.accuracy import answers_of
from swatbench.report.alike import trained_in
from swatbench.report.classes import classes_table
from swatbench.report.costs import cost_table
from swatbench.report.curve_lines import curves
from swatbench.report.curves import accuracy_curves
from swatbench.report.differences import across_seeds_table, these_images_table
from swatbench.report.evaluations import evaluations_table
from swatbench.report.frontiers import frontiers_table
from swatbench.report.groups import GROUPS
from swatbench.report.ledger import left_out_table, refusals_table
from swatbench.report.metric import MIOU, TOP1
from swatbench.report.page import render
from swatbench.report.palette import colours
from swatbench.report.recipes import recipes_table
from swatbench.report.segmenting import HEADS
from swatbench.report.sentences import claims
from swatbench.report.settling import settling_table
from swatbench.report.tables import accuracy_table, means_table
from swatbench.spec.segmentation import Inference
from swatbench.stats.miou import across_mask_images, influence_values
from swatbench.stats.power import detectable_across_seeds
from swatbench.stats.two_level import seeds_and_images
from swatbench.store.atomic import write_bytes_atomic
from swatbench.store.files import write_arrays, write_record
from swatbench.store.record import Record
from tests.report.segmented import segmentation_of

BACKBONE, OTHER = "a" * 64, "b" * 64


def address(stored):
    return stored.folder.name


def rows(table):
    return table.frame.astype(object).where(table.frame.notna(), None).to_dict(orient="records")


def rewrite(folder, **arrays):
    """Change arrays of a run's counts, with a record that fits the new file."""
    with np.load(folder / "predictions.npz") as kept:
        found = {**kept, **arrays}
    sha = write_arrays(folder, "predictions.npz", found)
    record = Record.model_validate_json((folder / "record.json").read_text())
    files = {**record.files, "predictions.npz": sha}
    write_record(folder, record.model_copy(update={"files": files}))


def test_arms_are_compared_by_mean_iou_across_seeds_images_and_both(world):
    world.segmented(seeds=(0, 1, 2))
    (section,) = world.gather()
    assert section.metric is MIOU
    (item,) = section.comparisons
    assert section.refusals == ()
    runs = section.of_pair("swin_mini")
    gains = [
        runs.runs("swat")[s].result.score_percent - runs.runs("baseline")[s].result.score_percent
        for s in (0, 1, 2)
    ]
    assert item.accuracy.seeds.points == pytest.approx(np.mean(gains))
    assert item.accuracy.seeds.t_p is not None
    sides = [[answers_of(runs.runs(arm)[s]).counts[1] for s in (0, 1, 2)] for arm in ("baseline", "swat")]
    assert [each.points for each in item.accuracy.each_seed] == pytest.approx(gains)
    assert item.accuracy.each_seed[1] == across_mask_images(sides[0][1], sides[1][1])
    assert item.accuracy.images.points == pytest.approx(np.mean(gains))
    ours, theirs = (np.concatenate([influence_values(one) for one in side]) for side in sides)
    assert item.accuracy.both == seeds_and_images(ours, theirs)
    spread = 100 * np.sqrt((theirs - ours).var(axis=1).mean())
    assert item.accuracy.image_spread_points == pytest.approx(spread)
    (settled,) = rows(settling_table([section], address))
    assert settled["detectable_images_points"] == pytest.approx(detectable_across_seeds(spread, 40))


def test_tables_and_sentences_say_miou_and_know_no_mcnemar(world):
    world.segmented(seeds=(0, 1))
    found = world.gather()
    table = these_images_table(found, address)
    assert [row["seed"] for row in rows(table)] == ["all", "0", "1"]
    assert all(row["low"] < row["points"] < row["high"] for row in rows(table))
    names = [column.name for column in table.columns]
    assert not {"mcnemar_p", "won", "holm_mcnemar_p"} & {*names, *table.facts.columns}
    assert "no McNemar's test" in table.note
    assert "mIoU, points" in [column.title for column in across_seeds_table(found, address).columns]
    (claim,) = claims(found[0])
    assert re.fullmatch(r"\+\d\.\d points mIoU", claim.effect)
    assert "McNemar" not in claim.tests
    assert "These 4 checkpoints on these 40 images: 95 % CI" in claim.tests
    assert found[0].adjusted[0].mcnemar_p == ()
    assert found[0].adjusted[0].image_tests == 0


def test_a_page_of_segmentation_never_says_top_1(world, tmp_path):
    world.segmented(seeds=(0, 1), further=True, ema=True)
    world.cost("swin_mini", segmentation=segmentation_of("swin_mini"))
    page = render(world.results, tmp_path / "reports", "toy").parent
    for name in ("index.html", "report.md", "report.tex"):
        text = (page / name).read_text()
        assert "mIoU" in text
        assert not re.search(r"top.?1|ImageNet|SWAT fig", text, re.IGNORECASE), name
    for path in page.glob("tables/*.csv"):
        assert "top1" not in path.read_text(), path.name


def test_runs_show_three_scores_the_head_the_crop_and_how_they_were_tested(world):
    world.segment("swin_mini", further=True)
    world.segment("mixer_mini")
    table = accuracy_table(world.gather(), address)
    first, second = rows(table)
    assert {first["head"], second["head"]} == {"upernet", "upernet_on_taps"}
    shown = {view.text for row in table.views() for view in row}
    assert {"UPerNet", "UPerNet on four taps", "32 × 32", "single_scale"} <= shown
    assert {"whole, scale 1", "sliding, stride 21, scale 1"} <= shown
    for name in ("miou_percent", "mean_accuracy_percent", "pixel_accuracy_percent", "test_loss"):
        assert first[name] is not None
    means = means_table(world.gather(), address)
    assert "Head" in [column.title for column in means.columns]
    assert "Mean mIoU %" in [column.title for column in means.columns]


def test_iterations_are_told_where_the_recipe_counts_in_them(world):
    recipe = {"epochs": 4, "steps_per_epoch": 25}
    folder = world.segment()
    record = json.loads((folder / "record.json").read_text())
    record["cell"]["recipe"] |= recipe
    (folder / "record.json").write_text(json.dumps(record))
    assert rows(accuracy_table(world.gather(), address))[0]["iterations"] == 100


def test_further_ways_of_testing_stand_in_the_table_of_evaluations_alone(world):
    world.segmented(seeds=(0, 1), further=True, ema=True)
    found = world.gather()
    told = rows(evaluations_table(found, address))
    assert [(row["inference"], row["weights"]) for row in told[:3]] == [
        ("single_scale", "ema"),
        ("single_scale", "raw"),
        ("multi_scale", "ema"),
    ]
    assert told[2]["miou_percent"] == pytest.approx(told[0]["miou_percent"] + 2, abs=0.5)
    (item,) = found[0].comparisons
    assert item.accuracy.seeds.points == pytest.approx(
        told[3]["miou_percent"] - told[0]["miou_percent"], abs=1e-9
    )


def test_classes_have_their_iou_and_names_from_elsewhere_do_no_harm(world, tmp_path):
    names = ("<script>x</script>", "_a|b`c", "=1+1", "天\x00\x1b[31m\n$x$")
    for arm in ("baseline", "swat"):
        world.segment(arm=arm, classes=names)
    table = classes_table(world.gather())
    assert [column.title for column in table.columns][5:7] == ["Reference, IoU %", "Arm, IoU %"]
    assert [row["name"] for row in rows(table)] == [*names]
    page = render(world.results, tmp_path / "reports", "toy")
    text = page.read_text()
    assert "<script>x" not in text
    assert "\x00" not in (page.parent / "figures" / "masks_swin_mini.svg").read_text()
    assert "'=1+1" in (page.parent / "tables" / "per_class.csv").read_text()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"intersection": lambda counts: counts // 2}, "their mIoU is"),
        ({"intersection": lambda counts: counts + 10_000}, "more pixels as found than there are"),
        ({"intersection": lambda counts: counts[:-1]}, "(39, 4)"),
        ({"predicted": lambda counts: counts.astype(float)}, "no whole numbers"),
        ({"labelled": lambda counts: counts[:, 0]}, "(40,)"),
    ],
)
def test_counts_that_do_not_fit_their_record_are_not_compared_and_told(world, change, why):
    world.segment(arm="baseline")
    folder = world.segment(arm="swat", miou=45.0)
    with np.load(folder / "predictions.npz") as kept:
        rewrite(folder, **{name: make(kept[name]) for name, make in change.items()})
    (section,) = world.gather()
    (item,) = section.comparisons
    assert item.accuracy.images is None
    assert item.accuracy.both is None
    (refusal,) = section.refusals
    assert refusal.what == "accuracy across images"
    assert why in refusal.why
    (claim,) = claims(section)
    assert "Not compared image by image" in claim.tests


def test_a_record_that_says_another_miou_than_its_counts_is_told(world):
    world.segment(arm="baseline")
    world.segment(arm="swat", lie=1e-5)
    (refusal,) = world.gather()[0].refusals
    assert "their mIoU is" in refusal.why


def test_damaged_and_missing_counts_leave_the_rest_standing(world, tmp_path):
    world.segment(arm="baseline")
    folder = world.segment(arm="swat", miou=45.0)
    sha = write_bytes_atomic(folder / "predictions.npz", b"PK no archive")
    record = Record.model_validate_json((folder / "record.json").read_text())
    write_record(folder, record.model_copy(update={"files": {**record.files, "predictions.npz": sha}}))
    (section,) = world.gather()
    assert section.refusals[0].why.startswith("predictions cannot be read")
    assert render(world.results, tmp_path / "reports", "toy").is_file()


def test_other_masks_are_not_compared_image_by_image(world):
    world.segment(arm="baseline")
    folder = world.segment(arm="swat")
    with np.load(folder / "predictions.npz") as kept:
        turned = {name: kept[name][::-1] for name in kept}
    rewrite(folder, **turned)
    (refusal,) = world.gather()[0].refusals
    assert refusal.why == "the test images differ or come in another order"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"crop_size": 40}, "crop_size: 32 and 40"),
        ({"auxiliary_weight": 0.0}, "auxiliary_weight: 0.4 and 0.0"),
        ({"tests": (Inference(name="ss", flip=True),)}, "inference.flip: False and True"),
        ({"decoder_channels": 32}, "decoder_channels: 16 and 32"),
    ],
)
def test_arms_that_were_trained_or_tested_otherwise_are_refused(world, changes, why):
    world.segment(arm="baseline")
    world.segment(arm="swat", segmentation=changes)
    (section,) = world.gather()
    assert section.comparisons == ()
    assert why in section.refusals[0].why


def test_what_changes_no_score_refuses_nothing(world):
    world.segment(arm="baseline", shown=1)
    named = (Inference(name="ss"),)
    world.segment(arm="swat", further=True, segmentation={"tests": named})
    (section,) = world.gather()
    assert section.refusals == ()
    assert section.comparisons[0].accuracy.images is not None


def test_arms_begin_with_backbones_of_their_own_or_none_does(world):
    init = {"backbone.norm.weight": "of baseline", "head.weight": "head"}
    world.segment(arm="baseline", backbone=BACKBONE, shared_init_sha256=init)
    own = {"backbone.norm.weight": "of swat", "head.weight": "head"}
    world.segment(arm="swat", backbone=OTHER, shared_init_sha256=own)
    assert world.gather()[0].refusals == ()
    world.segment("deit_mini", arm="baseline", backbone=BACKBONE)
    world.segment("deit_mini", arm="swat")
    (refusal,) = world.gather()[0].refusals
    assert "backbone differs (from weights and fresh)" in refusal.why


def test_each_seed_may_begin_with_a_backbone_of_its_own(world):
    for seed, backbone in enumerate((BACKBONE, OTHER)):
        world.segment(arm="baseline", seed=seed, backbone=backbone)
        world.segment(arm="swat", seed=seed, backbone=backbone)
    (section,) = world.gather()
    assert section.comparisons[0].accuracy.compared == (0, 1)
    assert section.left_out == ()


def test_of_one_seed_with_two_backbones_the_newer_run_counts(world):
    old = world.segment(backbone=BACKBONE)
    world.segment(backbone=OTHER)
    (section,) = world.gather()
    assert [item.stored.folder for item in section.left_out] == [old]
    assert len(section.of_pair("swin_mini").trained) == 1


def test_recipes_say_head_tests_and_backbone(world):
    world.segment(backbone=BACKBONE)
    told = {(row["of"], row["setting"]): row["shared"] for row in rows(recipes_table(world.gather()))}
    assert told["segmentation", "head"] == "UPerNet"
    assert told["segmentation", "crop_size"] == "32"
    assert told["segmentation", "tests: single_scale"] == "whole, scale 1"
    assert told["backbone", "begins with"] == "weights of a classifier"
    assert told["backbone", "sha256"] == "aaaaaaaaaa…"


def test_no_ranking_holds_two_heads_crops_or_ways_of_testing(world):
    world.segmented(seeds=(0,), pair="swin_mini")
    world.segmented(seeds=(0,), pair="deit_mini")
    world.segmented(seeds=(0,), pair="mixer_mini")
    found = world.gather()
    of = {}
    for row in rows(frontiers_table(found, address)):
        of.setdefault((row["cost"], row["ranking"]), set()).add(row["pair"])
    assert sorted(map(sorted, of.values())) == [["deit_mini"], ["mixer_mini"], ["swin_mini"]]
    whys = {row["pair"]: row["why"] for row in rows(refusals_table(found))}
    assert "segmentation.head: UPerNet" in whys["swin_mini"]
    assert "UPerNet on four taps" in whys["swin_mini"]
    assert "segmentation.inference.mode: whole and sliding" in whys["mixer_mini"]


def test_the_setting_of_a_ranking_holds_head_decoder_crop_test_and_backbone(world):
    world.segment(backbone=BACKBONE)
    (run,) = world.gather()[0].of_pair("swin_mini").trained
    setting = trained_in(run)
    assert setting["segmentation.head"] == "UPerNet"
    assert setting["segmentation.inference.scales"] == [1.0]
    assert setting["backbone"] == "from weights"
    assert {"segmentation.decoder_channels", "segmentation.crop_size"} <= setting.keys()
    assert "segmentation.shown" not in setting


def test_a_cost_of_another_head_is_not_set_against_accuracy(world):
    world.segmented(seeds=(0,))
    world.cost("swin_mini", segmentation=segmentation_of("swin_mini", decoder_channels=64))
    (section,) = world.gather()
    assert {item.why for item in section.refusals} == {"its cost was measured with another head"}
    (row, _) = rows(cost_table([section], address))
    assert row["head"] == "upernet"


@pytest.mark.parametrize("most", ["segmentation", "classification"])
def test_two_tasks_in_one_suite_are_never_compared_and_told(world, most, tmp_path):
    few, many = (0,), (0, 1)
    world.segmented(seeds=many if most == "segmentation" else few)
    for seed in few if most == "segmentation" else many:
        world.train("deit_mini", "baseline", seed)
        world.train("deit_mini", "swat", seed)
    world.cost("deit_mini")
    world.cost("swin_mini", segmentation=segmentation_of("swin_mini"))
    (section,) = world.gather()
    assert section.metric is (MIOU if most == "segmentation" else TOP1)
    assert [item.pair for item in section.comparisons] == [
        "swin_mini" if most == "segmentation" else "deit_mini"
    ]
    table = left_out_table([section], address)
    assert len(rows(table)) == 3
    other = "classification" if most == "segmentation" else "segmentation"
    assert {row["why"] for row in rows(table)} == {
        f"it is of {other}, and most here is of {most}: the two are never compared"
    }
    assert render(world.results, tmp_path / "reports", "toy").is_file()


def test_one_arm_of_each_task_is_no_comparison(world):
    for seed in (0, 1):
        world.segment("deit_mini", "baseline", seed)
    world.train("deit_mini", "swat")
    (section,) = world.gather()
    assert section.comparisons == ()
    assert len(section.left_out) == 1


def test_a_cell_and_a_result_of_two_tasks_are_no_record(world):
    folder = world.segment()
    record = json.loads((folder / "record.json").read_text())
    del record["cell"]["segmentation"]
    (folder / "record.json").write_text(json.dumps(record))
    assert world.gather() == ()


def test_a_score_of_another_way_of_testing_is_no_record(world):
    folder = world.segment(further=True)
    record = json.loads((folder / "record.json").read_text())
    record["train"]["inference"] = "multi_scale"
    (folder / "record.json").write_text(json.dumps(record))
    assert world.gather() == ()


def test_curves_show_miou(world):
    world.segment(ema=True)
    (section,) = world.gather()
    drawing = accuracy_curves(curves(section), colours(["swin_mini"]), "", section.metric)
    assert drawing.title == "Test mIoU while training."
    assert "40.0 after epoch 3" in drawing.alt
    assert "% mIoU" in drawing.svg
    assert accuracy_curves(curves(section), colours(["swin_mini"]), "") is None


def test_every_table_and_figure_of_segmentation_is_explained(world):
    world.segmented(seeds=(0,))
    section = world.gather()
    text = " ".join((Path(__file__).parents[2] / "docs" / "report.md").read_text().split()).lower()
    for group in GROUPS:
        for make in (*group.tables, *group.folded):
            assert make(section, address).title.lower() in text
    assert "predicted masks" in text
    for head in HEADS.values():
        assert f"*{head.lower()}*" in text
