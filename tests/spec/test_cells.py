import re
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter

from swatbench.errors import SuiteError
from swatbench.spec.catalog import PAIRS
from swatbench.spec.cells import (
    COST_PROTOCOL_VERSION,
    ELSEWHERE,
    PROTOCOL_VERSION,
    Cell,
    CostCell,
    EvaluateCell,
    Machine,
    NamedWeights,
    Speed,
    TrainCell,
)
from swatbench.spec.expand import expand, named_cells
from swatbench.spec.suite import Suite

ALL = {"train", "cost"}
CHANGES: dict[str, tuple[Any, set[str]]] = {
    "name": ("other", set()),
    "description": ("other", set()),
    "promise": ({"hardware": "any", "wall_time_s": 9.0, "result": "some"}, set()),
    "data.source": ("cifar10", {"train"}),
    "recipe.epochs": (9, {"train"}),
    "recipe.cooldown_epochs": (2, {"train"}),
    "recipe.batch_size": (10, {"train"}),
    "recipe.micro_batch_size": (10, {"train"}),
    "recipe.optimizer": ("sgd", {"train"}),
    "recipe.learning_rate": (0.5, {"train"}),
    "recipe.betas": ([0.5, 0.6], {"train"}),
    "recipe.eps": (1e-3, {"train"}),
    "recipe.weight_decay": (0.5, {"train"}),
    "recipe.weight_decay_reaches": ("as_released", {"train"}),
    "recipe.schedule": ("tanh", {"train"}),
    "recipe.schedule_per": ("epoch", {"train"}),
    "recipe.decay_epochs": (2.0, {"train"}),
    "recipe.decay_milestones": ([2], {"train"}),
    "recipe.decay_rate": (0.5, {"train"}),
    "recipe.warmup_epochs": (0.5, {"train"}),
    "recipe.warmup_learning_rate": (0.5, {"train"}),
    "recipe.warmup_prefix": (False, {"train"}),
    "recipe.min_learning_rate": (0.5, {"train"}),
    "recipe.clip_grad_norm": (None, {"train"}),
    "recipe.label_smoothing": (0.5, {"train"}),
    "recipe.drop_path_rate": (0.5, {"train"}),
    "recipe.ema": ({"decay": 0.5}, {"train"}),
    "recipe.augmentation.crop": ("resized", {"train"}),
    "recipe.augmentation.crop_padding": (2, {"train"}),
    "recipe.augmentation.crop_scale": ([0.5, 1.0], {"train"}),
    "recipe.augmentation.crop_ratio": ([0.5, 2.0], {"train"}),
    "recipe.augmentation.interpolation": ("bicubic", {"train"}),
    "recipe.augmentation.flip_probability": (0.1, {"train"}),
    "recipe.augmentation.auto_augment": ("rand-m9", {"train"}),
    "recipe.augmentation.color_jitter": (0.4, {"train"}),
    "recipe.augmentation.erasing_probability": (0.5, {"train"}),
    "recipe.augmentation.erasing_mode": ("const", {"train"}),
    "recipe.augmentation.mixup_alpha": (0.5, {"train"}),
    "recipe.augmentation.cutmix_alpha": (0.5, {"train"}),
    "recipe.augmentation.mixing_probability": (0.5, {"train"}),
    "recipe.augmentation.mixing_switch_probability": (0.1, {"train"}),
    "recipe.augmentation.mixing_mode": ("elem", {"train"}),
    "recipe.augmentation.repeats": (3, {"train"}),
    "recipe_for": ({"deit": {"weight_decay": 0.1}, "mixer_mini": {"epochs": 5}}, {"train"}),
    "structure.alpha": (2, set()),  # patches of four pixels allow no other
    "structure.stem_width": (8, {"train", "cost"}),
    "structure.token_kernel": (5, {"train", "cost"}),
    "structure.grid_kernel": (7, {"train", "cost"}),
    "execution.jobs": (2, set()),
    "execution.threads": (2, {"train"}),
    "execution.workers": (3, set()),
    "execution.stall_s": (3.0, set()),
    "execution.trackers": (["wandb"], set()),
    "execution.checkpoints.every_s": (3.0, set()),
    "execution.checkpoints.keep_every_epochs": (3, set()),
    "execution.checkpoints.keep_best": (True, set()),
    "data.keep_decoded": (True, set()),
    "execution.deterministic": (False, {"train"}),
    "cost.batch_size": (9, {"cost"}),
    "cost.threads": (7, {"cost"}),
    "cost.max_rounds": (9, {"cost"}),
    "cost.budget_s": (9.0, {"cost"}),
    "cost.training": (False, {"cost"}),
    "cost.sweep": ([1, 256], {"cost"}),
    "cost.modes": (["compiled"], {"cost"}),
    "cost.precisions": (["bf16"], {"cost"}),
    "cost.layouts": (["channels_last"], {"cost"}),
    "cost.breakdown": (False, {"cost"}),
    "cost.largest_batch": (True, {"cost"}),
    "cost.deployed": (True, {"cost"}),
    "cost.memory_limit_bytes": (10**9, {"cost"}),
}
"""Field of a suite → another value, and the kinds of cell that it moves."""

