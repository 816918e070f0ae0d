import json

import numpy as np
import pytest

from swatbench.report.choice import NOT_ASKED
from swatbench.report.selection import parse
from swatbench.spec.cost import Cost
from swatbench.spec.data import Data
from swatbench.stats.accuracy import across_images, across_seeds
from swatbench.stats.ratios import paired_ratio
from swatbench.store.files import read_suite


def test_numbers_are_those_of_the_raw_files(world):
    folders = {
        (arm, seed): world.train(arm=arm, seed=seed, percent=p)
        for arm, seed, p in (
            ("baseline", 0, 44.0),
            ("baseline", 1, 46.0),
            ("swat", 0, 52.0),
            ("swat", 1, 57.0),
        )
    }
    cost = world.cost(slowdown=1.37)
    (section,) = world.gather()
    (found,) = section.comparisons
    assert (found.pair, found.arm, found.reference) == ("deit_mini", "swat", "baseline")

    def right(arm, seed):
        with np.load(folders[arm, seed] / "predictions.npz") as arrays:
            return arrays["label"] == arrays["predicted"]

    assert found.accuracy is not None
    assert found.accuracy.seeds == across_seeds([44.0, 46.0], [52.0, 57.0])
    assert found.accuracy.images == across_images(
        [right("baseline", 0), right("baseline", 1)], [right("swat", 0), right("swat", 1)]
    )
    with np.load(cost / "samples.npz") as arrays:
        expected = paired_ratio(*(arrays[f"inference/{name}"] for name in ("swat", "baseline", "twin")))
    assert found.cost is not None
    assert found.cost.inference == expected
    assert found.cost.params == pytest.approx(260 / 140)
    assert found.cost.training_memory.ratio == pytest.approx(360 / 200)
    assert section.refusals == ()


def test_a_seed_without_partner_is_refused_and_the_others_stand(world):
    world.quickstart(seeds=(0, 1))
    world.train(arm="swat", seed=7)
    world.train(arm="baseline", seed=8)
    (section,) = world.gather()
    found = next(item for item in section.comparisons if item.pair == "deit_mini")
    assert found.accuracy is not None
    assert found.accuracy.compared == (0, 1)
    assert {(r.seed, r.why.split(" has ")[0]) for r in section.refusals} == {
        (7, "the reference (baseline)"),
        (8, "this arm"),
    }


def test_arms_of_unlike_recipes_are_refused(world):
    world.train(arm="baseline")
    world.train(arm="swat", recipe={"weight_decay": 0.1})
    (section,) = world.gather()
    assert section.comparisons == ()
    (refusal,) = section.refusals
    assert "weight_decay: 0.05 and 0.1" in refusal.why


def test_machines_are_never_mixed(world):
    world.train(arm="baseline")
    world.machine = "another-cpu"
    world.train(arm="swat")
    found = world.gather()
    assert [section.machine for section in found] == ["another-cpu", "some-cpu-2-cores"]
    assert [section.comparisons for section in found] == [(), ()]
    assert "no finished record" in found[0].refusals[0].why


def test_the_newest_configuration_is_reported(world):
    old = [world.train(arm=arm, seed=s, percent=20.0) for arm in ("baseline", "swat") for s in (0, 1)]
    slow = world.cost(slowdown=3.0)
    recipe = {"epochs": 9}
    for arm, percent in (("baseline", 50.0), ("swat", 60.0)):
        world.train(arm=arm, percent=percent, recipe=recipe)
    world.cost(slowdown=1.5, cost=Cost(max_rounds=30))
    (section,) = world.gather()
    (found,) = section.comparisons
    assert {item.stored.folder for item in section.left_out} == {*old, slow}
    assert found.accuracy is not None
    assert found.accuracy.compared == (0,)
    assert found.accuracy.seeds.points == pytest.approx(10.0)
    assert found.cost is not None
    assert found.cost.inference is not None
    assert found.cost.inference.ratio == pytest.approx(1.5, rel=0.02)


@pytest.mark.parametrize("how", ["labels", "lie"])
def test_predictions_that_cannot_be_paired_leave_the_seeds_standing(world, how):
    world.train(arm="baseline", percent=50.0)
    change = {"labels": (world.labels + 1) % 10} if how == "labels" else {"lie": 3}
    world.train(arm="swat", percent=60.0, **change)
    (section,) = world.gather()
    (found,) = section.comparisons
    assert found.accuracy is not None
    assert found.accuracy.images is None
    assert found.accuracy.seeds.points == pytest.approx(10.0)
    assert section.refusals[0].what == "accuracy across images"
    assert ("another order" if how == "labels" else "243 of 400") in section.refusals[0].why


def test_missing_samples_leave_the_counts_standing(world):
    world.train(arm="baseline")
    world.cost(keep_samples=False)
    (section,) = world.gather()
    (found,) = section.comparisons
    assert found.accuracy is None
    assert found.cost is not None
    assert found.cost.inference is None
    assert {r.what for r in section.refusals} >= {"inference time", "training time"}


def test_accuracy_and_cost_of_unlike_models_are_not_joined(world):
    for arm in ("baseline", "swat"):
        world.train(arm=arm, params=999)
    world.cost()
    (section,) = world.gather()
    reasons = [r.why for r in section.refusals if r.what == "accuracy with cost"]
    assert reasons == [
        "999 parameters were trained and 140000 measured",
        "999 parameters were trained and 260000 measured",
    ]


