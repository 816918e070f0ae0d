"""The benchmark of large stores: what it generates is a store, and what it says of a report is so."""

import importlib
import json
from pathlib import Path

import pytest

from swatbench.report.page import asked_of
from swatbench.report.section import machine_of, sections
from swatbench.report.selection import parse
from swatbench.spec.cells import TrainCell
from swatbench.store.files import read_suite

FOLDER = Path(__file__).parents[1] / "benchmarks"
CELLS = 600


@pytest.fixture(scope="module")
def benchmark():
    """Imports a module of the benchmark by name, as its own files do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield importlib.import_module


@pytest.fixture(scope="module")
def results(tmp_path_factory, benchmark):
    root = tmp_path_factory.mktemp("scale") / "results"
    assert benchmark("report_scale_store").make_store(root, CELLS) == CELLS
    return root


@pytest.fixture(scope="module")
def listing(results):
    return read_suite(results, "scale")


def test_every_cell_is_found_and_what_is_damaged_is_told(listing):
    assert len(listing.finished) + len(listing.failed) + len(listing.damaged) == CELLS
    assert len(listing.failed) == 10
    reasons = {why for _, why in listing.damaged}
    assert len(listing.damaged) == 10
    for words in (
        "Unterminated string",
        "can't decode byte",
        "is not the file that the record was written with",
    ):
        assert any(words in why for why in reasons), words


def test_records_are_those_of_their_cells(listing):
    runs = [stored.record for stored in listing.finished if stored.record.kind == "train"]
    for record in runs[:: len(runs) // 20]:
        facts = {**record.cell, "data": {**record.cell["data"], "root": "data/images"}}
        cell = TrainCell.model_validate_json(json.dumps(facts))
        assert (cell.digest, cell.id) == (record.digest, record.cell_id)
        assert record.train.correct == 10 * record.train.top1_percent
    assert len({record.digest for record in runs}) == len(runs)


def test_everything_is_compared_and_nothing_is_refused(results, listing):
    parsed = parse(listing.finished).where(lambda stored: machine_of(stored) == "some-cpu-0-2-cores")
    (section,) = sections(parsed, (), asked_of(results / "scale"))
    assert section.refusals == ()
    assert section.left_out == ()
    assert len(section.comparisons) == len(section.further) == 10
    for item in section.comparisons:
        assert item.accuracy.images is not None
        assert len(item.costs) == 2
        assert item.cost.inference is not None


def test_too_few_cells_are_no_store(tmp_path, benchmark):
    store = benchmark("report_scale_store")
    with pytest.raises(ValueError, match=f"a store has {store.LEAST} cells at least, not {store.LEAST - 1}"):
        store.make_store(tmp_path, store.LEAST - 1)


def test_promises_that_are_not_kept_are_told(benchmark):
    scale = benchmark("report_scale")
    good = {"cells": 20_000, "wall_s": 29.0, "cpu_s": 20.0, "peak_bytes": 10**9}
    good |= {"written_bytes": 1, "page_bytes": 1, "imported_torch": False}
    assert scale.missed([scale.Run(**good)]) == []
    bad = scale.Run(**(good | {"wall_s": 31.0, "peak_bytes": 3 * 10**9, "imported_torch": True}))
    assert scale.missed([bad]) == [
        "torch was imported for 20,000 cells",
        "20,000 cells took 31 s, more than 30",
        "20,000 cells took 3.0 GB of memory, more than 2",
    ]
