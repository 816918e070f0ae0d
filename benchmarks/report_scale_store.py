"""A store of any number of cells in swatbench's own layout, with true digests and files of real sizes.

Each of 4 machines × 10 pairs holds five arms with as many seeds as make up the number of cells, tests of some
of them on a further test set, costs at three settings, a cell that failed and a damaged one.
"""

from collections.abc import Iterator
from pathlib import Path

from report_scale_cells import (
    DATA,
    RECIPE,
    SUITE,
    damaged,
    evaluate_form,
    failed,
    tested,
    train_form,
    trained,
)
from report_scale_cost import CONDITIONS, measured, params_of
from report_scale_forms import Written

from swatbench.spec.catalog import PAIRS, arms_of
from swatbench.spec.suite import Suite
from swatbench.store.asked import write_asked

PAIR_NAMES = (
    *("deit_ti", "deit_s", "deit_b32", "mixer_ti", "mixer_s", "mixer_b32"),
    *("resmlp_s12", "swin_t", "swin_s", "van_b2"),
)
"""The paper's pairs."""

_MACHINES, _ARMS = 1, 2
_OTHERS = len(CONDITIONS) + 2
"""Cells of a pair that are neither training nor test: its costs, one that failed, one that is damaged."""
_TESTED = 10
"""Of so many seeds one is tested on a further test set."""

_ASKED_AT = "2025-03-01T12:00:00+00:00"
LEAST = _MACHINES * len(PAIR_NAMES) * (2 * _ARMS + _OTHERS)
"""Cells of the smallest store."""


def make_store(results: Path, cells: int) -> int:
    """Write a store and return how many cells it has, damaged ones included.

    Args:
        results: Root of all results, which is made.
        cells: Cells wanted; as many are written as the pairs share evenly, which may be a few less.

    Raises:
        ValueError: There are too few for every pair to have some.
    """
    per_arm = (cells // (_MACHINES * len(PAIR_NAMES)) - _OTHERS) // _ARMS
    if per_arm < 2:
        raise ValueError(f"a store has {LEAST} cells at least, not {cells}")
    tests = max(1, per_arm // (_TESTED + 1))
    for number in range(_MACHINES):
        machine = results / SUITE / f"some-cpu-{number}-2-cores"
        names = [
            _write(machine, cell) for pair in PAIR_NAMES for cell in _cells(pair, per_arm - tests, tests)
        ]
        write_asked(machine, _suite(), tuple(names), now=_ASKED_AT)
    return _MACHINES * len(PAIR_NAMES) * (_ARMS * per_arm + _OTHERS)


def _cells(pair: str, seeds: int, tests: int) -> Iterator[Written]:
    arms = (*arms_of(PAIRS[pair])[: _ARMS - 1], "swat")
    for place, arm in enumerate(arms):
        form = train_form(pair, arm, params=params_of(place))
        of_tests = evaluate_form(form)
        for seed in range(seeds):
            run = trained(form, seed, gain=2.0 * place)
            yield run
            if seed < tests:
                yield tested(of_tests, seed, run.digest, gain=2.0 * place)
    last = train_form(pair, arms[0], params=params_of(0))
    yield failed(last, seeds)
    yield damaged(last, seeds + 1, kind=PAIR_NAMES.index(pair))
    for precision, batch_size in CONDITIONS:
        yield measured(pair, arms, precision, batch_size)


def _write(machine: Path, cell: Written) -> str:
    folder = machine / cell.name
    folder.mkdir(parents=True)
    # The store's own writer waits for the disk after each file, which here would be for minutes.
    for name, content in cell.files.items():
        (folder / name).write_bytes(content)
    return cell.name


def _suite() -> Suite:
    return Suite(name=SUITE, pairs=PAIR_NAMES, seeds=(0,), data=DATA, recipe=RECIPE)
