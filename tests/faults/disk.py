"""A run whose disk fails at any change: told in one line, nothing torn, and it goes on once that is mended.

`python -m tests.faults.disk --count 100` writes what it finds to `results/reliability/disk.json`.
"""

import argparse
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from swatbench.errors import StoreError
from swatbench.status import suite_status
from swatbench.store.atomic import TEMPORARY
from swatbench.store.files import read_suite
from swatbench.store.provenance import environment
from swatbench.train.checkpoint import read_checkpoint
from tests.faults.faulty import FAULTS, Disk, failing
from tests.faults.flows import REPORTS, Flow, Training, by_hand, outcome
from tests.faults.readers import END
from tests.faults.sharing import NAME, write_suite

FOUND = Path("results", "reliability", "disk.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """How a run met a fault.

    Attributes:
        change: What it was doing.
        error: What it said; None where it came through.
        wrong: What was not as promised.
    """

    change: str
    error: str | None
    wrong: tuple[str, ...]


def changes_of(flow: Flow, folder: Path) -> tuple[list[str], dict[str, bytes | str]]:
    """Every change that a run makes, and what comes out of it, undisturbed."""
    root = folder / "root"
    with failing(Disk(root)) as disk:
        flow(root)
    found = outcome(root)
    shutil.rmtree(root)
    return disk.changes, found


def meet(flow: Flow, folder: Path, *, at: int, fault: str, wanted: dict[str, bytes | str]) -> Met:
    """Let a run meet a fault, look at what it left, and let it go on with the fault mended.

    Args:
        flow: The run.
        folder: A folder whose `root` is used, and gone afterwards.
        at: Number of the change.
        fault: Name of the fault.
        wanted: What comes out of an undisturbed run.
    """
    root = folder / "root"
    error, wrong = None, list[str]()
    with failing(Disk(root, at=at, fault=FAULTS[fault])) as disk:
        try:
            flow(root)
        except StoreError as met:
            error = str(met)
            wrong += [] if met.fix and "\n" not in error else [f"told as {error!r}"]
        except Exception as met:  # noqa: BLE001 (that is what is looked for)
            wrong.append(f"raised {type(met).__name__}: {met}")
    wrong += _torn(root)
    try:
        flow(root)
        wrong += [] if outcome(root) == wanted else ["the end is another"]
        wrong += [f"left {path.name}" for path in root.rglob(f"*{TEMPORARY}")]
    except Exception as met:  # noqa: BLE001 (likewise)
        wrong.append(f"once mended raised {type(met).__name__}: {met}")
    shutil.rmtree(root, ignore_errors=True)
    return Met(change=disk.changes[at] if at < len(disk.changes) else "", error=error, wrong=tuple(wrong))


def _torn(root: Path) -> list[str]:
    """Files under their own names that are not whole."""
    found = []
    with suppress(StoreError):  # There may be no folder yet.
        found += [f"damaged {path.name}: {why}" for path, why in read_suite(root, NAME).damaged]
        suite_status(root, NAME)
    for path in root.glob(f"{NAME}/*/*/checkpoints/[!.]*.ckpt"):
        try:
            read_checkpoint(path)
        except Exception as error:  # noqa: BLE001
            found.append(f"{path.name}: {error}")
    page = root / REPORTS / "index.html"
    if page.exists() and not page.read_bytes().endswith(END):
        found.append("a torn page")
    return found


def sample(changes: Sequence[str], count: int) -> list[int]:
    """Numbers of changes: the first and the last of each kind, and of the rest evenly many."""
    kinds = {}
    for number, change in enumerate(changes):
        kinds.setdefault(change, []).append(number)
    ends = sorted({number for numbers in kinds.values() for number in (numbers[0], numbers[-1])})
    chosen = ends if len(ends) <= count else ends[:: -(-len(ends) // count)]
    rest = [number for number in range(len(changes)) if number not in chosen]
    more = count - len(chosen)
    return sorted([*chosen, *(rest[:: -(-len(rest) // more)] if more > 0 and rest else [])])


def measure(count: int) -> dict[str, object]:
    """Every change of a run by hand, and `count` changes of one that trains, with each fault."""
    totals: Counter[str] = Counter()
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        folder = write_suite(Path(name))
        for kind, flow in (("hand", by_hand), ("training", Training(folder))):
            changes, wanted = changes_of(flow, folder)
            numbers = range(len(changes)) if kind == "hand" else sample(changes, count)
            totals[f"{kind}_changes"] = len(changes)
            for fault in FAULTS:
                for at in numbers:
                    met = meet(flow, folder, at=at, fault=fault, wanted=wanted)
                    totals.update({f"{kind}_{fault}": 1, f"{kind}_told": met.error is not None})
                    totals.update({f"{kind}_wrong": bool(met.wrong)})
                    wrong += [f"{kind} {fault} {at} {met.change}: {one}" for one in met.wrong]
                print(kind, fault, dict(totals), flush=True)
    print("\n".join(wrong))
    here = environment(None)
    return {"code_version": here.swatbench, "code_commit": here.git_commit, **totals}


def main() -> None:
    """Measure, and leave what was found where `docs/reliability.md` takes it from."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20)
    found = measure(parser.parse_args().count)
    FOUND.parent.mkdir(parents=True, exist_ok=True)
    FOUND.write_text(f"{json.dumps(found, indent=2)}\n")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
