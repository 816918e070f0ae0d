"""`swatbench profile`: which arguments it refuses, and what it tells in the end."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial

import psutil
import pytest

from tests.commands import run_commands

NETS = """
from pathlib import Path

from torch import nn

def small():
    return nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), nn.Flatten(), nn.Linear(8 * 8 * 8, 10))

def leaky():
    return nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), nn.Flatten(), Odd())

def chatty():
    return nn.Sequential(Chatty(), *small())

class Chatty(nn.Module):
    def forward(self, x):
        print("a line of the user's own")
        if x.device.type != "meta":
            Path("called").touch()
        return x

class Odd(nn.Linear):
    def __init__(self):
        super().__init__(8 * 8 * 8, 10)

    def forward(self, x):
        if x.requires_grad:
            raise RuntimeError("this net does not train")
        return super().forward(x)
"""
SUITE = {
    "name": "priced",
    "pairs": ["mixer_mini"],
    "num_classes": 10,
    "execution": {"device": "cpu", "precision": "fp32"},
    "cost": {
        "batch_size": 2,
        "max_rounds": 6,
        "budget_s": 5,
        "threads": 1,
        "training": False,
        "breakdown": False,
    },
}
QUICK = ("--batch", "2", "--rounds", "6", "--budget", "5", "--threads", "1", "--device", "cpu")
BRIEF = ("--batch", "1", "--rounds", "6", "--budget", "0.2", "--threads", "1", "--device", "cpu")
PLAIN = ("--no-training", "--no-breakdown", "--precision", "fp32")


MISTAKES = {
    ("--model", "swat_deit_tii"): (4, "Did you mean swat_deit_ti"),
    (): (2, "exactly one of --model, --compare and --suite"),
    ("--model", "deit_mini", "--compare", "a", "b"): (2, "exactly one of"),
    ("--compare", "a", "a"): (2, "Invalid value for --compare: a is listed 2 times"),
    ("--model", "deit_mini", "--size", "32x"): (2, "Invalid value for --size: '32x' is no image size"),
    ("--model", "deit_mini", "--size", "99999"): (2, "Invalid value for --size"),
    ("--model", "deit_mini", "--sweep", "4", "--sweep", "4"): (2, "Invalid value for --sweep: 4 is listed"),
    ("--model", "deit_mini", "--sweep", "0"): (2, "--sweep"),
    ("--model", "deit_mini", "--mode", "fast"): (2, "--mode"),
    ("--model", "deit_mini", "--mode", "eager", "--mode", "eager"): (2, "Invalid value for --mode"),
    ("--model", "deit_mini", "--budget", "nan"): (2, "Invalid value for --budget"),
    ("--model", "deit_mini", "--memory-limit", "2GiB"): (2, "--memory-limit: needs --largest-batch"),
    ("--model", "deit_mini", "--largest-batch", "--memory-limit", "much"): (
        2,
        "'much' is no amount of memory",
    ),
    ("--model", "deit_mini", "--largest-batch", "--memory-limit", "0GiB"): (2, "value for --memory-limit"),
    ("--suite", "trains.yaml"): (2, "trains.yaml: this suite trains. Use `swatbench run trains.yaml`"),
    ("--suite", "priced.yaml", "--batch", "4"): (2, "--batch: does not go with --suite"),
    ("--suite", "prised.yaml"): (2, "Did you mean priced.yaml?"),
}


def test_a_wrong_argument_is_told_by_its_option_before_anything_is_measured(tmp_path):
    trains = {
        "seeds": [0],
        "data": {"source": "cifar10_subset"},
        "recipe": {"epochs": 1, "batch_size": 250, "learning_rate": 1e-3},
    }
    (tmp_path / "priced.yaml").write_text(json.dumps(SUITE))
    paired = {key: value for key, value in SUITE.items() if key != "num_classes"}
    (tmp_path / "trains.yaml").write_text(json.dumps({**paired, **trains}))
    commands = {arguments: ["profile", *arguments] for arguments in MISTAKES}
    ended = run_commands(tmp_path, commands, COLUMNS="200")
    for arguments, (code, words) in MISTAKES.items():
        told = ended[arguments].errors
        assert (ended[arguments].code, words in told) == (code, True), (arguments, told)
    assert not (tmp_path / "results").exists()


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """What profiles told, and the folder that they ran in."""
    folder = tmp_path_factory.mktemp("profiles")
    (folder / "nets_of_mine.py").write_text(NETS)
    (folder / "priced.yaml").write_text(json.dumps(SUITE))
    small = ("--size", "32", *QUICK)
    commands = {
        "model": ["profile", "--model", "swat_mixer_mini", *QUICK, "--sweep", "1", "--json"],
        "folded": ["profile", "--compare", "deit_mini", "swat_deit_mini", *QUICK, *PLAIN, "--json"],
        "two": ["profile", "--compare", "mixer_mini", "nets_of_mine:small", *small, *PLAIN],
        "failed": ["profile", "--model", "nets_of_mine:leaky", *small, "--json"],
        "unknown": ["profile", "--model", "nets_of_mine:smal"],
        "suite": ["profile", "--suite", "priced.yaml", "--json"],
        "suite again": ["profile", "--suite", "priced.yaml", "--quiet"],
    }
    return folder, run_commands(folder, commands, timeout_s=500)


def test_a_profile_has_the_promised_numbers_in_both_protocols(ended):
    _, ends = ended
    assert ends["model"].code == 0, ends["model"].errors
    (told,) = ends["model"].told["profiles"]
    (arm,) = told["arms"]
    assert (told["pair"], arm["arm"], arm["params"]) == ("mixer_mini", "swat", 163_386)
    assert told["condition"]["batch_size"] == 2
    times = {(one["protocol"], one["batch_size"]): one for one in told["times"]}
    assert times.keys() == {(name, size) for name in ("inference", "training") for size in (1, 2)}
    for (_, size), one in times.items():
        assert one["images_per_s"] == pytest.approx(size / one["p50_s"])
    assert {row["protocol"] for row in told["breakdown"]} == {"inference", "training"}
    assert sum(row["macs"] for row in told["modules"]) == arm["macs"]


def test_a_profile_leaves_a_record_that_names_what_was_measured(ended):
    folder, ends = ended
    (told,) = ends["model"].told["profiles"]
    record = json.loads((folder / told["record"]).read_text())
    assert (record["suite"], record["cell"]["arms"].keys()) == ("models", {"swat"})


def test_two_models_are_told_with_their_ratio(ended):
    _, ends = ended
    assert ends["two"].code == 0, ends["two"].errors
    assert "mixer_mini against nets_of_mine:small" in ends["two"].out
    assert "Ratio of time to mixer_mini" in ends["two"].out


def test_a_structured_arm_is_measured_as_deployed_too(ended):
    _, ends = ended
    assert ends["folded"].code == 0, ends["folded"].errors
    (told,) = ends["folded"].told["profiles"]
    arms = {arm["arm"]: arm for arm in told["arms"]}
    trained, deployed = told["deployed"]
    assert trained["macs"] == arms["swat"]["macs"]
    # What is left beside the baseline's is tokenization and channel mixing: no convolution within tokens.
    tokens, width, depth = 64, 64, 4
    within = tokens * depth * width * 4 * (width // 4)  # q, k, v and the output, 1 × 1 kernels over c = 16
    assert arms["swat"]["macs"] - deployed["macs"] == within
    assert deployed["params"] < trained["params"]


def test_a_model_that_fails_is_told_and_ends_with_one(ended):
    _, ends = ended
    assert (ends["failed"].code, ends["failed"].told["profiles"]) == (1, [])
    (message,) = ends["failed"].told["failed"].values()
    assert "this net does not train" in message
    assert "this net does not train" in ends["failed"].errors


def test_a_user_s_mistake_in_a_name_ends_with_its_code(ended):
    _, ends = ended
    assert ends["unknown"].code == 4
    assert "Did you mean small?" in ends["unknown"].errors


def test_a_suite_is_profiled_once_and_its_report_written(ended):
    folder, ends = ended
    assert ends["suite"].code == 0, ends["suite"].errors
    (told,) = ends["suite"].told["profiles"]
    assert [arm["arm"] for arm in told["arms"]] == ["baseline", "swat"]
    assert (folder / ends["suite"].told["report"]).exists()
    assert (ends["suite again"].code, ends["suite again"].out) == (0, "")
    assert json.loads((folder / told["record"]).read_text())["started_at"] == told["started_at"]


def test_every_arm_and_layout_leaves_a_trace_of_its_own(tmp_path):
    for module in ("swat_nets", "nets_of_mine"):
        (tmp_path / f"{module}.py").write_text(NETS)
    names = ("swat_nets:small", "nets_of_mine:small")
    layouts = ("contiguous", "channels_last")
    both = [word for layout in layouts for word in ("--layout", layout)]
    asked = ["profile", "--compare", *names, "--no-training", "--precision", "fp32", "--size", "32", *BRIEF]
    ended = run_commands(tmp_path, {"traced": [*asked, *both, "--trace", "traces"]})["traced"]
    assert ended.code == 0, ended.errors
    pair = "swat_nets-small-against-nets_of_mine-small"
    expected = {
        f"{pair}-fp32-eager-{layout}-{name.replace(':', '-')}-inference"
        for layout in layouts
        for name in names
    }
    assert {path.stem for path in (tmp_path / "traces" / "perfetto").iterdir()} == expected
    assert {path.name for path in (tmp_path / "traces" / "tensorboard").iterdir()} == expected


def started(folder, *arguments):
    """A profile of the chatty net, as a shell starts it; it hears Ctrl-C even where these tests are deaf."""
    (folder / "swat_nets.py").write_text(NETS)
    net = ("--model", "swat_nets:chatty", "--size", "32", "--json")
    return subprocess.Popen(
        [sys.executable, "-m", "swatbench", "profile", *net, *BRIEF, *PLAIN, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 (no threads here)
    )


def test_what_a_model_prints_stays_out_of_json_which_has_its_largest_batch(tmp_path):
    with started(tmp_path, "--largest-batch", "--memory-limit", "600MB") as going:
        out, errors = going.communicate(timeout=400)
    assert going.returncode == 0, errors
    assert "a line of the user's own" in errors
    (profile,) = json.loads(out)["profiles"]
    record = json.loads((tmp_path / profile["record"]).read_text())
    (arm,) = record["cost"]["arms"]
    (found,) = arm["largest_batches"]
    assert (found["protocol"], found["limit_bytes"]) == ("inference", 600 * 1000**2)
    assert found["batch_size"] >= 1


def test_ctrl_c_in_the_middle_of_a_measurement_leaves_no_process_and_no_record(tmp_path):
    with started(tmp_path, "--budget", "600", "--rounds", "10000") as going:
        deadline = time.monotonic() + 120
        while not (tmp_path / "called").exists():
            assert time.monotonic() < deadline, "nothing was measured"
            assert going.poll() is None, going.stderr.read()
            time.sleep(0.1)
        workers = psutil.Process(going.pid).children(recursive=True)
        os.killpg(going.pid, signal.SIGINT)
        _, errors = going.communicate(timeout=60)
    assert (going.returncode, "Traceback" in errors) == (130, False), errors
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not [one for one in alive if one.status() != psutil.STATUS_ZOMBIE]
    assert len(workers) >= 2
    assert not [*tmp_path.rglob("record.json")]
