"""`swatbench compare` and `swatbench report --gate` as a user meets them: output, files, exit codes."""

import subprocess
import sys

import pytest

from tests.commands import run_commands
from tests.report.conftest import World


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Two checkouts with results of one suite, of which the second has fewer cells and one that failed."""
    folder = tmp_path_factory.mktemp("stores")
    old, new = World(results=folder / "old" / "results"), World(results=folder / "new" / "results")
    old.quickstart(seeds=(0, 1, 2))
    new.quickstart(seeds=(0, 1))
    new.fail("swin_mini", message="loss \x1b[31m[bold]<nan>\nand more")
    World(results=folder / "old" / "results", suite="gated").cost(training=False)
    for side in ("old", "new"):
        World(results=folder / side / "results", suite="masks").segmented(seeds=(0, 1))
    second = World(results=folder / "old" / "results", suite="two")
    second.train()
    World(results=folder / "old" / "results", suite="two", machine="other-cpu").train(recipe={"epochs": 9})
    return folder


@pytest.fixture(scope="module")
def ended(stores):
    gated = ["report", "gated", "--results", "old/results"]
    return run_commands(
        stores,
        {
            "words": ["compare", "old/results/toy", "new/results/toy/some-cpu-2-cores"],
            "json": ["compare", "old/results/toy", "new/results/toy", "--json"],
            "written": ["compare", "old/results/toy", "new/results/toy", "--output", "out"],
            "masks": ["compare", "old/results/masks", "new/results/masks"],
            "gained": ["report", "masks", "--results", "old/results", "--gate", "min_gain_points=1"],
            "nothing": ["compare", "old/results/toy", "old/results/two/other-cpu"],
            "missing": ["compare", "old/results/toy", "newer/results/toy"],
            "root": ["compare", "old/results", "new/results/toy"],
            "same": ["compare", "old/results/toy", "old/results/toy/some-cpu-2-cores"],
            "several": ["compare", "old/results/two", "new/results/toy"],
            "kept": [*gated, "--gate", "max_latency_ratio=1.9", "--gate", "max_macs_ratio=1.2"],
            "undecided": [*gated, "--gate", "max_latency_ratio=1.39"],
            "passed": [*gated, "--gate", "max_latency_ratio=1.39", "--undecided", "pass", "--json"],
            "unmatched": [*gated, "--gate", "swin_t:max_macs_ratio=2", "--undecided", "pass"],
            "misspelt": [*gated, "--gate", "max_latncy_ratio=1"],
        },
        timeout_s=120,
    )


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("missing", 6, "There is no such folder"),
        ("root", 6, "Its suites: old/results/gated, old/results/masks, old/results/toy, old/results/two"),
        ("same", 2, "both sides are the same folder"),
        ("several", 2, "old/results/two/other-cpu, old/results/two/some-cpu-2-cores"),
        ("misspelt", 2, "Did you mean max_latency_ratio"),
        ("undecided", 9, "Measure more rounds or seeds, or give --undecided pass."),
        ("unmatched", 9, "1 nothing to judge"),
    ],
)
def test_what_is_wrong_ends_with_its_exit_code_and_one_message(ended, name, code, words):
    assert ended[name].code == code
    assert ended[name].errors.startswith("error: ")
    assert words in " ".join(ended[name].errors.split())
    assert "Traceback" not in ended[name].errors


def test_sentences_come_before_tables_and_refusals_last(ended):
    told = ended["words"]
    assert (told.code, told.errors) == (0, "")
    places = [told.out.index(words) for words in ("A: suite toy", "The two sides.", "Accuracy.", "Time.")]
    assert places == sorted(places)
    assert "deit_mini swat: same predictions to the last bit, 2 seeds" in told.out
    assert "[31m[bold]<nan> and more" in told.out
    assert "\x1b" not in told.out
    assert (
        told.out.index("Time.") < told.out.index("On one side only.") < told.out.index("Failed and damaged.")
    )


def test_one_json_object_holds_raw_values(ended):
    told = ended["json"].told
    assert told["sides"]["A"]["suite"] == "toy"
    assert {item["same"] for item in told["accuracy"]} == {True}
    assert all(isinstance(item["before_s"], float) for item in told["times"])
    assert {tuple(item["seeds"]) for item in told["one_side"] if item["kind"] == "training"} == {(2,)}


def test_files_are_written_where_they_are_asked_for(ended, stores):
    assert "Comparison: out/compare.md" in ended["written"].out
    assert (stores / "out/tables/accuracy.csv").read_text().startswith("machine,pair,arm")
    assert "\\toprule" in (stores / "out/tables/times.tex").read_text()


def test_that_nothing_could_be_compared_is_an_answer(ended):
    assert ended["nothing"].code == 0
    assert "Nothing could be compared" in ended["nothing"].out
    assert "recipe differs (epochs: 3 and 9)" in " ".join(ended["nothing"].out.split())


def test_limits_are_judged_after_the_report_is_written(ended, stores):
    lines = ended["kept"].out.splitlines()
    assert ended["kept"].code == 0
    assert lines[0] == "Report: reports/gated/index.html"
    assert len(lines) == 3
    assert all(": met, " in line for line in lines[1:])
    assert "× latency (95 % CI" in lines[1]
    assert (stores / "reports/gated/index.html").is_file()


def test_undecided_limits_pass_where_that_is_asked_for(ended):
    told = ended["passed"].told
    assert (ended["passed"].code, told["passed"]) == (0, True)
    assert [item["verdict"] for item in told["gates"]] == ["not decided"]


def test_a_comparison_loads_no_torch_and_draws_nothing(stores):
    program = (
        "import sys; from swatbench.cli import main\n"
        "sys.argv = ['swatbench', 'compare', 'old/results/toy', 'new/results/toy', '--json']\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert not {'torch', 'timm', 'matplotlib'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=stores, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_segmenters_are_compared_and_gated_by_miou(ended):
    told = ended["masks"]
    assert (told.code, told.errors) == (0, "")
    assert "swin_mini swat: same predictions to the last bit, 2 seeds, 40 test images" in told.out
    assert "A, mIoU %" in told.out
    assert "top-1" not in told.out
    assert "points mIoU (95 % CI" in ended["gained"].out
    assert ended["gained"].code == 0