TOLD_ELSEWHERE = {
    "pairs": "test_a_new_pair_leaves_the_other_cells_alone",
    "arms": "test_a_new_arm_leaves_the_other_training_alone",
    "seeds": "test_a_new_seed_leaves_the_other_cells_alone",
    "data.root": "test_the_folder_of_the_images_is_no_part_of_the_digest",
    "data.train_split": "test_what_the_data_must_be_moves_training",
    "data.test_split": "test_what_the_data_must_be_moves_training",
    "data.train_images": "test_what_the_data_must_be_moves_training",
    "data.test_images": "test_what_the_data_must_be_moves_training",
    "data.num_classes": "test_what_the_data_must_be_moves_training",
    "data.mean": "test_what_the_data_must_be_moves_training",
    "data.std": "test_what_the_data_must_be_moves_training",
    "data.crop_fraction": "test_what_the_data_must_be_moves_training",
    "data.interpolation": "test_what_the_data_must_be_moves_training",
    "data.further_tests": "test_further_tests_train_nothing_anew_and_are_cells_of_their_own",
    "execution.device": "test_what_the_machine_decides_moves_digests",
    "execution.precision": "test_what_the_machine_decides_moves_digests",
    "execution.fused_attention": "test_what_the_machine_decides_moves_digests",
    "execution.fused_swat": "test_what_the_machine_decides_moves_digests",
    "execution.tf32": "test_switches_of_training_move_training_alone",
    "execution.channels_last": "test_switches_of_training_move_training_alone",
    "execution.compile": "test_switches_of_training_move_training_alone",
    "execution.fused_optimizer": "test_switches_of_training_move_training_alone",
    "execution.gradient_checkpointing": "test_switches_of_training_move_training_alone",
    "recipe.learning_rate_scaling": "test_the_rule_of_the_learning_rate_moves_training",
    "recipe.learning_rate_batch_size": "test_the_rule_of_the_learning_rate_moves_training",
    "equivalence_margin_points": "test_the_margin_moves_no_cell",
    "data.unlabelled": "test_segmentation.py",
    "recipe.steps_per_epoch": "test_segmentation.py",
    "segmentation": "test_segmentation.py",
    "backbone": "test_segmentation.py",
    "structure.combine": "test_a_setting_reaches_the_pairs_that_have_a_use_for_it",
    "structure.merge_kernel": "test_a_setting_reaches_the_pairs_that_have_a_use_for_it",
}

FOLDER = {
    "source": "folder",
    "root": None,
    "train_split": "train",
    "test_split": "validation",
    "train_images": 500,
    "test_images": 9,
    "num_classes": 10,
}


def leaves(model: type[BaseModel], prefix: str = "") -> set[str]:
    names = set()
    for name, field in model.model_fields.items():
        inner = field.default if isinstance(field.default, BaseModel) else None
        kind = type(inner) if inner else field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            names |= leaves(kind, f"{prefix}{name}.")
        else:
            names.add(prefix + name)
    return names


def changed(suite: Suite, path: str, value: Any) -> Suite:
    values = suite.model_dump(mode="json")
    *parents, last = path.split(".")
    place = values
    for parent in parents:
        place = place[parent]
    assert place.get(last) != value, f"{path} is {value!r} already"  # a dump leaves out what is null and new
    place[last] = value
    return Suite.model_validate_json(TypeAdapter(Any).dump_json(values))


