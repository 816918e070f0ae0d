"""A run of a suite that is killed at random moments and started again until all is finished, many times over.

    python -m tests.faults.kills --kills 200 --seed 1

Moments are drawn over the whole time that a run takes, from the first line of Python to the report; half of
them are aimed: at the next checkpoint, record, file of weights or report that is being written, or has just
been. The signal goes to the process alone or to its whole group. What is found is written to
`results/reliability/kills.json`.
"""

import argparse
import json
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import swatbench
from swatbench.store.provenance import git_state
from tests.faults.blows import LONGEST_S, STOP_S, Hit, drawn, strike
from tests.faults.kill_suite import differences, is_finished, left_over, listing, seen, write_suite
from tests.faults.starts import ROOT, Start, Started, cold, warm
from tests.faults.stopped import said_well, session_steps, without_checkpoint

FOUND = ROOT / "results" / "reliability" / "kills.json"
SURVIVE_S = 20.0
"""Time in which every process of a run must be gone after it, also on a machine that is busy."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """What was done and found.

    Attributes:
        counts: How often each thing happened.
        broken: What ought not to be, in words.
        longest_stop_s: Longest time from a request to stop to the end.
        longest_survivor_s: Longest time from the end to that of the last process.
    """

    counts: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    longest_stop_s: float = 0.0
    longest_survivor_s: float = 0.0


def look_at(hit: Hit, folder: Path, tally: Tally) -> None:
    """Count a hit, and note what it broke."""
    blow, counts, results = hit.blow, tally.counts, folder / "results"
    counts["kills"] += 1
    counts[blow.number.name.lower()] += 1
    counts["to_the_whole_group"] += blow.to_all
    counts["aimed"] += blow.aim is not None
    gone_s = hit.run.survived_s(SURVIVE_S)
    tally.longest_survivor_s = max(tally.longest_survivor_s, gone_s or SURVIVE_S)
    counts["that_left_half_a_file"] += bool(seen(folder, re.compile(r"\..*\.tmp")))
    wrong = [f"{path}: {why}" for path, why in listing(results).damaged]
    wrong += [f"failed: {one.record.failure}" for one in listing(results).failed]
    if gone_s is None:
        wrong.append(f"{[one.cmdline() for one in hit.run.survivors()]} survived")
    if blow.number == signal.SIGKILL:
        wrong += [] if hit.code == -signal.SIGKILL else [f"exit code {hit.code}"]
    else:
        tally.longest_stop_s = max(tally.longest_stop_s, hit.took_s)
        wrong += said_well(hit.run, blow.number, hit.code, counts)
        wrong += without_checkpoint(results, hit.since_ns)
        counts["with_a_checkpoint"] += bool(session_steps(results, hit.since_ns))
    if hit.code is None or gone_s is None:
        hit.run.send(signal.SIGKILL, to_all=True)
        hit.run.ended(STOP_S)
    tally.broken += [f"kill {counts['kills']}, {blow}: {what}" for what in wrong]


def _look_at_end(run: Started, tally: Tally) -> None:
    if run.poll() != 0:
        tally.broken.append(f"a run that was left alone ended with {run.poll()}: {run.errors.read_text()}")
    if run.survived_s(SURVIVE_S) is None:
        tally.broken.append("processes survived a run that was left alone")


def finish(start: Start, folder: Path, tally: Tally) -> float:
    """Run what is left, undisturbed; return the seconds that it took."""
    began_s = time.monotonic()
    run = start(["run", "suite.yaml"], folder)
    run.ended(LONGEST_S)
    _look_at_end(run, tally)
    return time.monotonic() - began_s


def campaign(
    folder: Path,
    *,
    kills: int,
    seed: int,
    start: Start,
    tell: Callable[[str], None] = lambda _: None,
    after_round: Callable[[Tally], None] = lambda _: None,
) -> Tally:
    """Kill a run so often, in as many rounds of a whole suite as that takes, and compare every round's end.

    Args:
        folder: An empty folder.
        kills: Signals that must hit a running process.
        seed: Decides signals and moments; what they hit, the machine's speed decides too.
        start: How runs are started.
        tell: Told how it goes.
        after_round: Given what was found so far, when all of it has been compared.
    """
    tally, rng = Tally(), random.Random(seed)
    alone = write_suite(folder / "alone")
    span_s = finish(start, alone, tally)
    while tally.counts["kills"] < kills:
        room = write_suite(folder / f"round-{tally.counts['rounds']}")
        while tally.counts["kills"] < kills and not is_finished(room / "results"):
            found = strike(start, room, drawn(rng, span_s))
            if isinstance(found, Hit):
                look_at(found, room, tally)
                tell(f"{tally.counts['kills']} {found.blow} {found.took_s:.1f} s {tally.broken[-1:]}")
            else:
                _look_at_end(found, tally)
        finish(start, room, tally)
        tally.counts["rounds"] += 1
        _compare(alone / "results", room / "results", tally)
        shutil.rmtree(room)
        after_round(tally)
    return tally


def _compare(alone: Path, killed: Path, tally: Tally) -> None:
    found = listing(killed)
    tally.counts["cells_compared"] += len(found.finished)
    tally.counts["checkpoints_gone_on_from"] += sum(one.record.resumed or 0 for one in found.finished)
    tally.broken += [] if is_finished(killed) else ["not every cell is finished"]
    tally.broken += [f"left over: {name}" for name in left_over(killed)]
    tally.broken += [f"differs: {what}" for what in differences(alone, killed)]


def summary(tally: Tally, *, seed: int) -> dict[str, object]:
    """What a campaign found, flat."""
    commit, dirty = git_state(ROOT / "swatbench")
    return {
        **tally.counts,
        "seed": seed,
        "broken": len(tally.broken),
        "longest_stop_s": round(tally.longest_stop_s, 2),
        "longest_survivor_s": round(tally.longest_survivor_s, 2),
        "version": swatbench.__version__,
        "git_commit": commit,
        "git_dirty": dirty,
    }


def main() -> None:
    """Run a campaign and write what it found; the exit code is 1 if anything broke."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--warm", action="store_true", help="Fork runs off a process with all imports done.")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, warm() as warm_start:
        tally = campaign(
            Path(folder),
            kills=asked.kills,
            seed=asked.seed,
            start=warm_start if asked.warm else cold,
            tell=lambda words: print(words, file=sys.stderr, flush=True),
            # After each round, so that a campaign that is stopped leaves what it did.
            after_round=lambda tally: _write({**summary(tally, seed=asked.seed), "warm": asked.warm}),
        )
    for line in tally.broken:
        print(line, file=sys.stderr)
    sys.exit(bool(tally.broken))


def _write(found: dict[str, object]) -> None:
    FOUND.parent.mkdir(parents=True, exist_ok=True)
    FOUND.write_text(f"{json.dumps(found, indent=2)}\n")


if __name__ == "__main__":
    main()
