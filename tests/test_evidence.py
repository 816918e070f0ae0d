"""The results that are committed: whole, of today's suites, and comparable."""

import json
from pathlib import Path

import pytest

from swatbench.report.page import render
from swatbench.spec.cells import Machine, Resolution, Speed
from swatbench.spec.expand import expand
from swatbench.spec.load import load_suite
from swatbench.store.files import read_suite

ROOT = Path(__file__).parent.parent
SPEED = Speed(
    tf32=False, channels_last=False, compile="none", fused_optimizer=True, gradient_checkpointing=False
)
MOST_BYTES = 15_000_000


@pytest.fixture(scope="module")
def listing():
    return read_suite(ROOT / "results", "cifar10")


def test_every_cell_of_the_suite_as_it_is_now_has_its_record(listing):
    assert (listing.failed, listing.damaged) == ((), ())
    suite = load_suite(ROOT / "suites" / "cifar10.yaml")
    cells = {stored.record.kind: stored.record.cell for stored in listing.finished}
    machine = Machine(
        resolution=Resolution(**cells["train"]["resolution"]),
        speed=Speed(**cells["train"]["speed"]),
        num_classes=10,
    )
    asked = {cell.digest for cell in expand(suite, machine, cores=cells["cost"]["threads"])}
    assert {stored.record.digest for stored in listing.finished} == asked
    assert len(asked) == 3 * 2 * 3 + 3


def test_all_of_it_was_made_by_one_committed_state_of_the_code(listing):
    # Cost has a protocol of its own, so it may have been measured anew while the training stayed.
    for kind in ("train", "cost"):
        where = [one.record.environment for one in listing.finished if one.record.kind == kind]
        made = {(environment.git_commit, environment.git_dirty) for environment in where}
        assert len(made) == 1
        assert made.pop()[1] is False


def test_it_keeps_the_suite_s_promise(listing):
    promise = load_suite(ROOT / "suites" / "cifar10.yaml").promise
    scores = {}
    for record in (stored.record for stored in listing.finished if stored.record.train):
        scores.setdefault((record.pair, record.arm), []).append(record.train.top1_percent)
    for pair in ("deit_mini", "mixer_mini", "swin_mini"):
        gain = (sum(scores[pair, "swat"]) - sum(scores[pair, "baseline"])) / 3
        assert gain >= promise.min_gain_points, pair


def test_no_pair_is_refused(listing, tmp_path):
    assert listing.finished
    page = render(ROOT / "results", tmp_path, "cifar10")
    tables = {path.stem for path in (page.parent / "tables").glob("*.csv")}
    assert "not_compared" not in tables or _rows(page.parent / "tables" / "not_compared.csv") == 0
    for pair in ("deit_mini", "mixer_mini", "swin_mini"):
        assert f"{pair}" in page.read_text()


def test_every_pair_of_the_paper_was_profiled_and_both_counters_agree():
    listing = read_suite(ROOT / "results", "profile")
    assert (listing.failed, listing.damaged) == ((), ())
    suite = load_suite(ROOT / "suites" / "profile.yaml")
    first = listing.finished[0].record.cell
    machine = Machine(resolution=Resolution(**first["resolution"]), speed=SPEED, num_classes=1000)
    asked = {cell.digest for cell in expand(suite, machine, cores=first["threads"])}
    records = [stored.record for stored in listing.finished]
    assert {record.digest for record in records} == asked
    assert len(asked) == 10
    made = {(record.environment.git_commit, record.environment.git_dirty) for record in records}
    assert [dirty for _, dirty in made] == [False]
    assert sum(record.duration_s for record in records) <= suite.promise.wall_time_s <= 20 * 60
    for stored in listing.finished:
        for arm in stored.record.cost.arms:
            own = [row for row in stored.modules() if row.arm == arm.arm]
            assert arm.macs_agree
            assert sum(row.macs for row in own) == arm.macs
            assert sum(row.params for row in own) == arm.params
        assert {row.protocol for row in stored.breakdown()} == {"inference", "training"}


def test_every_cell_of_the_small_segmentation_has_its_record_and_the_promise_is_kept():
    listing = read_suite(ROOT / "results", "segmentation_quickstart")
    assert (listing.failed, listing.damaged) == ((), ())
    suite = load_suite(ROOT / "suites" / "segmentation_quickstart.yaml")
    cells = {stored.record.kind: stored.record.cell for stored in listing.finished}
    machine = Machine(
        resolution=Resolution(**cells["train"]["resolution"]),
        speed=Speed(**cells["train"]["speed"]),
        num_classes=11,
    )
    asked = {cell.digest for cell in expand(suite, machine, cores=cells["cost"]["threads"])}
    records = [stored.record for stored in listing.finished]
    assert {record.digest for record in records} == asked
    assert len(asked) == 2 * 2 * 2 + 2
    made = {(record.environment.git_commit, record.environment.git_dirty) for record in records}
    assert [dirty for _, dirty in made] == [False]
    scores = {}
    for record in (record for record in records if record.train):
        scores.setdefault((record.pair, record.arm), []).append(record.train.miou_percent)
    for pair in suite.pairs:
        gain = (sum(scores[pair, "swat"]) - sum(scores[pair, "baseline"])) / 2
        assert gain >= suite.promise.min_gain_points, pair
    for record in records:
        assert record.kind == "train" or all(arm.macs_agree for arm in record.cost.arms)


def test_evidence_is_small_and_names_no_folder_of_a_machine():
    paths = [path for path in (ROOT / "results").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in paths) < MOST_BYTES
    for path in paths:
        if path.suffix in (".json", ".jsonl"):
            text = path.read_text()
            assert "/home/" not in text
            assert str(Path.home()) not in text
            for line in text.splitlines() if path.suffix == ".jsonl" else [text]:
                json.loads(line)


def _rows(path):
    return len(path.read_text().splitlines()) - 1