def digests(suite: Suite, machine: Machine) -> dict[str, set[str]]:
    found = {"train": set(), "evaluate": set(), "cost": set()}
    for cell in expand(suite, machine, cores=2):
        found[cell.kind].add(cell.digest)
    return found


def test_every_field_of_a_suite_is_accounted_for() -> None:
    assert leaves(Suite) == set(CHANGES) | set(TOLD_ELSEWHERE)


def test_the_margin_moves_no_cell(suite: Suite, machine: Machine) -> None:
    with_margin = changed(suite, "equivalence_margin_points", 0.5)
    assert digests(with_margin, machine) == digests(suite, machine)


@pytest.mark.parametrize("path", CHANGES)
def test_a_change_moves_the_digests_that_it_should(suite: Suite, machine: Machine, path: str) -> None:
    value, moved = CHANGES[path]
    before = digests(suite, machine)
    after = digests(changed(suite, path, value), machine)
    for kind in ALL:
        if kind in moved:
            assert before[kind].isdisjoint(after[kind])
        else:
            assert before[kind] == after[kind]


OTHER_DATA = {
    "train_split": "training",
    "test_split": "val",
    "train_images": 501,
    "test_images": 10,
    "num_classes": 11,
    "mean": (0.5, 0.5, 0.5),
    "std": (0.5, 0.5, 0.5),
    "crop_fraction": 0.9,
    "interpolation": "bilinear",
}


@pytest.mark.parametrize("name", OTHER_DATA)
def test_what_the_data_must_be_moves_training(suite: Suite, machine: Machine, name: str) -> None:
    resized = changed(suite, "recipe.augmentation.crop", "resized")
    here = changed(resized, "data", FOLDER)
    there = changed(resized, "data", {**FOLDER, name: OTHER_DATA[name]})
    assert digests(here, machine)["train"].isdisjoint(digests(there, machine)["train"])


def test_the_rule_of_the_learning_rate_moves_training(suite: Suite, machine: Machine) -> None:
    recipe = {**suite.model_dump(mode="json")["recipe"], "learning_rate_batch_size": 100}
    asked = [
        changed(suite, "recipe", {**recipe, **change})
        for change in (
            {"learning_rate_scaling": "linear"},
            {"learning_rate_scaling": "sqrt"},
            {"learning_rate_scaling": "linear", "learning_rate_batch_size": 200},
        )
    ]
    found = [digests(one, machine)["train"] for one in (suite, *asked)]
    assert len(set.union(*found)) == sum(map(len, found))


def test_the_order_of_cells_is_that_of_the_file(suite: Suite, machine: Machine) -> None:
    found = expand(suite, machine, cores=2)
    names = [(c.pair["name"], c.seed, c.arm) if isinstance(c, TrainCell) else c.pair["name"] for c in found]
    assert names == [
        ("deit_mini", 0, "baseline"),
        ("deit_mini", 0, "swat"),
        ("deit_mini", 1, "baseline"),
        ("deit_mini", 1, "swat"),
        ("mixer_mini", 0, "baseline"),
        ("mixer_mini", 0, "swat"),
        ("mixer_mini", 1, "baseline"),
        ("mixer_mini", 1, "swat"),
        "deit_mini",
        "mixer_mini",
    ]


def test_cells_hold_what_the_suite_and_the_catalogue_say(suite: Suite, machine: Machine) -> None:
    found = expand(suite, machine, cores=3)
    assert found[1].parts == ("tokenization", "token_mixing", "channel_mixing")
    assert found[0].parts == ()
    assert found[0].pair == PAIRS["deit_mini"].as_dict()
    assert found[-1].threads == 3
    assert found[-1].arms == {"baseline": (), "swat": ("tokenization", "token_mixing", "channel_mixing")}


def test_the_published_deit_is_an_arm_beside_its_control(suite: Suite, machine: Machine) -> None:
    asked = changed(changed(suite, "pairs", ["deit_mini"]), "arms", ["baseline", "class_token", "swat"])
    found = expand(asked, machine, cores=2)
    assert [cell.parts for cell in found if isinstance(cell, TrainCell)][:2] == [(), ("class_token",)]
    assert isinstance(found[-1], CostCell)
    assert found[-1].arms["class_token"] == ("class_token",)


