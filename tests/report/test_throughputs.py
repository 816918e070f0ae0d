import numpy as np
import pytest

from swatbench.report.figures import figures
from swatbench.report.throughputs import spaced, throughput_curves, throughputs_table
from swatbench.stats.ratios import paired_ratio


def address(stored):
    return stored.folder.name


def row_of(table, **where):
    frame = table.frame
    for name, value in where.items():
        frame = frame[frame[name] == value]
    (row,) = frame.to_dict(orient="records")
    return row


def test_images_a_second_and_their_ratio_at_every_batch(world):
    folder = world.cost(slowdown=1.25, sweep=(8, 256))
    table = throughputs_table(world.gather(), address)
    assert len(table.frame) == 2 * 2 * 3  # arms, calls, batches
    with np.load(folder / "samples.npz") as arrays:
        names = ("swat", "baseline", "twin")
        arm, reference, twin = (arrays[f"training@256/{name}"] for name in names)
    row = row_of(table, arm="swat", protocol="training", batch_size=256)
    time = paired_ratio(arm, reference, twin)
    assert row["images_per_s"] == pytest.approx(256 / np.median(arm))
    assert row["ratio"] == pytest.approx(1 / time.ratio) == pytest.approx(0.8, rel=0.02)
    assert (row["low"], row["high"]) == (pytest.approx(1 / time.high), pytest.approx(1 / time.low))
    assert row["low"] < row["ratio"] < row["high"]
    assert row["floor"] == time.floor
    assert row["verdict"] == "less"


def test_a_reference_has_no_ratio_and_a_faster_arm_does_more(world):
    world.cost(slowdown=0.5)
    table = throughputs_table(world.gather(), address)
    reference = row_of(table, arm="baseline", protocol="inference")
    assert (np.isnan(reference["ratio"]), reference["verdict"]) == (True, "–")
    arm = row_of(table, arm="swat", protocol="inference")
    assert arm["ratio"] == pytest.approx(2.0, rel=0.02)
    assert arm["verdict"] == "more"


def test_a_warm_up_that_did_not_settle_is_said_of_its_own_batch_alone(world):
    world.cost(settled=False, sweep=(8,))
    table = throughputs_table(world.gather(), address)
    own = row_of(table, arm="swat", protocol="inference", batch_size=64)
    swept = row_of(table, arm="swat", protocol="inference", batch_size=8)
    assert own["verdict"] == "less; warm-up did not settle"
    assert swept["verdict"] == "less"


def test_arms_are_never_compared_across_conditions(world):
    world.cost(slowdown=2.0)
    world.cost(mode="compiled", slowdown=1.25)
    table = throughputs_table(world.gather(), address)
    for condition, ratio in (("bf16, eager", 0.5), ("bf16, compiled", 0.8)):
        row = row_of(table, arm="swat", protocol="inference", condition=condition)
        assert row["ratio"] == pytest.approx(ratio, rel=0.02)


def test_throughput_is_drawn_where_several_batches_were_timed(world):
    world.cost("deit_mini", sweep=(1, 8, 256))
    world.cost("mixer_mini")
    (section,) = world.gather()
    drawn = {drawing.name: drawing for drawing in figures(section)}
    assert {"throughput_inference", "throughput_training"} <= drawn.keys()
    alt = drawn["throughput_training"].alt
    assert "deit_mini baseline" in alt
    assert " at 1, " in alt
    assert " and " in alt.partition("deit_mini swat")[2]
    assert "mixer_mini" not in alt
    assert drawn["throughput_training"].png.startswith(b"\x89PNG")


def test_labels_of_batch_sizes_do_not_touch():
    assert spaced([1, 8, 10, 11, 16, 256]) == [1, 8, 16, 256]  # 11 lies below 1.4 times 8, 16 above it
    assert spaced([32, 64, 128]) == [32, 64, 128]


def test_one_batch_makes_no_curve(world):
    world.cost()
    (section,) = world.gather()
    assert throughput_curves("inference", section, {}, "") is None
