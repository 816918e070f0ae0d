import numpy as np
import pytest

from swatbench.report.latencies import interval_in_words, latencies_table, samples_needed
from swatbench.stats.quantiles import quantile_interval


def address(stored):
    return stored.folder.name


def of_swat(table, **where):
    frame = table.frame[table.frame["arm"] == "swat"]
    for name, value in where.items():
        frame = frame[frame[name] == value]
    (row,) = frame.to_dict(orient="records")
    return row


def test_quantiles_are_those_of_the_raw_samples_with_their_intervals(world):
    folder = world.cost(rounds=400, sweep=(8,))
    table = latencies_table(world.gather(), address)
    with np.load(folder / "samples.npz") as arrays:
        forward, small = arrays["inference/swat"], arrays["inference@8/swat"]
    row = of_swat(table, protocol="inference", batch_size=64)
    for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        expected = quantile_interval(forward, q)
        assert row[f"{name}_s"] == pytest.approx(np.quantile(forward, q))
        assert (row[f"{name}_low_s"], row[f"{name}_high_s"]) == (expected.low, expected.high)
        assert expected.low < row[f"{name}_s"] < expected.high
        assert "needs" not in row[f"{name}_interval"]
    assert (row["samples"], row["calls_per_sample"]) == (400, 4)
    assert of_swat(table, protocol="inference", batch_size=8)["p50_s"] == pytest.approx(np.median(small))
    assert len(table.frame) == 2 * 2 * 2  # arms, calls, batches


@pytest.mark.parametrize("q", [0.5, 0.95, 0.99])
def test_the_samples_that_an_interval_needs_are_the_fewest_that_give_it(q):
    needed = samples_needed(q)
    rising = np.arange(1.0, needed + 1)
    assert quantile_interval(rising, q).high is not None
    assert quantile_interval(rising[:-1], q).high is None
    least = samples_needed(1 - q)
    assert quantile_interval(np.arange(1.0, least + 1), q).low is not None


def test_an_end_that_so_few_samples_cannot_give_says_what_it_takes(world):
    world.cost(rounds=30)
    row = of_swat(latencies_table(world.gather(), address), protocol="training")
    assert row["p99_high_s"] is None
    assert row["p99_interval"].endswith(" to ? (needs 368 samples)")
    assert row["p95_interval"].endswith(" to ? (needs 72 samples)")
    assert "?" not in row["p50_interval"]
    assert interval_in_words(quantile_interval([1.0, 2.0], 0.5), 0.5) == "needs 6 samples"


def test_samples_that_are_gone_leave_no_row(world):
    world.cost(keep_samples=False)
    assert latencies_table(world.gather(), address).views() == []
