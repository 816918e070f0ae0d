"""The command line as a user meets it: output, exit codes, no tracebacks."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
QUICKSTART = ROOT / "suites" / "quickstart.yaml"


def swatbench(*arguments, cwd=ROOT):
    """Run the program and return the finished process; a traceback fails the test at once."""
    done = subprocess.run(
        [sys.executable, "-m", "swatbench", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture
def spoilt(tmp_path):
    """Write the quickstart with one piece of text replaced, and return the file and the line it stands in."""

    def write(old, new):
        text = QUICKSTART.read_text()
        assert old in text
        path = tmp_path / "suite.yaml"
        path.write_text(text.replace(old, new, 1))
        return path, text[: text.index(old)].count("\n") + 1

    return write


def test_a_misspelt_key_is_told_with_file_line_and_nearest_match(spoilt):
    path, line = spoilt("learning_rate:", "learing_rate:")
    for command in ("check", "run"):
        done = swatbench(command, path)
        assert done.returncode == 2
        assert f"{path}:{line}" in done.stderr
        assert "recipe.learing_rate" in done.stderr
        assert "Did you mean learning_rate" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["check", "suites/quikstart.yaml"], 2, "Did you mean suites/quickstart.yaml?"),
        (["check"], 2, "name a suite file"),
        (["run", "--jobs", "0", "suites/quickstart.yaml"], 2, "--jobs"),
        (["profile", "--model", "swat_deit_tii"], 4, "Did you mean swat_deit_ti"),
        (["models", "--model", "swat_deit_tii"], 4, "Did you mean swat_deit_ti"),
        (["models", "--model", "merging_deit_ti"], 4, "deit_ti has no arm merging"),
        (["report", "nothing", "--results", "results"], 6, "There are no results of suite 'nothing'"),
        (["frobnicate"], 2, "frobnicate"),
    ],
)
def test_a_mistake_ends_with_its_exit_code_and_what_to_do(arguments, code, words):
    done = swatbench(*arguments)
    assert done.returncode == code
    assert words in " ".join(done.stderr.split())


def test_a_missing_dataset_is_told_before_anything_is_trained(tmp_path):
    done = swatbench("run", ROOT / "suites" / "cifar10.yaml", cwd=tmp_path)
    assert done.returncode == 3
    assert "scripts/make_cifar10.py" in done.stderr
    assert not (tmp_path / "results").exists()


def test_check_lists_every_cell():
    done = swatbench("check", QUICKSTART, "--json")
    cells = json.loads(done.stdout)["cells"]
    assert {(cell["pair"], cell["arm"], cell["seed"]) for cell in cells} == {
        (pair, arm, seed)
        for pair in ("deit_mini", "mixer_mini")
        for arm in ("baseline", "swat")
        for seed in (0, 1)
    }
    assert all(cell["forward_macs"] > 0 for cell in cells)


def test_models_name_pairs_arms_and_published_numbers():
    told = json.loads(swatbench("models", "--json").stdout)
    assert told["arms"]["swat"] == ["tokenization", "token_mixing", "channel_mixing", "merging"]
    assert "deit_ti" in {pair["name"] for pair in told["pairs"]}
    assert "72.2 % → 75.7 %" in swatbench("models").stdout


def test_models_list_every_pair_with_its_sizes():
    told = swatbench("models").stdout
    assert all(pair["name"] in told for pair in json.loads(swatbench("models", "--json").stdout)["pairs"])
    (row,) = (line.split() for line in told.splitlines() if line.split()[:1] == ["swin_t"])
    assert " ".join(row) == (
        "swin_t swin_tiny_patch4_window7_224 224 × 224 56 × 56 24 × 2 × 2 128 81.3 % → 81.7 %"
    )


def test_one_model_is_told_by_its_parts_and_sizes():
    lines = swatbench("models", "--model", "swat_swin_t").stdout.splitlines()
    told = dict(line.strip().split("  ", 1) for line in lines if line.strip())
    told = {name: value.strip() for name, value in told.items()}
    assert told["parts in it"] == "tokenization, token_mixing, channel_mixing, merging"
    assert told["parts not in it"] == "none"
    assert told["c × h × w"] == "24 × 2 × 2, 12 × 4 × 4, 6 × 8 × 8, 3 × 16 × 16"
    assert told["kernels within tokens"] == "1 × 1, 1 × 1, 3 × 3, 5 × 5"
    assert told["kernels of merging"] == "3 × 3, 5 × 5, 9 × 9"
    assert told["timm.create_model"] == '"swat_swin_t"'
    assert told["published"].startswith("top-1 81.7 %")


def test_a_baseline_is_told_to_have_no_class_token_and_no_structure():
    told = json.loads(swatbench("models", "--model", "deit_ti", "--json").stdout)
    assert told["parts"] == []
    assert told["parts_not_in_it"] == ["tokenization", "token_mixing", "channel_mixing", "class_token"]
    assert told["parts_not_in_family"] == ["merging"]
    assert told["timm_kwargs"]["class_token"] is False
    assert (told["geometry"], told["registered_as"]) == (None, None)


def test_doctor_finds_this_machine_in_order():
    names = {finding["name"] for finding in json.loads(swatbench("doctor", "--json").stdout)}
    assert {"torch", "CUDA", "fused attention", "TensorBoard", "CPU threads", "disk"} <= names