def test_no_two_cells_share_an_id_and_each_is_a_folder_name(suite: Suite, machine: Machine) -> None:
    ids = [cell.id for cell in expand(suite, machine, cores=2)]
    assert len(set(ids)) == len(ids)
    for name in ids:
        assert re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,79}", name)
    assert ids[0].startswith("deit_mini-baseline-seed0-")
    assert ids[-1].startswith("mixer_mini-cost-")


def test_without_cost_there_are_no_cost_cells(suite: Suite, machine: Machine) -> None:
    none = expand(changed(suite, "cost", None), machine, cores=2)
    assert {cell.kind for cell in none} == {"train"}


def test_a_new_seed_leaves_the_other_cells_alone(suite: Suite, machine: Machine) -> None:
    before = digests(suite, machine)
    after = digests(changed(suite, "seeds", [0, 1, 2]), machine)
    assert before["cost"] == after["cost"]
    assert before["train"] < after["train"]
    assert len(after["train"]) == 12


def test_a_new_pair_leaves_the_other_cells_alone(suite: Suite, machine: Machine) -> None:
    before = digests(changed(suite, "pairs", ["deit_mini"]), machine)
    after = digests(suite, machine)
    assert before["train"] < after["train"]
    assert before["cost"] < after["cost"]


def test_a_new_arm_leaves_the_other_training_alone(suite: Suite, machine: Machine) -> None:
    before = digests(suite, machine)
    after = digests(changed(suite, "arms", ["baseline", "swat", "mixing"]), machine)
    assert before["train"] < after["train"]
    # Arms are timed interleaved, so a further one is a new measurement of all.
    assert before["cost"].isdisjoint(after["cost"])


def test_the_folder_of_the_images_is_no_part_of_the_digest(suite: Suite, machine: Machine) -> None:
    here = changed(suite, "data.source", "cifar10")
    there = changed(here, "data.root", "/home/wilhelmina/images")
    assert digests(here, machine) == digests(there, machine)
    assert "wilhelmina" not in str([cell.facts for cell in expand(there, machine, cores=2)])


def test_all_cores_and_their_number_ask_for_the_same(suite: Suite, machine: Machine) -> None:
    assert digests(changed(suite, "cost.threads", 2), machine) == digests(suite, machine)


def with_resolution(machine: Machine, **change: Any) -> Machine:
    return machine.model_copy(update={"resolution": machine.resolution.model_copy(update=change)})


def test_what_the_machine_decides_moves_digests(suite: Suite, machine: Machine) -> None:
    before = digests(suite, machine)
    changes = ({"device": "cuda"}, {"precision": "bf16"}, {"fused_attention": True}, {"fused_swat": True})
    for change in changes:
        after = digests(suite, with_resolution(machine, **change))
        assert before["train"].isdisjoint(after["train"])
        assert before["cost"].isdisjoint(after["cost"])
    other = digests(suite, with_resolution(machine, data_digest="b" * 64))
    assert before["train"].isdisjoint(other["train"])
    assert before["cost"] == other["cost"]


@pytest.mark.parametrize("switch", Speed.model_fields)
def test_switches_of_training_move_training_alone(suite: Suite, machine: Machine, switch: str) -> None:
    now = getattr(machine.speed, switch)
    other = "default" if switch == "compile" else not now
    speed = machine.speed.model_copy(update={switch: other})
    before, after = digests(suite, machine), digests(suite, machine.model_copy(update={"speed": speed}))
    assert before["train"].isdisjoint(after["train"])
    assert before["cost"] == after["cost"]


def test_workers_and_the_card_s_name_move_nothing(suite: Suite, machine: Machine) -> None:
    other = machine.model_copy(update={"workers": 9, "accelerator": "some card"})
    assert digests(suite, other) == digests(suite, machine)


def test_workers_and_processes_move_what_is_streamed(suite: Suite, machine: Machine) -> None:
    data = {"source": "wds/set", "train_images": 500, "test_images": 9, "num_classes": 10}
    asked = changed(changed(suite, "recipe.augmentation.crop", "resized"), "data", {**FOLDER, **data})
    for other in ({"workers": 3}, {"processes": 2}):
        after = digests(asked, machine.model_copy(update=other))
        assert digests(asked, machine)["train"].isdisjoint(after["train"])


