import re
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter

from swatbench.spec.catalog import PAIRS
from swatbench.spec.cells import PROTOCOL_VERSION, Cell, CostCell, Resolution, TrainCell, expand
from swatbench.spec.suite import Suite

ALL = {"train", "cost"}
CHANGES: dict[str, tuple[Any, set[str]]] = {
    "name": ("other", set()),
    "description": ("other", set()),
    "promise": ({"hardware": "any", "wall_time_s": 9.0, "result": "some"}, set()),
    "data.source": ("cifar10", {"train"}),
    "recipe.epochs": (9, {"train"}),
    "recipe.batch_size": (9, {"train"}),
    "recipe.optimizer": ("sgd", {"train"}),
    "recipe.learning_rate": (0.5, {"train"}),
    "recipe.betas": ([0.5, 0.6], {"train"}),
    "recipe.weight_decay": (0.5, {"train"}),
    "recipe.weight_decay_reaches": ("as_released", {"train"}),
    "recipe.warmup_epochs": (0.5, {"train"}),
    "recipe.warmup_learning_rate": (0.5, {"train"}),
    "recipe.min_learning_rate": (0.5, {"train"}),
    "recipe.clip_grad_norm": (None, {"train"}),
    "recipe.label_smoothing": (0.5, {"train"}),
    "recipe.augmentation.crop_padding": (2, {"train"}),
    "recipe.augmentation.flip_probability": (0.1, {"train"}),
    "structure.alpha": (2, set()),  # patches of four pixels allow no other
    "structure.stem_width": (8, {"train", "cost"}),
    "structure.token_kernel": (5, {"train", "cost"}),
    "structure.grid_kernel": (7, {"train", "cost"}),
    "execution.jobs": (2, set()),
    "execution.threads": (2, {"train"}),
    "execution.deterministic": (False, {"train"}),
    "cost.batch_size": (9, {"cost"}),
    "cost.threads": (7, {"cost"}),
    "cost.max_rounds": (9, {"cost"}),
    "cost.budget_s": (9.0, {"cost"}),
    "cost.training": (False, {"cost"}),
}
"""Field of a suite → another value, and the kinds of cell that it moves."""

ELSEWHERE = {
    "pairs": "test_a_new_pair_leaves_the_other_cells_alone",
    "arms": "test_a_new_arm_leaves_the_other_training_alone",
    "seeds": "test_a_new_seed_leaves_the_other_cells_alone",
    "data.root": "test_the_folder_of_the_images_is_no_part_of_the_digest",
    "execution.device": "test_what_the_machine_decides_moves_digests",
    "execution.precision": "test_what_the_machine_decides_moves_digests",
    "execution.fused_attention": "test_what_the_machine_decides_moves_digests",
    "recipe.schedule": "has one value",
    "structure.combine": "test_a_setting_reaches_the_pairs_that_have_a_use_for_it",
    "structure.merge_kernel": "test_a_setting_reaches_the_pairs_that_have_a_use_for_it",
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
    assert place[last] != value, f"{path} is {value!r} already"
    place[last] = value
    return Suite.model_validate_json(TypeAdapter(Any).dump_json(values))


def digests(suite: Suite, resolution: Resolution) -> dict[str, set[str]]:
    found = {"train": set(), "cost": set()}
    for cell in expand(suite, resolution, num_classes=10, cores=2):
        found[cell.kind].add(cell.digest)
    return found


def test_every_field_of_a_suite_is_accounted_for() -> None:
    assert leaves(Suite) == set(CHANGES) | set(ELSEWHERE)


@pytest.mark.parametrize("path", CHANGES)
def test_a_change_moves_the_digests_that_it_should(suite: Suite, resolution: Resolution, path: str) -> None:
    value, moved = CHANGES[path]
    before = digests(suite, resolution)
    after = digests(changed(suite, path, value), resolution)
    for kind in ALL:
        if kind in moved:
            assert before[kind].isdisjoint(after[kind])
        else:
            assert before[kind] == after[kind]


def test_the_order_of_cells_is_that_of_the_file(suite: Suite, resolution: Resolution) -> None:
    found = expand(suite, resolution, num_classes=10, cores=2)
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


def test_cells_hold_what_the_suite_and_the_catalogue_say(suite: Suite, resolution: Resolution) -> None:
    found = expand(suite, resolution, num_classes=10, cores=3)
    assert found[1].parts == ("tokenization", "token_mixing", "channel_mixing")
    assert found[0].parts == ()
    assert found[0].pair == PAIRS["deit_mini"].as_dict()
    assert found[-1].threads == 3
    assert found[-1].arms == {"baseline": (), "swat": ("tokenization", "token_mixing", "channel_mixing")}


def test_the_published_deit_is_an_arm_beside_its_control(suite: Suite, resolution: Resolution) -> None:
    asked = changed(changed(suite, "pairs", ["deit_mini"]), "arms", ["baseline", "class_token", "swat"])
    found = expand(asked, resolution, num_classes=10, cores=2)
    assert [cell.parts for cell in found if isinstance(cell, TrainCell)][:2] == [(), ("class_token",)]
    assert isinstance(found[-1], CostCell)
    assert found[-1].arms["class_token"] == ("class_token",)


def test_no_two_cells_share_an_id_and_each_is_a_folder_name(suite: Suite, resolution: Resolution) -> None:
    ids = [cell.id for cell in expand(suite, resolution, num_classes=10, cores=2)]
    assert len(set(ids)) == len(ids)
    for name in ids:
        assert re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,79}", name)
    assert ids[0].startswith("deit_mini-baseline-seed0-")
    assert ids[-1].startswith("mixer_mini-cost-")


