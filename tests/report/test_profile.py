import json

import numpy as np
import pytest

from swatbench.errors import StoreError
from swatbench.report.modules import WHOLE_MODEL
from swatbench.report.profile import profile_json, profile_tables
from swatbench.report.profile_table import LONGEST_HEAD
from swatbench.stats.ratios import paired_ratio
from swatbench.store.cost import Energy, LargestBatch, Memory, Peaks, Quantiles, Swept
from swatbench.store.files import Stored, read_record, write_arrays, write_record
from tests.report.measured import detail, found, with_arms


def lines(table):
    return {row[0]: row[1:] for row in table.rows}


def test_the_heading_states_models_and_condition(pair, single):
    assert profile_tables([pair])[0].title == (
        "deit_mini, swat against baseline: batch 64 of 3 × 32 × 32, bf16, eager, contiguous, cpu, 2 threads"
    )
    assert profile_tables([single])[0].title.startswith("deit_mini, baseline: ")
    other = {"mode": "cuda_graph", "layout": "channels_last", "input_size": (3, 512, 2048)}
    changed = detail(pair.folder, **other)
    assert "3 × 512 × 2048, bf16, CUDA graph, channels last" in profile_tables([changed])[0].title


def test_models_from_elsewhere_give_their_names(pair):
    record = pair.record
    renamed = {"baseline": "resnet18.a1_in1k", "swat": "vit_tiny_patch16_224"}
    arms = tuple(arm.model_copy(update={"arm": renamed[arm.arm]}) for arm in record.cost.arms)
    cell = {**record.cell, "pair": {"name": " against ".join(reversed(renamed.values()))}}
    cost = record.cost.model_copy(update={"arms": arms, "reference": renamed["baseline"]})
    stored = Stored(record=record.model_copy(update={"cell": cell, "cost": cost}), folder=pair.folder)
    first = profile_tables([stored])[0]
    assert first.title.startswith("vit_tiny_patch16_224 against resnet18.a1_in1k:\nbatch 64")
    assert first.columns[1:4] == ("resnet18.a1_in1k", "vit_tiny_patch16_224", "second / first")
    assert max(map(len, first.columns)) <= LONGEST_HEAD


def test_counts_stand_beside_each_other_with_their_ratio(pair):
    pair = detail(pair.folder, arms=with_arms(pair, {"training_macs": 3 * 10**9, "activations": 250_000}))
    counts = lines(found(pair, "deit_mini"))
    assert counts["parameters"][:3] == ("140,000", "260,000", "1.86")
    assert counts["MACs, training"][:3] == ("3.00 G", "3.00 G", "1.000")
    assert "64 images" in counts["MACs, training"][3]
    assert counts["activations"][0] == "250 k"
    assert counts["two counters"][:2] == ("agree", "agree")
    assert "trained" not in counts


def test_counters_that_disagree_are_told(world):
    counts = lines(found(detail(world.cost(disagree=("swat",))), "deit_mini"))
    assert counts["two counters"][:3] == ("agree", "do NOT agree", "")


def test_times_carry_intervals_and_ends_that_few_samples_cannot_give_are_open(pair):
    (forward, *_) = found(pair, "Time of one call").rows
    seconds = pair.samples()["inference/baseline"]
    assert forward[:3] == ("forward pass", "64", "baseline")
    assert forward[3].startswith(f"{1e3 * np.median(seconds):.1f} ms (")
    assert "?" not in forward[3]
    assert forward[4] == f"{64 / np.median(seconds) / 1e3:.2f} k"
    (tail, *_) = found(pair, "The same times at the slow end").rows
    assert tail[:3] == forward[:3]
    assert tail[4].endswith("–?)")


def test_titles_about_batches_state_the_size_of_images(pair, single):
    for one in (pair, single):
        assert "batch (64 of 3 × 32 × 32, or as stated)" in found(one, "Time of one call").title


