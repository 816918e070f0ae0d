import pytest

from swatbench.report.export import csv_text
from swatbench.report.modules import PARTS, WHOLE_MODEL, aligned_modules, modules_table
from swatbench.store.cost import ModuleCost
from swatbench.store.files import read_record, write_record
from swatbench.store.rows import write_rows
from tests.report.measured import detail, modules_of


def table(world):
    return modules_table(world.gather(), lambda _: "record.json")


def rows(found):
    return found.frame.to_dict(orient="records")


def places(found):
    return {row["path"]: row for row in rows(found) if row["change"] == row["change"] and row["change"]}


def dict_of(header, line):
    return dict(zip(header.split(","), line.split(","), strict=True))


@pytest.fixture
def compared(world):
    detail(world.cost())
    return table(world)


def test_the_sums_are_the_parameters_and_macs_of_the_record(world):
    stored = detail(world.cost(arms=("baseline", "tokenization", "swat")))
    costs = {cost.arm: cost for cost in stored.record.cost.arms}
    totals = {row["arm"]: row for row in rows(table(world)) if row["part"] == WHOLE_MODEL}
    assert list(totals) == ["tokenization", "swat"]
    for arm, total in totals.items():
        assert (total["params"], total["macs"]) == (costs[arm].params, costs[arm].macs)
        reference = costs["baseline"]
        assert (total["reference_params"], total["reference_macs"]) == (reference.params, reference.macs)
        assert total["params_difference"] == costs[arm].params - reference.params
        sums = [row for row in rows(table(world)) if row["arm"] == arm and row["path"] == "all of it"]
        for name in ("params", "reference_params", "macs", "reference_macs", "params_difference"):
            assert sum(row[name] for row in sums) == total[name]


def test_only_places_that_differ_are_shown_and_the_file_has_all(compared):
    found = places(compared)
    assert found["blocks.*.mlp.dw"]["change"] == "added"
    assert found["blocks.*.mlp.dw"]["macs_difference"] == 300_000
    assert found["blocks.*.attn.qkv"]["change"] == "removed"
    assert found["blocks.*.attn.qkv"]["params_difference"] == -40_000
    assert found["patch_embed.proj"]["change"] == "changed"
    assert found["patch_embed.proj"]["kinds"] == "Conv2d → Tokenizer"
    assert found["blocks.*.attn.proj"]["kinds"] == "Linear → StructureAwareLinear"
    assert found["blocks.*.attn.proj"]["change"] == "changed"
    assert found["blocks.*.attn.proj"]["params_difference"] == 0
    assert "blocks.*.norm1" not in found
    assert "blocks.*.mlp.fc1" not in found
    text = csv_text(compared)
    assert "blocks.*.norm1" in text
    assert "all of it" not in text
    header, *lines = text.splitlines()
    changes = {row["path"]: row["change"] for row in (dict_of(header, line) for line in lines)}
    assert changes["blocks.*.norm1"] == changes["blocks.*.mlp.fc1"] == "same"
    assert changes["blocks.*.attn.proj"] == "changed"


def test_another_number_of_modules_is_a_change():
    norm = {"path": "norm", "kind": "LayerNorm", "part": "other", "params": 10, "macs": 7}
    one, two = (ModuleCost(arm="a", copies=copies, **norm) for copies in (1, 2))
    assert [row.change for row in aligned_modules([one], [two])] == ["changed"]
    assert [row.change for row in aligned_modules([two], [two])] == ["same"]


def test_a_part_that_does_not_differ_still_has_its_sum(compared):
    (norms,) = [row for row in rows(compared) if row["part"] == "norms and skips"]
    assert norms["path"] == "all of it"
    assert norms["params"] == norms["reference_params"] == 768
    assert norms["macs_difference"] == 0


def test_equal_parts_stand_together_in_the_order_of_a_model(compared):
    parts = list(dict.fromkeys(row["part"] for row in rows(compared)))
    assert parts == [part for part in PARTS if part in parts] + [WHOLE_MODEL]
    changes = [row["part"] for row in rows(compared)]
    assert changes == sorted(changes, key=parts.index)


def test_modules_of_several_kinds_at_one_place_are_one_row(world):
    folder = world.cost()
    record = read_record(folder / "record.json")
    found = [
        ModuleCost(arm=arm, path="norm", kind=kind, part="other", copies=2, params=params, macs=7)
        for arm, kind, params in (
            ("baseline", "LayerNorm", 10),
            ("swat", "LayerNorm", 10),
            ("swat", "GroupNorm", 5),
        )
    ]
    files = {**record.files, "modules.jsonl": write_rows(folder, "modules.jsonl", found)}
    write_record(folder, record.model_copy(update={"files": files}))
    row = places(table(world))["norm"]
    assert row["kinds"] == "LayerNorm → GroupNorm + LayerNorm"
    assert (row["reference_copies"], row["copies"]) == (2, 2 + 2)
    assert (row["params"], row["macs"]) == (10 + 5, 7 + 7)


def test_sums_that_are_not_the_records_are_marked(world):
    stored = detail(world.cost())
    cost = stored.record.cost
    shorter = [row for arm in cost.arms for row in modules_of(arm, plain=arm.arm == "baseline")][:-1]
    sha = write_rows(stored.folder, "modules.jsonl", shorter)
    files = {**stored.record.files, "modules.jsonl": sha}
    write_record(stored.folder, stored.record.model_copy(update={"files": files}))
    total = table(world).views()[-1]
    recorded = cost.arms[1].params
    lost = modules_of(cost.arms[1], plain=False)[-1].params
    assert next(view.text for view in total if "the record says" in view.text) == (
        f"{recorded - lost:,} (the record says {recorded:,})"
    )


def test_sums_that_are_the_records_carry_no_mark(compared):
    assert not [view for row in compared.views() for view in row if "record says" in view.text]


def test_one_arm_alone_has_the_sums_of_its_parts(world):
    stored = detail(world.cost(arms=("baseline",)))
    (cost,) = stored.record.cost.arms
    *parts, total = rows(table(world))
    assert (total["part"], total["params"], total["macs"]) == (WHOLE_MODEL, cost.params, cost.macs)
    assert {row["path"] for row in parts} == {"all of it"}
    assert {row["part"]: row["params"] for row in parts}["token mixing"] == 40_000 + 10_000
    assert [column.title for column in table(world).columns] == [
        "Pair",
        "Arm",
        "Part",
        "Place",
        "Parameters",
        "MACs",
    ]
    header, *lines = csv_text(table(world)).splitlines()
    found = {row["path"]: row for row in (dict_of(header, line) for line in lines)}
    assert found["blocks.*.attn.proj"]["params"] == "10000"
    assert found["blocks.*.attn.proj"]["change"] == found["blocks.*.attn.proj"]["reference_params"] == ""
    assert table(world).title == "Parameters and MACs by part"


def test_without_modules_there_is_nothing_to_tell(world):
    world.cost()
    assert table(world).frame.empty
