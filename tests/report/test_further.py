"""Trained models on further test sets are compared like the test split, and refused where they are unlike."""

import pytest

from swatbench.report.differences import further_table
from swatbench.report.evaluations import evaluations_table
from swatbench.report.page import render
from swatbench.spec.data import TestSet
from swatbench.stats.accuracy import across_seeds


def reasons(section):
    return [(item.what, item.seed, item.why) for item in section.refusals]


def rows(table, frame="frame", **where):
    found = getattr(table, frame)
    for name, value in where.items():
        found = found[found[name] == value]
    return found.to_dict(orient="records")


def address(stored):
    return stored.folder.name


def test_a_further_set_is_compared_across_images_and_seeds(world):
    world.further()
    (section,) = world.gather()
    (found,) = section.further
    assert (found.pair, found.arm, found.reference, found.test) == ("deit_mini", "swat", "baseline", "v2")
    assert found.accuracy.seeds == across_seeds([30.0, 31.0], [36.0, 39.0])
    assert found.accuracy.images is not None
    assert found.accuracy.images.points == pytest.approx(7.0)
    assert section.refusals == ()
    (row,) = rows(further_table([section], address))
    assert (row["test"], row["weights"], row["points"], row["images"]) == ("v2", "raw", 7.0, 400)
    assert [text for text, _ in row["records"]] == ["baseline 0", "swat 0", "baseline 1", "swat 1"]
    assert len({href for _, href in row["records"]}) == 4


def test_the_test_split_is_not_moved_by_further_sets(world):
    world.further()
    (section,) = world.gather()
    (found,) = section.comparisons
    assert found.accuracy.seeds.points == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"threads": 2}, "threads differs (1 and 2)"),
        (
            {"test": TestSet(name="v2", root="data/v2", images=400, among_its_classes=True)},
            "test differs (among_its_classes: False and True)",
        ),
    ],
)
def test_unlike_tests_are_refused(world, change, why):
    world.evaluate(world.train(arm="baseline"))
    world.evaluate(world.train(arm="swat"), changes=change)
    (section,) = world.gather()
    assert section.further == ()
    assert reasons(section) == [("accuracy on v2", 0, why)]


def test_tests_of_runs_that_were_trained_unlike_are_refused(world):
    world.evaluate(world.train(arm="baseline"))
    world.evaluate(world.train(arm="swat", order_sha256="other"))
    (section,) = world.gather()
    assert section.further == ()
    assert ("accuracy on v2", 0, "their training cannot be compared") in reasons(section)


def test_a_test_without_partner_is_refused(world):
    world.train(arm="baseline")
    world.evaluate(world.train(arm="swat"))
    (section,) = world.gather()
    assert reasons(section) == [("accuracy on v2", 0, "the reference has no finished test of this seed here")]


def test_weights_from_elsewhere_are_told_and_never_compared(world):
    trained = world.train(arm="baseline"), world.train(arm="swat")
    for folder in trained:
        world.evaluate(folder, changes={"seed": None, "weights": "timm/some_model.in1k"})
    (section,) = world.gather()
    assert section.further == ()
    assert reasons(section) == [
        ("accuracy on v2", None, "how the weights were trained is not in this report")
    ]
    table = evaluations_table([section], address)
    assert "Weights from" in [column.title for column in table.columns]
    assert [row["weights_from"] for row in rows(table, test="v2")] == ["timm/some_model.in1k"] * 2


def test_other_images_take_away_the_interval_over_images_only(world):
    world.evaluate(world.train(arm="baseline"), percent=30.0)
    world.evaluate(world.train(arm="swat"), percent=36.0, labels=(world.labels + 1) % 10)
    (section,) = world.gather()
    (found,) = section.further
    assert found.accuracy.images is None
    assert found.accuracy.seeds.points == pytest.approx(6.0)
    assert [item.what for item in section.refusals] == ["accuracy across images on v2"]


def test_an_image_with_several_labels_is_right_by_its_margin(world):
    # Of ReaL the file keeps one label an image, which need not be the one that was answered.
    for arm, percent in (("baseline", 30.0), ("swat", 36.0)):
        real = TestSet(name="real", labels="real", images=400)
        folder = world.evaluate(world.train(arm=arm), real, percent=percent)
        world.answer_with_another_label(folder)
    (section,) = world.gather()
    (found,) = section.further
    assert found.accuracy.images is not None
    assert found.accuracy.images.points == pytest.approx(6.0)


