"""Whole commands on file systems that are really full, out of inodes or read-only, and again once mended.

    python -m tests.faults.mounted --sizes 20

The file systems are tmpfs, mounted in a namespace of this command's own (`unshare --mount --map-root-user`),
which takes no privilege where the system allows it. One holds `results`, one `reports`; sizes are spread
over what an undisturbed run needs, from nothing on. What is found is in `results/reliability/mounted.json`.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from swatbench.errors import StoreError
from tests.faults.kill_suite import NAME, differences, is_finished, left_over, listing, write_suite
from tests.faults.outcome import write_outcome
from tests.faults.readers import END
from tests.faults.starts import ROOT, Start, ends_well, warm

FOUND = ROOT / "results" / "reliability" / "mounted.json"
INSIDE = "SWATBENCH_TESTS_MOUNT"
"""Variable that is set in the namespace."""
UNSHARE = ["unshare", "--mount", "--map-root-user"]
RUN = ["run", "suite.yaml"]
LONGEST_S = 300.0
FOLDERS = ("results", "reports")
INODES = 40
"""Files and folders of `results` in an undisturbed run, and some more."""


def can_mount() -> bool:
    """Whether this system lets its user mount a file system in a namespace."""
    return ends_well([*UNSHARE, "mount", "-t", "tmpfs", "none", tempfile.gettempdir()])


def again_inside(arguments: list[str]) -> int:
    """Run this module in a namespace of its own and return its exit code."""
    command = [*UNSHARE, sys.executable, "-m", "tests.faults.mounted", *arguments]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, INSIDE: "1"}, check=False).returncode


class Mounted:
    """A folder that is a file system of its own.

    Args:
        folder: The folder, which is made.
        options: Options of tmpfs, such as `size=64k`.
    """

    def __init__(self, folder: Path, options: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        _system("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder))

    def become(self, options: str) -> None:
        """Change its options."""
        _system("mount", "-o", f"remount,{options}", str(self.folder))

    def used_bytes(self) -> int:
        """Bytes that are taken."""
        facts = os.statvfs(self.folder)
        return (facts.f_blocks - facts.f_bfree) * facts.f_frsize

    def close(self) -> None:
        """Take the file system away."""
        _system("umount", str(self.folder))


def _system(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")


def most_used(start: Start, folder: Path) -> dict[str, int]:
    """Most bytes that each folder ever held in an undisturbed run, looked at every few milliseconds."""
    mounts = {name: Mounted(folder / name, "size=1g") for name in FOLDERS}
    most = Counter[str]()
    run = start(RUN, folder)
    while run.poll() is None:
        for name, mount in mounts.items():
            most[name] = max(most[name], mount.used_bytes())
        time.sleep(0.005)
    if run.poll() != 0:
        raise AssertionError(run.errors.read_text())
    for name, mount in mounts.items():
        kept = folder / f"kept-{name}"
        shutil.copytree(mount.folder, kept)
        mount.close()
        mount.folder.rmdir()
        kept.rename(mount.folder)
    return dict(most)


def meet(
    start: Start, room: Path, alone: Path, where: str, *, broken: str, mended: str
) -> tuple[str, list[str]]:
    """Run on a file system with a fault, look, mend it, run again, and compare.

    Args:
        start: How commands are started.
        room: Folder with the suite.
        alone: Results of an undisturbed run.
        where: `results` or `reports`, whichever has the fault.
        broken: tmpfs options with the fault.
        mended: Options without it.

    Returns:
        `told` or `came through`, and what was not as promised.
    """
    mount = Mounted(room / where, broken)
    try:
        run = start(RUN, room)
        code, said = run.ended(LONGEST_S), run.errors.read_text()
        wrong = [] if code == 0 else _badly_told(code, said, where)
        wrong += [f"damaged {path}: {why}" for path, why in listing(room / "results").damaged]
        wrong += [f"failed: {one.record.failure}" for one in listing(room / "results").failed]
        page = room / "reports" / NAME / "index.html"
        wrong += ["a torn page"] if page.exists() and not page.read_bytes().rstrip().endswith(END) else []
        mount.become(mended)
        second = start(RUN, room)
        if second.ended(LONGEST_S) != 0:
            wrong.append(f"once mended it ended with {second.poll()}: {second.errors.read_text()}")
        wrong += [] if is_finished(room / "results") else ["not every cell is finished"]
        wrong += [f"left over: {name}" for name in left_over(room / "results")]
        wrong += [f"differs: {what}" for what in differences(alone, room / "results")]
        wrong += [] if page.exists() else ["no report"]
    finally:
        for name in FOLDERS:
            if name != where:
                shutil.rmtree(room / name, ignore_errors=True)
        mount.close()
    return ("came through" if code == 0 else "told"), wrong


def _badly_told(code: int | None, said: str, where: str) -> list[str]:
    """What is wrong about how a command told of a disk."""
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    wrong = [] if code == StoreError.exit_code else [f"exit code {code}"]
    if (
        len(errors) != 1
        or "Traceback" in said
        or not said.endswith(f"{errors[0]}\n")
        or where not in errors[0]
    ):
        wrong.append(f"it said {said[-2000:]!r}")
    return wrong


def faults(most: dict[str, int], sizes: int) -> list[tuple[str, str, str, str]]:
    """(kind, folder, options with the fault, options without it)."""
    page = os.sysconf("SC_PAGE_SIZE")
    found = []
    for where in FOLDERS:
        count = max(2, sizes if where == "results" else sizes // 4)
        steps = [page + number * (most[where] - page) // count for number in range(count)]
        found += [("full", where, f"size={step // page * page}", "size=1g") for step in steps]
        found.append(("read_only", where, "ro,size=1g", "rw,size=1g"))
    counts = range(1, INODES, max(1, INODES // max(2, sizes // 2)))
    return [*found, *(("inodes", "results", f"nr_inodes={n}", "nr_inodes=100k") for n in counts)]


def measure(sizes: int) -> tuple[dict[str, object], list[str]]:
    """Every fault, and what was not as promised."""
    totals, wrong = Counter[str](), list[str]()
    with tempfile.TemporaryDirectory() as name, warm() as start:
        room = write_suite(Path(name) / "room")
        most = most_used(start, room)
        alone = Path(name) / "alone"
        (room / "results").rename(alone)
        shutil.rmtree(room / "reports")
        for kind, where, broken, mended in faults(most, sizes):
            how, met = meet(start, room, alone, where, broken=broken, mended=mended)
            totals.update({f"{kind}_{where}": 1, how.replace(" ", "_"): 1, "wrong": bool(met)})
            wrong += [f"{where} {broken}: {one}" for one in met]
            print(where, broken, how, met, file=sys.stderr, flush=True)
    return {**{f"most_{name}_bytes": size for name, size in most.items()}, **totals}, wrong


def main() -> None:
    """Measure in a namespace, and write what was found; the exit code is 1 if anything broke."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, default=20, help="Sizes of the folder of results.")
    parser.add_argument("--out", type=Path, default=FOUND)
    asked = parser.parse_args()
    if INSIDE not in os.environ:
        sys.exit(again_inside(["--sizes", str(asked.sizes), "--out", str(asked.out.absolute())]))
    found, wrong = measure(asked.sizes)
    write_outcome(asked.out, found, packages=())
    print("\n".join(wrong), file=sys.stderr)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
