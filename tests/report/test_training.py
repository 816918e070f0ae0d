import json

from swatbench.report.training import training_table


def address(stored):
    return stored.folder.name


def test_waiting_for_images_is_a_share_of_the_time(world):
    world.train(data_s=2.0, train_s=40.0)
    (row,) = training_table(world.gather(), address).frame.to_dict(orient="records")
    assert (row["data_share"], row["images_per_s"], row["processes"]) == (0.05, 375.0, 1)
    (texts,) = training_table(world.gather(), address).views()
    assert [view.text for view in texts][4:7] == ["40.0 s", "5.0 %", "375"]


def test_a_loader_that_is_too_slow_is_marked(world):
    world.train(data_s=4.0, train_s=40.0)
    world.train(arm="swat", data_s=4.1, train_s=40.0)
    shown = [row[5].text for row in training_table(world.gather(), address).views()]
    assert shown == ["10.0 %", "10.2 % (slow loading)"]


def test_a_record_that_does_not_say_how_long_was_waited_claims_nothing(world):
    path = world.train() / "record.json"
    record = json.loads(path.read_text())
    del record["train"]["data_s"]
    path.write_text(json.dumps(record))
    (row,) = training_table(world.gather(), address).views()
    assert row[5].text == "–"