def test_further_batches_are_told_with_their_own_ratio_and_floor(pair):
    samples = pair.samples()
    for name in ("baseline", "swat", "twin"):
        samples[f"inference@8/{name}"] = samples[f"inference/{name}"] * (1.5 if name == "swat" else 0.5)
    summary = Quantiles(n=30, p50=0.01, p05=0.01, p95=0.01)
    swept = (Swept(protocol="inference", batch_size=8, seconds=summary),)
    sha = write_arrays(pair.folder, "samples.npz", samples)
    record = pair.record.model_copy(update={"files": {**pair.record.files, "samples.npz": sha}})
    write_record(pair.folder, record)
    pair = detail(pair.folder, arms=with_arms(pair, {"sweep": swept}))
    ratio = paired_ratio(*(samples[f"inference@8/{name}"] for name in ("swat", "baseline", "twin")))
    small, *_ = found(pair, "Ratio of time").rows
    assert small[:3] == ("forward pass", "8", "swat")
    assert small[3] == f"{ratio.ratio:.2f}"
    assert small[5] == f"{ratio.floor:.3f}"
    assert [row[1] for row in found(pair, "Time of one call").rows] == ["8", "8", "64", "64", "64", "64"]


def test_ratios_come_with_interval_floor_and_verdict(world):
    equal = detail(world.cost(slowdown=1.0))
    slower = detail(world.cost("mixer_mini", slowdown=1.4))
    assert {row[-1] for row in found(equal, "Ratio of time").rows} == {"not distinguishable"}
    for row in found(slower, "Ratio of time").rows:
        assert row[-1] == "more"
        assert " to " in row[4]
        assert float(row[3]) > float(row[5]) > 1


def test_times_that_cannot_be_compared_say_why(pair):
    (pair.folder / "samples.npz").write_bytes(b"none")
    titles = [table.title for table in profile_tables([pair])]
    assert not [title for title in titles if title.startswith("Time of one call")]
    assert "cannot be used" in found(pair, "Ratio of time").rows[0][-1]


def test_one_model_has_its_floor_instead_of_a_ratio(single):
    samples = single.samples()
    floor = paired_ratio(*(samples[f"inference/{name}"] for name in ("twin", "baseline", "twin"))).floor
    assert found(single, "A/A floor").rows[0] == ("forward pass", "64", f"{floor:.3f}", "30")
    assert not [table for table in profile_tables([single]) if table.title.startswith("Ratio")]
    assert "model" not in found(single, "Time of one call").columns


def test_memory_is_told_by_what_it_consists_of(pair):
    memory = Memory(peak_bytes=2**30, weights_bytes=2**20, working_bytes=2**22, saved_bytes=2**27)
    largest = (
        LargestBatch(protocol="training", batch_size=96, limit_bytes=2**31, bounded_by="memory"),
        LargestBatch(protocol="inference", batch_size=4096, limit_bytes=2**31, bounded_by="search"),
    )
    pair = detail(pair.folder, arms=with_arms(pair, {"training_memory": memory, "largest_batches": largest}))
    table = found(pair, "Memory: growth of the resident set")
    told = lines(table)
    assert told["training, peak"][0] == "200 MiB"
    assert told["training, saved"][0] == "128 MiB"
    assert "inference, saved" not in told
    assert "training, reserved" not in told
    assert told["largest batch, training"] == ("96", "96", "", "images that fit into 2.00 GiB")
    assert told["largest batch, inference"][0] == "4,096 or more"
    cuda = found(detail(pair.folder, memory_kind="allocated"), "Memory: bytes that torch allocated")
    assert len(cuda.rows) == len(table.rows)


def test_energy_is_told_or_why_there_is_none(pair):
    why = "no energy counter is read on a CPU"
    assert found(detail(pair.folder, energy_absent=why), "Energy").rows == (("not measured", why),)
    energy = (Energy(protocol="inference", joules_per_image=0.25, windows=(0.25,)),)
    told = lines(found(detail(pair.folder, arms=with_arms(pair, {"energy": energy})), "Energy of an image"))
    assert list(told) == ["inference"]
    assert told["inference"][:3] == ("250 mJ", "250 mJ", "1.000")


