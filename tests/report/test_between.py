"""Two folders of results beside one another: what is compared, what is refused, what is told of either."""

import json
from dataclasses import replace

import numpy as np
import pytest

from swatbench.errors import StoreError, SuiteError
from swatbench.report.between import compare_folders
from swatbench.report.between_files import between_json, markdown_of, write_between
from swatbench.report.between_sides import machine_folder
from swatbench.report.between_tables import between_tables
from swatbench.report.between_words import between_sentences
from swatbench.store.files import read_record, write_arrays, write_record
from tests.report.conftest import World
from tests.report.contents import ENVIRONMENT, PEAKS

OTHER_COMMIT = "fedcba9876543210fedcba9876543210fedcba98"


@pytest.fixture
def other(tmp_path):
    """Another checkout, whose records are of another commit and another torch."""
    changed = ENVIRONMENT.model_copy(
        update={"git_commit": OTHER_COMMIT, "packages": {"torch": "2.16.0", "timm": "1.0.31"}}
    )
    return World(results=tmp_path / "checkout" / "results", environment=changed)


def between(one, other):
    return compare_folders(one.results / one.suite, other.results / other.suite)


def table(found, name):
    return next(item for item in between_tables(found) if item.name == name).frame.to_dict("records")


def rewrite(folder, **changes):
    """Change what a record says, and leave its files as they are."""
    record = read_record(folder / "record.json")
    write_record(folder, record.model_copy(update=changes))


def retime(folder, arm, factor, *, protocol="inference", twin=1.0):
    """Let an arm, and the reference's twin, take so much longer in every round."""
    with np.load(folder / "samples.npz") as arrays:
        samples = dict(arrays)
    samples[f"{protocol}/{arm}"] = factor * samples[f"{protocol}/{arm}"]
    samples[f"{protocol}/twin"] = twin * samples[f"{protocol}/twin"]
    rewrite(folder, files={"samples.npz": write_arrays(folder, "samples.npz", samples)})


def test_the_same_predictions_are_called_the_same(world, other):
    for each in (world, other):
        for seed in (0, 1):
            each.train(arm="swat", seed=seed)
    found = between(world, other)
    (item,) = found.accuracy
    assert (item.same, item.changed_images, item.accuracy.compared) == (True, 0, (0, 1))
    assert any("swat: same predictions to the last bit, 2 seeds" in said for said in between_sentences(found))
    (row,) = table(found, "accuracy")
    assert (row["image_verdict"], row["seed_verdict"]) == ("same predictions", "same predictions")


def test_accuracy_is_compared_seed_by_seed_and_image_by_image(world, other):
    for seed in (0, 1, 2):
        world.train(arm="swat", seed=seed, percent=50.0)
        other.train(arm="swat", seed=seed, percent=60.0 + seed)
    found = between(world, other)
    (item,) = found.accuracy
    assert item.before_percent == 50.0
    assert item.accuracy.seeds.points == pytest.approx(11.0)
    assert item.accuracy.images.decided
    assert item.accuracy.seeds.decided
    # The same permutation of images stands behind both, so B answers 44 images more, and none less.
    assert item.changed_images == pytest.approx(44)
    (said,) = (said for said in between_sentences(found) if said.startswith("deit_mini swat"))
    assert said.startswith(
        "deit_mini swat: +11.0 points top-1, B less A (95 % CI 8.5 to 13.5, 3 seeds), decided"
    )
    assert "These 6 checkpoints on these 400 images: 95 % CI" in said
    assert "11.00 % of the images are answered otherwise" in said


