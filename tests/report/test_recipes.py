import json

from swatbench.report.recipes import recipes_table
from swatbench.spec.recipe import Ema


def table(world):
    return recipes_table(world.gather())


def values(found, column="shared"):
    return {(row["of"], row["setting"]): row[column] for row in found.frame.to_dict(orient="records")}


def test_one_column_tells_what_all_pairs_share(world):
    world.quickstart(seeds=(0,))
    found = table(world)
    assert [column.title for column in found.columns] == ["Of", "Setting", "All pairs"]
    told = values(found)
    assert told["recipe", "weight_decay_reaches"] == "matrices"
    assert told["recipe", "augmentation.crop_padding"] == "4"
    assert told["recipe", "augmentation.auto_augment"] == "none"
    assert told["recipe", "betas"] == "0.9, 0.999"
    assert told["machine", "precision"] == "bf16"
    assert told["speed", "fused_optimizer"] == "yes"
    assert told["speed", "compile"] == "none"
    assert told["resolved", "processes"] == "1"
    assert ("recipe", "micro_batch_size") not in told


def test_settings_come_in_the_order_of_the_reference(world):
    world.train(recipe={"ema": Ema(decay=0.99)})
    names = [row["setting"] for row in table(world).frame.to_dict(orient="records")]
    assert names[:5] == ["micro_batch_size", "peak_learning_rate", "processes", "epochs", "cooldown_epochs"]
    assert names.index("ema.decay") + 1 == names.index("ema.warmup") < names.index("augmentation.crop")


def test_the_peak_rate_is_told_after_scaling(world):
    scaled = {"learning_rate_scaling": "linear", "learning_rate_batch_size": 32}
    world.train(recipe={**scaled, "ema": Ema(decay=0.99)})
    told = values(table(world))
    assert told["recipe", "learning_rate"] == "0.002"
    assert told["resolved", "peak_learning_rate"] == "0.004"
    assert told["resolved", "micro_batch_size"] == "32"
    assert told["recipe", "ema.decay"] == "0.99"


def test_pairs_with_recipes_of_their_own_have_columns_for_what_differs(world):
    for pair in ("deit_mini", "mixer_mini", "swin_t"):
        recipe = {"drop_path_rate": 0.2} if pair == "swin_t" else {}
        world.train(pair, recipe=recipe)
    found = table(world)
    assert [column.title for column in found.columns][2:] == [
        "All pairs",
        "swin_t",
        "deit_mini and mixer_mini",
    ]
    assert values(found)["recipe", "drop_path_rate"] == "differs"
    assert values(found, "group0")["recipe", "drop_path_rate"] == "0.2"
    assert values(found, "group1")["recipe", "drop_path_rate"] == "none"
    assert values(found, "group1")["recipe", "epochs"] == ""
    rows = found.facts[found.facts["setting"] == "drop_path_rate"]
    assert dict(zip(rows["pair"], rows["value"], strict=True)) == {
        "deit_mini": "none",
        "mixer_mini": "none",
        "swin_t": "0.2",
    }


def test_arms_with_unlike_recipes_show_both(world):
    world.train(arm="baseline")
    world.train(arm="swat", recipe={"weight_decay": 0.1})
    assert values(table(world))["recipe", "weight_decay"] == "0.05 / 0.1"


def test_a_recipe_that_todays_rules_refuse_is_told_as_it_is(world):
    path = world.train() / "record.json"
    record = json.loads(path.read_text())
    record["cell"]["recipe"] = {"epochs": 3, "learning_rate": 0.002, "retired": 7}
    path.write_text(json.dumps(record))
    told = values(table(world))
    assert told["recipe", "retired"] == "7"
    assert told["resolved", "peak_learning_rate"] == "0.002"
    assert ("recipe", "schedule") not in told


def test_without_training_there_is_no_recipe(world):
    world.cost()
    assert table(world).frame.empty
