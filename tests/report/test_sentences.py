import numpy as np
import pytest

from swatbench.report.accuracy import Accuracy
from swatbench.report.comparison import Comparison, CostRatios
from swatbench.report.families import families
from swatbench.report.ratios import PeakRatio
from swatbench.report.sentences import claims, sentence
from swatbench.stats.accuracy import across_images, across_seeds
from swatbench.stats.ratios import paired_ratio
from swatbench.stats.two_level import seeds_and_images
from swatbench.store.cost import Timing


def accuracy(reference, arm):
    rng = np.random.default_rng(0)
    answers = rng.random((len(arm), 1000)) < 0.4, rng.random((len(arm), 1000)) < 0.5
    return Accuracy(
        seeds=across_seeds(reference, arm),
        images=across_images(*answers),
        both=seeds_and_images(*answers),
        compared=tuple(range(len(arm))),
        unlike=(),
    )


def ratio(effect, rounds=30, drift=0.0):
    rng = np.random.default_rng(1)
    arm, reference, twin = np.exp(rng.normal(0, 0.01, (3, rounds)))
    return paired_ratio(effect * arm * np.exp(np.linspace(0, drift, rounds)), reference, twin)


def peak(value, *, distinguishable=True):
    return PeakRatio(ratio=value, difference_bytes=2**20, distinguishable=distinguishable, resolution=0.02)


def comparison(accuracy=None, *, arm="swat", **cost):
    ratios = {"params": 1.22, "macs": 1.12, "inference": None, "training": None}
    ratios |= {"inference_memory": None, "training_memory": None, "macs_agree": True, "timings": ()} | cost
    costs = CostRatios(**ratios) if cost else None
    return Comparison(pair="deit_mini", arm=arm, reference="baseline", accuracy=accuracy, cost=costs)


def say(accuracy=None, **cost):
    return sentence(comparison(accuracy, **cost))


SIX = ([50.0] * 6, [60.0, 61, 62, 60, 61, 62])


@pytest.mark.parametrize(
    ("reference", "arm", "effect", "support", "tests"),
    [
        (
            [50.0],
            [59.3],
            "+9.3 points top-1",
            "(95 % CI on these images alone ",
            "Across seeds: one seed shows no spread, so this is not decided.",
        ),
        (
            [50.0, 51.0],
            [52.0, 60.0],
            "+5.5 points top-1",
            "(95 % CI −39.0 to 50.0, 2 seeds), not decided",
            "Across seeds: p 0.36 (paired t), 0.5 by sign flips, of which 2 seeds allow none below 0.5",
        ),
        (
            [50.0, 51.0],
            [49.0, 50.0],
            "−1.0 points top-1",
            "(95 % CI on these images alone 7.4 to 13.4, 2 seeds), not decided across seeds",
            "Across seeds: the same difference in each seed, so no interval; not decided",
        ),
        (
            [50.0, 51.0, 52.0],
            [60.0, 61.1, 62.2],
            "+10.1 points top-1",
            "(95 % CI 9.9 to 10.3, 3 seeds), decided if normal",
            "Across seeds: p < 0.0001 (paired t), 0.25 by sign flips, of which 3 seeds allow none below 0.25",
        ),
        (
            *SIX,
            "+11.0 points top-1",
            "(95 % CI 10.1 to 11.9, 6 seeds), cost not compared",
            "Across seeds: p < 0.0001 (paired t), 0.031 by sign flips; with new images too, 95 % CI ",
        ),
    ],
)
def test_effect_and_interval_come_first_and_p_values_after(reference, arm, effect, support, tests):
    said = say(accuracy(reference, arm))
    assert said.effect == effect
    assert said.support.startswith(support)
    assert said.tests.startswith(tests)
    assert f"These {2 * len(arm)} checkpoints on these 1,000 images: 95 % CI" in said.tests
    assert "p " not in said.support


def test_one_seed_is_never_decided_across_seeds():
    assert say(accuracy([50.0], [59.3])).support.endswith(
        "1 seed), not decided across seeds, cost not compared"
    )


def test_many_comparisons_are_corrected_in_verdict_and_words():
    # Alone p is .03; of twelve, Holm leaves it undecided.
    near = accuracy([50.0] * 4, [51.0, 51.1, 50.2, 50.5])
    items = [comparison(near, arm=f"arm{index}") for index in range(12)]
    said = sentence(items[0], adjusted=families(items)[0])
    assert ", not decided among 12 comparisons, " in said.support
    assert "Holm's over 12 comparisons" in said.tests
    assert "Holm's over 48 tests" in said.tests
    assert ", decided if normal, " in say(near).support


def test_time_that_can_be_told_apart():
    said = say(inference=ratio(1.37), training=ratio(1.9), inference_memory=peak(1.0213)).support
    assert said.startswith("1.12 × MACs, 1.22 × parameters, 1.37 × latency (1.3")
    assert "× training step (1.8" in said
    assert said.endswith("1.021 × inference memory (one measurement)")


def test_what_cannot_be_told_apart_is_said_together_at_the_end():
    said = say(inference=ratio(1.0), training=ratio(1.9), training_memory=peak(1.01, distinguishable=False))
    assert ", not distinguishable in latency (0.99" in said.support
    assert said.support.endswith(") and training memory (1.00 MiB apart)")
    assert "; A/A floor 1.0" in said.support


def test_time_that_is_told_with_care():
    assert "too few to decide" in say(inference=ratio(1.5, rounds=5)).support
    assert "; the ratio moved to 1.2" in say(inference=ratio(1.2, drift=0.2)).support
    assert " of its first value while measured)" in say(inference=ratio(1.2, drift=0.2)).support
    assert "latency not compared" in say(macs=1.0).support


def test_what_was_not_compared_is_said():
    said = say()
    assert (said.effect, said.support, said.tests) == ("accuracy not compared", "cost not compared", "")


def test_a_warm_up_that_did_not_settle_is_said():
    timing = Timing(protocol="inference", calls_per_sample=1, settled=False, stopped_by="rounds")
    said = say(inference=ratio(1.37), training=ratio(1.9), timings=(timing,)).support
    latency, training = said.split(", ")[2:]
    assert latency.endswith("; warm-up did not settle)")
    assert "settle" not in training


def test_where_nothing_is_trained_the_time_of_a_forward_pass_leads(world):
    world.cost(slowdown=1.37)
    (said,) = claims(world.gather()[0])
    assert said.effect == "1.36 × latency"
    assert "latency" not in said.support
    assert said.support.startswith("(1.35 to 1.37), 1.16 × MACs, ")
    world.train(arm="baseline")
    (said,) = claims(world.gather()[0])
    assert said.effect == "accuracy not compared"
    assert ", 1.36 × latency" in said.support


def test_macs_on_which_counters_disagree_are_marked():
    assert say(macs_agree=False).support.startswith("1.12 × MACs (counters disagree), ")


def test_a_sentence_leads_to_every_record_that_it_rests_on(world):
    world.quickstart()
    (section,) = world.gather()
    first, _ = claims(section, lambda stored: stored.folder.name)
    assert [text for text, _ in first.records] == ["baseline 0", "swat 0", "baseline 1", "swat 1", "cost"]
    assert all(href.startswith("deit_mini-") for _, href in first.records)
    assert len({href for _, href in first.records}) == 5
