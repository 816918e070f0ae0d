import json

import numpy as np
import pytest

from swatbench.report.classes import ALL_SHOWN, classes_table


def test_classes_are_means_over_the_compared_seeds(world):
    folders = {
        (arm, seed): world.train(arm=arm, seed=seed, percent=50.0 + 10 * (arm == "swat"))
        for arm in ("baseline", "swat")
        for seed in (0, 1)
    }
    table = classes_table(world.gather())
    assert len(table.frame) == 10

    def percent(arm, label):
        shares = []
        for seed in (0, 1):
            with np.load(folders[arm, seed] / "predictions.npz") as arrays:
                right = arrays["margin"] > 0
                shares.append(right[arrays["label"] == label].mean())
        return 100 * np.mean(shares)

    row = table.frame.to_dict(orient="records")[3]
    assert (row["class"], row["seeds"]) == (3, 2)
    assert row["arm_percent"] == pytest.approx(percent("swat", 3))
    assert row["points"] == pytest.approx(percent("swat", 3) - percent("baseline", 3))


def test_of_many_classes_the_extremes_are_shown_and_the_file_has_all(world):
    world.classes, world.labels = 40, np.arange(400) % 40
    world.train(arm="baseline", percent=50.0)
    world.train(arm="swat", seed=0, percent=60.0)
    give_classes(world, "swat", [float(k) for k in range(40)])
    give_classes(world, "baseline", [20.0] * 40)
    table = classes_table(world.gather())
    assert len(table.frame) == ALL_SHOWN
    assert table.frame["points"].tolist() == [*map(float, range(19, 9, -1)), *map(float, range(-11, -21, -1))]
    assert table.facts["class"].tolist() == list(range(40))
    assert "10 largest gains and losses" in table.note


def test_classes_without_images_and_records_without_classes_are_left_out(world):
    world.classes = 12
    for arm in ("baseline", "swat"):
        world.train(arm=arm)
    assert classes_table(world.gather()).frame["class"].tolist() == list(range(10))
    give_classes(world, "baseline", [])
    assert classes_table(world.gather()).frame.empty


def give_classes(world, arm, percents):
    (path,) = world.results.glob(f"*/*/deit_mini-{arm}-*/record.json")
    record = json.loads(path.read_text())
    record["train"]["evaluated"][0]["per_class_percent"] = percents
    path.write_text(json.dumps(record))