def test_without_cost_there_are_no_cost_cells(suite: Suite, resolution: Resolution) -> None:
    none = expand(changed(suite, "cost", None), resolution, num_classes=10, cores=2)
    assert {cell.kind for cell in none} == {"train"}


def test_a_new_seed_leaves_the_other_cells_alone(suite: Suite, resolution: Resolution) -> None:
    before = digests(suite, resolution)
    after = digests(changed(suite, "seeds", [0, 1, 2]), resolution)
    assert before["cost"] == after["cost"]
    assert before["train"] < after["train"]
    assert len(after["train"]) == 12


def test_a_new_pair_leaves_the_other_cells_alone(suite: Suite, resolution: Resolution) -> None:
    before = digests(changed(suite, "pairs", ["deit_mini"]), resolution)
    after = digests(suite, resolution)
    assert before["train"] < after["train"]
    assert before["cost"] < after["cost"]


def test_a_new_arm_leaves_the_other_training_alone(suite: Suite, resolution: Resolution) -> None:
    before = digests(suite, resolution)
    after = digests(changed(suite, "arms", ["baseline", "swat", "mixing"]), resolution)
    assert before["train"] < after["train"]
    # Arms are timed interleaved, so a further one is a new measurement of all.
    assert before["cost"].isdisjoint(after["cost"])


def test_the_folder_of_the_images_is_no_part_of_the_digest(suite: Suite, resolution: Resolution) -> None:
    here = changed(suite, "data.source", "cifar10")
    there = changed(here, "data.root", "/home/wilhelmina/images")
    assert digests(here, resolution) == digests(there, resolution)
    assert "wilhelmina" not in str(
        [cell.facts for cell in expand(there, resolution, num_classes=10, cores=2)]
    )


def test_all_cores_and_their_number_ask_for_the_same(suite: Suite, resolution: Resolution) -> None:
    assert digests(changed(suite, "cost.threads", 2), resolution) == digests(suite, resolution)


def test_what_the_machine_decides_moves_digests(suite: Suite, resolution: Resolution) -> None:
    before = digests(suite, resolution)
    for change in ({"device": "cuda"}, {"precision": "bf16"}, {"fused_attention": True}):
        after = digests(suite, resolution.model_copy(update=change))
        assert before["train"].isdisjoint(after["train"])
        assert before["cost"].isdisjoint(after["cost"])
    other = digests(suite, resolution.model_copy(update={"data_digest": "b" * 64}))
    assert before["train"].isdisjoint(other["train"])
    assert before["cost"] == other["cost"]


def test_cores_and_classes_move_the_cost_cells_alone(suite: Suite, resolution: Resolution) -> None:
    first = expand(suite, resolution, num_classes=10, cores=2)
    for other in (
        expand(suite, resolution, num_classes=10, cores=4),
        expand(suite, resolution, num_classes=100, cores=2),
    ):
        for one, two in zip(first, other, strict=True):
            assert (one.digest == two.digest) == isinstance(one, TrainCell)


def test_a_changed_row_of_the_catalogue_moves_its_cells(suite: Suite, resolution: Resolution) -> None:
    for cell in expand(suite, resolution, num_classes=10, cores=2):
        for name in cell.pair:
            other = cell.model_copy(update={"pair": {**cell.pair, name: "other"}})
            assert other.digest != cell.digest, name


def test_a_new_protocol_moves_every_digest(suite: Suite, resolution: Resolution) -> None:
    for cell in expand(suite, resolution, num_classes=10, cores=2):
        assert cell.protocol_version == PROTOCOL_VERSION
        assert cell.model_copy(update={"protocol_version": 99}).digest != cell.digest


def test_digests_do_not_depend_on_the_process(suite: Suite, resolution: Resolution) -> None:
    first = expand(suite, resolution, num_classes=10, cores=2)
    again = [TypeAdapter(Cell).validate_json(cell.model_dump_json()) for cell in first]
    assert [cell.digest for cell in again] == [cell.digest for cell in first]
    assert {type(cell) for cell in again} == {TrainCell, CostCell}


def test_a_record_s_cell_reads_back_as_the_same_cell(suite: Suite, resolution: Resolution) -> None:
    for cell in expand(changed(suite, "data.source", "cifar10"), resolution, num_classes=10, cores=2):
        assert type(cell).model_validate_json(TypeAdapter(Any).dump_json(cell.facts)).digest == cell.digest
