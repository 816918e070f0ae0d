import numpy as np
import pytest

from swatbench.report.accuracy import Accuracy
from swatbench.report.comparison import Comparison, CostRatios
from swatbench.report.sentences import claims, sentence
from swatbench.stats.accuracy import across_images, across_seeds
from swatbench.stats.ratios import paired_ratio
from swatbench.store.cost import Timing


def accuracy(reference, arm):
    rng = np.random.default_rng(0)
    images = across_images(rng.random((len(arm), 1000)) < 0.4, rng.random((len(arm), 1000)) < 0.5)
    return Accuracy(
        seeds=across_seeds(reference, arm), images=images, compared=tuple(range(len(arm))), unlike=()
    )


def ratio(effect, rounds=30, drift=0.0):
    rng = np.random.default_rng(1)
    arm, reference, twin = np.exp(rng.normal(0, 0.01, (3, rounds)))
    return paired_ratio(effect * arm * np.exp(np.linspace(0, drift, rounds)), reference, twin)


def say(accuracy=None, **cost):
    ratios = {"params": 1.22, "macs": 1.12, "inference": None, "training": None}
    ratios |= {"inference_peak": None, "training_peak": None, "macs_agree": True, "timings": ()} | cost
    costs = CostRatios(**ratios) if cost else None
    return sentence(
        Comparison(pair="deit_mini", arm="swat", reference="baseline", accuracy=accuracy, cost=costs)
    )


@pytest.mark.parametrize(
    ("reference", "arm", "effect", "seeds"),
    [
        (
            [50.0],
            [59.3],
            "+9.3 points top-1",
            "1 seed: across seeds not decided, as one seed shows no spread",
        ),
        (
            [50.0, 51.0],
            [52.0, 60.0],
            "+5.5 points top-1",
            "across 2 seeds: 95 % CI −39.0 to 50.0, not decided",
        ),
        (
            [50.0, 51.0],
            [49.0, 50.0],
            "−1.0 points top-1",
            "the same difference in each, so no interval, not decided",
        ),
        (
            [50.0, 51.0, 52.0],
            [60.0, 61.1, 62.2],
            "+10.1 points top-1",
            "95 % CI 9.9 to 10.3, if differences are normal (3 seeds allow no exact p below 0.25)",
        ),
        (
            [50.0] * 6,
            [60.0, 61, 62, 60, 61, 62],
            "+11.0 points top-1",
            "across 6 seeds: 95 % CI 10.1 to 11.9",
        ),
    ],
)
def test_the_effect_comes_first_and_seeds_are_always_said(reference, arm, effect, seeds):
    said = say(accuracy(reference, arm))
    assert said.effect == effect
    assert said.accuracy.endswith(seeds)
    assert f"these {2 * len(arm)} checkpoints on these 1,000 images: 95 % CI" in said.accuracy


def test_time_that_can_be_told_apart():
    said = say(inference=ratio(1.37), training=ratio(1.9), inference_peak=1.0213)
    assert said.cost.startswith("1.12 × MACs; 1.22 × parameters; 1.37 × latency (1.3")
    assert "× training step (1.8" in said.cost
    assert said.cost.endswith("1.021 × inference memory (one measurement)")


def test_time_that_cannot():
    assert "latency not distinguishable (0.99" in say(inference=ratio(1.0)).cost
    assert "too few to decide" in say(inference=ratio(1.5, rounds=5)).cost
    assert ", the ratio moved to 1.2" in say(inference=ratio(1.2, drift=0.2)).cost
    assert " of its first value while measured" in say(inference=ratio(1.2, drift=0.2)).cost
    assert "latency not compared" in say(macs=1.0).cost


def test_what_was_not_compared_is_said():
    said = say()
    assert (said.effect, said.accuracy, said.cost) == ("accuracy not compared", "", "not compared")


def test_a_warm_up_that_did_not_settle_is_said():
    timing = Timing(protocol="inference", calls_per_sample=1, settled=False, stopped_by="rounds")
    said = say(inference=ratio(1.37), training=ratio(1.9), timings=(timing,))
    latency, training = said.cost.split("; ")[2:]
    assert latency.endswith(", warm-up did not settle")
    assert "settle" not in training


def test_where_nothing_is_trained_the_time_of_a_forward_pass_leads(world):
    world.cost(slowdown=1.37)
    (said,) = claims(world.gather()[0])
    assert said.effect.startswith("1.36 × latency (1.3")
    assert "latency" not in said.cost
    assert said.cost.startswith("1.16 × MACs; ")
    world.train(arm="baseline")
    (said,) = claims(world.gather()[0])
    assert said.effect == "accuracy not compared"
    assert "; 1.36 × latency" in said.cost


def test_coarse_memory_is_called_so():
    coarse = say(inference_peak=1.5, memory_kind="resident growth").cost
    assert coarse.endswith("1.50 × inference memory (resident growth, one measurement)")
    assert "resident" not in say(inference_peak=1.5, memory_kind="allocated").cost


def test_macs_on_which_counters_disagree_are_marked():
    assert say(macs_agree=False).cost.startswith("1.12 × MACs (counters disagree); ")