def test_the_average_is_compared_where_accuracies_are_its_own(world):
    for arm, percent in (("baseline", 30.0), ("swat", 36.0)):
        world.evaluate(world.train(arm=arm, ema=True), percent=percent, kinds=("raw", "ema"))
    (section,) = world.gather()
    (found,) = section.further
    assert found.weights == "ema"


def test_a_run_whose_average_was_not_tested_is_refused(world):
    for arm in ("baseline", "swat"):
        world.evaluate(world.train(arm=arm, ema=True), kinds=("raw",))
    (section,) = world.gather()
    assert section.further == ()
    assert "were not tested" in section.refusals[0].why


def test_tests_of_older_runs_are_left_out_with_them(world):
    old = [world.train(arm=arm) for arm in ("baseline", "swat")]
    gone = [world.evaluate(folder) for folder in old]
    for arm in ("baseline", "swat"):
        world.evaluate(world.train(arm=arm, recipe={"epochs": 9}))
    (section,) = world.gather()
    assert {item.stored.folder for item in section.left_out} == {*old, *gone}
    assert len(section.reported) == 4


def test_only_tests_that_are_asked_for_are_shown(world):
    trained = world.train(arm="baseline")
    dropped = world.evaluate(trained)
    kept = world.evaluate(trained, TestSet(name="a", root="data/a", images=400))
    world.ask(trained, kept)
    (section,) = world.gather()
    assert {stored.folder for stored in section.reported} == {trained, kept}
    assert [item.stored.folder for item in section.left_out] == [dropped]


def test_weights_that_a_user_named_are_shown_beside_what_is_asked(world):
    trained = world.train(arm="baseline")
    named = world.evaluate(trained, None, changes={"seed": None, "weights": "a" * 64})
    world.ask(trained, named=(named,))
    (section,) = world.gather()
    assert {stored.folder for stored in section.reported} == {trained, named}
    table = evaluations_table([section], address)
    assert [row["seeds"] for row in rows(table)] == [1, None]


def test_a_file_that_is_none_of_the_records_is_not_read(world):
    world.train(arm="baseline")
    path = world.train(arm="swat") / "record.json"
    path.write_text(path.read_text().replace('"file": "predictions.npz"', '"file": "../predictions.npz"'))
    (section,) = world.gather()
    assert section.comparisons[0].accuracy.images is None
    assert "../predictions.npz is none of the record's files" in section.refusals[0].why


def test_every_set_and_kind_of_weights_has_a_row_and_the_file_every_seed(world):
    for seed in (0, 1):
        world.evaluate(world.train(seed=seed, percent=50.0 + seed, ema=True), percent=30.0 + seed)
    table = evaluations_table(world.gather(), address)
    shown = [(row["test"], row["weights"], row["seeds"], row["top1_percent"]) for row in rows(table)]
    assert shown == [("test", "ema", 2, 50.5), ("test", "raw", 2, 47.5), ("v2", "raw", 2, 30.5)]
    assert [row["top1_percent"] for row in rows(table, "facts", test="v2")] == [30.0, 31.0]
    assert len(table.facts) == 6
    text = [view.text for view in table.views()[0]]
    assert text[2:7] == ["test", "EMA", "2", "400", "50.5"]
    assert text[-2:] == ["1.400", "0.080"]


def test_what_a_model_chooses_among_is_told(world):
    world.evaluate(world.train(), TestSet(name="a", root="data/a", images=400, among_its_classes=True))
    table = evaluations_table(world.gather(), address)
    assert [row[2].text for row in table.views()] == ["test", "a (among its classes alone)"]


def test_the_page_shows_further_sets(world):
    world.further()
    path = render(world.results, world.results.parent / "reports", world.suite)
    text = path.read_text()
    for title in ("Evaluations", "Differences on further test sets", "Per class", "Recipes"):
        assert f">{title}</h3>" in text
    assert "8 cells finished, 0 failed" in text
