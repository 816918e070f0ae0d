import pytest

from swatbench.report.agreement import disagreements
from swatbench.report.selection import parse
from swatbench.spec.cells import Speed
from swatbench.store.files import read_suite

COMPILED = Speed(
    tf32=False, channels_last=False, compile="default", fused_optimizer=True, gradient_checkpointing=False
)


def pair_of_runs(world):
    found = parse(read_suite(world.results, world.suite).finished).trained
    by_arm = {run.cell.arm: run for run in found}
    return by_arm["baseline"], by_arm["swat"]


def test_runs_that_differ_in_the_arm_alone_agree(world):
    world.train(arm="baseline")
    world.train(arm="swat", percent=60.0)
    assert disagreements(*pair_of_runs(world)) == ()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"recipe": {"epochs": 4}}, "recipe differs (epochs: 3 and 4)"),
        (
            {"resolution": {"data_digest": "e" * 64}},
            "resolution differs (data_digest: dddddddddd… and eeeeeeeeee…)",
        ),
        (
            {"resolution": {"precision": "fp32"}},
            "resolution differs (precision: bf16 and fp32)",
        ),
        ({"cell": {"micro_batch_size": 64}}, "micro_batch_size differs (32 and 64)"),
        ({"cell": {"streams": 4}}, "streams differs (None and 4)"),
        (
            {"cell": {"speed": COMPILED}},
            "speed differs (compile: none and default)",
        ),
        ({"ema": True}, "weights that were tested differ (raw and ema)"),
        ({"cell": {"deterministic": False}}, "deterministic differs (True and False)"),
        ({"order_sha256": "other"}, "order of the images differs"),
        ({"augmentation_sha256": "other"}, "augmentation differs"),
        ({"recipe_sha256": "other"}, "digest of the recipe differs"),
        (
            {"shared_init_sha256": {"head.weight": "other", "x": "y"}},
            "initial values of shared parameters differ (head.weight)",
        ),
        (
            {"shared_init_sha256": {"head.weight 10×64": "head0"}},
            "no parameter is shared by name and shape",
        ),
    ],
)
def test_each_difference_is_named(world, change, reason):
    world.train(arm="baseline")
    world.train(arm="swat", **change)
    assert reason in disagreements(*pair_of_runs(world))


@pytest.mark.parametrize(
    ("digest", "reason"),
    [
        ("order_sha256", "order of the images differs"),
        ("augmentation_sha256", "augmentation differs"),
        ("recipe_sha256", "digest of the recipe differs"),
        ("shared_init_sha256", "initial values of shared parameters differ (head.weight)"),
    ],
)
def test_each_digest_alone_causes_a_refusal(world, digest, reason):
    world.train(arm="baseline")
    other = {"head.weight": "other"} if digest == "shared_init_sha256" else "other"
    world.train(arm="swat", percent=60.0, **{digest: other})
    (section,) = world.gather()
    assert section.comparisons == ()
    assert [(item.what, item.why) for item in section.refusals] == [("accuracy", reason)]


def test_a_number_of_processes_is_a_remark_and_no_refusal(world):
    world.train(arm="baseline")
    world.train(arm="swat", percent=60.0, processes=2)
    (section,) = world.gather()
    assert section.refusals == ()
    assert section.comparisons[0].accuracy.unlike == ("trained by 1 and 2 processes",)


def test_parameters_of_one_arm_alone_may_differ(world):
    world.train(arm="baseline", shared_init_sha256={"a": "1", "own": "2"})
    world.train(arm="swat", shared_init_sha256={"a": "1", "new": "3"})
    assert disagreements(*pair_of_runs(world)) == ()


def test_a_parameter_of_another_shape_is_another_parameter(world):
    world.train(arm="baseline", shared_init_sha256={"a": "1", "pos_embed 1×64×64": "2"})
    world.train(arm="class_token", shared_init_sha256={"a": "1", "pos_embed 1×65×64": "3"})
    found = parse(read_suite(world.results, world.suite).finished).trained
    arm, reference = sorted(found, key=lambda run: run.cell.arm, reverse=True)
    assert disagreements(reference, arm) == ()


def test_many_unequal_parameters_are_counted(world):
    world.train(arm="baseline", shared_init_sha256={f"p{i}": "1" for i in range(5)})
    world.train(arm="swat", shared_init_sha256={f"p{i}": "2" for i in range(5)})
    (reason,) = disagreements(*pair_of_runs(world))
    assert reason.endswith("(p0, p1, p2 and 2 more)")