def test_the_table_corrects_for_its_rows_as_the_sentences_do(world, other):
    gains = {"baseline": (3.0, 4.0, 5.5), "swat": (-9.0, 7.0, 1.0), "tokenization": (3.0, -2.0, -1.5)}
    for arm, of_arm in gains.items():
        for seed, gain in enumerate(of_arm):
            world.train(arm=arm, seed=seed, percent=50.0)
            other.train(arm=arm, seed=seed, percent=50.0 + gain)
    found = between(world, other)
    (alone,) = (item.accuracy.seeds for item in found.accuracy if item.arm == "baseline")
    assert alone.decided
    (row,) = (row for row in table(found, "accuracy") if row["arm"] == "baseline")
    assert row["holm_t_p"] == pytest.approx(3 * row["t_p"])
    assert row["seed_verdict"] == "not decided among 3 comparisons"
    (said,) = (said for said in between_sentences(found) if said.startswith("deit_mini baseline"))
    assert "not decided among 3 comparisons" in said


def test_answers_that_agree_with_other_probabilities_are_not_the_same_bits(world, other):
    folder = world.train(arm="swat")
    changed = other.train(arm="swat")
    with np.load(changed / "predictions.npz") as arrays:
        predictions = dict(arrays) | {"loss": np.full(400, 0.25, np.float32)}
    rewrite(changed, files={"predictions.npz": write_arrays(changed, "predictions.npz", predictions)})
    assert folder.name == changed.name
    (item,) = between(world, other).accuracy
    assert (item.same, item.changed_images) == (False, 0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"resolution": {"device": "cuda"}}, "resolution differs (device: cpu and cuda)"),
        ({"resolution": {"precision": "fp32"}}, "resolution differs (precision: bf16 and fp32)"),
        ({"cell": {"threads": 8}}, "threads differs (1 and 8)"),
        ({"cell": {"parts": ("tokenization",)}}, "parts differ ("),
        ({"recipe": {"learning_rate": 1e-3}}, "recipe differs (learning_rate: 0.002 and 0.001)"),
        ({"order_sha256": "another"}, "order of the images differs"),
        ({"shared_init_sha256": {"head.weight": "other"}}, "initial values of shared parameters differ"),
    ],
)
def test_runs_that_were_not_asked_or_drawn_alike_are_refused_by_name(world, other, changes, words):
    for seed in (0, 1):
        world.train(arm="swat", seed=seed)
        other.train(arm="swat", seed=seed, **changes)
    found = between(world, other)
    assert not found.accuracy
    assert not found.compared
    reasons = [item.why for item in found.refused]
    assert all(words in why for why in reasons)
    assert sum(len(item.seeds) for item in found.refused) == 2
    assert any("Nothing could be compared" in said for said in between_sentences(found))


def test_further_test_sets_are_compared_too(world, other):
    for each, gain in ((world, 0.0), (other, 10.0)):
        each.evaluate(each.train(arm="swat", percent=60.0), percent=30.0 + gain)
    found = {item.test: item for item in between(world, other).accuracy}
    assert found["test"].same
    assert found["v2"].accuracy.seeds.points == pytest.approx(10.0)


def test_seconds_are_told_and_only_ratios_are_judged(world, other):
    world.cost(slowdown=1.4, rounds=30)
    # Twice as slow a machine, on which the arm costs the same beside its reference.
    changed = other.cost(slowdown=1.4, rounds=30)
    with np.load(changed / "samples.npz") as arrays:
        slower = {name: 2 * values for name, values in arrays.items()}
    rewrite(changed, files={"samples.npz": write_arrays(changed, "samples.npz", slower)})
    found = between(world, other)
    judged = [item for item in found.costs.times if item.change]
    assert {item.of.arm for item in judged} == {"swat"}
    assert {item.protocol for item in judged} == {"inference", "training"}
    for item in judged:
        assert item.change.change == pytest.approx(1.0)
        assert not item.change.distinguishable
    assert {row["verdict"] for row in table(found, "times")} == {"–", "not distinguishable"}
    assert any("seconds stand side by side and are not judged" in said for said in between_sentences(found))


