"""Two reports written to one folder at a time, and a reader who follows the links of its page."""

import multiprocessing
import time
from pathlib import Path

from swatbench.report.writing import put

END = b"</html>"


def report_at_once(folder: Path, *, seconds: float) -> dict[str, int]:
    """Let two processes write reports of different figures and tables over one another, and read meanwhile.

    Args:
        folder: An empty folder.
        seconds: How long.

    Returns:
        Reports that were written, pages that were read, and of these how many were torn or led to no file.
    """
    start = multiprocessing.get_context("fork")
    written = start.Value("i", 0)
    writers = [start.Process(target=_write, args=(folder, name, seconds, written)) for name in "ab"]
    for writer in writers:
        writer.start()
    pages = torn = missing = 0
    while any(writer.is_alive() for writer in writers):
        page = _page(folder)
        if page is None:
            continue
        found = [_whole(folder / name) for name in page.decode().split("\n")[:-1]]
        torn += not page.endswith(END) or False in found
        # Where there is another page by now, its writer may have removed what this one named.
        missing += None in found and _page(folder) == page
        pages += 1
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0, writer.exitcode
    left = {
        path.relative_to(folder).as_posix()
        for place in ("tables", "figures")
        for path in folder.glob(f"{place}/*")
    }
    named = set((_page(folder) or b"").decode().split("\n")[:-1])
    return {
        "written": written.value,
        "read": pages,
        "torn": torn,
        "missing": missing,
        "stale": len(left ^ named),
    }


def contents(name: str, each: int = 3) -> dict[str, bytes]:
    """Files of a report: some that both have, some of its own, and a page that names them all."""
    tables = [f"tables/{kind}{number}.csv" for kind in ("shared-", name) for number in range(each)]
    figures = [f"figures/{kind}{number}.svg" for kind in ("shared-", name) for number in range(each)]
    files = {one: (name.encode() * 20_000) + END for one in (*tables, *figures)}
    return {**files, "index.html": "\n".join([*files, ""]).encode() + END}


def _write(folder: Path, name: str, seconds: float, written) -> None:
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        put(folder, contents(name))
        with written.get_lock():
            written.value += 1


def _page(folder: Path) -> bytes | None:
    try:
        return (folder / "index.html").read_bytes()
    except FileNotFoundError:
        return None


def _whole(path: Path) -> bool | None:
    """Whether a file is whole and of one report; None where there is none."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    return content in {name.encode() * 20_000 + END for name in "ab"}
