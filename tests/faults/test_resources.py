"""Nothing piles up: not over many cells, not over a long test, and not after errors."""

import pytest

from tests.faults.resources import measured

CELLS, TRAINED, BATCHES = 60, 8, 300
ERRORS = {
    "worker_asleep": "DataError",
    "worker_stopped": "DataError",
    "worker_error": "ValueError",
    "worker_killed": "MachineError",
    "diverging": "TrainingError",
    "interrupted": "KeyboardInterrupt",
}


@pytest.fixture(scope="module")
def found():
    return measured(cells=CELLS, trained=TRAINED, batches=BATCHES)


def test_a_run_of_many_cells_stays_as_large_as_it_is(found):
    """A record takes 29 kB of memory; a run that kept them would grow by that with each cell."""
    assert (found["cells"], found["cells_failed"]) == (CELLS, 0)
    assert found["cells_growth_bytes_each"] < 12_000
    assert found["cells_more_handles"] == 0
    assert found["cells_most_processes"] <= 3
    assert found["cells_server_growth_bytes"] < 2**21


def test_cells_in_one_process_leave_no_open_file_and_no_process(found):
    assert (found["trained_cells"], found["trained_failed"]) == (TRAINED, 0)
    assert found["trained_more_handles"] == 0
    assert found["trained_processes_left"] == 0


def test_a_long_test_keeps_its_numbers_and_nothing_else(found):
    """37 bytes of facts an image; a tensor of a worker that is kept would hold a page and an open file."""
    assert found["evaluated_batches"] == BATCHES
    assert found["evaluated_growth_bytes_an_image"] < 75
    assert found["evaluated_more_handles"] <= 1
    assert found["evaluated_processes_left"] == 0


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_leaves_no_open_file_and_no_process(found, name):
    assert found[f"{name}_told_as"] == ERRORS[name]
    assert found[f"{name}_handles_left"] == 0
    assert found[f"{name}_processes_left"] == 0
    assert found[f"{name}_took_s"] < 60