def test_a_dearer_ratio_is_found_and_twins_that_differ_hide_it(world, other):
    world.cost(slowdown=1.4)
    retime(other.cost(slowdown=1.4), "swat", 1.2)
    (item, *_) = (item for item in between(world, other).costs.times if item.change)
    assert item.protocol == "inference"
    assert item.change.change == pytest.approx(1.2)
    assert item.change.distinguishable
    said = " ".join(between_sentences(between(world, other)))
    assert "deit_mini swat: 1.20 × its ratio to baseline (95 % CI" in said
    assert "1 more and 1 not distinguishable" in said


def test_a_change_within_what_twins_show_is_not_distinguishable(world, other):
    world.cost(slowdown=1.4)
    retime(other.cost(slowdown=1.4), "swat", 1.1, twin=1.1)
    (item, *_) = (item for item in between(world, other).costs.times if item.change)
    assert item.change.floors[1] > 1.09
    assert not item.change.distinguishable


def test_few_rounds_and_lost_samples_give_no_verdict(world, other):
    world.cost("deit_mini", rounds=5)
    other.cost("deit_mini", rounds=5)
    world.cost("mixer_mini")
    other.cost("mixer_mini", keep_samples=False)
    found = between(world, other)
    verdicts = {(row["pair"], row["arm"]): row["verdict"] for row in table(found, "times")}
    assert verdicts["deit_mini", "swat"] == "too few rounds"
    assert verdicts["mixer_mini", "swat"] == "–"
    assert {item.pair for item in found.refused} == {"mixer_mini"}
    assert all("raw samples cannot be used" in item.why for item in found.refused)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"precision": "fp32"}, "resolution.precision differs (bf16 and fp32)"),
        ({"layout": "channels_last"}, "layout differs (contiguous and channels_last)"),
        ({"mode": "compiled"}, "mode differs (eager and compiled)"),
        ({"memory_kind": "allocated"}, "memory differs (resident growth and allocated)"),
    ],
)
def test_measurements_in_other_conditions_are_refused_by_name(world, other, changes, words):
    world.cost()
    other.cost(**changes)
    found = between(world, other)
    assert (found.costs.times, found.costs.memories) == ((), ())
    (refusal,) = found.refused
    assert words in refusal.why
    # Counts belong to the model, whatever it was timed in.
    assert {item.quantity for item in found.costs.counts} == {"parameters", "MACs"}


def test_more_effort_is_no_other_condition(world, other):
    folder = world.cost()
    changed = other.cost()
    cell = read_record(changed / "record.json").cell
    cell["cost"] = cell["cost"] | {"budget_s": 60.0, "max_rounds": 200}
    rewrite(
        changed, cell=cell, cost=read_record(changed / "record.json").cost.model_copy(update={"peaks": PEAKS})
    )
    assert folder.name == changed.name
    assert len(between(world, other).costs.times) == 4


def test_arms_with_other_parts_are_refused_and_counts_that_changed_are_told(world, other):
    world.cost(macs=13_000_000)
    changed = other.cost(macs=26_000_000)
    cell = read_record(changed / "record.json").cell
    cell["arms"] = cell["arms"] | {"swat": ["tokenization"]}
    rewrite(changed, cell=cell)
    found = between(world, other)
    (refusal,) = found.refused
    assert (refusal.arm, refusal.why.startswith("parts differ (")) == ("swat", True)
    assert {item.of.arm for item in found.costs.times} == {"baseline"}
    rows = {(row["arm"], row["quantity"]): row for row in table(found, "counts")}
    assert rows["baseline", "MACs"]["verdict"] == "changed"
    assert rows["baseline", "MACs"]["ratio"] == 2
    assert rows["baseline", "parameters"]["verdict"] == "equal"
    assert "deit_mini baseline: 2.00 × MACs (13,000,000 in A" in " ".join(between_sentences(found))


