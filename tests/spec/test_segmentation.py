"""What a suite says of segmentation: what fits what, and which digests it moves."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from swatbench.errors import SuiteError
from swatbench.spec.catalog import PAIRS
from swatbench.spec.cells import Machine
from swatbench.spec.expand import expand
from swatbench.spec.load import parse_suite
from swatbench.spec.segmentation import Segmentation
from swatbench.spec.suite import ProfileSuite, Suite
from swatbench.store.files import read_suite

TEXT = """\
name: scenes
pairs: [swin_t, deit_ti, mixer_ti]
seeds: [0]
data:
  source: ade20k
  root: scenes
recipe:
  epochs: 80
  steps_per_epoch: 2000
  batch_size: 16
  learning_rate: 6e-5
segmentation: {}
"""


def scenes(text: str = TEXT) -> Suite:
    suite = parse_suite(text, file="scenes.yaml")
    assert isinstance(suite, Suite)
    return suite


def train_digests(suite: Suite, machine: Machine, **given) -> list[str]:
    return [cell.digest for cell in expand(suite, machine, cores=2, **given) if cell.kind == "train"]


def test_what_is_left_open_is_decided_by_the_family(machine: Machine) -> None:
    suite = scenes()
    decided = {pair: suite.segmentation_of(pair) for pair in suite.pairs}
    assert {pair: (one.head, one.tests[0].mode, one.tests[0].stride) for pair, one in decided.items()} == {
        "swin_t": ("upernet", "whole", None),
        "deit_ti": ("upernet_on_taps", "whole", None),
        "mixer_ti": ("upernet_on_taps", "sliding", 341),
    }
    for cell in expand(suite, machine, cores=2):
        assert cell.segmentation == decided[cell.pair["name"]]
        # Structure follows the pair's own size, whatever the crops.
        assert cell.pair["img_size"] == 224
        if cell.kind == "cost":
            assert cell.input_size == (3, 512, 512)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("source: ade20k\n  root: scenes", "source: cifar10_subset", "has no masks"),
        ("segmentation: {}\n", "", "has masks"),
        ("segmentation: {}", "segmentation: {head: upernet}", "upernet does not fit deit_ti"),
        (
            "segmentation: {}",
            "segmentation: {tests: [{mode: whole}]}",
            "mixer_ti takes images of one size",
        ),
        ("segmentation: {}", "segmentation: {tests: [{}, {}]}", "name of its own"),
        ("segmentation: {}", "segmentation: {short_side: 4096}", "short_side: 4096 is more than long_side"),
        ("segmentation: {}", "segmentation: {tests: [{stride: 600}]}", "leaves gaps"),
        ("segmentation: {}", "segmentation: {augmentation: {scale: [2.0, 1.0]}}", "is no range"),
        ("  epochs", "  augmentation: {crop: resized}\n  epochs", "is of classification"),
        ("segmentation: {}", "segmentation: {}\nbackbone: {}", "either this or `files`"),
        ("segmentation: {}", "segmentation: {}\nbackbone: {suite: scenes}", "the suite itself"),
        ("segmentation: {}", "segmentation: {}\nbackbone: {files: {swin_t: a.pth}}", "needs each of"),
        ("  root: scenes", "  root: scenes\n  num_classes: 3", "not to be stated"),
        ("  root: scenes", "  root: scenes\n  unlabelled: zero", "is of source 'masks' alone"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(old: str, new: str, words: str) -> None:
    assert TEXT.count(old) == 1
    with pytest.raises(SuiteError) as found:
        scenes(TEXT.replace(old, new))
    assert words in str(found.value)


def test_segmentation_is_not_asked_of_classifiers(text: str) -> None:
    for added in ("backbone: {suite: other}\n", "segmentation: {}\n"):
        with pytest.raises(SuiteError):
            parse_suite(text + added, file="small.yaml")
    with pytest.raises(SuiteError, match="segmentation alone"):
        parse_suite(text.replace("epochs: 3", "epochs: 3\n  steps_per_epoch: 7"), file="small.yaml")


def test_what_is_said_of_segmentation_moves_digests(machine: Machine) -> None:
    before = train_digests(scenes(), machine)
    for change in (
        "{decoder_channels: 256}",
        "{auxiliary_weight: 0.0}",
        "{norm: groupnorm}",
        "{crop_size: 256}",
        "{augmentation: {flip_probability: 0.1}}",
        "{tests: [{flip: true}]}",
    ):
        after = train_digests(scenes(TEXT.replace("segmentation: {}", f"segmentation: {change}")), machine)
        assert not set(before) & set(after), change
    longer = scenes(TEXT.replace("steps_per_epoch: 2000", "steps_per_epoch: 2001"))
    assert not set(before) & set(train_digests(longer, machine))


def test_the_weights_that_a_backbone_begins_with_move_its_training_alone(machine: Machine) -> None:
    suite = scenes()
    before = train_digests(suite, machine)
    after = train_digests(suite, machine, backbones={("swin_t", "swat", 0): "f" * 64})
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False] + 4 * [True]


def test_an_epoch_of_stated_steps_counts_its_images() -> None:
    assert scenes().recipe.images_seen(20_210) == 160_000 * 16


def test_cost_alone_is_measured_at_any_size_that_the_models_take(machine: Machine) -> None:
    text = "name: wide\npairs: [swin_t]\nsegmentation: {}\ninput_size: [512, 2048]\n"
    suite = parse_suite(text, file="wide.yaml")
    assert isinstance(suite, ProfileSuite)
    (cell,) = expand(suite, machine, cores=2)
    assert cell.input_size == (3, 512, 2048)
    for wrong in (text.replace("swin_t", "mixer_ti"), text.replace("segmentation: {}\n", "")):
        with pytest.raises(SuiteError, match="size"):
            parse_suite(wrong, file="wide.yaml")


def test_records_from_before_segmentation_keep_their_digests(repository: Path) -> None:
    """What the specs gained is left out where it is null, so no cell of a classifier is another one now."""
    from swatbench.spec.cells import CostCell, TrainCell

    kept = {"train": TrainCell, "cost": CostCell}
    for name in ("cifar10", "profile"):
        for stored in read_suite(repository / "results", name).finished:
            cell, record = dict(stored.record.cell), stored.record
            if record.kind == "train":
                cell["data"] = {**cell["data"], "root": None, "keep_decoded": "auto", "further_tests": []}
            if record.kind == "cost":
                cell["cost"] = {
                    **cell["cost"],
                    "threads": None,
                    "modes": ["eager"],
                    "precisions": ["fp32"],
                    "layouts": ["contiguous"],
                }
            made = kept[record.kind].model_validate_json(json.dumps(cell))
            assert made.digest == record.digest


def test_nothing_is_left_open_twice() -> None:
    decided = Segmentation().of(PAIRS["mixer_ti"])
    assert decided.of(PAIRS["mixer_ti"]) == decided
    with pytest.raises((ValueError, ValidationError)):
        decided.of(PAIRS["swin_t"])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("batch_size: 16", "batch_size: 16\n  micro_batch_size: 1", "recipe.micro_batch_size: batch norm"),
        ("segmentation: {}", "segmentation: {}\ncost: {batch_size: 1}", "cost.batch_size: batch norm"),
        ("segmentation: {}", "segmentation: {tests: [{name: ms-raw}]}", "raw is what files call"),
        ("segmentation: {}", "segmentation: {tests: [{mode: whole, stride: 9}]}", "takes whole images"),
    ],
)
def test_what_would_fail_or_be_lost_later_is_refused_at_once(old: str, new: str, words: str) -> None:
    with pytest.raises(SuiteError) as found:
        scenes(TEXT.replace("[swin_t, deit_ti, mixer_ti]", "[swin_t]").replace(old, new))
    assert words in str(found.value)
    kept = new.replace("}\ncost: {batch_size: 1", ", norm: groupnorm}\ncost: {batch_size: 1")
    if kept != new:
        scenes(TEXT.replace(old, kept.replace("{, ", "{")))


def test_how_models_are_tested_is_no_part_of_what_they_cost(machine: Machine) -> None:
    def costs(text: str) -> list[str]:
        return [cell.digest for cell in expand(scenes(text), machine, cores=2) if cell.kind == "cost"]

    assert costs(TEXT) == costs(TEXT.replace("segmentation: {}", "segmentation: {tests: [{flip: true}]}"))
    assert costs(TEXT) != costs(TEXT.replace("segmentation: {}", "segmentation: {decoder_channels: 64}"))
