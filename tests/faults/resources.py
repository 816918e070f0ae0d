"""What a run holds after very many cells, a long test and every kind of error: memory, open files, processes.

    python -m tests.faults.resources --cells 2000 --trained 200 --batches 4000

Each part has a process of its own. What is found is written to `results/reliability/resources.json`.
"""

import argparse
import json
import subprocess
import sys

import swatbench
from swatbench.store.provenance import git_state
from tests.faults.starts import ROOT, environment

FOUND = ROOT / "results" / "reliability" / "resources.json"


def measured(*, cells: int, trained: int, batches: int) -> dict[str, object]:
    """Run all parts.

    Args:
        cells: Cells of a run that train nothing.
        trained: Real cells that are trained in one process.
        batches: Batches of one test.
    """
    run = _part("many_cells", "--cells", cells)
    return run | _part("trained_cells", "--cells", trained, "--batches", batches)


def _part(name: str, *options: object) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-m", f"tests.faults.{name}", *map(str, options)],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure, and write what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", type=int, default=2_000)
    parser.add_argument("--trained", type=int, default=200)
    parser.add_argument("--batches", type=int, default=4_000)
    found = measured(**vars(parser.parse_args()))
    commit, dirty = git_state(ROOT / "swatbench")
    stated = {**found, "version": swatbench.__version__, "git_commit": commit, "git_dirty": dirty}
    FOUND.parent.mkdir(parents=True, exist_ok=True)
    FOUND.write_text(f"{json.dumps(stated, indent=2)}\n")
    print(json.dumps(stated, indent=2))


if __name__ == "__main__":
    main()