def test_processes_share_a_batch_and_with_a_stated_micro_batch_change_nothing(
    suite: Suite, machine: Machine
) -> None:
    two = machine.model_copy(update={"processes": 2})
    stated = changed(suite, "recipe.micro_batch_size", 25)
    assert digests(stated, two) == digests(stated, machine)
    assert digests(suite, two)["train"].isdisjoint(digests(suite, machine)["train"])
    assert {cell.micro_batch_size for cell in expand(suite, two, cores=2) if cell.kind == "train"} == {25}
    three = machine.model_copy(update={"processes": 3})
    with pytest.raises(SuiteError, match=r"A batch of 50 images cannot be shared by 3 processes"):
        expand(suite, three, cores=2)
    with pytest.raises(
        SuiteError, match=r"by 4 processes with micro-batches of 25\. Choose a multiple of 100"
    ):
        expand(stated, machine.model_copy(update={"processes": 4}), cores=2)


def test_cores_and_classes_move_the_cost_cells_alone(suite: Suite, machine: Machine) -> None:
    first = expand(suite, machine, cores=2)
    for other in (
        expand(suite, machine, cores=4),
        expand(suite, machine.model_copy(update={"num_classes": 100}), cores=2),
    ):
        for one, two in zip(first, other, strict=True):
            assert (one.digest == two.digest) == isinstance(one, TrainCell)


def test_further_tests_train_nothing_anew_and_are_cells_of_their_own(suite: Suite, machine: Machine) -> None:
    tests = [
        {"name": "v2", "root": "/home/wilhelmina/v2", "images": 3},
        {"name": "real", "labels": "real", "images": 9},
    ]
    suite = changed(changed(suite, "recipe.augmentation.crop", "resized"), "data", FOLDER)
    asked = changed(suite, "data.further_tests", tests)
    cells = expand(asked, machine, cores=2)
    assert digests(asked, machine)["train"] == digests(suite, machine)["train"]
    further = [cell for cell in cells if isinstance(cell, EvaluateCell)]
    trained = {cell.digest for cell in cells if isinstance(cell, TrainCell)}
    assert len(further) == 2 * len(trained)
    assert {cell.weights for cell in further} == trained
    assert len({cell.id for cell in further}) == len(further)
    assert further[0].id.startswith("deit_mini-baseline-seed0-on-v2-")
    assert "wilhelmina" not in str([cell.facts for cell in cells])


def test_named_weights_are_tested_on_every_set(suite: Suite, machine: Machine) -> None:
    suite = changed(changed(suite, "recipe.augmentation.crop", "resized"), "data", FOLDER)
    asked = changed(suite, "data.further_tests", [{"name": "v2", "root": "v2", "images": 3}])
    named = NamedWeights(
        pair={"name": "vit/../x.tag", "img_size": 32},
        arm=ELSEWHERE,
        parts=(),
        seed=None,
        identity="vit.tag",
        preparation={},
    )
    cells = named_cells(asked, machine, named)
    assert [cell.test.name if cell.test else None for cell in cells] == [None, "v2"]
    assert cells[0].id.startswith("vit-..-x.tag-elsewhere-on-test-")


def test_a_changed_row_of_the_catalogue_moves_its_cells(suite: Suite, machine: Machine) -> None:
    for cell in expand(suite, machine, cores=2):
        for name in cell.pair:
            other = cell.model_copy(update={"pair": {**cell.pair, name: "other"}})
            assert other.digest != cell.digest, name


def test_a_new_protocol_moves_every_digest(suite: Suite, machine: Machine) -> None:
    for cell in expand(suite, machine, cores=2):
        version = COST_PROTOCOL_VERSION if isinstance(cell, CostCell) else PROTOCOL_VERSION
        assert cell.protocol_version == version
        assert cell.model_copy(update={"protocol_version": 99}).digest != cell.digest


def test_digests_do_not_depend_on_the_process(suite: Suite, machine: Machine) -> None:
    first = expand(suite, machine, cores=2)
    again = [TypeAdapter(Cell).validate_json(cell.model_dump_json()) for cell in first]
    assert [cell.digest for cell in again] == [cell.digest for cell in first]
    assert {type(cell) for cell in again} == {TrainCell, CostCell}


def test_a_record_s_cell_reads_back_as_the_same_cell(suite: Suite, machine: Machine) -> None:
    for cell in expand(changed(suite, "data.source", "cifar10"), machine, cores=2):
        assert type(cell).model_validate_json(TypeAdapter(Any).dump_json(cell.facts)).digest == cell.digest