def test_resident_growth_gets_no_verdict_and_allocated_memory_its_values(world, other):
    for each, kind in ((world, "deit_mini"), (other, "deit_mini")):
        each.cost(kind)
        each.cost("mixer_mini", memory_kind="allocated")
    found = {(row["pair"], row["arm"]): row for row in table(between(world, other), "memory")}
    assert found["deit_mini", "swat"]["verdict"] == "not judged: resident growth"
    assert found["mixer_mini", "swat"]["verdict"] == "equal"
    assert found["mixer_mini", "swat"]["ratio"] == 1.0


def test_what_one_side_lacks_failed_or_is_damaged_is_listed(world, other):
    for seed in (0, 1):
        world.train(arm="swat", seed=seed)
    other.train(arm="swat", seed=0)
    world.cost()
    other.fail("mixer_mini", message="loss was <nan>")
    (other.train(arm="swat", seed=7) / "record.json").write_text("{")
    found = between(world, other)
    alone = {(item.side, item.kind, item.arm, item.seeds) for item in found.one_sided}
    assert ("A", "training", "swat", (1,)) in alone
    assert ("A", "cost", "swat", ()) in alone
    assert {(row["side"], row["what"]) for row in table(found, "unusable")} == {
        ("B", "failed"),
        ("B", "damaged"),
    }
    assert "1 failed, 1 damaged record" in between_sentences(found)[-1]


def test_both_sides_are_told_and_where_they_differ(world, other):
    world.train(arm="swat")
    other.train(arm="swat")
    found = between(world, other)
    facts = {fact.item: fact for fact in found.facts}
    assert (facts["commit"].before, facts["commit"].after) == ("0123456789", "fedcba9876")
    assert facts["torch"].differs
    assert not facts["timm"].differs
    assert facts["protocol of training and tests"].before == "3"
    said = between_sentences(found)
    assert said[0].startswith("A: suite toy; machine some-cpu-2-cores")
    assert "They differ in commit and torch." in said


def test_the_other_machines_of_a_suite_are_not_read_in(world):
    world.train(arm="swat")
    second = replace(world, machine="other-cpu-4-cores", results=world.results)
    second.train(arm="swat", percent=90.0)
    with pytest.raises(SuiteError, match="several machines") as caught:
        machine_folder(world.results / "toy")
    assert "other-cpu-4-cores" in caught.value.fix
    root = world.results / "toy"
    found = compare_folders(root / "some-cpu-2-cores", root / "other-cpu-4-cores")
    (item,) = found.accuracy
    assert (item.before_percent, item.after_percent) == (50.0, 90.0)


def test_folders_that_are_no_machine_s_end_with_what_to_do(world, tmp_path):
    cell = world.train(arm="swat")
    with pytest.raises(StoreError, match="There is no such folder"):
        machine_folder(tmp_path / "nothing")
    with pytest.raises(StoreError, match="no folder of a machine") as caught:
        machine_folder(world.results)
    assert "toy" in caught.value.fix
    with pytest.raises(SuiteError, match="folder of one cell"):
        machine_folder(cell)
    with pytest.raises(SuiteError, match="same folder"):
        compare_folders(cell.parent, cell.parent.parent)


def test_what_is_written_is_escaped_and_whole(world, other, tmp_path):
    for each in (world, other):
        each.quickstart()
    other.fail("swin_mini", message="<script>alert(1)</script> | =1+1")
    found = between(world, other)
    page = write_between(found, tmp_path / "out")
    text = page.read_text()
    assert text == markdown_of(found)
    assert "<script>" not in text
    assert text.index("- A: suite") < text.index("## The two sides") < text.index("## Failed and damaged")
    assert (tmp_path / "out/tables/times.tex").read_text().startswith("% Time.")
    told = json.loads(json.dumps(between_json(found), allow_nan=False))
    assert told["times"][0]["before_s"] > 0
    assert {item["verdict"] for item in told["counts"]} == {"equal"}
    assert told["sides"]["B"]["failed"]