def test_a_malformed_cell_is_set_aside(world):
    folder = world.train(arm="baseline")
    world.train(arm="swat")
    record = json.loads((folder / "record.json").read_text())
    del record["cell"]["parts"]
    (folder / "record.json").write_text(json.dumps(record))
    parsed = parse(read_suite(world.results, world.suite).finished)
    assert [run.cell.arm for run in parsed.trained] == ["swat"]
    ((path, why),) = parsed.malformed
    assert path == folder / "record.json"
    assert "parts" in why


def test_the_reference_is_the_arm_without_parts(world):
    for arm in ("swat", "tokenization", "baseline"):
        world.train(arm=arm)
    (section,) = world.gather()
    assert section.pairs[0].arms == ("baseline", "tokenization", "swat")
    assert {item.reference for item in section.comparisons} == {"baseline"}


@pytest.mark.parametrize("shifted", [("baseline", "swat"), ("baseline",)])
def test_seeds_that_saw_unlike_images_are_not_pooled(world, shifted):
    for arm, percent in (("baseline", 50.0), ("swat", 60.0)):
        world.train(arm=arm, seed=0, percent=percent)
        world.train(arm=arm, seed=1, percent=percent, labels=(world.labels + (arm in shifted)) % 10)
    (section,) = world.gather()
    (found,) = section.comparisons
    assert found.accuracy is not None
    assert found.accuracy.images is None
    assert section.refusals[0].seed == 1


def test_images_may_lie_elsewhere(world):
    # A record keeps no folder, so what the suite demands must not be demanded of it.
    world.train(arm="baseline", data=Data(source="cifar10", root="/one"))
    world.train(arm="swat", data=Data(source="cifar10", root="/two"))
    (section,) = world.gather()
    assert section.comparisons[0].accuracy is not None
    assert section.refusals == ()


def test_a_field_that_no_one_knew_of_must_agree_too(world):
    world.train(arm="baseline")
    folder = world.train(arm="swat")
    record = json.loads((folder / "record.json").read_text())
    record["cell"]["recipe"]["mixup"] = 0.5
    record["cell"]["compile"] = True
    (folder / "record.json").write_text(json.dumps(record))
    (section,) = world.gather()
    why = section.refusals[0].why
    assert "compile differs (None and True)" in why
    assert "recipe differs (mixup: None and 0.5)" in why


def test_what_the_suite_asks_for_now_is_shown_though_it_is_older(world):
    first = [world.train(arm=arm, percent=p) for arm, p in (("baseline", 50.0), ("swat", 60.0))]
    cost = world.cost(slowdown=1.5)
    recipe = {"epochs": 9}
    second = [world.train(arm=arm, recipe=recipe, percent=20.0) for arm in ("baseline", "swat")]
    dropped = [world.train("mixer_mini"), world.train(arm="swat", seed=3)]
    old_failure = world.fail(seed=8)
    failure = world.fail(seed=9)
    world.ask(*first, cost, failure)
    (section,) = world.gather()
    assert {stored.folder for stored in section.reported} == {*first, cost}
    assert [stored.folder for stored in section.failed] == [failure]
    assert {item.stored.folder for item in section.left_out} == {*second, *dropped, old_failure}
    assert {item.why for item in section.left_out} == {NOT_ASKED}
    assert section.comparisons[0].accuracy.seeds.points == pytest.approx(10.0)
    assert section.refusals == ()


def test_each_machine_follows_its_own_last_run(world):
    asked = world.train(arm="baseline")
    world.train(arm="baseline", recipe={"epochs": 9})
    world.ask(asked)
    world.machine = "another-cpu"
    world.train(arm="baseline")
    newest = world.train(arm="baseline", recipe={"epochs": 9})
    other, one = world.gather()
    assert [stored.folder for stored in one.reported] == [asked]
    assert [stored.folder for stored in other.reported] == [newest]


def test_no_arm_stands_in_for_the_baseline(world):
    for arm in ("tokenization", "swat"):
        world.train(arm=arm)
    world.cost(arms=("tokenization", "swat"))
    (section,) = world.gather()
    assert section.pairs[0].reference is None
    assert section.comparisons == ()


def test_a_record_with_a_reference_of_its_own_is_compared_by_it(world):
    world.cost(arms=("baseline",))
    world.cost(arms=("tokenization", "swat"), slowdown=1.5)
    (section,) = world.gather()
    assert section.pairs[0].reference == "baseline"
    (found,) = section.comparisons
    assert (found.arm, found.reference) == ("swat", "tokenization")
    assert found.cost.inference.ratio == pytest.approx(1.5, rel=0.02)
    assert section.refusals == ()


def test_unlike_versions_are_compared_and_told(world):
    world.train(arm="baseline", seed=0)
    world.train(arm="swat", seed=0, percent=60.0)
    world.train(arm="baseline", seed=1)
    world.environment = world.environment.model_copy(
        update={
            "packages": {"torch": "2.8.0", "timm": "1.0.31"},
            "git_commit": "f" * 40,
            "git_dirty": True,
            "swatbench": "0.2.0",
        }
    )
    world.train(arm="swat", seed=1, percent=60.0)
    (section,) = world.gather()
    found = section.comparisons[0].accuracy
    assert found.compared == (0, 1)
    assert found.unlike == (
        "made with different versions: swatbench 0.1.0 and 0.2.0, torch 2.15.0 and 2.8.0 (seed 1)",
        "different commits: 0123456789 and ffffffffff (seed 1)",
        "uncommitted changes: none and some (seed 1)",
    )


def test_alike_versions_need_no_word(world):
    world.quickstart()
    (section,) = world.gather()
    assert [item.accuracy.unlike for item in section.comparisons] == [(), ()]
