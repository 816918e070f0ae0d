import numpy as np
import pytest
from scipy.stats import binomtest

from swatbench.report.costs import cost_table, ratios_table
from swatbench.report.ledger import cells_table, environments_table, failures_table
from swatbench.report.tables import accuracy_table, means_table
from swatbench.report.throughputs import throughputs_table


def address(stored):
    return stored.folder.name


@pytest.fixture
def found(world):
    world.quickstart()
    world.fail(seed=5, message="loss")
    return world.gather()


def rows(table, **where):
    frame = table.frame
    for name, value in where.items():
        frame = frame[frame[name] == value]
    return frame.to_dict(orient="records")


def test_accuracy_rows_and_their_interval(found):
    table = accuracy_table(found, address)
    assert len(table.frame) == 8
    (row,) = rows(table, pair="deit_mini", arm="swat", seed=1)
    assert (row["correct"], row["top1_percent"]) == (222, 55.5)
    interval = binomtest(222, 400).proportion_ci(method="wilson")
    assert row["low_percent"] == pytest.approx(100 * interval.low)
    assert row["high_percent"] == pytest.approx(100 * interval.high)
    assert row["record"].startswith("deit_mini-swat-seed1-")


def test_means_take_no_comfort_from_more_seeds(found):
    (row,) = rows(means_table(found, address), pair="deit_mini", arm="swat")
    assert (row["seeds"], row["top1_percent"], row["test_images"]) == (2, 54.25, 400)
    assert [seed for seed, _ in row["records"]] == ["0", "1"]
    assert all(to.startswith(f"deit_mini-swat-seed{seed}-") for seed, to in row["records"])
    interval = binomtest(217, 400).proportion_ci(method="wilson")
    assert row["low_percent"] == pytest.approx(100 * interval.low)


def test_cost_rows(world, found):
    (row,) = rows(cost_table(found, address), pair="deit_mini", arm="swat")
    with np.load(next(world.results.glob("toy/*/deit_mini-cost-*/samples.npz"))) as arrays:
        p50 = float(np.median(arrays["inference/swat"]))
    assert row["inference_p50_s"] == pytest.approx(p50)
    assert row["images_per_s"] == pytest.approx(64 / p50)
    assert row["inference_peak_bytes"] == 72 * 2**20


def test_ratio_rows(found):
    table = ratios_table(found, address)
    verdicts = {row["quantity"]: row["verdict"] for row in rows(table, pair="deit_mini")}
    assert verdicts == {
        "parameters": "exact",
        "MACs": "exact",
        "forward pass": "more",
        "training step": "more",
        "peak memory, inference": "more; one measurement",
        "peak memory, training": "more; one measurement",
    }
    (equal,) = rows(table, pair="mixer_mini", quantity="forward pass")
    assert equal["verdict"] == "not distinguishable"
    assert equal["floor"] > 1


def test_the_books_hold_every_cell(found):
    fates = [row["fate"] for row in rows(cells_table(found, address))]
    assert (fates.count("reported"), fates.count("failed")) == (10, 1)
    (failure,) = rows(failures_table(found, address))
    assert (failure["error"], failure["message"]) == ("TrainingError", "loss")
    assert rows(environments_table(found), item="torch")[0]["cells"] == 11


def test_shown_text_and_sort_keys(found):
    views = accuracy_table(found, address).views("some-cpu-2-cores")
    assert [view.text for view in views[0]][:4] == ["deit_mini", "baseline", "0", "44.0"]
    assert views[0][3].key == "44.0"
    assert accuracy_table(found, address).views("elsewhere") == []


def test_ratios_say_how_they_were_timed(world):
    world.cost(settled=False)
    table = ratios_table(world.gather(), address)
    (forward,), (step,) = (rows(table, quantity=name) for name in ("forward pass", "training step"))
    assert (forward["calls_per_sample"], forward["stopped_by"], forward["settled"]) == (4, "precision", False)
    assert forward["verdict"] == "more; warm-up did not settle"
    assert (step["calls_per_sample"], step["stopped_by"], step["verdict"]) == (1, "budget", "more")
    shown = [[view.text for view in row] for row in table.views()]
    assert [row[-3:-1] for row in shown if row[3] == "forward pass"] == [["4", "precise enough"]]
    assert [row[-3:-1] for row in shown if row[3] == "MACs"] == [["–", "–"]]


def test_what_is_no_interval_has_no_ends(world):
    world.cost(rounds=5)
    found = world.gather()
    (row,) = rows(ratios_table(found, address), quantity="forward pass")
    assert (row["verdict"], row["low"], row["high"]) == ("too few rounds", None, None)
    swat = rows(throughputs_table(found, address), arm="swat", protocol="inference")
    assert [(row["low"], row["high"]) for row in swat] == [(None, None)]


def test_a_reference_without_macs_gives_no_ratio(world):
    record = world.cost() / "record.json"
    record.write_text(record.read_text().replace('"macs": 13000000', '"macs": 0'))
    (row,) = rows(ratios_table(world.gather(), address), quantity="MACs")
    assert (row["ratio"], row["verdict"]) == (None, "the reference has none")


def test_a_value_that_is_absent_links_nowhere(world):
    world.cost(training=False)
    table = cost_table(world.gather(), address)
    place = [column.name for column in table.columns].index("training_p50_s")
    assert [(row[place].text, row[place].link) for row in table.views()] == [("–", None)] * 2
    assert all(row[place - 3].link for row in table.views())


def test_counters_that_disagree_are_marked(world):
    world.cost(disagree=("swat",))
    found = world.gather()
    assert rows(ratios_table(found, address), quantity="MACs")[0]["verdict"] == "counters disagree"
    cost = cost_table(found, address)
    texts = [row[3].text for row in cost.views()]
    assert ["counters disagree" in text for text in texts] == [False, True]
    assert [row[3].key for row in cost.views()] == ["13000000", "15080000"]


def test_the_setting_is_said_once_where_all_share_it(world):
    world.cost()
    once = cost_table(world.gather(), address)
    assert once.note.startswith("Measured at batch 64 of 32 × 32, bf16, cpu, 2 threads. ")
    assert "Measured at" not in [column.title for column in once.columns]
    world.machine = "another-cpu"
    folder = world.cost()
    text = (folder / "record.json").read_text()
    (folder / "record.json").write_text(text.replace('"batch_size": 64', '"batch_size": 8'))
    each = cost_table(world.gather(), address)
    assert not each.note.startswith("Measured at")
    assert [row[-1].text.split(" of")[0] for row in each.views()] == ["batch 8"] * 2 + ["batch 64"] * 2
