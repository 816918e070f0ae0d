"""Nothing of swatbench reaches for a network unless it is asked to."""

import json
import os
import subprocess
import sys

from tests.faults.offline import HOOK, LOG, commands, run_closed, small_suite


def test_every_command_does_without_a_network(tmp_path):
    (tmp_path / "suite.yaml").write_text(json.dumps(small_suite()))
    all_of_them = commands("suite.yaml", "quickstart")
    closed = run_closed(tmp_path, all_of_them)
    assert closed.asked == ()
    ended = dict(zip((one[0] for one in all_of_them), closed.codes, strict=True))
    assert ended.pop("doctor") in (0, 8)  # 8 where this machine has little disk, say
    assert set(ended.values()) == {0}, closed.errors
    kinds = [
        json.loads(path.read_text())["cell"]["kind"]
        for path in tmp_path.glob("results/quickstart/*/*/record.json")
    ]
    assert sorted(kinds) == ["cost", "train", "train"]
    assert (tmp_path / "reports" / "quickstart" / "index.html").exists()


def test_what_is_asked_of_the_hub_is_an_attempt(tmp_path):
    (tmp_path / "suite.yaml").write_text(json.dumps(small_suite()))
    weights = ["run", "suite.yaml", "--eval-only", "--weights", "hf-hub:nobody/nothing"]
    closed = run_closed(tmp_path, [weights])
    assert closed.codes == (8,)
    assert closed.asked
    # What the Hub's own package says comes before it.
    last = closed.errors[0].splitlines()[-1]
    assert last.startswith("error: The Hub gives no model 'hf-hub:nobody/nothing'")


def test_the_hook_is_in_processes_that_are_started_by_processes(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(HOOK)
    (tmp_path / "log").write_text("")
    asking = "import socket; socket.create_connection(('192.0.2.1', 9), 1)"
    outer = f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {asking!r}]))"
    done = subprocess.run(
        [sys.executable, "-c", outer],
        env={**os.environ, "PYTHONPATH": str(tmp_path), LOG: str(tmp_path / "log")},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert "192.0.2.1" in (tmp_path / "log").read_text()