def test_a_roofline_is_told_where_peaks_were_measured(pair):
    arms = with_arms(pair, {"moved_bytes": 2**20, "macs_matmul": 10**7})
    with_peaks = detail(pair.folder, arms=arms, peaks=Peaks(flops_per_s=1e12, bytes_per_s=1e9))
    row = found(with_peaks, "Roofline").rows[0]
    attainable_s = 2 * 10**7 * 64 / 1e12
    assert row[:2] == ("forward pass", "baseline")
    assert row[3] == f"{1e3 * attainable_s:.2f} ms"
    assert row[5] == f"{100 * attainable_s / arms[0].inference_s.p50:.1f} %"
    assert row[6:] == ("arithmetic", "–")
    assert not [table for table in profile_tables([pair]) if table.title.startswith("Roofline")]


def test_modules_are_summed_by_part(pair, single):
    params, macs = (lines(found(pair, start)) for start in ("Parameters by part", "MACs of one image"))
    assert params["channel mixing"] == ("60,000", "65,000")
    assert params[WHOLE_MODEL] == ("140,000", "260,000")
    assert macs["channel mixing"] == ("5,000,000", "5,300,000")
    assert macs[WHOLE_MODEL] == ("13,000,000", "15,080,000")
    assert lines(found(single, "Modules by part"))["channel mixing"] == ("60,000", "5,000,000")


def test_several_records_each_have_their_heading(pair, world):
    second = detail(world.cost("mixer_mini"))
    titles = [table.title for table in profile_tables([pair, second])]
    assert len(titles) == 2 * len(profile_tables([pair]))
    assert [title.partition(",")[0] for title in titles if "against" in title] == ["deit_mini", "mixer_mini"]


def test_records_that_are_not_of_cost_are_passed_over(world, pair):
    folder = world.train()
    trained = Stored(record=read_record(folder / "record.json"), folder=folder)
    assert profile_tables([trained]) == ()
    assert profile_json([trained, pair]) == profile_json([pair])


def test_a_record_that_does_not_hold_together_is_refused(pair):
    cell = {key: value for key, value in pair.record.cell.items() if key != "arms"}
    broken = Stored(record=pair.record.model_copy(update={"cell": cell}), folder=pair.folder)
    with pytest.raises(StoreError, match="arms"):
        profile_tables([broken])


def test_json_holds_facts_and_what_follows_from_them(pair, monkeypatch):
    monkeypatch.chdir(pair.folder.parent)
    (told,) = profile_json([pair])["profiles"]
    assert json.loads(json.dumps(told, allow_nan=False)) == json.loads(json.dumps(told))
    assert told["record"] == f"{pair.folder.name}/record.json"
    assert told["condition"]["batch_size"] == 64
    assert [arm["params"] for arm in told["arms"]] == [140_000, 260_000]
    forward = told["times"][0]
    median_s = float(np.median(pair.samples()["inference/baseline"]))
    assert forward["p50_s"] == pytest.approx(median_s)
    assert forward["p50_low_s"] < median_s < forward["p50_high_s"]
    assert forward["p99_high_s"] is None
    assert forward["images_per_s"] == pytest.approx(64 / median_s)
    ratio = next(one for one in told["ratios"] if one["of"] == "time")
    assert ratio["low"] <= ratio["ratio"] <= ratio["high"]
    assert ratio["verdict"] == "more"
    assert told["floors"][0]["floor"] >= 1
    assert sum(row["share"] for row in told["breakdown"] if row["arm"] == "swat") == pytest.approx(2.0)
    assert {row["path"] for row in told["breakdown"]} >= {"blocks.*.mlp.dw", "blocks.*.norm1"}
    assert sum(row["params"] for row in told["modules"] if row["arm"] == "swat") == 260_000


def test_json_holds_the_roofline(pair):
    arms = with_arms(pair, {"moved_bytes": 2**20, "macs_matmul": 10**7})
    stored = detail(pair.folder, arms=arms, peaks=Peaks(flops_per_s=1e12, bytes_per_s=1e9))
    (told,) = profile_json([stored])["profiles"]
    assert told["rooflines"][0]["flops_per_byte"] == pytest.approx(2 * 10**7 * 64 / 2**20)
    assert told["peaks"]["flops_per_s"] == 1e12
