"""Runs of one suite on one store, one of them killed: every cell done once, and as one run alone does it.

`python -m tests.faults.sharing --count 50` writes what it finds to `results/reliability/sharing.json`.
"""

import argparse
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import psutil

from swatbench.store.files import Listing, read_suite
from swatbench.store.lock import LOCK
from swatbench.store.provenance import environment
from tests.data.jpegs import make_jpeg_folder
from tests.faults.hammer import Hammered, hammer
from tests.faults.readers import report_at_once

FOUND = Path("results", "reliability", "sharing.json")
NAME = "small"
SUITE = {
    "name": NAME,
    "pairs": ["mixer_mini"],
    "arms": ["baseline", "swat"],
    "seeds": [0, 1],
    "data": {"source": "folder", "root": "images", "train_images": 24, "test_images": 9, "num_classes": 3},
    "recipe": {"epochs": 8, "batch_size": 8, "learning_rate": 1e-3, "augmentation": {"crop": "resized"}},
    "execution": {"device": "cpu", "precision": "fp32", "workers": 0, "checkpoints": {"every_s": 0.01}},
    "cost": None,
}
CELLS = 4
WEIGHTS = "weights.safetensors"
STARTED = re.compile(r"^\[\d+/\d+\] (.+): started$", re.MULTILINE)


def write_suite(folder: Path) -> Path:
    """Write the suite and its images to a folder, and return the folder."""
    make_jpeg_folder(folder / "images", classes=3, train=24, test=9)
    (folder / "suite.yaml").write_text(json.dumps(SUITE))
    return folder


def started(folder: Path, results: str, number: int) -> subprocess.Popen[str]:
    """Start a run; what it tells goes to a file of its own."""
    with (folder / f"{results}-{number}.log").open("w") as log:
        command = [sys.executable, "-m", "swatbench", "run", "suite.yaml", "--results", results]
        return subprocess.Popen(
            [*command, "--reports", f"reports-{results}"],
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=log,
            text=True,
            start_new_session=True,
        )


def share(folder: Path, results: str, *, processes: int, kill: bool, wait_s: float = 0.0) -> dict[str, int]:
    """Let runs share one store, and count what became of its cells.

    Args:
        folder: Where the suite is.
        results: Name of the folder of results, which is not there yet.
        processes: How many runs.
        kill: Whether to kill one of them once it has a checkpoint of a cell.
        wait_s: Time between that checkpoint and the kill.

    Returns:
        Cells, those that are finished and those that are failed or damaged; how often any was started, how
        many runs were killed, and how often a cell was continued from a checkpoint.
    """
    running = [started(folder, results, number) for number in range(processes)]
    try:
        killed = _kill(folder / results, running, wait_s) if kill else set()
        for process in running:
            code = process.wait(600)
            assert code == (-signal.SIGKILL if process.pid in killed else 0), (code, _logs(folder, results))
    finally:
        for process in running:
            process.kill()
    starts = Counter(title for log in _logs(folder, results) for title in STARTED.findall(log))
    listing = read_suite(folder / results, NAME)
    return {
        "cells": CELLS,
        "finished": len(listing.finished),
        "not_whole": len(listing.failed) + len(listing.damaged),
        "started": sum(starts.values()),
        "killed": len(killed),
        "continued": sum(one.record.resumed for one in listing.finished),
    }


def _logs(folder: Path, results: str) -> list[str]:
    return [path.read_text() for path in sorted(folder.glob(f"{results}-*.log"))]


def _kill(results: Path, running: list[subprocess.Popen[str]], wait_s: float) -> set[int]:
    """Kill the run that has the first cell with a checkpoint; none where all end before."""
    while all(process.poll() is None for process in running):
        for checkpoint in results.glob(f"{NAME}/*/*/checkpoints/newest.ckpt"):
            owners = [one for one in running if _has(one.pid, checkpoint.parents[1] / LOCK)]
            if owners:
                time.sleep(wait_s)
                owners[0].kill()
                owners[0].wait()
                return {owners[0].pid} if owners[0].returncode == -signal.SIGKILL else set()
        time.sleep(0.01)
    return set()


def _has(pid: int, path: Path) -> bool:
    try:
        return str(path.resolve()) in {file.path for file in psutil.Process(pid).open_files()}
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def content(results: Path) -> dict[str, tuple[str, ...]]:
    """What came out of every cell, times left out: digests of its predictions and of its weights."""
    listing: Listing = read_suite(results, NAME)
    return {
        one.folder.name: (
            one.record.files["predictions.npz"],
            hashlib.sha256((one.folder / WEIGHTS).read_bytes()).hexdigest(),
        )
        for one in listing.finished
    }


def measure(count: int, small: int, seed: int) -> dict[str, object]:
    """Share real runs `count` times and cells of milliseconds `small` times; then read reports at once."""
    draw, here = random.Random(seed), environment(None)
    with tempfile.TemporaryDirectory() as name:
        folder = write_suite(Path(name))
        share(folder, "alone", processes=1, kill=False)
        alone, totals, differing = content(folder / "alone"), Counter(), 0
        for number in range(count):
            found = share(
                folder,
                f"shared{number}",
                processes=draw.choice((2, 3)),
                kill=True,
                wait_s=draw.uniform(0, 1.0),
            )
            differing += content(folder / f"shared{number}") != alone
            totals.update({"runs": 1, **found})
            print(f"{number + 1}/{count}: {dict(totals)}, {differing} differ", flush=True)
        hammered: Counter[str] = Counter()
        for number in range(small):
            place = folder / f"hammer{number}"
            place.mkdir()
            round_ = hammer(place, processes=3, seeds=16, kills=12, seed=seed + number)
            hammered.update({"rounds": 1, **asdict(round_), "not_sound": not sound(round_)})
        read = report_at_once(folder / "reports", seconds=max(5, count))
    return {
        "seed": seed,
        "code_version": here.swatbench,
        "code_commit": here.git_commit,
        **{f"real_{key}": value for key, value in totals.items()},
        "real_differing": differing,
        **{f"small_{key}": value for key, value in hammered.items()},
        **{f"reports_{key}": value for key, value in read.items()},
    }


def sound(found: Hammered) -> bool:
    """Whether nothing was done twice, at once, beside a measurement or too early."""
    never = (found.at_once, found.beside, found.early) == (0, 0, 0)
    # A process may be killed between a record and its line in the journal.
    return never and found.cells - found.kills <= found.done <= found.cells == found.finished


def main() -> None:
    """Measure, and leave what was found where `docs/reliability.md` takes it from."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--small", type=int, help="Rounds of cells of milliseconds; ten times as many if not given."
    )
    asked = parser.parse_args()
    found = measure(asked.count, asked.count * 10 if asked.small is None else asked.small, asked.seed)
    FOUND.parent.mkdir(parents=True, exist_ok=True)
    FOUND.write_text(f"{json.dumps(found, indent=2)}\n")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
